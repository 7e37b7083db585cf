//! The administrator's commands that start and stop dnsmasq: `sh -c`, as long as they are allowed to take.

use crate::error::{Error, Result, in_words};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Runs a command in a shell. `option` is where it was configured. One that takes too long is ended, with everything that it
/// started and that did not leave its process group; a daemon has left it.
///
/// # Errors
/// It cannot be run, fails, or takes too long.
pub async fn run(option: &str, command: &str, limit: Duration) -> Result<()> {
    let failed = |what: String| {
        let remedy = format!("run it by hand as this user: sh -c '{command}'");
        Error::new(format!("{option} {what}: {command}")).remedy(remedy)
    };
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("cannot be run ({})", in_words(&error))))?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(ended) => {
            group.0 = None;
            match ended {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(failed(format!("failed ({status})"))),
                Err(error) => Err(failed(format!("cannot be waited for ({})", in_words(&error)))),
            }
        }
        Err(_) => Err(failed(format!("took longer than {} s", limit.as_secs_f64()))),
    }
}

/// The processes of a command that has not ended; they do with it. tokio waits for the shell, then.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    async fn said(command: &str) -> String {
        run("dnsmasq_start_command", command, Duration::from_millis(300)).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_command_may_expand_fail_or_hang() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = format!("echo $(echo 1) >{}", file.display());
        run("dnsmasq_start_command", &command, Duration::from_secs(60)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "1\n");
        assert!(said("exit 3").await.contains("failed (exit status: 3)"));
        assert!(said("/nonexistent/dnsmasq 2>/dev/null").await.contains("127"));
        // The shell's child would keep on.
        let began = Instant::now();
        let hanging = format!("sleep 60 & echo $! >{}; wait", file.display());
        assert!(said(&hanging).await.starts_with("dnsmasq_start_command took longer than 0.3 s"));
        assert!(began.elapsed() < Duration::from_secs(30));
        let sleeper = std::fs::read_to_string(&file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).unwrap_or_default();
        while !(state().is_empty() || state().contains(" Z ")) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
