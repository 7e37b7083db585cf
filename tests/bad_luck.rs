//! When the system does not play along: no permission, no space, no lock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, B, Ended, PROCESS, Sandbox, UPDATE, can_be_root};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

const NOBODY: u32 = 65_534;

/// Runs a program as a user to whom nothing belongs.
fn as_nobody(sandbox: &Sandbox, program: &str, arguments: &[impl AsRef<OsStr>]) -> Ended {
    sandbox.command(program, arguments).uid(NOBODY).gid(NOBODY).output().unwrap().into()
}

fn set_mode(sandbox: &Sandbox, suffix: &str, mode: u32) {
    fs::set_permissions(sandbox.path(suffix), Permissions::from_mode(mode)).unwrap();
}

/// One instance, flag up.
fn one() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    let registry = sandbox.registry();
    (sandbox, registry)
}

#[test]
fn a_lock_that_may_not_be_taken_is_named() {
    if !can_be_root() {
        return;
    }
    let (sandbox, before) = one();
    sandbox.drop_flag();
    for (program, arguments) in [(UPDATE, &["add", B, "10.0.0.2"][..]), (UPDATE, &["--remove", A]), (PROCESS, &["-f"])]
    {
        let ended = as_nobody(&sandbox, program, arguments);
        let expected = format!("cannot lock {}: Permission denied", sandbox.path(".lock").display());
        assert!(ended.refused().contains(&expected), "{}", ended.err);
    }
    assert_eq!(sandbox.registry(), before);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock"]);
}

#[test]
fn a_registry_that_may_not_be_read_is_named() {
    if !can_be_root() {
        return;
    }
    let (sandbox, before) = one();
    sandbox.drop_flag();
    set_mode(&sandbox, ".lock", 0o666);
    set_mode(&sandbox, ".json", 0o600);
    fs::set_permissions(sandbox.folder(), Permissions::from_mode(0o777)).unwrap();
    let expected = format!("cannot read {}: Permission denied", sandbox.path(".json").display());
    for (program, arguments) in
        [(UPDATE, &["old", A, "10.0.0.1"][..]), (UPDATE, &["--list"]), (PROCESS, &["-f"]), (PROCESS, &["--check"])]
    {
        let ended = as_nobody(&sandbox, program, arguments);
        assert!(ended.refused().contains(&expected), "{}", ended.err);
    }
    assert_eq!(sandbox.registry(), before);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock"]);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    if !can_be_root() {
        return;
    }
    let (sandbox, before) = one();
    set_mode(&sandbox, ".lock", 0o666);
    let cannot = |suffix: &str| format!("cannot write {}: Permission denied", sandbox.path(suffix).display());
    let ended = as_nobody(&sandbox, UPDATE, &["add", B, "10.0.0.2"]);
    assert!(ended.refused().contains(&cannot(".json")), "{}", ended.err);
    let ended = as_nobody(&sandbox, PROCESS, &[""; 0]);
    assert!(ended.refused().contains(&cannot(".hosts")), "{}", ended.err);
    assert_eq!(sandbox.registry(), before);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock", "instances.updated"]);
    // What needs no writing succeeds.
    as_nobody(&sandbox, UPDATE, &["old", A, "10.0.0.1"]).silent();
}

#[test]
fn anothers_registry_is_not_taken_over_by_who_may_not_give_it_back() {
    if !can_be_root() {
        return;
    }
    let (sandbox, before) = one();
    sandbox.drop_flag();
    set_mode(&sandbox, ".lock", 0o666);
    fs::set_permissions(sandbox.folder(), Permissions::from_mode(0o777)).unwrap();
    let ended = as_nobody(&sandbox, UPDATE, &["add", B, "10.0.0.2"]);
    assert!(ended.refused().contains(&format!("cannot write {}", sandbox.path(".json").display())), "{}", ended.err);
    assert_eq!(sandbox.registry(), before);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock"]);
}

#[test]
fn a_missing_folder_is_named_with_what_to_do() {
    let sandbox = Sandbox::new();
    let base = sandbox.folder().join("missing/instances");
    for (program, arguments) in [(UPDATE, &["add", B, "10.0.0.2"][..]), (UPDATE, &["--remove", A]), (PROCESS, &["-f"])]
    {
        let mut command = sandbox.command(program, arguments);
        let ended: Ended = command.env("INSTANCES_BASE_PATH", &base).output().unwrap().into();
        let expected = format!("cannot lock {}.lock: No such file or directory; make its folder", base.display());
        assert!(ended.refused().contains(&expected), "{}", ended.err);
    }
}

