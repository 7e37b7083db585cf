//! A real DHCP client and a real server.

use crate::flows::within;
use crate::lab::{Lab, Machine};
use crate::netns::on_stock_kernel;
use crate::who::Who;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/dhclient-script");
/// What the server leases.
const LEASED: [(&str, &str, &str); 2] =
    [("-4", "10.0.0.2", "10.0.0.200,10.0.0.209,255.255.0.0,1h"), ("-6", "fd00::2", "fd00::200,fd00::209,64,1h")];

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `client` gets an address from `server`; `family`: -4 or -6.
pub fn gets_lease(lab: &Lab, server: Who, client: Who, family: &str) -> bool {
    let (server, client) = (lab.machine(server), lab.machine(client));
    let folder = tempfile::tempdir().unwrap();
    server.without_listening(|| {
        client.without_listening(|| {
            let _server = serve(server, folder.path());
            let _client = ask(client, folder.path(), family);
            let (_, start, _) = LEASED.iter().find(|(of, ..)| *of == family).unwrap();
            let patience = Duration::from_secs(if on_stock_kernel() { 120 } else { 20 });
            let leased = within(patience, || {
                client
                    .run("ip", &[family, "address", "show", "dev", "eth0"])
                    .contains(&format!(" {start}0"))
                    .then_some(())
            });
            client.run("ip", &[family, "address", "flush", "dev", "eth0", "scope", "global"]);
            leased.is_some()
        })
    })
}

/// A server on this machine, once it listens. Its ports are still taken for a moment now and then, by a process that another
/// thread has just forked and that has not yet closed what it inherited.
fn serve(machine: &Machine, folder: &Path) -> Running {
    within(Duration::from_secs(20), || try_to_serve(machine, folder)).expect("the ports become free")
}

fn try_to_serve(machine: &Machine, folder: &Path) -> Option<Running> {
    let leases = format!("--dhcp-leasefile={}", folder.join("leases").display());
    let interface = format!("--interface={}", machine.interface);
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--pid-file", "--user=root"]);
    command.args(["--port=0", "--bind-interfaces", "--except-interface=lo", "--no-ping", "--dhcp-authoritative"]);
    command.args([leases, interface]);
    command.args(LEASED.iter().map(|(.., range)| format!("--dhcp-range={range}")));
    let command = command.env("PATH", "/usr/sbin:/usr/bin").stdin(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running(machine.space.enter(|| command.spawn().unwrap()));
    let mut said = String::new();
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    while !said.contains("started") {
        if log.read_line(&mut said).unwrap() == 0 {
            assert!(said.contains("Address already in use"), "dnsmasq: {said}");
            return None;
        }
    }
    // It blocks when nobody reads what it says.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Some(running)
}

/// A client on this machine.
fn ask(machine: &Machine, folder: &Path, family: &str) -> Running {
    let file = |name: &str| folder.join(name).display().to_string();
    fs::write(folder.join("conf"), "timeout 60;\nretry 1;\ninitial-interval 1;\n").unwrap();
    let mut command = Command::new("dhclient");
    command.args([
        family,
        "-d",
        "-1",
        "-sf",
        SCRIPT,
        "-cf",
        &file("conf"),
        "-lf",
        &file("client"),
        "-pf",
        &file("pid"),
    ]);
    let command = command.arg("eth0").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    Running(machine.space.enter(|| command.spawn().unwrap()))
}
