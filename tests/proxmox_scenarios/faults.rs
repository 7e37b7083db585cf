//! What goes wrong, and what is left of it.

use crate::lab::{Lab, in_lab};
use crate::proxmox::{Cluster, Fault, SECRET};
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn sigterm_ends_both_within_ten_seconds() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(3, 1));
        let dnsmasq = Pid::from_raw(lab.dnsmasq());
        let begun = Instant::now();
        assert_eq!(lab.terminate(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(kill(dnsmasq, None).is_err(), "dnsmasq is still there");
    });
}

#[test]
fn dnsmasq_that_dies_is_back_with_all_names() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(3, 1));
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        let before = lab.dnsmasq();
        kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
        until("another dnsmasq", || {
            fs::read_to_string(lab.path("pid")).is_ok_and(|pid| !pid.is_empty() && pid.trim() != before.to_string())
        });
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        lab.is_healthy();
        assert_eq!(lab.metric("instances_proxmox_dnsmasq_starts_total"), Some(2.0));
    });
}

#[test]
fn the_token_is_nowhere() {
    in_lab(|| {
        let lab = Lab::started(Cluster::populated(3, 1));
        lab.simulator.fault("/cluster/resources", Fault::No(401, "Authentication failed!"));
        lab.says("401");
        let pid = lab.pid();
        let dnsmasq = lab.dnsmasq();
        let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
        for path in ["/", "/metrics", "/healthz", "/api/records"] {
            seen.push((path.to_owned(), lab.answers(path).into_bytes()));
        }
        for path in
            [format!("/proc/{pid}/cmdline"), format!("/proc/{dnsmasq}/cmdline"), format!("/proc/{dnsmasq}/environ")]
        {
            seen.push((path.clone(), fs::read(&path).unwrap()));
        }
        for name in ["log", "state/state.json", "dnsmasq.conf", "reservations"] {
            seen.push((name.to_owned(), fs::read(lab.path(name)).unwrap()));
        }
        for (what, content) in &seen {
            assert!(!content.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "the token is in {what}");
        }
        let printed = lab.command(&["--print-config"]).output().unwrap();
        assert!(printed.status.success() && !String::from_utf8_lossy(&printed.stdout).contains(SECRET));
    });
}

#[test]
fn a_wrong_token_says_what_is_missing_and_names_stay() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(3, 1));
        until("all names", || lab.names().len() == 3);
        assert_eq!(lab.terminate(), Some(0));
        lab.simulator.cluster().sees_guests = false;
        lab.start();
        lab.says("VM.Audit");
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        until("all is not well", || lab.answers("/healthz").starts_with("HTTP/1.1 503"));
        assert_eq!(lab.terminate(), Some(0));
        let before = lab.names();
        for flag in ["--once", "--dry-run"] {
            let once = lab.command(&[flag]).output().unwrap();
            let said = String::from_utf8_lossy(&once.stderr).into_owned();
            assert!(!once.status.success() && said.contains("lost the privilege VM.Audit"), "{flag}: {said}");
        }
        assert_eq!(lab.names(), before);
    });
}

/// At the level that the seed has, too.
#[test]
fn what_keeps_names_from_being_right_is_said_at_the_default_level_and_so_is_its_end() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(3, 1));
        lab.without = vec!["LOG_LEVEL"];
        lab.simulator.fault("/cluster/resources", Fault::No(401, "Authentication failed!"));
        lab.start();
        lab.says("401 Authentication failed!");
        lab.simulator.heal();
        kill(Pid::from_raw(lab.pid().cast_signed()), Signal::SIGHUP).unwrap();
        lab.is_healthy();
        lab.says("it is over: the list of guests comes again");
        kill(Pid::from_raw(lab.dnsmasq()), Signal::SIGKILL).unwrap();
        lab.says("dnsmasq has ended: signal: 9");
        lab.says("it is over: dnsmasq answers");
        assert_eq!((lab.said(" WARN "), lab.said(" INFO ")), (0, 0), "{}", lab.log());
    });
}

#[test]
fn a_token_that_may_see_no_guest_is_said_on_the_first_start() {
    in_lab(|| {
        let mut cluster = Cluster::populated(3, 1);
        cluster.sees_guests = false;
        let mut lab = Lab::new(cluster);
        lab.without = vec!["LOG_LEVEL"];
        // There may be no guest, who knows.
        let once = lab.command(&["--once"]).output().unwrap();
        let said = String::from_utf8_lossy(&once.stderr).into_owned();
        assert!(once.status.success() && said.contains("VM.Audit on /vms"), "{said}");
        lab.start();
        lab.says("either no guest exists, or the token, or its user, lacks the privilege VM.Audit on /vms");
        until("all is not well", || {
            let said = lab.answers("/healthz");
            said.starts_with("HTTP/1.1 503") && said.contains("VM.Audit")
        });
        assert_eq!(lab.metric("instances_proxmox_healthy"), Some(0.0));
        lab.simulator.cluster().sees_guests = true;
        lab.is_healthy();
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        lab.says("it is over: there are guests in the list");
    });
}

