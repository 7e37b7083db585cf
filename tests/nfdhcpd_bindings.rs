//! Binding files and taps come and go: real files under inotify, real interfaces in a namespace of their own.
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "common/netns.rs"]
mod netns;

use instances::net::{IfName, Mac};
use instances::source::bindings::{Event, News, Store};
use instances::source::links::{KernelLinks, Link, LinkEvent, Links};
use netns::{in_new_netns, run};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn text(mtu: u16) -> String {
    format!("\nINDEV=br0\nIP=192.0.2.7\nMAC=AA:00:00:00:00:01\nHOSTNAME=vm\nSUBNET=192.0.2.0/24\nMTU={mtu}\n")
}

fn name(name: &str) -> IfName {
    name.parse().unwrap()
}

fn port(name: &str, last: u8) -> Link {
    Link { name: name.parse().unwrap(), mac: Some(Mac([2, 0, 0, 0, 0, last])), is_port: true, master: None }
}

fn bridge(name: &str, last: u8) -> Link {
    Link { is_port: false, ..port(name, last) }
}

/// tap0 is 10, tap1 is 11, br0 is 2.
fn links() -> Links {
    [(2, bridge("br0", 0xb0)), (10, port("tap0", 1)), (11, port("tap1", 2))].into_iter().collect()
}

/// A folder and a store that watches it.
struct Lab {
    _temporary: TempDir,
    folder: PathBuf,
    store: Store,
}

impl Lab {
    /// With these files there before.
    fn new(files: &[&str]) -> (Self, News) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("bindings");
        fs::create_dir(&folder).unwrap();
        for file in files {
            fs::write(folder.join(file), text(1500)).unwrap();
        }
        let (store, news) = Store::open(&folder, links()).unwrap();
        (Self { _temporary: temporary, folder, store }, news)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, mtu: u16) {
        fs::write(self.file(name), text(mtu)).unwrap();
    }

    /// What happened in the folder: inotify has it before the call that did it returns.
    #[track_caller]
    fn news(&mut self) -> News {
        self.store.folder_changed().unwrap()
    }

    #[track_caller]
    fn silent(&mut self) {
        assert_eq!(self.news(), News::default());
    }

    fn mtu(&self, tap: u32) -> Option<u16> {
        self.store.client(tap).and_then(|client| client.binding.mtu)
    }
}

/// `+`, `*` or `-` and the tap.
fn short(news: &News) -> Vec<String> {
    let short = |event: &Event| match event {
        Event::Added { tap } => format!("+{tap}"),
        Event::Changed { tap, .. } => format!("*{tap}"),
        Event::Removed { tap, .. } => format!("-{tap}"),
    };
    let mut events: Vec<_> = news.events.iter().map(short).collect();
    events.sort();
    events
}

#[track_caller]
fn happened(news: &News, events: &[&str]) {
    assert_eq!(
        (short(news), news.notices.as_slice()),
        (events.iter().map(|&event| event.to_owned()).collect(), &[][..])
    );
}

#[test]
fn files_that_are_there_come_change_and_go() {
    let (mut lab, news) = Lab::new(&["tap0"]);
    happened(&news, &["+10"]);
    lab.write("tap1", 1400);
    happened(&lab.news(), &["+11"]);
    lab.write("tap0", 1450);
    let news = lab.news();
    happened(&news, &["*10"]);
    let [Event::Changed { before, responder, .. }] = news.events.as_slice() else { panic!("{news:?}") };
    assert_eq!((before.binding.mtu, *responder), (Some(1500), Some(Mac([2, 0, 0, 0, 0, 0xb0]))));
    assert_eq!((lab.mtu(10), lab.mtu(11)), (Some(1450), Some(1400)));
    lab.write("tap0", 1450);
    lab.silent();
    fs::remove_file(lab.file("tap0")).unwrap();
    let news = lab.news();
    happened(&news, &["-10"]);
    assert!(
        matches!(&news.events[..], [Event::Removed { before, responder: Some(_), .. }] if before.binding.mtu == Some(1450))
    );
    assert!(lab.store.client(10).is_none() && lab.store.client(11).is_some() && lab.store.client(2).is_none());
}

