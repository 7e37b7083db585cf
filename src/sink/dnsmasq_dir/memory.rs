//! A sink in memory, for rehearsals and tests. Clones are the same one.

use super::{Put, Sink, chunks};
use crate::error::{Error, Result};
use crate::packet::dhcp6::Duid;
use crate::plan::dns_records::Records;
use crate::source::leases::Lease;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What it holds, and what happened to it.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: chunks::Files,
    reservations: String,
    is_unread: bool,
    reloads: usize,
    fails: bool,
    released: Vec<IpAddr>,
}

impl Memory {
    /// All lines of names, sorted.
    pub fn lines(&self) -> Vec<String> {
        let state = self.state();
        let lines: BTreeSet<_> = state.files.values().flat_map(|content| content.lines()).collect();
        lines.into_iter().map(str::to_owned).collect()
    }

    /// What the `dhcp-hostsfile` holds.
    pub fn reservations(&self) -> String {
        self.state().reservations.clone()
    }

    /// How often dnsmasq was told.
    pub fn reloads(&self) -> usize {
        self.state().reloads
    }

    /// Which leases were ended; each as often as that was tried.
    pub fn released(&self) -> Vec<IpAddr> {
        self.state().released.clone()
    }

    /// From now on nothing can be written, or everything again.
    pub fn fail(&self, fails: bool) {
        self.state().fails = fails;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Memory {
    fn put(&mut self, records: &Records) -> Result<Put> {
        let mut state = self.state();
        if state.fails {
            return Err(Error::new("the disk is full"));
        }
        let wanted = chunks::files(records);
        let steps = chunks::steps(&state.files, &wanted);
        state.files = wanted;
        let reservations = records.dhcp_hostsfile();
        state.is_unread |= state.reservations != reservations;
        state.reservations = reservations;
        let needs_reload = state.is_unread;
        Ok(Put { files: steps.written(), needs_reload, ..Put::default() })
    }

    fn reload(&mut self) -> Result<()> {
        let mut state = self.state();
        if state.fails {
            return Err(Error::new("there is no dnsmasq"));
        }
        state.is_unread = false;
        state.reloads += 1;
        Ok(())
    }

    fn release(&mut self, lease: &Lease, _: Option<&Duid>) -> Result<()> {
        self.state().released.push(lease.address);
        Ok(())
    }

    fn begins_anew(&mut self) -> Result<()> {
        self.state().is_unread = false;
        Ok(())
    }
}
