//! Guests as Debian installs them: real DHCP clients that configure what they are told, each in an `/etc` of its own.
#![allow(dead_code, reason = "each test crate uses its part")]

use crate::netns::run;
use crate::responder::{Guest, Host, PATIENCE, mac, until};
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What clients need of `/etc`, and where dhclient and udhcpc leave what they got.
///
/// Of dhclient's hooks only the one for option 121; ours notes all that dhclient was told. Where there is a resolvconf,
/// udhcpc's script gives everything to it, which is the host's: it is hidden. dhclient's own path would have AppArmor refuse
/// our files.
const INSTALL: &str = r#"
    mkdir -p "$1/etc"
    cd /etc
    for part in dhcp udhcpc alternatives iproute2 passwd group nsswitch.conf ld.so.cache; do
        [ ! -e $part ] || cp -a $part "$1/etc"
    done
    find "$1/etc/dhcp" -path '*hooks.d/*' ! -name 'rfc3442*' -delete
    echo 'env >>/etc/told; echo "ends=$reason" >>/etc/told' >"$1/etc/dhcp/dhclient-exit-hooks.d/told"
    : >"$1/etc/fstab" >"$1/etc/resolv.conf" >"$1/etc/told"
    cp "$(command -v dhclient)" "$1/dhclient"
    mount --bind "$1/etc" /etc
    [ ! -e /sbin/resolvconf ] || mount --bind /dev/null /sbin/resolvconf
    hostname localhost
    ip link set lo up
"#;

/// A guest with clients. It has no name until DHCP gives it one.
pub struct Machine {
    guest: Guest,
    folder: PathBuf,
}

impl Machine {
    /// The n-th, behind this tap; its interface is up.
    pub fn behind(host: &Host, tap: &str, number: u8) -> Self {
        let machine = Self::of(Guest::behind(tap, &mac(number)), host, tap);
        machine.up();
        machine
    }

    pub fn of(guest: Guest, host: &Host, name: &str) -> Self {
        let machine = Self { guest, folder: host.path(&format!("of-{name}")) };
        let folder = machine.folder.to_str().unwrap();
        machine.inside("sh", &["-euc", INSTALL, "install", folder]);
        machine
    }