#[test]
fn renames_into_the_folder_within_it_and_out_of_it_are_noticed() {
    let (mut lab, _) = Lab::new(&[]);
    let outside = lab.folder.with_file_name("outside");
    fs::write(&outside, text(1400)).unwrap();
    fs::rename(&outside, lab.file("tap0")).unwrap();
    happened(&lab.news(), &["+10"]);
    fs::write(lab.file("tap0.new"), text(1401)).unwrap();
    lab.silent();
    fs::rename(lab.file("tap0.new"), lab.file("tap0")).unwrap();
    happened(&lab.news(), &["*10"]);
    fs::rename(lab.file("tap0"), lab.file("tap1")).unwrap();
    happened(&lab.news(), &["+11", "-10"]);
    fs::rename(lab.file("tap1"), &outside).unwrap();
    happened(&lab.news(), &["-11"]);
    fs::hard_link(&outside, lab.file("tap0")).unwrap();
    happened(&lab.news(), &["+10"]);
    symlink(&outside, lab.file("tap1")).unwrap();
    happened(&lab.news(), &["+11"]);
}

#[test]
fn what_editors_leave_is_no_binding() {
    let left = [".tap0", ".tap0.swp", "tap0~", "#tap0#", "tap0.new", "tap0.tmp", "tap0.bak", "tap0.dpkg-new"];
    let (mut lab, news) = Lab::new(&left);
    happened(&news, &[]);
    for name in left {
        lab.write(name, 1400);
    }
    lab.silent();
    assert!(lab.store.all().is_empty());
}

#[test]
fn a_wrong_file_keeps_the_old_binding_and_is_named_once() {
    let (mut lab, _) = Lab::new(&["tap0"]);
    fs::write(lab.file("tap0"), "MAC=aa:00:00:00:00:01\nHOSTNAME=vm\nMTU=big\n").unwrap();
    let path = lab.file("tap0");
    let said = format!(
        "{}:3: MTU=big is wrong: a number of octets from 68 to 65535 is expected; what was bound before stays so",
        path.display()
    );
    assert_eq!(lab.news(), News { events: vec![], notices: vec![said.clone()] });
    assert_eq!(lab.mtu(10), Some(1500));
    assert_eq!(lab.store.read_all(), News::default(), "once per version");
    // Another version, wrong again.
    fs::write(lab.file("tap0"), "MAC=aa:00:00:00:00:01\nHOSTNAME=vm\nMTU=big\n").unwrap();
    assert_eq!(lab.news().notices, [said]);
    lab.write("tap0", 1500);
    lab.silent();
    lab.write("tap0", 1501);
    happened(&lab.news(), &["*10"]);
    // One that was never right.
    fs::write(lab.file("tap1"), "").unwrap();
    assert_eq!(lab.news().notices, [format!("{}: MAC is missing, or empty", lab.file("tap1").display())]);
}

#[test]
fn warnings_are_said_once_per_version_of_the_file() {
    let (mut lab, _) = Lab::new(&[]);
    let text = "MAC=aa:00:00:00:00:01\nHOSTNAME=\u{e9}\n";
    fs::write(lab.file("tap0"), text).unwrap();
    let news = lab.news();
    assert_eq!((short(&news), news.notices.len()), (vec!["+10".to_owned()], 1), "{news:?}");
    assert_eq!(lab.store.read_all(), News::default());
}