/// Runs a program on a tmpfs that is mounted for it alone, with these options, and holds this registry. Then shows what
/// is there: the files, and whether the registry is as it was. `$f` is the tmpfs.
fn on_a_small_disk(options: &str, registry: &str, before: &str, run: &str) -> String {
    let sandbox = Sandbox::with_registry(registry);
    let folder = sandbox.path(".tmpfs");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "set -e; f={}; mount -t tmpfs -o {options} none $f; cp {} $f/i.json; {before}
         export INSTANCES_BASE_PATH=$f/i
         {{ {run}; }} 2>&1 || echo exit $?
         cmp $f/i.json {} && echo unchanged; cd $f; ls -A",
        folder.display(),
        sandbox.path(".json").display(),
        sandbox.path(".json").display(),
    );
    let mut command = sandbox.command("/usr/bin/env", &["unshare", "--mount", "sh", "-c", &script]);
    let ended: Ended = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap().into();
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    ended.out.replace(folder.to_str().unwrap(), "$f")
}

/// A registry of about 40 kB: with its successor more than the disk holds.
fn large() -> String {
    let instance = |n: usize| format!("\"02:00:00:00:00:{n:02x}\":{{\"note\":\"{}\"}}", "x".repeat(200));
    format!("{{{}}}", (0..180).map(instance).collect::<Vec<_>>().join(","))
}

#[test]
fn a_full_disk_loses_nothing() {
    if !can_be_root() {
        return;
    }
    let shown = on_a_small_disk("size=64k", &large(), "", &format!("{UPDATE} add {A} 10.0.0.1 one"));
    let expected = "instances-update: cannot write $f/i.json: No space left on device; \
                    free some space; what was there before is untouched\nexit 1\nunchanged\ni.json\ni.lock\n";
    assert_eq!(shown, expected);
}

#[test]
fn a_disk_without_room_for_the_flag_loses_nothing() {
    if !can_be_root() {
        return;
    }
    // Inodes for the folder, the registry, the lock and the temporary file, but not for the flag.
    let shown = on_a_small_disk("nr_inodes=4", "{}", "", &format!("{UPDATE} add {A} 10.0.0.1 one"));
    let expected = "instances-update: cannot touch $f/i.updated: No space left on device; \
                    free some space; what was there before is untouched\nexit 1\nunchanged\ni.json\ni.lock\n";
    assert_eq!(shown, expected);
}

#[test]
fn processing_on_a_full_disk_leaves_the_flag_and_the_old_files() {
    if !can_be_root() {
        return;
    }
    let instance = |n: usize| {
        format!("\"02:00:00:00:00:{n:02x}\":{{\"name\":\"{}{n}\",\"ipv4\":\"10.0.0.{n}\"}}", "x".repeat(100))
    };
    let registry = format!("{{{}}}", (0..200).map(instance).collect::<Vec<_>>().join(","));
    let before = "touch $f/i.updated; echo old >$f/i.nftables_chains; echo old >$f/i.hosts";
    let run = format!("{PROCESS} || echo exit $?; cat $f/i.nftables_chains $f/i.hosts");
    let shown = on_a_small_disk("size=64k", &registry, before, &run);
    let expected = "instances-process: cannot write $f/i.hosts: No space left on device; free some space; what was there \
                    before is untouched\nexit 1\nold\nold\nunchanged\ni.hosts\ni.json\ni.lock\ni.nftables_chains\ni.updated\n";
    assert_eq!(shown, expected);
}

#[test]
fn a_lock_held_for_longer_than_ten_seconds_is_given_up_on() {
    let (sandbox, before) = one();
    let held = File::open(sandbox.path(".lock")).unwrap();
    fs2::FileExt::lock_exclusive(&held).unwrap();
    let start = Instant::now();
    let waiting: Vec<_> = [
        (UPDATE, &["add", B, "10.0.0.2"][..]),
        (UPDATE, &["--initialize", "lo", "host"]),
        (UPDATE, &["--remove", A]),
        (PROCESS, &[]),
    ]
    .into_iter()
    .map(|(program, arguments)| {
        let mut command = sandbox.command(program, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    })
    .collect();
    for program in waiting {
        let ended = Ended::from(program.wait_with_output().unwrap());
        let lock = sandbox.path(".lock").display().to_string();
        let expected =
            format!("{lock} is held by another program for more than 10 s; see who holds it with: fuser -v {lock}");
        assert!(ended.refused().contains(&expected), "{}", ended.err);
        let waited = start.elapsed();
        assert!(waited > Duration::from_secs(10) && waited < Duration::from_secs(15), "{waited:?}");
    }
    assert_eq!(sandbox.registry(), before);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock", "instances.updated"]);
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let (sandbox, _) = one();
    for arguments in [&["--list"][..], &["--list", "--json"], &["--help"], &["--version"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = sandbox.command(UPDATE, arguments).stdout(full).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(message, "instances-update: cannot write to standard output: No space left on device\n");
    }
}
