//! Folders that cannot be written, or not read by dnsmasq.

use crate::lab::{Lab, WITNESS, all, answer, mac};
use crate::on_a_network;
use instances::plan::pxe_access::{Access, Who};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use Access::{Allow, Deny};

/// Puts a small file system at the folder, for this test alone.
fn mount_at_the_folder(lab: &Lab, size: &str) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    let options = format!("mode=755,{size}");
    mount(Some("tmpfs"), &lab.hostsdir(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
}

#[test]
fn a_full_disk_keeps_nobody_allowed() {
    on_a_network(|lab: &mut Lab| {
        // Pages: one of the folder's files each.
        mount_at_the_folder(lab, "size=256k");
        lab.start();
        let mut filter = lab.filter();
        let wanted =
            [all(0..10, Allow), all(10..20, Deny), vec![answer(WITNESS, Allow), (Who::Unknown, Deny)]].concat();
        filter.bring_in_step(&wanted);
        lab.answers(&wanted);
        // The file of many answers is gone, too.
        drop(filter);
        let mut filter = lab.filter();
        filter.dir.look().unwrap();
        let filler = lab.hostsdir().join(".filler");
        assert!(fs::write(&filler, vec![0; 1 << 20]).is_err());
        for writes in [all(0..1, Deny), [all(1..10, Deny), all(10..20, Allow)].concat()] {
            let failure = filter.write(&writes).unwrap_err().to_string();
            assert!(failure.contains("No space left on device; free some space"), "{failure}");
        }
        lab.answers(&[all(0..20, Deny), vec![answer(WITNESS, Allow)]].concat());
        // What could not be opened is opened as soon as there is space.
        fs::remove_file(&filler).unwrap();
        let wanted =
            [all(0..10, Deny), all(10..20, Allow), vec![answer(WITNESS, Allow), (Who::Unknown, Deny)]].concat();
        filter.bring_in_step(&wanted);
        lab.answers(&wanted);
    });
}

#[test]
fn a_folder_that_becomes_read_only_is_said_to_be() {
    on_a_network(|lab: &mut Lab| {
        mount_at_the_folder(lab, "size=1m");
        let mut filter = lab.filter();
        filter.bring_in_step(&all(0..2, Allow));
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &lab.hostsdir(), None::<&str>, read_only, None::<&str>).unwrap();
        for writes in [all(0..1, Deny), all(0..10, Deny)] {
            let failure = filter.write(&writes).unwrap_err().to_string();
            assert!(failure.contains("Read-only file system; mount it writable"), "{failure}");
        }
        assert_eq!(filter.dir.look().unwrap().found.macs[&mac(0)], Some(Allow));
        drop(filter);
        mount(None::<&str>, &lab.hostsdir(), None::<&str>, MsFlags::MS_REMOUNT, None::<&str>).unwrap();
        lab.filter().write(&all(0..2, Deny)).unwrap();
    });
}

#[test]
fn a_folder_that_dnsmasq_may_not_read_is_named() {
    on_a_network(|lab: &mut Lab| {
        let path = lab.hostsdir();
        let mut filter = lab.filter();
        assert!(filter.dir.look().unwrap().notices.is_empty());
        for (folder, mode, remedy) in [(path.clone(), 0o750, "o+rx"), (path.parent().unwrap().to_owned(), 0o700, "o+x")]
        {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            let notices = filter.dir.look().unwrap().notices;
            let expected = format!("{} has mode {mode:04o}; chmod {remedy} {}", folder.display(), folder.display());
            assert!(notices.iter().any(|notice| notice.contains(&expected)), "{notices:?}");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
    });
}
