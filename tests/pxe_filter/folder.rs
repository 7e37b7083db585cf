//! The folder: how files are written, what others do to it, and what becomes of one that cannot be written.

use super::needs::skipped;
use super::{DENIES_UNKNOWN, OFTEN, stderr, stdout};
use crate::pxe::{Lab, mac};
use crate::simulator::Port;
use crate::wait::until;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use uuid::Uuid;

/// Mounts that this thread and its children alone see. Where that is not allowed, says that the test was skipped.
fn in_own_mounts(test: impl FnOnce() + Send + 'static) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(move || match unshare(CloneFlags::CLONE_NEWNS) {
        Ok(()) => {
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            test();
        }
        Err(error) => skipped(&format!("no mounts of its own: {error}; run as root")),
    });
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

fn mount_at(folder: &Path, options: &str, flags: MsFlags) {
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(options)).unwrap();
}

#[test]
fn a_full_folder_is_said_to_be_and_opens_nobody() {
    in_own_mounts(|| {
        let (lab, nodes) = Lab::new();
        mount_at(&lab.hostsdir(), "mode=755,size=64k", MsFlags::empty());
        lab.ironic.state().set_state(nodes[0], "inspect wait");
        let mut filter = lab.run(OFTEN);
        lab.allows(0);
        // The file of many answers is gone, too.
        until("it is read", || {
            let _ = fs::read(lab.hostsdir().join("instances_bulk"));
            !lab.hostsdir().join("instances_bulk").exists()
        });
        let filler = lab.hostsdir().join(".filler");
        assert!(fs::write(&filler, vec![0; 1 << 20]).is_err());
        lab.ironic.state().set_state(nodes[0], "available");
        lab.ironic.state().set_state(nodes[1], "inspect wait");
        lab.denies(0);
        lab.denies(1);
        filter.says("No space left on device; free some space");
        let json = || stdout(&lab.output("", &["--status", "--json"]));
        until("the status says so", || json().contains("No space left on device"));
        fs::remove_file(filler).unwrap();
        lab.allows(2);
        filter.says("the folder can be written again");
        // What was done before it failed is in the log, too.
        let denied = |number| {
            let denies = |line: &str| line.contains(&mac(number)) && line.contains("deny");
            filter.log().lines().any(denies)
        };
        assert!(denied(0) && denied(1), "{}", filter.log());
        assert!(filter.stop().success());
    });
}

#[test]
fn a_read_only_folder_is_said_to_be_and_written_as_soon_as_it_can_be() {
    in_own_mounts(|| {
        let (lab, nodes) = Lab::new();
        mount_at(&lab.hostsdir(), "mode=755", MsFlags::empty());
        let mut filter = lab.run(OFTEN);
        filter.says("all ports are as Ironic has them");
        let remount =
            |flags| mount(None::<&str>, &lab.hostsdir(), None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>);
        remount(MsFlags::MS_RDONLY).unwrap();
        let output = lab.output(OFTEN, &["--once"]);
        assert_eq!(output.status.code(), Some(1));
        lab.ironic.state().set_state(nodes[0], "inspect wait");
        filter.says("Read-only file system; mount it writable");
        lab.denies(0);
        remount(MsFlags::empty()).unwrap();
        lab.allows(0);
        assert!(filter.stop().success());
        remount(MsFlags::MS_RDONLY).unwrap();
        // At the start, too.
        let mut filter = lab.run(OFTEN);
        assert_eq!(filter.ends().code(), Some(1));
        filter.says("Read-only file system; mount it writable");
    });
}

#[test]
fn before_the_first_start_there_is_no_folder_of_the_services_own() {
    in_own_mounts(|| {
        let (lab, _) = Lab::new();
        mount_at(Path::new("/run"), "mode=755", MsFlags::empty());
        let check = |folder: &str| lab.output(OFTEN, &["--check-config", "--dhcp-hostsdir", folder]);
        let output = check("/run/instances-pxe-filter");
        assert!(output.status.success(), "{}", stdout(&output));
        assert!(stdout(&output).contains("the service makes it"), "{}", stdout(&output));
        let output = check("/run/another");
        assert_eq!(output.status.code(), Some(1));
        assert!(stdout(&output).contains("there is none; make it"), "{}", stdout(&output));
    });
}

