//! A sandbox for the programs: a folder of its own, an environment that holds only what a test gives.
// Every test crate uses some of it.
#![allow(dead_code, unreachable_pub)]

mod needs;

pub use needs::can;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The programs under test.
pub const UPDATE: &str = env!("CARGO_BIN_EXE_instances-update");
pub const PROCESS: &str = env!("CARGO_BIN_EXE_instances-process");

/// Three instances' MACs and their link-local addresses.
pub const A: &str = "11:22:33:44:55:0a";
pub const B: &str = "11:22:33:44:55:0b";
pub const C: &str = "11:22:33:44:55:0c";

/// A base path in an empty folder, with everything the programs need to know in their environment.
pub struct Sandbox {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        // Other users may look, too: some tests run the programs as nobody.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let base = folder.path().join("instances").to_str().unwrap().to_owned();
        Self { folder, variables: vec![("INSTANCES_BASE_PATH".to_owned(), base)] }
    }

    /// A sandbox with this registry and no flag.
    pub fn with_registry(text: impl AsRef<[u8]>) -> Self {
        let sandbox = Self::new();
        fs::write(sandbox.path(".json"), text).unwrap();
        sandbox
    }

    /// Sets a variable for all runs from now on.
    pub fn set(mut self, variable: &str, value: &str) -> Self {
        self.variables.push((variable.to_owned(), value.to_owned()));
        self
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// `P` with this suffix.
    pub fn path(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("instances{suffix}"))
    }

    pub fn has(&self, suffix: &str) -> bool {
        self.path(suffix).symlink_metadata().is_ok()
    }

    pub fn read(&self, suffix: &str) -> String {
        fs::read_to_string(self.path(suffix)).unwrap()
    }

    pub fn registry(&self) -> String {
        self.read(".json")
    }

    /// Names of all files in the folder.
    pub fn files(&self) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(&self.folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    /// Takes down the flag, if it is up; says whether it was.
    pub fn drop_flag(&self) -> bool {
        fs::remove_file(self.path(".updated")).is_ok()
    }

    pub fn raise_flag(&self) {
        fs::write(self.path(".updated"), "").unwrap();
    }

    pub fn command(&self, program: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.variables.iter().cloned()).current_dir("/");
        command
    }

    pub fn update(&self, arguments: &[impl AsRef<OsStr>]) -> Ended {
        self.command(UPDATE, arguments).output().unwrap().into()
    }

    /// As dnsmasq calls for an IPv6 lease: the MAC in a variable, a DUID in its place.
    pub fn add_v6(&self, mac: &str, address: &str, name: &str) -> Ended {
        let mut command = self.command(UPDATE, &["add", "00:01:00:01:ab", address, name]);
        command.env("DNSMASQ_MAC", mac).output().unwrap().into()
    }

    pub fn process(&self, arguments: &[&str]) -> Ended {
        self.command(PROCESS, arguments).output().unwrap().into()
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// It exited 0 and said exactly this on standard error, nothing on standard output.
    #[track_caller]
    pub fn said(&self, news: &str) {
        assert_eq!((self.status, self.out.as_str(), self.err.as_str()), (Some(0), "", news));
    }

    /// It exited 0 and said nothing.
    #[track_caller]
    pub fn silent(&self) {
        self.said("");
    }

    /// It exited 0 and said nothing on standard error; gives what it printed.
    #[track_caller]
    pub fn printed(&self) -> &str {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""));
        &self.out
    }

    /// It exited 1 with one line on standard error and nothing else; gives that line.
    #[track_caller]
    pub fn refused(&self) -> &str {
        assert_eq!((self.status, self.out.as_str()), (Some(1), ""), "{}", self.err);
        let line = self.err.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n') && !line.is_empty(), "{line}");
        line
    }
}

/// Whether we are root, who alone can become nobody and mount.
pub fn can_be_root() -> bool {
    can("root", r#"test "$(id -u)" = 0 && unshare --net --mount true"#)
}
