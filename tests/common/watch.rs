//! A running `instances-process --watch`, and waiting for what it does.
#![allow(dead_code, reason = "each test crate uses its part")]

use crate::kernel::Host;
pub use crate::netns::wait::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};

/// A running watch.
pub struct Watch {
    pub child: Child,
    lines: mpsc::Receiver<String>,
    /// All that was said so far.
    said: Arc<Mutex<Vec<String>>>,
    supervisor: UnixDatagram,
}

impl Watch {
    /// Starts it; [`Self::ready`] waits until it has loaded the policy.
    pub fn spawn(host: &Host, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let socket = host.path("notify");
        let _ = fs::remove_file(&socket);
        let supervisor = UnixDatagram::bind(&socket).unwrap();
        supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = host.process(&[&["--watch", "--apply"], arguments].concat());
        command.env("NOTIFY_SOCKET", &socket).envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        let said = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                all.lock().unwrap().push(line.clone());
                let _ = sender.send(line);
            }
        });
        Self { child, lines, said, supervisor }
    }

    pub fn ready(host: &Host, arguments: &[&str]) -> Self {
        let watch = Self::spawn(host, arguments, &[]);
        watch.told("READY=1");
        watch
    }

    /// Waits until systemd is told something.
    #[track_caller]
    pub fn told(&self, wanted: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = match self.supervisor.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("never told {wanted}: {error}; said: {:?}", self.said()),
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    }

    /// Waits until it says something.
    #[track_caller]
    pub fn says(&self, wanted: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(wanted) => return line,
                Ok(_) => {}
                Err(_) => panic!("never said {wanted}, but {:?}", self.said()),
            }
        }
    }

    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// How often it said something so far.
    pub fn times(&self, text: &str) -> usize {
        self.said().iter().filter(|line| line.contains(text)).count()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub fn ends(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn update(host: &Host, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_instances-update"));
    command.env_clear().env("INSTANCES_BASE_PATH", host.folder.path().join("P"));
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
