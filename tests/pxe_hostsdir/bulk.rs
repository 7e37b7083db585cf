//! Many changes at once, and everything that can come in between.

use crate::lab::{Filter, Lab, STRANGER, WITNESS, all, answer, longest_wait, mac, names};
use crate::netns::needs::can;
use crate::netns::output;
use crate::on_a_network;
use instances::plan::pxe_access::{Access, Who};
use instances::sink::dhcp_hostsdir::dnsmasq;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use Access::{Allow, Deny};

/// How long anybody may wait for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
const MANY: u32 = 40_000;

/// These, and who must always be answered, and never.
fn and_witness(writes: &[(Who, Access)]) -> Vec<(Who, Access)> {
    [writes, &[answer(WITNESS, Allow), answer(STRANGER, Deny), (Who::Unknown, Deny)]].concat()
}

#[test]
fn forty_thousand_changes_lose_nothing_and_nobody_waits() {
    on_a_network(|lab: &mut Lab| {
        lab.start();
        let mut filter = lab.filter();
        filter.bring_in_step(&and_witness(&[]));
        lab.answers(&[answer(WITNESS, Allow)]);
        let mut waits = Vec::new();
        for (first, second) in [(Allow, Deny), (Deny, Allow), (Allow, Deny)] {
            // The machine may have been busy with something else; then it is tried once more.
            if waits.len() > 1 && waits.iter().any(|waited| *waited < LONGEST_WAIT) {
                break;
            }
            let wanted = [all(0..MANY / 2, first), all(MANY / 2..MANY, second)].concat();
            let end = AtomicBool::new(false);
            waits.push(std::thread::scope(|scope| {
                let asks = scope.spawn(|| longest_wait(&end));
                filter.bring_in_step(&and_witness(&wanted));
                end.store(true, Ordering::Relaxed);
                asks.join().unwrap()
            }));
            let some: Vec<_> = wanted.iter().copied().step_by(499).chain(wanted.last().copied()).collect();
            lab.answers(&and_witness(&some));
        }
        assert!(waits.iter().any(|waited| *waited < LONGEST_WAIT), "{waits:?}");
    });
}

/// Someone reads the old files while they are exchanged, and must read what is new all the same.
#[test]
fn a_dnsmasq_that_reads_everything_meanwhile_misses_nothing() {
    const SOME: u32 = 1000;
    on_a_network(|lab: &mut Lab| {
        lab.start();
        let mut filter = lab.filter();
        let wanted =
            |first| [all(0..SOME / 2, first), all(SOME / 2..SOME, if first == Allow { Deny } else { Allow })].concat();
        filter.bring_in_step(&and_witness(&wanted(Deny)));
        for round in 0..8_u32 {
            let wanted = wanted(if round % 2 == 0 { Allow } else { Deny });
            std::thread::scope(|scope| {
                let writes = scope.spawn(|| filter.bring_in_step(&and_witness(&wanted)));
                std::thread::sleep(Duration::from_millis(u64::from(round * 5 % 8) * 8));
                if round % 4 < 2 {
                    dnsmasq::reload(&lab.pid_file()).unwrap();
                } else {
                    lab.restart();
                }
                writes.join().unwrap();
            });
            lab.answers(&and_witness(&wanted));
        }
    });
}

/// The folder that [`writer`] is to bring in step, and how.
const HOSTSDIR: &str = "PXE_HOSTSDIR";
const CHANGES: &str = "PXE_CHANGES";
/// So many are denied by it, and so many allowed.
const HALVES: [u32; 2] = [1, 2];

fn before(half: u32) -> Vec<(Who, Access)> {
    and_witness(&[all(0..half, Allow), all(half..2 * half, Deny)].concat())
}

fn after(half: u32) -> Vec<(Who, Access)> {
    and_witness(&[all(0..half, Deny), all(half..2 * half, Allow)].concat())
}

