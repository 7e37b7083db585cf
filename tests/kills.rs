//! Killed at any moment, a writer leaves the old registry or the new one, and nothing that stops the next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, PROCESS, Sandbox, UPDATE, can};
use instances::registry::wire;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Instant;

/// Temporary files of killed writers.
fn leftovers(sandbox: &Sandbox) -> Vec<String> {
    let ours = ["instances.json", "instances.lock", "instances.updated"];
    sandbox.files().into_iter().filter(|file| !ours.contains(&file.as_str())).collect()
}

/// The registry after one more instance was added.
fn with_one_more(registry: &[u8], mac: &str, address: &str) -> Vec<u8> {
    let (mut registry, _) = wire::parse(registry).unwrap();
    assert!(registry.observe(mac.parse().unwrap(), address.parse().unwrap(), None));
    wire::to_text(&registry).into_bytes()
}

/// What must hold after a writer was stopped between `before` and `after`; says whether it got to `after`.
fn whole(sandbox: &Sandbox, before: &[u8], after: &[u8]) -> bool {
    let now = fs::read(sandbox.path(".json")).unwrap();
    assert!(now == before || now == after, "neither the old nor the new registry, but {} bytes", now.len());
    let done = now == after;
    // A needless processing is possible, a missed one is not.
    assert!(!done || sandbox.has(".updated"));
    assert!(leftovers(sandbox).len() <= 1, "{:?}", leftovers(sandbox));
    done
}

#[test]
fn hundreds_of_kills_at_random_moments_lose_nothing() {
    let instance = |n: usize| {
        format!(
            "\"02:00:00:00:{:02x}:{:02x}\":{{\"name\":\"n{n}\",\"ipv4\":\"10.0.{}.{}\"}}",
            n >> 8,
            n & 255,
            n >> 8,
            n & 255
        )
    };
    let sandbox = Sandbox::with_registry(format!("{{{}}}", (0..2000).map(instance).collect::<Vec<_>>().join(",")));
    // So that it is spelled as we do, and to see how long it takes.
    let start = Instant::now();
    sandbox.update(&["add", A, "10.1.0.0"]);
    let mut usual = start.elapsed();

    let mut before = fs::read(sandbox.path(".json")).unwrap();
    let (mut killed, mut done) = (0, 0);
    for n in 0..300_u32 {
        sandbox.drop_flag();
        let mac = format!("06:00:00:00:{:02x}:{:02x}", n >> 8, n & 255);
        let address = format!("10.2.{}.{}", n >> 8, n & 255);
        let after = with_one_more(&before, &mac, &address);
        let mut writer = sandbox.command(UPDATE, &["add", &mac, &address]).stderr(Stdio::null()).spawn().unwrap();
        // All moments of its life, in no order.
        std::thread::sleep(usual * (n * 7919 % 300) / 300);
        writer.kill().unwrap();
        let was_killed = writer.wait().unwrap().signal() == Some(9);
        // The machine may become busier or idler meanwhile.
        usual = if was_killed { usual * 102 / 100 } else { usual * 95 / 100 };
        killed += u32::from(was_killed);
        if whole(&sandbox, &before, &after) {
            done += 1;
            before = after;
        }
    }
    assert!(killed > 60 && done > 20, "{killed} killed, {done} done: too much in one place to prove anything");
    sandbox.drop_flag();
    sandbox.update(&["add", A, "10.1.0.1"]).said(&format!("Instance updated: {A} [10.1.0.1]\n"));
    assert!(sandbox.has(".updated") && leftovers(&sandbox).is_empty());
}

/// System calls that touch files, as strace names them; those that this machine does not have are left out.
const CALLS: [&str; 11] = [
    "openat",
    "flock",
    "?statx,?newfstatat",
    "pread64",
    "?unlink,?unlinkat",
    "?fchmod,?fchown",
    "write",
    "fsync",
    "?rename,?renameat,?renameat2",
    "?utimensat,ftruncate",
    "pwrite64",
];

/// Runs a program once for each system call that it makes, killed by it, and then calls `look` with what was killed.
fn killed_at_each_call(
    program: &str,
    arguments: &[&str],
    make: impl Fn() -> Sandbox,
    mut look: impl FnMut(&Sandbox, &str),
) {
    for calls in CALLS {
        for nth in 1.. {
            let sandbox = make();
            let inject = format!("inject={calls}:signal=KILL:when={nth}");
            let strace = ["strace", "-qq", "-o", "/dev/null", "-e", &inject, program];
            let mut command = sandbox.command("/usr/bin/env", &[&strace[..], arguments].concat());
            let ended = command.env("PATH", "/usr/local/bin:/usr/bin:/bin").output().unwrap();
            look(&sandbox, &inject);
            if ended.status.success() {
                break;
            }
            assert_eq!(ended.status.signal(), Some(9), "{inject}: {}", String::from_utf8_lossy(&ended.stderr));
        }
    }
}

#[test]
fn a_kill_at_each_system_call_loses_nothing() {
    if !can("strace", "strace true") {
        return;
    }
    let text = format!("{{\n  \"{A}\": {{\n    \"ipv4\": \"10.0.0.1\"\n  }}\n}}\n");
    let add = ["add", "06:00:00:00:00:01", "10.0.0.2"];
    let after = with_one_more(text.as_bytes(), add[1], add[2]);
    let (mut kept, mut done) = (0, 0);
    killed_at_each_call(
        UPDATE,
        &add,
        || Sandbox::with_registry(&text),
        |sandbox, moment| {
            *if whole(sandbox, text.as_bytes(), &after) { &mut done } else { &mut kept } += 1;
            // Whoever comes next finds everything in order.
            assert_eq!(sandbox.update(&add).status, Some(0));
            assert_eq!(fs::read(sandbox.path(".json")).unwrap(), after);
            assert!(sandbox.has(".updated") && leftovers(sandbox).is_empty(), "{moment}: {:?}", sandbox.files());
            sandbox.update(&add).silent();
        },
    );
    assert!(kept > 15 && done > CALLS.len() + 3, "{kept} kept, {done} done");
}

#[test]
fn a_killed_processor_leaves_whole_files_and_the_flag() {
    if !can("strace", "strace true") {
        return;
    }
    let make = || {
        let sandbox = Sandbox::new();
        sandbox.update(&["add", A, "10.0.0.1", "one"]);
        sandbox.process(&[]);
        sandbox.update(&["old", A, "10.0.0.2"]);
        sandbox
    };
    let outputs =
        |sandbox: &Sandbox| [".hosts", ".nftables_chains", ".nftables_sets"].map(|suffix| sandbox.read(suffix));
    let old = outputs(&make());
    let new = old.clone().map(|text| text.replace("10.0.0.1", "10.0.0.2"));
    let mut kept = 0;
    killed_at_each_call(PROCESS, &[], make, |sandbox, moment| {
        let now = outputs(sandbox);
        assert!(now.iter().zip(old.iter().zip(&new)).all(|(now, (old, new))| now == old || now == new), "{moment}");
        assert!(now == new || sandbox.has(".updated"), "{moment}");
        kept += u32::from(now != new);
        assert!(matches!(sandbox.process(&[]).status, Some(0 | 10)));
        assert_eq!(outputs(sandbox), new);
        assert!(!sandbox.files().iter().any(|file| file.starts_with('.') || file.ends_with("updated")), "{moment}");
    });
    assert!(kept > 20, "{kept} kept");
}