#[test]
fn an_infiniband_port_is_opened_where_the_host_sees_it() {
    in_own_mounts(|| {
        let (lab, nodes) = Lab::new();
        // The interface's driver says where the port with this GUID is.
        mount_at(Path::new("/sys/class/net"), "mode=755", MsFlags::empty());
        let eth = Path::new("/sys/class/net/ib0/eth");
        fs::create_dir_all(eth).unwrap();
        let neighbor = |mac: &str| {
            let line = format!("EMAC={mac} IMAC=97:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:24:4f\n");
            fs::write(eth.join("neighs"), line).unwrap();
        };
        neighbor("02:00:02:97:00:01");
        let extra = "{\"client-id\": \"ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:24:4f\"}";
        let (uuid, address) = (Uuid::from_u128(77), "7c:fe:90:29:24:4f".to_owned());
        lab.ironic.state().put_port(Port {
            uuid,
            address: address.clone(),
            node: nodes[0],
            pxe_enabled: true,
            extra: Some(extra.into()),
            raw: None,
        });
        lab.ironic.state().set_state(nodes[0], "inspect wait");
        let mut filter = lab.run(&format!("{OFTEN}\n[iptables]\nethoib_interfaces = ib0"));
        let says = |mac: &str| fs::read_to_string(lab.hostsdir().join(mac)).unwrap_or_default();
        until("it is allowed", || says("02:00:02:97:00:01") == "02:00:02:97:00:01\n");
        assert!(!lab.hostsdir().join(&address).exists());
        // It gets another one; the old is no port's any more.
        neighbor("02:00:02:97:00:02");
        until("it is allowed there", || says("02:00:02:97:00:02") == "02:00:02:97:00:02\n");
        until("and not here", || says("02:00:02:97:00:01") == "02:00:02:97:00:01,ignore\n");
        assert!(filter.stop().success());
    });
}

