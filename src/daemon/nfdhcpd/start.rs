//! What a start has in common with those of other daemons: log, pid file, and giving up privileges, in the order that they
//! need.

use super::background;
use super::log::Log;
use super::pid_file::{NotOurs, PidFile};
use super::privileges::{self, Account};
use crate::cli::nfdhcpd::{LogTo, Place, Request};
use crate::error::Result;
use nix::unistd::Uid;

/// A start that has begun: still as who we were started as.
pub struct Start {
    /// The log, to be opened anew on SIGHUP.
    pub log: Log,
    /// Ours until it is dropped.
    pub pid_file: Option<PidFile>,
    place: Place,
    log_to: LogTo,
    account: Option<Account>,
}

impl Start {
    /// Begins to log, and claims the pid file. Sockets that need root come next, then [`Self::drop_privileges`].
    ///
    /// # Errors
    /// Privileges are missing, it runs already, or a file cannot be written.
    pub fn begin(request: &Request, place: Place) -> Result<Self> {
        let config = &request.config;
        privileges::check()?;
        let account = Uid::effective().is_root().then(|| Account::find(&config.user)).transpose()?;
        background::detach(place)?;
        let claimed = PidFile::claim(&config.pidfile);
        let log = Log::begin(config, account.as_ref())?;
        let pid_file = match claimed {
            Ok(pid_file) => Some(pid_file),
            // systemd needs none.
            Err(NotOurs::Unwritable(error)) if place == Place::Foreground => {
                tracing::warn!("{error}");
                None
            }
            Err(error) => return Err(error.into()),
        };
        for notice in &request.notices {
            tracing::warn!("{notice}");
        }
        Ok(Self { log, pid_file, place, log_to: config.log, account })
    }

    /// Keeps only what packets need, and becomes the user that is configured.
    ///
    /// # Errors
    /// It is not possible.
    pub fn drop_privileges(&self) -> Result<()> {
        // Who is not root stays who it is.
        privileges::drop_to(self.account.as_ref())
    }

    /// The start has succeeded: who waits for that is told.
    ///
    /// # Errors
    /// The terminal cannot be let go of.
    pub fn succeeded(&self) -> Result<()> {
        background::ready(self.place, self.log_to)
    }
}
