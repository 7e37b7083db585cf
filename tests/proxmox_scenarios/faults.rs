//! What goes wrong, and what is left of it.

use crate::lab::{Lab, in_lab};
use crate::proxmox::{Cluster, Fault};
use crate::wait::until;
use crate::watching::Watching;
use nix::sys::signal::{Signal, kill};
use std::fs;

#[test]
fn dnsmasq_that_dies_is_back_with_all_names() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(3, 1));
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        let before = lab.dnsmasq().unwrap();
        kill(before, Signal::SIGKILL).unwrap();
        until("another dnsmasq", || lab.dnsmasq().is_some_and(|pid| pid != before));
        lab.dns().becomes("guest-1.lab", &["10.0.0.101"]);
        lab.is_healthy();
        assert_eq!(lab.metric("instances_proxmox_dnsmasq_starts_total"), Some(2.0));
    });
}

/// Killed and started again, the program says this again.
#[track_caller]
fn is_said_by_the_next_one(lab: &mut Lab, texts: &[&str]) {
    lab.kill();
    let before: Vec<_> = texts.iter().map(|text| lab.said(text)).collect();
    lab.start();
    for (text, before) in texts.iter().zip(before) {
        until(&format!("{text} again"), || lab.said(text) > before);
    }
}

#[test]
fn an_empty_list_is_a_lost_privilege_and_names_stay() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(3, 1));
        lab.has_names(3);
        let watching = Watching::guests(lab.dns(), 0..3);
        lab.simulator.cluster().sees_guests = false;
        lab.says("VM.Audit");
        is_said_by_the_next_one(&mut lab, &["VM.Audit"]);
        lab.rounds(2);
        watching.end();
        assert_eq!(lab.names().len(), 3);
        until("all is not well", || lab.answers("/healthz").starts_with("HTTP/1.1 503"));
        assert_eq!(lab.terminate(), Some(0));
        for flag in ["--once", "--dry-run"] {
            let once = lab.output(&[flag]);
            let said = String::from_utf8_lossy(&once.stderr).into_owned();
            assert!(!once.status.success() && said.contains("lost the privilege VM.Audit"), "{flag}: {said}");
        }
        assert_eq!(lab.names().len(), 3);
    });
}

#[test]
fn a_token_that_is_refused_is_said_and_names_stay() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(3, 1));
        lab.has_names(3);
        let watching = Watching::guests(lab.dns(), 0..3);
        let right = std::mem::replace(&mut lab.simulator.cluster().token.1, "another".to_owned());
        lab.says("401 Authentication failed!");
        is_said_by_the_next_one(&mut lab, &["401 Authentication failed!"]);
        until("it is not well", || {
            let health = lab.answers("/healthz");
            health.starts_with("HTTP/1.1 503") && health.contains("401")
        });
        watching.end();
        assert_eq!(lab.names().len(), 3);
        // It is asked again when somebody says so.
        lab.simulator.cluster().token.1 = right;
        lab.simulator.cluster().rename(101, "other");
        lab.signal(Signal::SIGHUP);
        lab.dns().becomes("other.lab", &["10.0.0.101"]);
        lab.is_healthy();
    });
}

#[test]
fn a_privilege_that_is_missing_is_named_and_names_stay() {
    in_lab(|| {
        let mut lab = Lab::started(Cluster::populated(4, 1));
        lab.has_names(4);
        let watching = Watching::guests(lab.dns(), 0..3);
        let refused = |path: &str, reason| lab.simulator.fault(path, Fault::No(403, reason));
        refused("/nodes/pve1/lxc/100/config", "Permission check failed (/vms/100, VM.Audit)");
        refused("/nodes/pve1/qemu/101/agent", "Permission check failed (/vms/101, VM.GuestAgent.Audit)");
        // At its start it asks for everything.
        is_said_by_the_next_one(&mut lab, &["lacks VM.Audit on /vms/100", "lacks VM.GuestAgent.Audit on /vms/101"]);
        // The rest goes on.
        lab.simulator.cluster().rename(103, "other");
        lab.dns().becomes("other.lab", &["10.0.0.103"]);
        watching.end();
        assert_eq!(lab.names().len(), 4);
    });
}

/// At the level that the seed has, too.
#[test]
fn what_keeps_names_from_being_right_is_said_at_the_default_level_and_so_is_its_end() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(3, 1));
        lab.variables.remove("LOG_LEVEL");
        lab.simulator.fault("/cluster/resources", Fault::No(401, "Authentication failed!"));
        lab.start();
        lab.says("401 Authentication failed!");
        lab.simulator.heal();
        lab.signal(Signal::SIGHUP);
        lab.is_healthy();
        lab.says("it is over: the list of guests comes again");
        kill(lab.dnsmasq().unwrap(), Signal::SIGKILL).unwrap();
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
        lab.variables.remove("LOG_LEVEL");
        // There may be no guest, who knows.
        let once = lab.output(&["--once"]);
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
        lab.variables.remove("LOG_LEVEL");
        fs::create_dir(lab.path("state")).unwrap();
        lab.variables.insert("INSTANCES_PROXMOX_STATE_FILE", lab.path("state/state.json").display().to_string());
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
