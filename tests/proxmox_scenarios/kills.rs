//! Killed at any moment, and started again: names stay, and what was written in half is put right.

use crate::lab::{HOST, Lab, in_lab};
use crate::netns::install;
use crate::proxmox::Cluster;
use crate::scenarios::silent;
use crate::wait::until;
use crate::watching::{Watching, guests};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// So often it is killed.
const KILLS: usize = 20;

#[test]
fn restart_of_the_companion_changes_nothing() {
    in_lab(|| {
        let mut cluster = Cluster::populated(25, 2);
        silent(&mut cluster, 150, "nas");
        let mut lab = Lab::started(cluster);
        lab.has_names(25);
        let guest = lab.plug(150);
        guest.run("ip", &["addr", "add", "10.0.0.50/23", "dev", "eth0"]);
        guest.run("ping", &["-c", "1", "-W", "5", HOST]);
        lab.dns().becomes("nas.lab", &["10.0.0.50"]);
        let files = |lab: &Lab| {
            let times = fs::read_dir(lab.path("hosts")).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), entry.metadata().unwrap().modified().unwrap())
            });
            let mut times: Vec<_> = times.collect();
            times.sort();
            times
        };
        let (before, dnsmasq) = (files(&lab), lab.dnsmasq());
        let nas = ("10.0.0.50".to_owned(), vec!["nas".to_owned()]);
        let watching = Watching::start(lab.dns(), guests(0..25).chain([nas]));
        for times in 1..=3 {
            lab.kill();
            lab.start();
            until("it is taken over", || lab.said("is taken over") == times);
            lab.is_healthy();
            lab.rounds(2);
        }
        let rounds = watching.end();
        assert!(rounds > 10, "{rounds}");
        assert_eq!((files(&lab), lab.dnsmasq()), (before, dnsmasq));
    });
}

/// Random enough, and the same again from the seed that is printed: `SEED=N`.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();
        let seed = std::env::var("SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        Self(seed)
    }

    /// Some time below this.
    fn below(&mut self, milliseconds: u64) -> Duration {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_micros((mixed ^ (mixed >> 31)) % (milliseconds * 1000))
    }
}

#[test]
fn killed_at_any_time_no_name_vanishes() {
    in_lab(|| {
        let mut random = Random::new();
        let mut lab = Lab::new(Cluster::populated(40, 2));
        lab.simulator.cluster().delay = Duration::from_millis(3);
        // One guest has another name each time, so that there is something to write.
        let names: Vec<_> = (0..=KILLS).map(|number| format!("step-{number}")).collect();
        let changing = ("10.0.0.100".to_owned(), [vec!["guest-0".to_owned()], names.clone()].concat());
        let watching = Watching::start(lab.dns(), guests(1..40).chain([changing]));
        for (number, name) in names[..KILLS].iter().enumerate() {
            lab.start();
            // The first ones while it begins for the first time, and dnsmasq with it.
            let longest = if number < 8 { 200 } else { 600 };
            std::thread::sleep(random.below(longest));
            lab.simulator.cluster().rename(100, name);
            std::thread::sleep(random.below(longest));
            lab.kill();
        }
        lab.start();
        lab.is_healthy();
        lab.simulator.cluster().rename(100, &names[KILLS]);
        lab.dns().becomes(&format!("{}.lab", names[KILLS]), &["10.0.0.100"]);
        lab.has_names(40);
        let rounds = watching.end();
        assert!(rounds > 10, "{rounds}");
        for name in &names[..KILLS] {
            assert!(lab.dns().addresses(&format!("{name}.lab")).is_empty(), "{name}");
        }
        // However often it began, there is one dnsmasq, and it is ours.
        assert_eq!(dnsmasqs(), [lab.dnsmasq().unwrap().as_raw()], "{}", lab.log());
        assert_eq!(lab.terminate(), Some(0));
        assert_eq!(dnsmasqs(), [0; 0]);
    });
}

/// A dnsmasq that takes its time the first time: until `gate` is there. While another configuration is looked at, `at_test` is done.
fn slow_dnsmasq(lab: &mut Lab, at_test: &str) {
    let script = format!(
        "#!/bin/sh\ncd {}\ncase \"$*\" in\n\
         *--test*) if [ -e slowly ]; then {at_test}; fi;;\n\
         *) if mkdir slowly 2>/dev/null; then echo $$ >slowly/pid; until [ -e gate ]; do sleep 0.01; done; fi;;\n\
         esac\nexec /usr/sbin/dnsmasq \"$@\"\n",
        lab.path("").display()
    );
    let program = lab.path("program");
    install(&program, script);
    lab.variables.insert("INSTANCES_PROXMOX_DNSMASQ_PROGRAM", program.display().to_string());
    lab.start();
    until("dnsmasq is being started", || lab.path("slowly").exists());
    lab.kill();
    lab.start();
}

/// In the end one runs, has all names, and is ours to end.
fn is_one(lab: &mut Lab) {
    lab.has_names(4);
    lab.dns().becomes("guest-3.lab", &["10.0.0.103"]);
    lab.is_healthy();
    until("there is one", || dnsmasqs() == lab.dnsmasq().map(Pid::as_raw).into_iter().collect::<Vec<_>>());
    assert_eq!(lab.terminate(), Some(0));
    assert_eq!(dnsmasqs(), [0; 0]);
}

#[test]
fn killed_before_dnsmasq_has_begun_the_next_ones_is_the_one() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(4, 1));
        slow_dnsmasq(&mut lab, ":");
        lab.says("dnsmasq answers");
        let first = fs::read_to_string(lab.path("slowly/pid")).unwrap();
        fs::write(lab.path("gate"), "").unwrap();
        // Else it could begin once the other has ended.
        until("the first has found the port taken", || !Path::new("/proc").join(first.trim()).exists());
        is_one(&mut lab);
    });
}

#[test]
fn killed_before_dnsmasq_has_begun_it_is_found_once_it_has() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(4, 1));
        // It begins right after nobody was there.
        slow_dnsmasq(&mut lab, "touch gate; until [ -s dnsmasq.pid ]; do sleep 0.01; done");
        is_one(&mut lab);
    });
}

/// All that run in this network namespace.
fn dnsmasqs() -> Vec<i32> {
    let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_here = |process: &i32| {
        fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name == "dnsmasq\n")
            && fs::read_link(format!("/proc/{process}/ns/net")).is_ok_and(|there| there == here)
    };
    processes.filter(is_here).collect()
}
