//! Real programs and kernels talk: what must pass, whatever is protected.

use crate::column::Outcome;
use crate::lab::Lab;
use crate::leases;
use crate::netns::needs::can;
use crate::ports::once_free;
use crate::who::{HOST, NEIGHBOUR, NEWCOMER, PREFIX_V6, ROUTER, VICTIM, Who};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// A flow with each of the targets, from the neighbour unless its name says otherwise.
struct Flow {
    name: &'static str,
    reference: &'static str,
    to: &'static [Who],
    works: fn(&Lab, Who) -> bool,
}

const EVERYBODY: &[Who] = &[VICTIM, HOST, ROUTER];
const PATIENCE: Duration = Duration::from_secs(5);

const FLOWS: &[Flow] = &[
    Flow { name: "ping", reference: "RFC 792", to: EVERYBODY, works: |lab, to| ping(lab, &to.v4.to_string()) },
    Flow { name: "ping by IPv6", reference: "RFC 4443", to: EVERYBODY, works: |lab, to| ping(lab, &to.v6.to_string()) },
    Flow {
        name: "ping by link-local address",
        reference: "RFC 4443",
        to: EVERYBODY,
        works: |lab, to| ping(lab, &format!("{}%eth0", to.lla)),
    },
    Flow { name: "TCP", reference: "RFC 9293", to: EVERYBODY, works: |lab, to| tcp(lab, to, (to.v4, 4002).into()) },
    Flow {
        name: "TCP by IPv6",
        reference: "RFC 9293",
        to: EVERYBODY,
        works: |lab, to| tcp(lab, to, (to.v6, 4002).into()),
    },
    Flow {
        name: "a datagram of 20,000 octets",
        reference: "RFC 791",
        to: EVERYBODY,
        works: |lab, to| large_datagram(lab, to, (to.v4, 4003).into()),
    },
    Flow {
        name: "the same by IPv6",
        reference: "RFC 8200, 4.5",
        to: EVERYBODY,
        works: |lab, to| large_datagram(lab, to, (to.v6, 4003).into()),
    },
    Flow {
        name: "its kernel finds that an address is free",
        reference: "RFC 4862, 5.4",
        to: &[ROUTER],
        works: |lab, _| !finds_duplicate(lab),
    },
    Flow {
        name: "its kernel finds that an address is taken",
        reference: "RFC 4862, 5.4.4",
        to: &[ROUTER, HOST],
        works: |lab, to| with_address(lab, to, || finds_duplicate(lab)),
    },
    Flow {
        name: "a newcomer gets a lease (dhclient, dnsmasq)",
        reference: "RFC 2131; incus 4027",
        to: &[HOST, ROUTER],
        works: |lab, to| leases::gets_lease(lab, to, NEWCOMER, "-4"),
    },
    Flow {
        name: "a newcomer gets a DHCPv6 lease (dhclient, dnsmasq)",
        reference: "RFC 8415",
        to: &[HOST, ROUTER],
        works: |lab, to| leases::gets_lease(lab, to, NEWCOMER, "-6"),
    },
];

const NEEDS: [(&str, &str); 3] =
    [("ping", "command -v ping"), ("dhclient", "command -v dhclient"), ("dnsmasq", "command -v dnsmasq")];

/// All whose section and name are wanted.
pub fn run_all(lab: &Lab, is_wanted: impl Fn(&str, &str) -> bool) -> Vec<Outcome> {
    let section = "legit: real programs";
    if !NEEDS.iter().all(|(what, command)| can(what, command)) {
        return Vec::new();
    }
    // Nobody knows anybody.
    for machine in lab.machines() {
        machine.run("ip", &["neighbour", "flush", "dev", machine.interface]);
    }
    lab.announce();
    let is_wanted = |flow: &&Flow| is_wanted(section, flow.name);
    let outcome = |flow: &Flow| Outcome {
        section: section.to_owned(),
        case: flow.name.to_owned(),
        reference: flow.reference,
        ignored_by_linux: false,
        reached: flow.to.iter().copied().filter(|to| (flow.works)(lab, *to)).collect(),
        targets: flow.to.to_vec(),
    };
    FLOWS.iter().filter(is_wanted).map(outcome).collect()
}

fn ping(lab: &Lab, address: &str) -> bool {
    let ping = || crate::netns::output("ping", &["-n", "-c", "1", "-W", "5", address], "").status.success();
    lab.machine(NEIGHBOUR).space.enter(ping)
}

fn tcp(lab: &Lab, to: Who, address: SocketAddr) -> bool {
    let listener = lab.machine(to).space.enter(|| once_free(|| TcpListener::bind(address)).unwrap());
    let connect = || TcpStream::connect_timeout(&address, PATIENCE);
    let Ok(mut client) = lab.machine(NEIGHBOUR).space.enter(connect) else { return false };
    let (mut server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut heard = [0; 5];
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut heard).is_ok() && server.write_all(&heard).is_ok() && client.read_exact(&mut heard).is_ok()
}

fn large_datagram(lab: &Lab, to: Who, address: SocketAddr) -> bool {
    let server = lab.machine(to).space.enter(|| once_free(|| UdpSocket::bind(address)).unwrap());
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let any: SocketAddr = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    let client = lab.machine(NEIGHBOUR).space.enter(|| UdpSocket::bind(any).unwrap());
    client.send_to(&vec![7; 20_000], address).unwrap();
    server.recv(&mut vec![0; 32_768]).is_ok_and(|length| length == 20_000)
}

/// Does something while another machine has an address that is allowed to the neighbour.
fn with_address<T>(lab: &Lab, to: Who, action: impl FnOnce() -> T) -> T {
    let (machine, address) = (lab.machine(to), format!("{PREFIX_V6}/64"));
    machine.run("ip", &["address", "add", &address, "dev", machine.interface, "nodad"]);
    let result = action();
    machine.run("ip", &["address", "del", &address, "dev", machine.interface]);
    result
}

/// The neighbour's kernel tries an address that is allowed to it, and says whether somebody else has it.
fn finds_duplicate(lab: &Lab) -> bool {
    let (machine, address) = (lab.machine(NEIGHBOUR), format!("{PREFIX_V6}/64"));
    let detect = |value| {
        machine.space.enter(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", value).unwrap());
    };
    detect("1");
    machine.run("ip", &["address", "add", &address, "dev", "eth0"]);
    let state = within(PATIENCE, || {
        let shown = machine.run("ip", &["-6", "address", "show", "dev", "eth0", "to", &address]);
        (shown.contains("dadfailed") || !shown.contains("tentative")).then_some(shown)
    });
    machine.run("ip", &["address", "del", &address, "dev", "eth0"]);
    detect("0");
    state.expect("detection ends").contains("dadfailed")
}

/// What `look` finds, as soon as it does.
pub fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