    /// A command in all its namespaces.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.process(), "--net", "--mount", "--uts", program]).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
        command
    }

    /// What a command prints that must succeed.
    #[track_caller]
    pub fn inside(&self, program: &str, arguments: &[&str]) -> String {
        let ended = self.command(program, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{program} {arguments:?}: {}\n{said}", ended.status);
        String::from_utf8(ended.stdout).unwrap()
    }

    /// Has udhcpc get a lease, and Debian's script configure it.
    #[track_caller]
    pub fn udhcpc(&self, further: &[&str]) {
        let once = ["-n", "-q", "-f", "-t", "10", "-i", "eth0", "-s", "/etc/udhcpc/default.script"];
        self.inside("udhcpc", &[&once[..], further].concat());
    }

    /// Has dhclient begin, with these arguments, knowing of no lease.
    pub fn dhclient(&self, arguments: &[&str]) -> Dhclient {
        let _ = fs::remove_file(self.folder.join("leases"));
        self.dhclient_again(arguments)
    }

    /// The same with the leases that it had.
    pub fn dhclient_again(&self, arguments: &[&str]) -> Dhclient {
        fs::write(self.folder.join("etc/told"), "").unwrap();
        let program = self.folder.join("dhclient");
        let [leases, pid] = ["leases", "pid"].map(|name| self.folder.join(name).display().to_string());
        let files = ["-d", "-lf", &leases, "-pf", &pid];
        let mut command = self.command(program.to_str().unwrap(), &[&files, arguments, &["eth0"]].concat());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Child(command.spawn().unwrap());
        Dhclient { _process: process, told: self.folder.join("etc/told"), leases: leases.into() }
    }

    pub fn resolv_conf(&self) -> String {
        fs::read_to_string(self.folder.join("etc/resolv.conf")).unwrap()
    }

    /// Waits until `ip` with these arguments prints a text, or no longer does.
    #[track_caller]
    pub fn ip(&self, arguments: &str, text: &str, wanted: bool) {
        let mut last = String::new();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            last = self.run("ip", &arguments.split(' ').collect::<Vec<_>>());
            if last.contains(text) == wanted {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("ip {arguments}: never {wanted}: {text}; but {last}");
    }

    /// Waits until duplicate address detection found that no address of its is taken.
    #[track_caller]
    pub fn has_link_local(&self) {
        self.ip("-6 -o addr show dev eth0 scope link -tentative", "fe80::", true);
    }
}

impl Deref for Machine {
    type Target = Guest;

    fn deref(&self) -> &Guest {
        &self.guest
    }
}

/// A running process; it is killed in the end.
pub struct Child(pub std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running dhclient.
pub struct Dhclient {
    _process: Child,
    told: PathBuf,
    leases: PathBuf,
}

impl Dhclient {
    pub fn told(&self) -> String {
        fs::read_to_string(&self.told).unwrap()
    }

    /// Waits until it has written down a lease with this text, to be found when it begins again.
    #[track_caller]
    pub fn keeps(&self, text: &str) {
        until(text, || fs::read_to_string(&self.leases).is_ok_and(|leases| leases.contains(text)));
    }

    /// Waits until its script has done something, `BOUND` say, so many times; what it was told the last time.
    #[track_caller]
    pub fn does(&self, reason: &str, times: usize) -> String {
        let end = format!("ends={reason}\n");
        let start = Instant::now();
        loop {
            let told = self.told();
            if told.matches(&end).count() >= times {
                let all = told.split("ends=").filter(|part| part.contains(&format!("\nreason={reason}\n")));
                return all.last().unwrap_or_default().to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "never {reason}, {times} times; but {told}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Makes the host the guests' router, of both families.
pub fn forward() {
    run("ip", &["link", "set", "lo", "up"]);
    for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(format!("/proc/sys/net/{path}"), "1").unwrap();
    }
}

/// The same for routed taps, from the second guest's on: who it is, and that it answers ARP in the place of the others.
pub fn route(taps: &[&str]) {
    forward();
    for address in ["192.0.2.1/32", "2001:db8:1::1/128"] {
        run("ip", &["addr", "add", address, "dev", "lo"]);
    }
    for (number, tap) in (2..).zip(taps) {
        until(tap, || fs::exists(format!("/proc/sys/net/ipv4/neigh/{tap}")).unwrap());
        for (path, value) in [("conf", "proxy_arp"), ("neigh", "proxy_delay")].map(|(part, key)| {
            (format!("/proc/sys/net/ipv4/{part}/{tap}/{key}"), if part == "conf" { "1" } else { "0" })
        }) {
            fs::write(path, value).unwrap();
        }
        run("ip", &["route", "add", &format!("192.0.2.{number}/32"), "dev", tap]);
        run("ip", &["-6", "route", "add", &format!("2001:db8:1::ff:fe00:{number}/128"), "dev", tap]);
    }
}

/// The n-th guest's binding, written as gnt-networking writes it: in place, line by line, with all keys, the first line
/// empty unless the network says more.
pub fn gnt_networking(host: &Host, tap: &str, indev: &str, number: u8, further: &str) {
    let script = r#"
        cat >"$STATE_DIR/$INTERFACE" <<EOF
$FURTHER
INDEV=$INDEV
IP=192.0.2.$NUMBER
MAC=$MAC
HOSTNAME=vm$NUMBER.example.org
TAGS="some:tag other:tag"
GATEWAY=192.0.2.1
SUBNET=192.0.2.0/24
GATEWAY6=2001:db8:1::1
SUBNET6=2001:db8:1::/64
EUI64=2001:db8:1::ff:fe00:$NUMBER
EOF
    "#;
    let status = Command::new("sh")
        .args(["-euc", script])
        .env("STATE_DIR", host.path("bindings"))
        .env("INTERFACE", tap)
        .env("INDEV", indev)
        .env("NUMBER", number.to_string())
        .env("MAC", mac(number))
        .env("FURTHER", further)
        .status();
    assert!(status.unwrap().success());
}