#[test]
fn hostile_files_neither_block_nor_bind() {
    let (mut lab, _) = Lab::new(&[]);
    rustix::fs::mkfifoat(rustix::fs::CWD, lab.file("tap0"), 0o666.into()).unwrap();
    symlink("/dev/zero", lab.file("tap1")).unwrap();
    fs::create_dir(lab.file("tap2")).unwrap();
    symlink(lab.file("tap3"), lab.file("tap3")).unwrap();
    fs::write(lab.file("tap4"), vec![b'#'; 10 << 20]).unwrap();
    fs::write(lab.file("tap5"), b"MAC=aa:00:00:00:00:01\0\nHOSTNAME=x\n").unwrap();
    fs::write(lab.file("tap\u{1b}6\n"), b"\xff\xfe\0").unwrap();
    symlink("nowhere", lab.file("tap7")).unwrap();
    let news = lab.news();
    let folder = format!("{}/", lab.folder.display());
    let mut notices: Vec<_> = news.notices.iter().map(|notice| notice.replacen(&folder, "", 1)).collect();
    notices.sort();
    assert_eq!(news.events, []);
    assert_eq!(
        notices,
        [
            "tap0: not a regular file",
            "tap1: not a regular file",
            "tap3: cannot be read: Too many levels of symbolic links",
            "tap4: longer than 65536 bytes: no binding",
            "tap5:1: MAC=aa:00:00:00:00:01\\0 is wrong: a MAC address is expected",
            "tap?6?: MAC is missing, or empty",
        ]
    );
    assert_eq!(lab.store.read_all(), News::default(), "said already");
}

#[test]
fn a_file_of_another_name_is_bound_to_the_port_that_it_names() {
    let (mut lab, _) = Lab::new(&[]);
    let of = |indev: &str, mtu: u16| text(mtu).replace("INDEV=br0", &format!("INDEV={indev}"));
    fs::write(lab.file("one-42-0"), of("tap0", 1400)).unwrap();
    happened(&lab.news(), &["+10"]);
    assert_eq!(lab.store.client(10).unwrap().responder, Mac(MAC), "the tap's own");
    // A bridge is not what a single guest is behind.
    fs::write(lab.file("one-43-0"), of("br0", 1400)).unwrap();
    happened(&lab.news(), &[]);
    // The file of its name goes first, and leaves it to the other again.
    fs::write(lab.file("tap0"), text(1300)).unwrap();
    happened(&lab.news(), &["*10"]);
    assert_eq!(lab.mtu(10), Some(1300));
    fs::remove_file(lab.file("tap0")).unwrap();
    happened(&lab.news(), &["*10"]);
    assert_eq!(lab.mtu(10), Some(1400));
    // An interface of the file's own name comes.
    happened(&lab.store.link_changed(LinkEvent::Is(50, port("one-42-0", 9))), &["+50", "-10"]);
    happened(&lab.store.link_changed(LinkEvent::Gone(50)), &["+10", "-50"]);
    // INDEV changes.
    fs::write(lab.file("one-42-0"), of("tap1", 1400)).unwrap();
    happened(&lab.news(), &["+11", "-10"]);
}

#[test]
fn taps_come_later_go_and_are_made_again() {
    let (mut lab, _) = Lab::new(&["tap7"]);
    assert!(lab.store.client(77).is_none());
    happened(&lab.store.link_changed(LinkEvent::Is(77, port("tap7", 7))), &["+77"]);
    happened(&lab.store.link_changed(LinkEvent::Is(77, port("tap7", 8))), &[]);
    let news = lab.store.link_changed(LinkEvent::Gone(77));
    happened(&news, &["-77"]);
    assert!(matches!(news.events[..], [Event::Removed { responder: None, .. }]), "nothing can be sent there");
    happened(&lab.store.link_changed(LinkEvent::Is(78, port("tap7", 7))), &["+78"]);
    // Made again, and the news of its end comes late.
    happened(&lab.store.link_changed(LinkEvent::Is(79, port("tap7", 7))), &["+79", "-78"]);
    happened(&lab.store.link_changed(LinkEvent::Gone(78)), &[]);
    // Renamed.
    happened(&lab.store.link_changed(LinkEvent::Is(79, port("other", 7))), &["-79"]);
    happened(&lab.store.link_changed(LinkEvent::Is(79, port("tap7", 7))), &["+79"]);
    // Lost events: all at once.
    happened(&lab.store.links_are(&[(80, port("tap7", 7))].into_iter().collect()), &["+80", "-79"]);
}

