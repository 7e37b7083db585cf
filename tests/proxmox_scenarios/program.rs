//! The program itself: started as PVE-Leazzard's image is, as the unit has it, by somebody at a terminal.

use crate::lab::{Lab, in_lab};
use crate::proxmox::{Cluster, Fault, SECRET};
use crate::wait::{PATIENCE, until};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

#[test]
fn in_the_foreground_with_a_dnsmasq_of_its_own_until_it_is_told_to_end() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(4, 2));
        // As many have it.
        lab.variables.remove("INSTANCES_PROXMOX_CA_FILE");
        lab.variables.insert("VERIFY_SSL", "false".to_owned());
        lab.start();
        lab.dns().becomes("guest-0.lab", &["10.0.0.100"]);
        lab.dns().becomes("guest-3.lab", &["10.0.0.103"]);
        lab.dns().is_called("10.0.0.101", &["guest-1.lab"]);
        let conf = fs::read_to_string(lab.path("dnsmasq.conf")).unwrap();
        assert!(conf.contains("dhcp-range=10.0.1.1,10.0.1.254,255.255.254.0,12h\n"), "{conf}");
        // Killed, it leaves DNS behind, and the next one goes on with it.
        let first = lab.dnsmasq().unwrap();
        lab.kill();
        lab.dns().becomes("guest-0.lab", &["10.0.0.100"]);
        lab.simulator.cluster().rename(100, "web");
        lab.start();
        lab.dns().becomes("web.lab", &["10.0.0.100"]);
        assert_eq!(lab.dnsmasq(), Some(first));
        // Told to, it ends, and dnsmasq with it.
        assert_eq!((lab.terminate(), lab.dnsmasq()), (Some(0), None));
        let state = fs::read_to_string(lab.path("state.json")).unwrap();
        assert!(state.contains("web"), "{state}");
    });
}

#[test]
fn the_secret_is_nowhere_to_be_seen() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(3, 1));
        lab.variables.insert("LOG_LEVEL", "DEBUG".to_owned());
        lab.start();
        lab.is_healthy();
        // Nor if it is told back.
        lab.simulator.fault_once("/cluster/resources", Fault::Echo(0));
        lab.says("500");
        lab.simulator.fault("/cluster/resources", Fault::No(401, "Authentication failed!"));
        lab.says("401");
        let process = |pid: nix::unistd::Pid, file| fs::read(format!("/proc/{pid}/{file}")).unwrap();
        let holds = |content: &[u8]| content.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(holds(&process(lab.pid(), "environ")), "the test would find it");
        let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
        for path in ["/", "/plain", "/metrics", "/healthz", "/api/state", "/api/records"] {
            let answer = lab.answers(path);
            assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
            seen.push((path.to_owned(), answer.into_bytes()));
        }
        let dnsmasq = lab.dnsmasq().unwrap();
        for (pid, file) in [(lab.pid(), "cmdline"), (dnsmasq, "cmdline"), (dnsmasq, "environ")] {
            seen.push((format!("{file} of {pid}"), process(pid, file)));
        }
        for flag in ["--print-config", "--check-config", "--dry-run"] {
            let output = lab.output(&[flag]);
            seen.push((flag.to_owned(), [output.stdout, output.stderr].concat()));
        }
        for (what, content) in &seen {
            assert!(!holds(content), "the token is in {what}");
        }
        // All files, the log among them.
        let folder = lab.path("").display().to_string();
        let found = crate::netns::output("grep", &["-r", "-l", "-F", SECRET, &folder], "");
        assert_eq!((String::from_utf8_lossy(&found.stdout).as_ref(), found.status.code()), ("", Some(1)));
        // From a file it is not even in the program's own variables.
        lab.kill();
        fs::write(lab.path("token"), SECRET).unwrap();
        lab.variables.remove("API_TOKEN_SECRET");
        lab.variables.insert("API_TOKEN_SECRET_FILE", lab.path("token").display().to_string());
        lab.simulator.heal();
        lab.start();
        lab.is_healthy();
        assert!(!holds(&process(lab.pid(), "environ")) && !holds(&process(lab.pid(), "cmdline")));
    });
}

