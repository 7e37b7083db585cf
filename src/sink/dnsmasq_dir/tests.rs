use super::*;
use crate::plan::dns_records::{Extra, Policy};
use crate::plan::guest::{Configured, Guest, Kind, Nic, State};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

fn guest(vmid: u32, name: &str, address: Option<&str>) -> Guest {
    let [_, b, c, d] = vmid.to_be_bytes();
    let v4 = address.map_or(Configured::Dhcp, |address| Configured::Static(address.parse().unwrap()));
    let nic = Nic {
        index: 0,
        mac: crate::net::Mac([0xbc, 0x24, 0x11, b, c, d]),
        bridge: Some("vmbr0".to_owned()),
        tag: None,
        is_link_down: false,
        v4,
        v6: Configured::Unsaid,
    };
    Guest {
        vmid,
        kind: Kind::Qemu,
        node: "pve1".to_owned(),
        name: Some(name.to_owned()),
        state: State::Running,
        is_template: false,
        tags: BTreeSet::new(),
        agent_enabled: true,
        has_custom_cloud_init: false,
        nics: vec![nic],
        lists: BTreeMap::new(),
    }
}

fn records(guests: &[Guest]) -> Records {
    let network = crate::plan::dns_records::Network {
        bridge: None,
        vlan: crate::plan::dns_records::Vlan::Any,
        prefixes: vec!["192.0.2.0/24".parse().unwrap()],
        domain: "lab.example".parse().unwrap(),
    };
    let extra = Extra { name: "ns.lab.example".parse().unwrap(), address: "192.0.2.2".parse().unwrap() };
    Records::new(guests, &[], &Policy { networks: vec![network], extra: vec![extra], ..Policy::default() })
}

struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(lab.path("hosts")).unwrap();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> DnsmasqDir {
        let (hostsdir, dhcp_hostsfile) = (self.path("hosts"), self.path("reservations"));
        DnsmasqDir::open(Places { hostsdir, dhcp_hostsfile, pid_file: None }).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Inode and time of the last change of all files.
    fn stamps(&self) -> Vec<(PathBuf, u64, i64)> {
        let mut stamps: Vec<_> = fs::read_dir(self.path("hosts"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| (entry.path(), entry.metadata().unwrap().ino(), entry.metadata().unwrap().ctime_nsec()))
            .collect();
        stamps.sort();
        stamps
    }
}

#[test]
fn only_what_differs_is_written_and_nothing_when_nothing_changed() {
    let lab = Lab::new();
    let mut dir = lab.open();
    let mut guests = vec![guest(100, "web", Some("192.0.2.10")), guest(101, "db", Some("192.0.2.11"))];
    let put = dir.put(&records(&guests)).unwrap();
    assert_eq!((put.files, put.needs_reload), (3, true));
    assert_eq!(lab.read("hosts/instances-guests-004"), "192.0.2.10 web.lab.example\n");
    assert_eq!(lab.read("hosts/instances-extra"), "192.0.2.2 ns.lab.example\n");
    dir.reload().unwrap();
    let before = lab.stamps();
    assert_eq!(dir.put(&records(&guests)).unwrap().files, 0);
    drop(dir);
    let mut dir = lab.open();
    let put = dir.put(&records(&guests)).unwrap();
    assert_eq!((put.files, put.needs_reload), (0, false));
    assert_eq!(lab.stamps(), before);
    // 228 shares its file with 100; 102 is on DHCP.
    guests.extend([guest(228, "more", Some("192.0.2.12")), guest(102, "dhcp", None)]);
    let put = dir.put(&records(&guests)).unwrap();
    assert_eq!((put.files, put.needs_reload), (1, true));
    assert_eq!(lab.read("hosts/instances-guests-004"), "192.0.2.10 web.lab.example\n192.0.2.12 more.lab.example\n");
    assert_eq!(lab.read("reservations"), "bc:24:11:00:00:66,dhcp\n");
    let put = dir.put(&records(&guests[3..])).unwrap();
    assert_eq!((put.files, put.needs_reload), (2, true));
    let left = lab.stamps().into_iter().map(|(path, ..)| path).collect::<Vec<_>>();
    assert_eq!(left, [lab.path("hosts/instances-extra")]);
}

#[test]
fn that_dnsmasq_is_to_be_told_is_not_forgotten_by_a_kill() {
    let lab = Lab::new();
    let guests = [guest(102, "dhcp", None)];
    assert!(lab.open().put(&records(&guests)).unwrap().needs_reload);
    let mut again = lab.open();
    let put = again.put(&records(&guests)).unwrap();
    assert!(put.needs_reload);
    again.begins_anew().unwrap();
    assert!(!again.put(&records(&guests)).unwrap().needs_reload);
}

#[test]
fn files_of_others_stay_and_are_named() {
    let lab = Lab::new();
    for name in ["hosts.mine", ".hidden", "backup~", "instances-guests-200"] {
        fs::write(lab.path(&format!("hosts/{name}")), "192.0.2.99 x\n").unwrap();
    }
    let put = lab.open().put(&records(&[])).unwrap();
    let notice = put.notices.iter().find(|notice| notice.contains("not ours")).unwrap();
    assert!(notice.starts_with("1 files in ") && notice.ends_with("dnsmasq reads them: hosts.mine"), "{notice}");
    assert_eq!(lab.read("hosts/hosts.mine"), "192.0.2.99 x\n");
    // One of ours, of a version with more of them.
    assert!(!lab.path("hosts/instances-guests-200").exists());
}

#[test]
fn a_link_or_what_is_no_text_in_our_place_is_replaced() {
    let lab = Lab::new();
    fs::write(lab.path("target"), "precious").unwrap();
    std::os::unix::fs::symlink(lab.path("target"), lab.path("hosts/instances-guests-004")).unwrap();
    fs::write(lab.path("hosts/instances-guests-005"), b"\xff\xfe").unwrap();
    let guests = [guest(100, "web", Some("192.0.2.10")), guest(101, "db", Some("192.0.2.11"))];
    lab.open().put(&records(&guests)).unwrap();
    assert_eq!(lab.read("hosts/instances-guests-004"), "192.0.2.10 web.lab.example\n");
    assert_eq!(lab.read("hosts/instances-guests-005"), "192.0.2.11 db.lab.example\n");
    assert_eq!(lab.read("target"), "precious");
}

#[test]
fn what_cannot_be_written_leaves_all_as_it_was_and_is_said() {
    let lab = Lab::new();
    let mut dir = lab.open();
    dir.put(&records(&[guest(100, "web", Some("192.0.2.10"))])).unwrap();
    // Somebody's folder is in the place of a file.
    fs::create_dir_all(lab.path("hosts/instances-guests-005/x")).unwrap();
    let error = dir.put(&records(&[guest(101, "web", Some("192.0.2.10"))])).unwrap_err().to_string();
    assert!(error.contains("instances-guests-005") && error.contains("move what is there out of the way"), "{error}");
}

#[test]
fn that_dnsmasq_is_to_be_told_is_noted_nowhere_else() {
    let lab = Lab::new();
    fs::write(lab.path("victim"), "precious").unwrap();
    std::os::unix::fs::symlink(lab.path("victim"), lab.path(".reservations.unread")).unwrap();
    let put = lab.open().put(&records(&[guest(100, "web", None)])).unwrap();
    assert!(put.needs_reload);
    assert_eq!(lab.read("victim"), "precious");
}

#[test]
fn another_folder_at_the_path_is_taken_and_said() {
    let lab = Lab::new();
    let mut dir = lab.open();
    fs::rename(lab.path("hosts"), lab.path("old")).unwrap();
    // Whoever deletes it has it made again.
    let put = dir.put(&records(&[])).unwrap();
    assert!(put.is_unwatched && put.notices.iter().any(|notice| notice.contains("it begins anew")), "{put:?}");
    assert_eq!(lab.read("hosts/instances-extra"), "192.0.2.2 ns.lab.example\n");
    dir.reload().unwrap();
    assert!(dir.put(&records(&[])).unwrap().is_unwatched);
    dir.begins_anew().unwrap();
    assert!(!dir.put(&records(&[])).unwrap().is_unwatched);
}

#[test]
fn anothers_is_asked_what_it_watches_and_if_it_may_not_be_seen_counts_from_its_start() {
    let lab = Lab::new();
    let mut dir = lab.open().of_another();
    let pid = |number| Pid::from_raw(number);
    let replace = |dir: &mut DnsmasqDir, name: &str| {
        fs::rename(lab.path("hosts"), lab.path(name)).unwrap();
        fs::create_dir(lab.path("hosts")).unwrap();
        dir.follow().unwrap();
    };
    // What it says itself is believed the second time.
    assert_eq!(dir.judge(pid(7), Some(false)), (false, true));
    assert_eq!(dir.judge(pid(7), Some(false)), (true, true));
    assert_eq!(dir.judge(pid(7), Some(true)), (false, false));
    assert_eq!(dir.judge(pid(7), Some(false)), (false, true));
    // It cannot be seen.
    assert_eq!(dir.judge(pid(7), None), (false, false));
    replace(&mut dir, "first");
    assert_eq!(dir.judge(pid(7), None), (true, true));
    assert_eq!(dir.judge(None, None), (true, true));
    assert_eq!(dir.judge(pid(8), None), (false, false));
    assert_eq!(dir.judge(pid(8), None), (false, false));
    replace(&mut dir, "second");
    assert_eq!(dir.judge(pid(8), None), (true, true));
}

#[test]
fn the_one_in_memory_does_the_same() {
    let mut memory = Memory::default();
    let guests = [guest(100, "web", Some("192.0.2.10")), guest(102, "dhcp", None)];
    let put = memory.put(&records(&guests)).unwrap();
    assert_eq!((put.files, put.needs_reload), (2, true));
    assert_eq!(memory.lines(), ["192.0.2.10 web.lab.example", "192.0.2.2 ns.lab.example"]);
    memory.reload().unwrap();
    assert_eq!(memory.put(&records(&guests)).unwrap(), Put::default());
    assert_eq!((memory.reloads(), memory.reservations()), (1, "bc:24:11:00:00:66,dhcp\n".to_owned()));
}
