//! Who we are, and what we may: as soon as possible only what packets need, CAP_NET_ADMIN (NFQUEUE) and CAP_NET_RAW
//! (AF_PACKET), see capabilities(7).

use crate::error::{Error, Result, in_words};
use nix::unistd::{Gid, Uid, User};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::ffi::CString;
use std::io;

/// What packets need.
const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);

/// The user to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: CString,
    /// Its number.
    pub uid: Uid,
    /// Its first group's.
    pub gid: Gid,
}

impl Account {
    /// The user of this name or number.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Self> {
        let by_number = || name.parse().ok().and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
        let user = User::from_name(name).ok().flatten().or_else(by_number).ok_or_else(|| {
            Error::new(format!("there is no user {name}")).remedy("choose another: [general] user, or --user")
        })?;
        let name = CString::new(user.name).unwrap_or_default();
        Ok(Self { name, uid: user.uid, gid: user.gid })
    }
}

/// Whether we may do what packets need. To be asked before anything is begun, so that the answer is the first.
///
/// # Errors
/// We may not.
pub fn check() -> Result<()> {
    let permitted = rustix::thread::capabilities(None).map_err(|error| failed("ask what it may do", error))?;
    if permitted.permitted.contains(NEEDED) {
        return Ok(());
    }
    Err(Error::new("may not take packets from the kernel and send others: CAP_NET_ADMIN and CAP_NET_RAW are needed")
        .remedy("start as root, or with AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in the unit"))
}

/// Gives up all but what packets need, and becomes `account`, which only root can. Linux keeps capabilities per thread: call it before
/// there are others.
///
/// # Errors
/// It is not possible; then some may be given up already.
pub fn drop_to(account: Option<&Account>) -> Result<()> {
    check()?;
    if let Some(account) = account {
        let name = account.name.to_string_lossy();
        let failed = |doing: &str, error: io::Error| failed(&format!("{doing} {name}"), error);
        rustix::thread::set_keep_capabilities(true).map_err(|error| failed("become", error.into()))?;
        nix::unistd::initgroups(&account.name, account.gid)
            .map_err(|error| failed("take the groups of", error.into()))?;
        let (uid, gid) = (account.uid, account.gid);
        nix::unistd::setresgid(gid, gid, gid).map_err(|error| failed("take the group of", error.into()))?;
        nix::unistd::setresuid(uid, uid, uid).map_err(|error| failed("become", error.into()))?;
        rustix::thread::set_keep_capabilities(false).map_err(|error| failed("become", error.into()))?;
    }
    let sets = CapabilitySets { effective: NEEDED, permitted: NEEDED, inheritable: CapabilitySet::empty() };
    rustix::thread::clear_ambient_capability_set()
        .and_then(|()| rustix::thread::set_capabilities(None, sets))
        .and_then(|()| rustix::thread::set_no_new_privs(true))
        .map_err(|error| failed("give up privileges", error))
}

fn failed(doing: &str, error: impl Into<io::Error>) -> Error {
    let error = error.into();
    Error::new(format!("cannot {doing}: {}", in_words(&error)))
}
