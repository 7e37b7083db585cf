//! Beside a dnsmasq that is there, and not ours.

use crate::lab::{Lab, in_lab};
use crate::proxmox::Cluster;
use crate::scenarios::{fixed, silent};
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::{Child, Command, Stdio};

/// Somebody else's dnsmasq; it is killed in the end.
struct Other(Child);

impl Other {
    /// It reads these lines, too, and has written its number into its file.
    fn start(lab: &Lab, lines: &str) -> Self {
        let here = lab.path("").display().to_string();
        let own = format!("pid-file={here}dnsmasq.pid\ndhcp-leasefile={here}dnsmasq.leases\nlog-facility=/dev/null\n");
        let dhcp = "dhcp-range=10.0.1.1,10.0.1.254,255.255.254.0,12h\ndhcp-ignore-names\n";
        let text = format!("{own}{dhcp}no-resolv\nno-hosts\nuser=root\ndomain=lab\nlocal=/lab/\n{lines}\n");
        fs::write(lab.path("other.conf"), text).unwrap();
        let mut command = Command::new("/usr/sbin/dnsmasq");
        let conf = format!("--conf-file={}", lab.path("other.conf").display());
        command.args(["--keep-in-foreground", &conf]).stdin(Stdio::null());
        let other = Self(command.spawn().unwrap());
        let pid = other.0.id().cast_signed();
        until("dnsmasq runs", || lab.dnsmasq().is_some_and(|there| there.as_raw() == pid));
        other
    }

    fn end(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `--check-config` says, and whether all is right.
fn check(lab: &Lab) -> (bool, String) {
    let output = lab.output(&["--check-config"]);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// The lines that it asks for.
fn lines(lab: &Lab) -> String {
    let (_, text) = check(lab);
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    lines.join("\n")
}

#[test]
fn a_dnsmasq_that_is_there_needs_the_two_lines_that_the_check_prints() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        let mut lab = Lab::new(cluster).beside();
        assert!(!check(&lab).0, "without dnsmasq");
        let lines = lines(&lab);
        lab.start();
        until("there are names", || lab.path("reservations").exists());
        let mut without = Other::start(&lab, "");
        let (is_right, text) = check(&lab);
        assert!(!is_right && text.matches("dnsmasq does not read").count() == 2, "{text}");
        without.end(Signal::SIGTERM);
        let _with = Other::start(&lab, &lines);
        let (is_right, text) = check(&lab);
        assert!(is_right, "{text}");
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        lab.simulator.cluster().rename(100, "other");
        lab.signal(Signal::SIGHUP);
        lab.dns().becomes("other.lab", &["10.0.0.10"]);
        // It is somebody else's: it stays.
        assert_eq!(lab.terminate(), Some(0));
        lab.dns().becomes("other.lab", &["10.0.0.10"]);
    });
}

#[test]
fn whichever_dnsmasq_is_there_has_names_and_reservations() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 99, "web", "10.0.0.10");
        silent(&mut cluster, 100, "client-0");
        let mut lab = Lab::new(cluster).beside();
        lab.flags = ["--reload-interval", "1"].map(str::to_owned).to_vec();
        let lines = lines(&lab);
        // Both are there before anything is in them.
        fs::create_dir(lab.path("hosts")).unwrap();
        fs::write(lab.path("reservations"), "").unwrap();
        let mut other = Other::start(&lab, &lines);
        lab.start();
        let reloads = || lab.metric("instances_proxmox_dnsmasq_reloads_total");
        let mut leases = Vec::new();
        for (number, ends) in (0..).zip([Signal::SIGTERM, Signal::SIGKILL, Signal::SIGTERM]) {
            if number > 0 {
                // Another one is behind the same file; it has read all that there was.
                other.end(ends);
                other = Other::start(&lab, &lines);
                silent(&mut lab.simulator.cluster(), 100 + number, &format!("client-{number}"));
            }
            let dns = lab.dns();
            dns.becomes("web.lab", &["10.0.0.10"]);
            // It was told of each reservation once, and a lease has its name at once.
            until("dnsmasq was told of the reservation", || reloads() == Some(f64::from(number + 1)));
            until("it was asked, too", || lab.metric("instances_proxmox_dnsmasq_up") == Some(1.0));
            let guest = lab.plug(100 + number);
            let lease = guest.lease();
            assert_eq!(lab.leased_to(&lease), Some(format!("client-{number}")), "it was reserved");
            leases.push(lease);
            for (number, lease) in leases.iter().enumerate() {
                dns.becomes(&format!("client-{number}.lab"), &[lease]);
                dns.is_called(lease, &[&format!("client-{number}.lab")]);
            }
            lab.simulator.cluster().rename(99, &format!("web-{number}"));
            dns.becomes(&format!("web-{number}.lab"), &["10.0.0.10"]);
            dns.becomes("web.lab", &[]);
            lab.simulator.cluster().rename(99, "web");
        }
        assert_eq!(lab.terminate(), Some(0));
        lab.dns().becomes("client-0.lab", &[&leases[0]]);
        // Somebody moves the folder that it watches while nobody looks.
        fs::rename(lab.path("hosts"), lab.path("aside")).unwrap();
        lab.start();
        lab.says("so names stand still: restart dnsmasq");
        until("all is not well", || lab.answers("/healthz").contains("names stand still"));
        other.end(Signal::SIGKILL);
        let _other = Other::start(&lab, &lines);
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        // SIGHUP has it look at once.
        lab.signal(Signal::SIGHUP);
        lab.is_healthy();
    });
}

#[test]
fn a_lease_of_anothers_dnsmasq_ends_with_its_guest() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        silent(&mut cluster, 101, "client");
        let mut lab = Lab::new(cluster).beside();
        // Giving a lease back takes none of these.
        let none = "-net_raw,-net_admin,-net_bind_service";
        lab.privileges = [format!("--bounding-set={none}"), format!("--inh-caps={none}")].to_vec();
        let _other = Other::start(&lab, &lines(&lab));
        lab.start();
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        until("dnsmasq was told of the reservation", || {
            lab.metric("instances_proxmox_dnsmasq_reloads_total") == Some(1.0)
        });
        let lease = lab.plug(101).lease();
        lab.dns().becomes("client.lab", &[&lease]);
        lab.simulator.cluster().remove(101);
        lab.dns().becomes("client.lab", &[]);
        let leases = || fs::read_to_string(lab.path("dnsmasq.leases")).unwrap();
        until("the lease is out of the file", || leases().is_empty());
    });
}