/// What is killed.
#[test]
#[ignore = "the process that the tests before kill, run by them"]
fn writer() {
    let Some(folder) = std::env::var_os(HOSTSDIR) else { return };
    let half = std::env::var(CHANGES).unwrap().parse().unwrap();
    Filter::of(&PathBuf::from(folder)).bring_in_step(&after(half));
}

/// System calls that touch files, as strace names them; those that this machine does not have are left out.
const CALLS: [&str; 5] = ["?renameat,?renameat2", "linkat", "?unlinkat", "?fsync,?fdatasync,?syncfs", "?fchmod"];

#[test]
fn killed_at_any_system_call_it_opens_nothing_and_the_next_one_puts_it_right() {
    if !can("strace", "strace true") {
        return;
    }
    on_a_network(|lab: &mut Lab| {
        lab.start();
        let hostsdir = lab.hostsdir();
        let mut kills = 0;
        for (half, calls) in HALVES.iter().flat_map(|half| CALLS.map(|calls| (*half, calls))) {
            for nth in 1.. {
                lab.filter().bring_in_step(&before(half));
                lab.answers(&before(half));
                let program = std::env::current_exe().unwrap();
                let (inject, folder) = (format!("inject={calls}:signal=KILL:when={nth}"), hostsdir.to_str().unwrap());
                let environment = [format!("{HOSTSDIR}={folder}"), format!("{CHANGES}={half}")];
                let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject, program.to_str().unwrap()];
                let which = ["--ignored", "--exact", "bulk::writer", "--test-threads=1"];
                let arguments = [&environment.each_ref().map(String::as_str)[..], &strace, &which].concat();
                let ended = output("env", &arguments, "");
                if (kills + nth) % 2 == 0 {
                    lab.restart();
                }
                assert!(!lab.who_is_answered(&[STRANGER]).contains(&STRANGER), "{half} {inject}");
                // Whatever it left, the next one leads to the same, in what dnsmasq knows and in what it would read.
                lab.filter().bring_in_step(&after(half));
                lab.answers(&after(half));
                lab.restart();
                lab.answers(&after(half));
                let mut expected: Vec<_> =
                    (0..2 * half).chain([WITNESS, STRANGER]).map(|number| mac(number).to_string()).collect();
                expected.sort();
                expected.push("unknown_hosts_filter".to_owned());
                assert_eq!(names(&hostsdir), expected, "{half} {inject}");
                if ended.status.success() {
                    break;
                }
                kills += 1;
            }
        }
        assert!(kills > 20, "{kills}");
    });
}

/// dnsmasq began while files were exchanged, has read some old ones after the file of many answers, and then the filter was
/// killed: all files are right, and dnsmasq does not know.
#[test]
fn what_was_exchanged_behind_a_dnsmasq_that_has_just_begun_is_read_again() {
    const SOME: u32 = 20;
    on_a_network(|lab: &mut Lab| {
        let hostsdir = lab.hostsdir();
        lab.filter().bring_in_step(&and_witness(&all(0..SOME, Allow)));
        let lines: Vec<_> = (0..SOME).map(|number| format!("{},ignore\n", mac(number))).collect();
        fs::write(hostsdir.join("instances_bulk"), lines.concat()).unwrap();
        lab.start();
        let numbers: Vec<_> = (0..SOME).collect();
        assert!(!lab.who_is_answered(&numbers).is_empty(), "as it happens to find them, dnsmasq reads some later");
        for number in numbers {
            let (name, new) = (mac(number).to_string(), lab.path("new"));
            fs::write(&new, format!("{name},ignore\n")).unwrap();
            fs::rename(hostsdir.join(&name), lab.path("old")).unwrap();
            fs::hard_link(&new, hostsdir.join(&name)).unwrap();
            fs::remove_file(new).unwrap();
        }
        lab.filter().bring_in_step(&and_witness(&all(0..SOME, Deny)));
        lab.answers(&and_witness(&all(0..SOME, Deny)));
    });
}