#[test]
fn answers_come_from_indevs_mac_as_it_is_by_now() {
    let (mut lab, _) = Lab::new(&["tap0"]);
    assert_eq!(lab.store.client(10).unwrap().responder, Mac([2, 0, 0, 0, 0, 0xb0]));
    happened(&lab.store.link_changed(LinkEvent::Is(2, bridge("br0", 0xb1))), &[]);
    assert_eq!(lab.store.client(10).unwrap().responder, Mac([2, 0, 0, 0, 0, 0xb1]));
    lab.store.link_changed(LinkEvent::Gone(2));
    assert_eq!(lab.store.client(10).unwrap().responder, Mac(MAC), "the tap's own, as long as there is no br0");
}

#[test]
fn addresses_are_found_behind_other_taps_that_are_there() {
    let (mut lab, _) = Lab::new(&[]);
    let with = |lines: &str| format!("MAC=aa:00:00:00:00:01\nHOSTNAME=vm\nSUBNET6=2001:db8::/64\n{lines}\n");
    for (file, line) in [("tap0", "EUI64=2001:db8::a"), ("tap1", "IP6=2001:db8::b"), ("tap9", "IP6=2001:db8::c")] {
        fs::write(lab.file(file), with(line)).unwrap();
    }
    lab.news();
    let elsewhere =
        |lab: &Lab, last: &str, tap| lab.store.is_bound_elsewhere(format!("2001:db8::{last}").parse().unwrap(), tap);
    assert!(elsewhere(&lab, "a", 11) && elsewhere(&lab, "b", 10), "each other's");
    assert!(!elsewhere(&lab, "a", 10) && !elsewhere(&lab, "d", 10), "not one's own, nor nobody's");
    for (index, master, apart) in [(11, Some(2), true), (10, Some(3), true), (10, Some(2), false), (11, None, true)] {
        let name = if index == 10 { "tap0" } else { "tap1" };
        lab.store.link_changed(LinkEvent::Is(index, Link { master, ..port(name, u8::try_from(index).unwrap()) }));
        assert_eq!(elsewhere(&lab, "b", 10), apart, "{name} in bridge {master:?}");
    }
    assert!(!elsewhere(&lab, "c", 10), "its tap is not there");
    lab.store.link_changed(LinkEvent::Is(19, port("tap9", 9)));
    assert!(elsewhere(&lab, "c", 10));
    fs::write(lab.file("tap9"), with("IP6=2001:db8::d")).unwrap();
    lab.news();
    assert!(!elsewhere(&lab, "c", 10) && elsewhere(&lab, "d", 10));
    lab.store.link_changed(LinkEvent::Gone(19));
    assert!(!elsewhere(&lab, "d", 10));
}

#[test]
fn a_folder_that_goes_takes_its_bindings_along_and_may_come_again() {
    let (mut lab, _) = Lab::new(&["tap0"]);
    let aside = lab.folder.with_file_name("aside");
    fs::rename(&lab.folder, &aside).unwrap();
    let news = lab.news();
    assert_eq!(short(&news), ["-10"]);
    assert_eq!(news.notices, [format!("there is no {}: waiting for it", lab.folder.display())]);
    fs::create_dir(&lab.folder).unwrap();
    lab.write("tap1", 1400);
    assert_eq!(short(&lab.news()), ["+11"]);
    lab.write("tap1", 1401);
    happened(&lab.news(), &["*11"]);
    // Exchanged for another one.
    fs::rename(&lab.folder, lab.folder.with_file_name("gone")).unwrap();
    fs::rename(&aside, &lab.folder).unwrap();
    happened(&lab.news(), &["+10", "-11"]);
    lab.write("tap0", 1402);
    happened(&lab.news(), &["*10"]);
}

#[test]
fn a_folder_above_that_is_exchanged_is_noticed_when_asked() {
    let (mut lab, _) = Lab::new(&["tap0"]);
    let above = lab.folder.parent().unwrap().to_owned();
    let aside = above.with_extension("aside");
    fs::rename(&above, &aside).unwrap();
    fs::create_dir_all(&lab.folder).unwrap();
    lab.silent();
    happened(&lab.store.check_folder().unwrap(), &["-10"]);
    happened(&lab.store.check_folder().unwrap(), &[]);
    lab.write("tap1", 1400);
    happened(&lab.news(), &["+11"]);
    fs::remove_dir_all(aside).unwrap();
}