#[test]
fn a_rehearsal_changes_nothing_and_once_leaves_the_files() {
    in_lab(|| {
        let lab = Lab::new(Cluster::populated(4, 2));
        let dry = lab.output(&["--dry-run"]);
        let table = String::from_utf8_lossy(&dry.stdout).into_owned();
        assert!(dry.status.success() && table.contains("guest-1.lab") && table.contains("10.0.0.101"), "{table}");
        assert!(table.contains("guest 101 net0: agent"), "{table}");
        let json = lab.output(&["--dry-run", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json["records"].as_array().unwrap().len(), 4);
        for flag in ["--check-config", "--print-config"] {
            let output = lab.output(&[flag]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && text.contains("10.0.0.0/23"), "{text}");
        }
        assert_eq!(lab.files(), [""; 0]);
        let once = lab.output(&["--once"]);
        assert!(once.status.success(), "{}", String::from_utf8_lossy(&once.stderr));
        let names: Vec<_> = (0..4).map(|number| format!("10.0.0.10{number} guest-{number}.lab")).collect();
        assert_eq!((lab.names(), lab.dnsmasq()), (names.clone(), None));
        let reservations = fs::read_to_string(lab.path("reservations")).unwrap();
        assert!(reservations.contains(&format!("{},guest-0", Cluster::mac(100))), "{reservations}");
        lab.simulator.fault("/cluster/resources", Fault::No(500, "oh"));
        for flag in ["--once", "--dry-run"] {
            let failed = lab.output(&[flag]);
            let said = String::from_utf8_lossy(&failed.stderr).into_owned();
            assert!(!failed.status.success() && said.contains("500 oh"), "{flag}: {said}");
        }
        assert_eq!(lab.names(), names);
    });
}

#[test]
fn the_service_manager_hears_when_dnsmasq_answers_and_that_the_program_lives() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(4, 2));
        let socket = UnixDatagram::bind(lab.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        lab.variables.insert("NOTIFY_SOCKET", lab.path("notify").display().to_string());
        lab.variables.insert("WATCHDOG_USEC", "400000".to_owned());
        lab.start();
        let hear = || {
            let mut text = [0; 4096];
            let length = socket.recv(&mut text).unwrap();
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        while hear() != "READY=1" {}
        assert!(lab.dnsmasq().is_some());
        until("it says what it has", || hear().contains("4 names"));
        for _ in 0..3 {
            while hear() != "WATCHDOG=1" {}
        }
        lab.simulator.cluster().token.1 = "another".to_owned();
        lab.signal(Signal::SIGHUP);
        until("it says what is wrong", || hear().contains("token"));
        lab.dns().becomes("guest-0.lab", &["10.0.0.100"]);
        lab.signal(Signal::SIGTERM);
        while hear() != "STOPPING=1" {}
        assert_eq!(lab.terminate(), Some(0));
    });
}

/// Nobody in particular, as the unit has it: with these capabilities, which its dnsmasq has, too.
#[test]
fn without_root_the_units_capabilities_are_enough() {
    const NOBODY: u32 = 65534;
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(4, 2));
        let unit = include_str!("../../packaging/systemd/instances-proxmox.service");
        let capabilities = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).unwrap();
        let names: Vec<_> =
            capabilities.split(' ').map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect();
        let capabilities = format!("-all,+{}", names.join(",+"));
        let who = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"].map(str::to_owned);
        let sets = ["--inh-caps", "--ambient-caps", "--bounding-set"].map(|set| format!("{set}={capabilities}"));
        lab.privileges = [&who[..], &sets].concat();
        // Where anybody can run it.
        let program = lab.path("program");
        fs::copy(&lab.program, &program).unwrap();
        lab.program = program;
        std::os::unix::fs::chown(lab.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
        lab.variables.insert("VERIFY_SSL", "false".to_owned());
        lab.variables.remove("INSTANCES_PROXMOX_CA_FILE");
        lab.start();
        lab.dns().becomes("guest-0.lab", &["10.0.0.100"]);
        lab.dns().is_called("10.0.0.103", &["guest-3.lab"]);
        let status = fs::read_to_string(format!("/proc/{}/status", lab.dnsmasq().unwrap())).unwrap();
        assert!(status.contains("Uid:\t65534\t65534"), "{status}");
        // It may send DHCP answers and hear guests: nothing is said to be missing.
        let log = lab.log();
        assert!(!log.contains("CAP_NET_RAW") && !log.contains("denied") && !log.contains("not permitted"), "{log}");
        assert_eq!((lab.terminate(), lab.dnsmasq()), (Some(0), None));
    });
}

/// A mistake is told at once, all of it, and nothing is begun.
#[test]
fn what_is_wrong_is_told_and_nothing_begins() {
    in_lab(|| {
        let begun = Instant::now();
        let lab = Lab::new(Cluster::populated(4, 2));
        let output = lab.command(&[]).env("NETWORK_CIDR", "10.0.0/23").env("VERIFY_SSL", "perhaps").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("NETWORK_CIDR") && said.contains("VERIFY_SSL"), "{said}");
        assert_eq!((output.status.code(), lab.output(&["--poll-interval", "soon"]).status.code()), (Some(1), Some(2)));
        assert!(begun.elapsed() < PATIENCE);
        assert_eq!(lab.files(), [""; 0]);
    });
}
