//! One packet: from the tap that it came in by to the answer that is sent and the verdict that it gets.

use super::metrics::Metrics;
use super::rate::{Limit, Measured, QUIET, Used};
use crate::daemon::schedule::Moment;
use crate::netlink::nfqueue::{Packet, Verdict};
use crate::plan::responder::rules::Traffic;
use crate::plan::responder::{Client, Decision, Declined, Settings, dhcp4, dhcp6, neighbor, router};
use crate::sink::packet_socket::PacketSocket;
use crate::source::bindings::Store;
use rustc_hash::FxHashMap;
use rustix::io::Errno;
use std::time::Instant;
use tracing::{debug, warn};

/// Where packets are answered: all that it takes besides the packet.
pub struct Desk {
    /// Who is behind which tap.
    pub store: Store,
    /// What is configured.
    pub settings: Settings,
    /// How many packets of a tap are looked at.
    pub limit: Limit,
    /// Which queue is for what.
    pub queues: Vec<(Traffic, u16)>,
    /// What is counted.
    pub metrics: Metrics,
    began: Instant,
    used: FxHashMap<u32, Used>,
    declined: Declined,
    out: PacketSocket,
    quiet_until: Moment,
}

impl Desk {
    /// Moments are counted from `began`.
    pub fn new(
        store: Store,
        settings: Settings,
        queues: Vec<(Traffic, u16)>,
        out: PacketSocket,
        began: Instant,
    ) -> Self {
        Self {
            store,
            settings,
            limit: Limit::default(),
            queues,
            metrics: Metrics::default(),
            began,
            used: FxHashMap::default(),
            declined: Declined::default(),
            out,
            quiet_until: Moment::ZERO,
        }
    }

    /// Answers a packet, and says what becomes of it. What has no binding is not our business.
    pub fn decide(&mut self, packet: &Packet) -> Verdict {
        let Some((kind, _)) = self.queues.iter().copied().find(|(_, queue)| *queue == packet.queue) else {
            return Verdict::Accept;
        };
        self.metrics.received(kind);
        let tap = packet.port();
        if self.store.bound(tap).is_none() {
            self.metrics.passed(kind, "no binding");
            return Verdict::Accept;
        }
        let now = Instant::now();
        if !self.is_within_limit(tap, kind, now) {
            self.metrics.over(kind);
            return Verdict::Drop;
        }
        match self.answer(packet, kind, now) {
            Decision::Reply { frame, what } => {
                let frame = tagged(frame, packet.tag);
                if self.send(tap, &frame) {
                    self.metrics.answered(kind, what, now.elapsed().as_secs_f64());
                    debug!("{}: {}: {what}", self.name(tap), kind.word());
                }
                Verdict::Drop
            }
            Decision::Silence(reason) => {
                self.metrics.dropped(kind, reason);
                debug!("{}: {}: no answer: {reason}", self.name(tap), kind.word());
                Verdict::Drop
            }
            Decision::Pass(reason) => {
                self.metrics.passed(kind, reason);
                debug!("{}: {}: let through: {reason}", self.name(tap), kind.word());
                Verdict::Accept
            }
        }
    }

    fn is_within_limit(&mut self, tap: u32, kind: Traffic, now: Instant) -> bool {
        let moment = now.saturating_duration_since(self.began);
        match self.used.entry(tap).or_default().measure(kind, self.limit, moment) {
            Measured::Within => return true,
            Measured::Over => {}
            Measured::OverSay(over) => {
                warn!("{}: over the rate limit, {over} packets dropped, the last one {}", self.name(tap), kind.word());
            }
        }
        false
    }

    fn answer(&mut self, packet: &Packet, kind: Traffic, now: Instant) -> Decision {
        let tap = packet.port();
        let Some(client) = self.store.client(tap) else { return Decision::Silence("no MAC to answer from") };
        let Some(source) = packet.source else { return Decision::Silence("no Ethernet source") };
        if packet.is_cut {
            return Decision::Silence("far too long");
        }
        let (payload, settings) = (packet.payload, &self.settings);
        match kind {
            Traffic::Dhcp4 => dhcp4::answer(payload, source, &client, settings, &mut self.declined, now),
            Traffic::RouterSolicitations => router::answer(payload, source, &client, settings),
            Traffic::NeighborSolicitations => {
                let bound_elsewhere = |address| self.store.is_bound_elsewhere(address, tap);
                neighbor::answer(payload, source, &client, settings, &bound_elsewhere)
            }
            Traffic::Dhcp6 => dhcp6::answer(payload, source, &client, settings, &mut self.declined, now),
        }
    }

    /// Whether the frame is on its way.
    fn send(&mut self, tap: u32, frame: &[u8]) -> bool {
        let Err(error) = self.out.send(tap, frame) else { return true };
        self.metrics.unsent(error);
        let words = crate::error::in_words(&error.into());
        let now = self.began.elapsed();
        match error {
            // A tap that goes, or its guest: no news.
            Errno::NXIO | Errno::NODEV | Errno::NETDOWN => debug!("{}: not sent: {words}", self.name(tap)),
            _ if now < self.quiet_until => {}
            _ => {
                self.quiet_until = now + QUIET;
                warn!("{}: an answer could not be sent: {words}", self.name(tap));
            }
        }
        false
    }

    /// Tells the guest what router it has, unless it has none.
    pub fn advertise(&mut self, tap: u32) {
        let client = self.store.client(tap);
        if let Some(frame) = client.and_then(|client| router::advertisement(&client, &self.settings))
            && self.send(tap, &frame)
        {
            self.metrics.advertised.inc();
        }
    }

    /// Tells the guest behind a tap that the router which it had is none any more.
    pub fn say_goodbye(&mut self, tap: u32, before: &Client) {
        if let Some(frame) = router::goodbye(before, &self.settings) {
            self.send(tap, &frame);
        }
    }

    /// A tap has no binding any more.
    pub fn forget(&mut self, tap: u32) {
        self.used.remove(&tap);
    }

    /// What a tap is called, for people.
    pub fn name(&self, tap: u32) -> String {
        self.store.links().get(tap).map_or_else(|| format!("interface {tap}"), |link| link.name.to_string())
    }
}

/// The frame with the VLAN tag that the kernel took off the question.
fn tagged(mut frame: Vec<u8>, tag: Option<(u16, u16)>) -> Vec<u8> {
    if let Some((protocol, control)) = tag
        && frame.len() >= 12
    {
        let [a, b] = protocol.to_be_bytes();
        let [c, d] = control.to_be_bytes();
        frame.splice(12..12, [a, b, c, d]);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_the_question_is_the_answers() {
        let frame: Vec<u8> = (0..20).collect();
        assert_eq!(tagged(frame.clone(), None), frame);
        let answer = tagged(frame.clone(), Some((0x8100, 0x2005)));
        assert_eq!(
            (&answer[..12], &answer[12..16], &answer[16..]),
            (&frame[..12], &[0x81, 0, 0x20, 5][..], &frame[12..])
        );
        assert_eq!(tagged(vec![1], Some((0, 0))), [1]);
    }
}