#[test]
fn a_folder_that_nobody_may_read_leaves_the_bindings_as_they_were() {
    let (mut lab, _) = Lab::new(&["tap0"]);
    fs::set_permissions(&lab.folder, fs::Permissions::from_mode(0o700)).unwrap();
    let nobody = in_a_thread_as_nobody(move || {
        let news = lab.store.read_all();
        assert!(lab.store.client(10).is_some());
        assert_eq!(short(&news), [""; 0]);
        assert!(
            news.notices[0].contains("Permission denied") && news.notices[0].ends_with("stay as they were"),
            "{news:?}"
        );
    });
    if !nobody {
        netns::skipped("cannot become nobody");
    }
}

/// Linux keeps identities per thread, as long as nobody asks libc. Whether it could be done.
fn in_a_thread_as_nobody(test: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::spawn(|| {
        let nobody = rustix::process::Uid::from_raw(65534);
        if rustix::thread::set_thread_res_uid(nobody, nobody, nobody).is_err() {
            return false;
        }
        test();
        true
    });
    thread.join().unwrap()
}

#[test]
fn after_an_overflow_all_is_read_anew_and_what_is_gone_goes() {
    let (mut lab, _) = Lab::new(&["tap0"]);
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for _ in 0..=limit / 3 {
        for name in ["churn", "tap1"] {
            fs::write(lab.file(name), "").unwrap();
            fs::remove_file(lab.file(name)).unwrap();
        }
    }
    fs::remove_file(lab.file("tap0")).unwrap();
    lab.write("tap1", 1400);
    happened(&lab.news(), &["+11", "-10"]);
    lab.silent();
}

/// KiB that the program has had in memory at most, once it has all these bindings and begins to print them.
fn peak(folder: &Path) -> usize {
    let mut child = Command::new(env!("CARGO_BIN_EXE_instances-nfdhcpd"))
        .args(["--config", "/dev/null", "--dump", "--datapath"])
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0]).unwrap();
    // It cannot go on: the rest does not fit the pipe.
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn fill(folder: &Path, number: usize) {
    for index in 0..number {
        let [high, low] = u16::try_from(index % 65_536).unwrap().to_be_bytes();
        let text = format!(
            "\nINDEV=tap{index}\nIP=10.0.{high}.{low}\nMAC=aa:00:00:00:{high:02x}:{low:02x}\nHOSTNAME=vm-{index}.example.com\n\
             TAGS=\nGATEWAY=10.0.0.1\nSUBNET=10.0.0.0/16\nGATEWAY6=2001:db8::1\nSUBNET6=2001:db8::/64\nEUI64=2001:db8::{index:x}\n"
        );
        fs::write(folder.join(format!("tap{index}")), text).unwrap();
    }
}

#[test]
fn ten_thousand_bindings_load_fast_and_small_and_a_change_costs_one_file() {
    let temporary = tempfile::tempdir().unwrap();
    fill(temporary.path(), 10_000);
    let links: Links = (0..10_000).map(|index| (index + 100, port(&format!("tap{index}"), 1))).collect();
    let start = Instant::now();
    let (mut store, news) = Store::open(temporary.path(), links).unwrap();
    let loaded = start.elapsed();
    let peak = peak(temporary.path());
    assert_eq!((news.events.len(), news.notices.len(), store.taps().count()), (10_000, 0, 10_000));
    eprintln!("10,000 bindings: {loaded:?}, {peak} KiB");
    assert!(peak < 30 << 10, "{peak} KiB");
    // The best of a few: this process may have to wait for others.
    let change = |mtu: u16| {
        fs::write(temporary.path().join("tap5"), text(mtu)).unwrap();
        let start = Instant::now();
        let news = store.folder_changed().unwrap();
        let took = start.elapsed();
        assert_eq!(short(&news), ["*105"]);
        took
    };
    let changed = (1400..1410).map(change).min().unwrap();
    eprintln!("one change: {changed:?}");
    assert!(changed < loaded / 50, "a change took {changed:?}, all {loaded:?}");
}

