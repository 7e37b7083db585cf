//! A running `instances-pxe-filter`.

use crate::netns::wait::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// It is killed in the end.
pub struct Filter {
    child: Child,
    log: PathBuf,
    supervisor: UnixDatagram,
}

impl Filter {
    /// Starts it with this configuration and these variables.
    pub fn start(folder: &Path, config: &str, variables: &[(&str, &str)]) -> Self {
        let [file, log, socket] = ["filter.conf", "filter.log", "notify"].map(|name| folder.join(name));
        fs::write(&file, config).unwrap();
        // There may be a password in it.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let _ = fs::remove_file(&socket);
        let supervisor = UnixDatagram::bind(&socket).unwrap();
        supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_instances-pxe-filter"));
        command.arg("--config-file").arg(&file).env_clear().envs(variables.iter().copied());
        // For the start command.
        command.env("NOTIFY_SOCKET", &socket).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), log, supervisor }
    }

    /// Waits until it is in step for the first time.
    #[track_caller]
    pub fn is_ready(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            let length = self.supervisor.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", self.said()));
            if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") {
                return;
            }
        }
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it says something.
    #[track_caller]
    pub fn says(&self, text: &str) {
        until(text, || self.said().contains(text));
    }

    /// Has it end.
    #[track_caller]
    pub fn ends(mut self) -> ExitStatus {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