#[test]
fn files_are_readable_whatever_the_umask_is() {
    let (lab, _) = Lab::new();
    let command = lab.command(OFTEN, &["--once"]);
    let script = format!("umask 077; exec {:?} \"$@\"", command.get_program());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script, "sh"]).args(command.get_args());
    assert!(shell.status().unwrap().success());
    let mode = fs::metadata(lab.hostsdir().join(mac(0))).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn a_file_that_dnsmasq_may_not_read_is_written_anew() {
    let (lab, _) = Lab::new();
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    let path = lab.hostsdir().join(mac(0));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn edited_and_deleted_files_are_put_right_at_once() {
    let (lab, _) = Lab::new();
    // Not by a comparison that would be due anyway.
    let mut filter = lab.run("sync_period = 0");
    filter.says("all ports are as Ironic has them");
    fs::write(lab.hostsdir().join(mac(0)), format!("{}\n", mac(0))).unwrap();
    lab.denies(0);
    fs::remove_file(lab.hostsdir().join(mac(1))).unwrap();
    lab.denies(1);
    fs::write(lab.hostsdir().join("unknown_hosts_filter"), "nonsense").unwrap();
    until("all others are denied", || lab.unknown() == DENIES_UNKNOWN);
    assert!(filter.stop().success());
}

#[test]
fn a_folder_that_is_emptied_with_all_that_is_hidden_is_filled_again() {
    let (lab, _) = Lab::new();
    let mut filter = lab.run("sync_period = 0");
    filter.says("all ports are as Ironic has them");
    let well = lab.files();
    for entry in fs::read_dir(lab.hostsdir()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { fs::remove_dir_all(entry).unwrap() } else { fs::remove_file(entry).unwrap() }
    }
    until("it is filled", || lab.files() == well);
    assert!(filter.stop().success());
    assert_eq!(lab.files(), well);
}

#[test]
fn only_one_filter_has_a_folder() {
    let (lab, _) = Lab::new();
    let mut filter = lab.run(OFTEN);
    filter.says("all ports are as Ironic has them");
    let output = lab.output(OFTEN, &["--once"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("another"), "{}", stderr(&output));
    assert!(filter.stop().success());
    assert!(lab.output(OFTEN, &["--once"]).status.success());
}

#[test]
fn a_folder_that_is_replaced_is_filled_and_said_to_be_another() {
    let (lab, _) = Lab::new();
    let mut filter = lab.run("sync_period = 1");
    filter.says("all ports are as Ironic has them");
    fs::rename(lab.hostsdir(), lab.path().join("old")).unwrap();
    filter.says("hostsdir");
    fs::create_dir(lab.hostsdir()).unwrap();
    until("it is filled", || lab.files().len() == 5);
    filter.says("restart dnsmasq");
    assert!(filter.stop().success());
}

#[test]
fn files_of_others_stay_or_go_as_configured_and_what_is_no_rule_stays() {
    let (lab, _) = Lab::new();
    let put = |name: &str, text: &str| fs::write(lab.hostsdir().join(name), text).unwrap();
    put("rule", &format!("{}\n", mac(99)));
    put("notes", "not for dnsmasq\n");
    put(".hidden", "x");
    let inspector = |purge: bool| {
        format!(
            "{OFTEN}\n[dnsmasq_pxe_filter]\ndhcp_hostsdir = {}\npurge_dhcp_hostsdir = {purge}",
            lab.hostsdir().display()
        )
    };
    let mut filter = lab.run(&inspector(false));
    filter.says("all ports are as Ironic has them");
    filter.says("rule");
    assert_eq!(lab.files().len(), 7);
    assert!(filter.stop().success());
    let rehearsal = stdout(&lab.output(&inspector(true), &["--dry-run"]));
    assert!(rehearsal.lines().any(|line| line.starts_with("delete rule: ")), "{rehearsal}");
    assert!(!rehearsal.contains("notes") && lab.hostsdir().join("rule").exists(), "{rehearsal}");
    let mut filter = lab.run(&inspector(true));
    filter.says("deleted rule");
    filter.says("1 files in ");
    // Of what is gone nobody is told that it is there.
    assert!(!filter.log().contains("2 files in "), "{}", filter.log());
    assert!(!lab.hostsdir().join("rule").exists());
    assert!(lab.hostsdir().join("notes").exists() && lab.hostsdir().join(".hidden").exists());
    assert!(filter.stop().success());
}

#[test]
fn files_with_dashes_are_taken_over_and_written_if_asked_for() {
    let (lab, nodes) = Lab::new();
    let dashes = |number: u8| mac(number).replace(':', "-");
    for number in 0..4 {
        fs::write(lab.hostsdir().join(dashes(number)), format!("{},ignore\n", mac(number))).unwrap();
    }
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    let names: Vec<_> = lab.files().into_keys().collect();
    assert_eq!(names, [&mac(0), &mac(1), &mac(2), &mac(3), "unknown_hosts_filter"].map(str::to_owned));
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    assert!(lab.output("file_names = dashes", &["--once"]).status.success());
    let files = lab.files();
    assert_eq!(files.keys().filter(|name| name.contains('-')).count(), 4);
    assert_eq!(files.len(), 5);
    assert_eq!(files[&dashes(0)], format!("{}\n", mac(0)));
}

#[test]
fn no_folder_is_a_failure_that_says_what_to_do() {
    let (lab, _) = Lab::new();
    fs::remove_dir(lab.hostsdir()).unwrap();
    let mut filter = lab.run(OFTEN);
    assert_eq!(filter.ends().code(), Some(1));
    filter.says("hostsdir");
}

#[test]
fn the_files_of_a_running_filter_keep_their_inodes_while_nothing_changes() {
    let (lab, _) = Lab::new();
    let mut filter = lab.run(OFTEN);
    filter.says("all ports are as Ironic has them");
    let inodes =
        || lab.files().keys().map(|name| fs::metadata(lab.hostsdir().join(name)).unwrap().ino()).collect::<Vec<_>>();
    let before = inodes();
    lab.ironic.seen();
    let mut listings = 0;
    until("two more listings", || {
        listings += lab.ironic.paths().iter().filter(|path| path.contains("/v1/ports?limit")).count();
        listings >= 2
    });
    assert_eq!(inodes(), before);
    assert!(filter.stop().success());
}