#[test]
fn more_files_than_inotify_tells_of_are_read_and_each_is_found() {
    const FILES: usize = 30_000;
    let (mut lab, _) = Lab::new(&[]);
    fs::write(lab.file("tap0"), text(1400)).unwrap();
    // As hard links they cost the file system little.
    // 100,000 take as long as one expects, and the tests have no time for that.
    for index in 1..FILES {
        fs::hard_link(lab.file(&format!("tap{}", index / 1000 * 1000)), lab.file(&format!("tap{index}")))
            .or_else(|_| fs::write(lab.file(&format!("tap{index}")), text(1400)))
            .unwrap();
    }
    // More than inotify keeps: all is read.
    let news = lab.news();
    assert_eq!(short(&news), ["+10", "+11"]);
    assert_eq!(lab.store.all().len(), FILES);
    happened(&lab.store.link_changed(LinkEvent::Is(200_099, port("tap29999", 1))), &["+200099"]);
    lab.write("tap29999", 1401);
    assert!(short(&lab.news()).contains(&"*200099".to_owned()));
}

/// Waits until the kernel has told what makes `done` true.
fn until(kernel: &mut KernelLinks, store: &mut Store, mut done: impl FnMut(&Store) -> bool) -> News {
    let mut news = News::default();
    let start = Instant::now();
    while !done(store) {
        let left = Duration::from_secs(30).saturating_sub(start.elapsed());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: 0 };
        let mut polled = [PollFd::new(&*kernel, PollFlags::IN)];
        assert!(poll(&mut polled, Some(&timeout)).unwrap() > 0, "it never came; {news:?}");
        let mut events = Vec::new();
        let complete = kernel.take(|event| events.push(event)).unwrap();
        for event in events {
            news.events.extend(store.link_changed(event).events);
        }
        if !complete {
            news.events.extend(store.links_are(&KernelLinks::read().unwrap()).events);
        }
    }
    news
}

#[test]
fn real_interfaces_are_followed() {
    in_new_netns(|| {
        let (folder, mut kernel) = (tempfile::tempdir().unwrap(), KernelLinks::listen().unwrap());
        fs::write(folder.path().join("tap0"), text(1400)).unwrap();
        run("ip", &["link", "add", "br0", "address", "02:00:00:00:00:b0", "type", "bridge"]);
        let (mut store, _) = Store::open(folder.path(), KernelLinks::read().unwrap()).unwrap();
        let tap = |store: &Store| store.links().named(name("tap0")).map(|(index, _)| index);
        let make = || run("ip", &["link", "add", "tap0", "type", "veth", "peer", "name", "vm0"]);
        make();
        until(&mut kernel, &mut store, |store| store.taps().count() == 1);
        let first = tap(&store).unwrap();
        assert!(!store.links().named(name("br0")).unwrap().1.is_port && store.links().get(first).unwrap().is_port);
        assert_eq!(store.client(first).unwrap().responder.to_string(), "02:00:00:00:00:b0");
        // It joins a bridge and leaves it: still there.
        run("ip", &["link", "set", "tap0", "master", "br0"]);
        run("ip", &["link", "set", "tap0", "nomaster"]);
        run("ip", &["link", "set", "br0", "address", "02:00:00:00:00:b1"]);
        let news = until(&mut kernel, &mut store, |store| {
            store.client(first).unwrap().responder.to_string() == "02:00:00:00:00:b1"
        });
        assert_eq!(news.events, []);
        // Made again: another index.
        run("ip", &["link", "del", "tap0"]);
        make();
        let news = until(&mut kernel, &mut store, |store| {
            tap(store).is_some_and(|tap| tap != first && store.client(tap).is_some())
        });
        assert_eq!(short(&news).len(), 2, "{news:?}");
        assert!(store.client(first).is_none());
        // Renamed away.
        run("ip", &["link", "set", "tap0", "name", "other"]);
        until(&mut kernel, &mut store, |store| store.taps().count() == 0);
        assert_eq!(store.links().clone(), KernelLinks::read().unwrap());
    });
}
