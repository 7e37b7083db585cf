//! A network namespace for as long as a test runs: leftovers are impossible.
#![allow(dead_code, reason = "each test crate uses its part")]

#[path = "needs.rs"]
pub mod needs;
#[path = "wait.rs"]
pub mod wait;

pub use needs::skipped;
use nix::sched::{CloneFlags, unshare};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `test` in a thread that lives in a new network namespace, whose processes inherit it. Where that is not allowed,
/// says that the test was skipped; in CI that is a failure.
pub fn in_new_netns(test: impl FnOnce() + Send + 'static) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(move || match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => test(),
        Err(error) => skipped(&format!("no new network namespace: {error}; run as root")),
    });
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Whether this runs on Debian's own kernel under emulation, 10 to 90 times slower.
pub fn on_stock_kernel() -> bool {
    std::env::var_os("STOCK_KERNEL").is_some()
}

/// Runs a program on this standard input.
pub fn output(program: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.as_ref());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read it is no failure.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// Runs a program that must succeed; its standard output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    feed(program, arguments, "")
}

/// Runs a program that must succeed on this standard input; its standard output.
pub fn feed(program: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let Output { status, stdout, stderr } = output(program, arguments, input);
    assert!(status.success(), "{program} {arguments:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Writes a program that everybody may run. A child does it: a file that is open to be written is not run (ETXTBSY), and the
/// child of another test's thread has what we have open until it has begun.
pub fn install(program: &Path, content: impl AsRef<[u8]>) {
    let script = r#"cat >"$0.new" && chmod 755 "$0.new" && mv -f "$0.new" "$0""#;
    feed("sh", &["-c", script, program.to_str().unwrap()], content);
}

/// Runs nft on a script.
pub fn nft(script: &str) -> String {
    feed("nft", &["-f", "-"], script)
}