#[test]
fn a_state_file_that_cannot_be_written_is_said_and_names_go_on() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(3, 1));
        lab.without = vec!["LOG_LEVEL"];
        fs::create_dir(lab.path("state")).unwrap();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        crate::netns::run("mount", &["--make-rprivate", "/"]);
        let state = lab.path("state").display().to_string();
        crate::netns::run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", &state]);
        lab.start();
        lab.is_healthy();
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        let _ = fs::write(lab.path("state/filler"), vec![0; 128 << 10]);
        lab.simulator.cluster().rename(101, "other");
        lab.dns().becomes("other.lab", &["10.0.0.101"]);
        lab.says("state/state.json");
        lab.says("names go on");
        until("all is not well", || {
            let said = lab.answers("/healthz");
            said.starts_with("HTTP/1.1 503") && said.contains("names go on")
        });
        assert!(lab.metric("instances_proxmox_write_failures_total").unwrap() > 0.0);
        fs::remove_file(lab.path("state/filler")).unwrap();
        lab.simulator.cluster().rename(101, "third");
        lab.dns().becomes("third.lab", &["10.0.0.101"]);
        lab.is_healthy();
        lab.says("it is over: the state file can be written again");
    });
}

#[test]
fn a_folder_of_names_that_was_replaced_while_the_program_was_away_is_followed() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(3, 1));
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        lab.kill();
        fs::rename(lab.path("hosts"), lab.path("aside")).unwrap();
        lab.start();
        lab.says("is replaced");
        lab.simulator.cluster().rename(101, "other");
        lab.dns().becomes("other.lab", &["10.0.0.101"]);
        lab.dns().becomes("guest-1.lab", &[]);
    });
}

#[test]
fn killed_at_any_time_no_name_vanishes() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(40, 2));
        lab.simulator.cluster().delay = Duration::from_millis(3);
        lab.start();
        until("all names", || lab.names().len() == 40);
        for milliseconds in [0, 5, 20, 50, 100, 200, 400, 800, 1200] {
            lab.kill();
            lab.simulator.cluster().rename(100, &format!("renamed-{milliseconds}"));
            lab.start();
            std::thread::sleep(Duration::from_millis(milliseconds));
            assert!(lab.names().len() >= 40, "{milliseconds} ms: {:?}", lab.names());
        }
        lab.dns().becomes("renamed-1200.lab", &["10.0.0.100"]);
        until("one name each", || lab.names().len() == 40);
    });
}

#[test]
fn a_full_disk_is_said_and_names_stay() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(3, 1));
        fs::create_dir(lab.path("small")).unwrap();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        crate::netns::run("mount", &["--make-rprivate", "/"]);
        let small = lab.path("small").display().to_string();
        crate::netns::run("mount", &["-t", "tmpfs", "-o", "size=128k", "tmpfs", &small]);
        fs::create_dir(lab.path("small/hosts")).unwrap();
        std::os::unix::fs::symlink(lab.path("small/hosts"), lab.path("hosts")).unwrap();
        lab.start();
        lab.is_healthy();
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        let _ = fs::write(lab.path("small/filler"), vec![0; 256 << 10]);
        lab.simulator.cluster().rename(101, "other");
        lab.says("No space left on device");
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        fs::remove_file(lab.path("small/filler")).unwrap();
        lab.dns().becomes("other.lab", &["10.0.0.101"]);
        lab.says("names can be written again");
    });
}

#[test]
fn once_writes_and_dry_run_explains_and_both_end() {
    in_lab(|| {
        let lab = Lab::new(Cluster::populated(3, 1));
        let dry = lab.command(&["--dry-run"]).output().unwrap();
        let said = String::from_utf8_lossy(&dry.stdout).into_owned();
        assert!(
            dry.status.success() && said.contains("guest-1.lab") && said.contains("guest 101 net0: agent"),
            "{said}"
        );
        assert_eq!(lab.names(), [""; 0]);
        let json = lab.command(&["--dry-run", "--json"]).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json["records"].as_array().unwrap().len(), 3);
        let once = lab.command(&["--once"]).output().unwrap();
        assert!(once.status.success(), "{}", String::from_utf8_lossy(&once.stderr));
        assert_eq!(lab.names().len(), 3);
        lab.simulator.fault("/cluster/resources", Fault::No(500, "oh"));
        for flag in ["--once", "--dry-run"] {
            let failed = lab.command(&[flag]).output().unwrap();
            let said = String::from_utf8_lossy(&failed.stderr).into_owned();
            assert!(!failed.status.success() && said.contains("500 oh"), "{flag}: {said}");
        }
        assert_eq!(lab.names().len(), 3);
    });
}
