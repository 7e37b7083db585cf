//! The twin in memory: somebody else says what is seen.

use super::{Counts, Lack, Neighbors, Sighted, Waiting};
use crate::error::{Error, Result};
use crate::net::Mac;
use rustc_hash::FxHashSet;
use std::future::poll_fn;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Neighbours in memory. Clones are the same: one is awaited, by another they are told.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    known: FxHashSet<Mac>,
    asked: Vec<Ipv6Addr>,
    spared: FxHashSet<Ipv4Addr>,
    sought: u64,
    lacking: Vec<Lack>,
    failure: Option<String>,
    counts: Counts,
    waker: Option<Waker>,
}

impl Memory {
    /// Something is seen. As with the kernel, it is lost if nobody asked for the MAC.
    pub fn tell(&self, sighted: Sighted) {
        let mut state = self.state();
        if state.known.contains(&sighted.mac) {
            state.counts.heard += 1;
            state.waiting.push(sighted);
        } else {
            state.counts.unknown += 1;
        }
        state.wake();
    }

    /// The next call fails once what waits is told.
    pub fn fail_once(&self, text: &str) {
        let mut state = self.state();
        state.failure = Some(text.to_owned());
        state.wake();
    }

    /// This cannot be known from now on.
    pub fn lack(&self, lacking: Vec<Lack>) {
        self.state().lacking = lacking;
    }

    /// Which MACs were asked for last.
    pub fn known(&self) -> FxHashSet<Mac> {
        self.state().known.clone()
    }

    /// Which IPv6 addresses were asked for last.
    pub fn asked(&self) -> Vec<Ipv6Addr> {
        self.state().asked.clone()
    }

    /// Which IPv4 addresses need not be asked for.
    pub fn spared(&self) -> FxHashSet<Ipv4Addr> {
        self.state().spared.clone()
    }

    /// How often somebody was sought.
    pub fn sought(&self) -> u64 {
        self.state().sought
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Neighbors for Memory {
    fn know(&mut self, macs: FxHashSet<Mac>, asked: Vec<Ipv6Addr>) {
        let mut state = self.state();
        state.waiting.retain(&macs);
        (state.known, state.asked) = (macs, asked);
    }

    fn spare(&mut self, addresses: FxHashSet<Ipv4Addr>) {
        self.state().spared = addresses;
    }

    fn seek(&mut self) {
        self.state().sought += 1;
    }

    async fn next(&mut self) -> Result<Sighted> {
        poll_fn(|context| {
            let mut state = self.state();
            if let Some(sighted) = state.waiting.pop() {
                return Poll::Ready(Ok(sighted));
            }
            if let Some(text) = state.failure.take() {
                return Poll::Ready(Err(Error::new(text)));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn lacking(&self) -> Vec<Lack> {
        self.state().lacking.clone()
    }

    fn counts(&self) -> Counts {
        let state = self.state();
        Counts { lost: state.waiting.lost, ..state.counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::neighbors::How;
    use std::time::Duration;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn seen(address: &str) -> Sighted {
        let address = address.parse().unwrap();
        Sighted { mac: MAC, address, how: How::Said, at: Duration::ZERO }
    }

    #[tokio::test]
    async fn what_is_told_is_awaited_and_survives_who_gave_up_waiting() {
        let (mut neighbors, teller) = {
            let memory = Memory::default();
            (memory.clone(), memory)
        };
        teller.tell(seen("192.0.2.1"));
        neighbors.know(FxHashSet::from_iter([MAC]), vec![Ipv6Addr::LOCALHOST]);
        neighbors.spare(FxHashSet::from_iter([Ipv4Addr::LOCALHOST]));
        neighbors.seek();
        assert_eq!((teller.sought(), teller.spared().len()), (1, 1));
        assert!(tokio::time::timeout(Duration::ZERO, neighbors.next()).await.is_err());
        let later = tokio::join!(neighbors.next(), async { teller.tell(seen("192.0.2.2")) }).0;
        assert_eq!(later.unwrap(), seen("192.0.2.2"));
        teller.fail_once("no more");
        teller.tell(seen("192.0.2.3"));
        assert_eq!(neighbors.next().await.unwrap(), seen("192.0.2.3"));
        assert_eq!(neighbors.next().await.unwrap_err().to_string(), "no more");
        assert_eq!((neighbors.counts().heard, neighbors.counts().unknown), (2, 1));
    }
}
