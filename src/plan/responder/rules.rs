//! Which packets of guests go to which queue: the rules that bring them to the responder.
//!
//! The plan is a list of [`Redirect`]s; [`ruleset`] is the same for nf_tables. Where a tap is routed, rules see it as the
//! interface that packets come in by; where it is a port of a bridge, as the port.

use super::super::ruleset::{
    Chain, EtherType, Family, Field, Hook, HookPoint, Icmpv6, Identifier, Match, Rule, Ruleset, Statement, Table, Value,
};
use crate::net::IfName;
use std::fmt;
use std::str::FromStr;

/// What the rules depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The interfaces whose packets are redirected.
    pub taps: Vec<Taps>,
    /// What is redirected, and to which queue; what is not spoken is not in it.
    pub queues: Vec<(Traffic, u16)>,
    /// Whether packets pass while nobody listens to their queue. Otherwise they are dropped.
    pub bypass: bool,
}

/// An interface, or all whose names begin alike: `tap0`, `tap+`, `tap*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taps {
    name: IfName,
    is_start: bool,
}

/// What guests send that the responder answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// UDP over IPv4 to port 67.
    Dhcp4,
    /// ICMPv6 type 133.
    RouterSolicitations,
    /// ICMPv6 type 135.
    NeighborSolicitations,
    /// UDP over IPv6 to port 547.
    Dhcp6,
}

impl Traffic {
    /// All of it.
    pub const ALL: [Self; 4] = [Self::Dhcp4, Self::RouterSolicitations, Self::NeighborSolicitations, Self::Dhcp6];

    /// In a word, for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dhcp4 => "dhcp4",
            Self::RouterSolicitations => "rs",
            Self::NeighborSolicitations => "ns",
            Self::Dhcp6 => "dhcp6",
        }
    }

    /// The option that names its queue.
    pub fn queue_option(self) -> &'static str {
        match self {
            Self::Dhcp4 => "dhcp_queue",
            Self::RouterSolicitations => "rs_queue",
            Self::NeighborSolicitations => "ns_queue",
            Self::Dhcp6 => "dhcpv6_queue",
        }
    }

    /// Whether it comes over IPv6.
    pub fn is_ipv6(self) -> bool {
        self != Self::Dhcp4
    }
}

/// How a tap is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An interface of the host's own.
    Routed,
    /// A port of a bridge.
    Bridged,
}

/// One rule: this traffic from these taps goes to this queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// From where.
    pub taps: Taps,
    /// How they are connected.
    pub place: Place,
    /// What.
    pub traffic: Traffic,
    /// The queue's number.
    pub queue: u16,
    /// As [`Wishes::bypass`].
    pub bypass: bool,
}

/// The name of our tables in nf_tables, and of our chain in each.
pub const TABLE: &str = "instances_nfdhcpd";
const CHAIN: &str = "prerouting";
/// After the guard's (-200) and the kernel's defragmentation, at `mangle` of `ip` and `ip6`.
const HOOK: Hook = Hook { point: HookPoint::Prerouting, priority: -150 };

/// The rules, in order.
pub fn redirects(wishes: &Wishes) -> impl Iterator<Item = Redirect> {
    let places = [Place::Routed, Place::Bridged];
    let all = places.into_iter().flat_map(|place| wishes.taps.iter().map(move |taps| (place, *taps)));
    all.flat_map(|(place, taps)| {
        let bypass = wishes.bypass;
        wishes.queues.iter().map(move |&(traffic, queue)| Redirect { taps, place, traffic, queue, bypass })
    })
}

/// The rules as nf_tables has them, in tables of our own. Tables without rules have none of our chains.
pub fn ruleset(wishes: &Wishes) -> Ruleset<'static> {
    let table = |family| {
        let here = redirects(wishes).filter(|redirect| redirect.family() == family);
        let rules: Vec<_> = here.map(|redirect| redirect.rule()).collect();
        let mut table = Table { set_endings: &[], ..Table::named(family, Identifier::ours(TABLE)) };
        if rules.is_empty() {
            table.absent_chains.push((CHAIN, Some(HOOK)));
        } else {
            table.chains.push(Chain { name: CHAIN, meant_for: None, hook: Some(HOOK), rules });
        }
        table
    };
    Ruleset { tables: [Family::Bridge, Family::Ip, Family::Ip6].map(table).into() }
}

/// The tables without any rule.
pub fn nothing() -> Ruleset<'static> {
    ruleset(&Wishes { taps: Vec::new(), queues: Vec::new(), bypass: false })
}

impl Redirect {
    /// The family of its table in nf_tables.
    fn family(&self) -> Family {
        match (self.place, self.traffic.is_ipv6()) {
            (Place::Bridged, _) => Family::Bridge,
            (Place::Routed, false) => Family::Ip,
            (Place::Routed, true) => Family::Ip6,
        }
    }

    fn rule(&self) -> Rule<'static> {
        let name = self.taps.name;
        let from = if self.taps.is_start { Value::Interfaces(name) } else { Value::Interface(name) };
        let of_type = |ether_type| Some(Match::equal(Field::EtherType, Value::EtherType(ether_type)));
        let is_bridged = self.place == Place::Bridged;
        // nft compares the ether type itself in front of an ICMPv6 type on a bridge.
        let ether_type = match self.traffic {
            Traffic::Dhcp4 if is_bridged => of_type(EtherType::Ip),
            Traffic::Dhcp6 if is_bridged => of_type(EtherType::Ip6),
            _ => None,
        };
        let udp = |port| Match::equal(Field::UdpTarget, Value::Port(port));
        let icmpv6_type = if is_bridged { Field::Icmpv6Type } else { Field::RoutedIcmpv6Type };
        let icmpv6 = |message| Match::equal(icmpv6_type, Value::Icmpv6(message));
        let what = match self.traffic {
            Traffic::Dhcp4 => udp(67),
            Traffic::Dhcp6 => udp(547),
            Traffic::RouterSolicitations => icmpv6(Icmpv6::RouterSolicitation),
            Traffic::NeighborSolicitations => icmpv6(Icmpv6::NeighborSolicitation),
        };
        let matches = [Some(Match::equal(Field::InputPort, from)), ether_type, Some(what)].into_iter().flatten();
        let queue = Statement::Queue { number: self.queue, bypass: self.bypass };
        Rule::of(matches.map(Statement::Match).chain([queue]))
    }
}

impl Taps {
    /// `tap+`.
    pub const ALL_TAPS: Self = Self { name: IfName::TAP, is_start: true };

    /// Longest start of a name: one octet is needed for what follows, and one for the NUL at the end.
    const LONGEST_START: usize = IfName::SIZE - 2;

    /// As iptables and ferm spell it: `tap0`, `tap+`.
    pub fn as_iptables(&self) -> String {
        format!("{}{}", self.name, if self.is_start { "+" } else { "" })
    }

    /// Whether an interface of this name is meant.
    pub fn has(&self, interface: &IfName) -> bool {
        let name = interface.as_str();
        if self.is_start { name.starts_with(self.name.as_str()) } else { *interface == self.name }
    }
}

impl fmt::Display for Taps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_iptables())
    }
}

impl FromStr for Taps {
    type Err = String;

    /// Rules are written by people, too, and into scripts: no names that would need quotes there, and no pattern that takes
    /// the uplink in.
    fn from_str(text: &str) -> Result<Self, String> {
        let start = text.strip_suffix(['+', '*']);
        let name = start.unwrap_or(text);
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@');
        let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let fits = start.is_none_or(|start| start.len() <= Self::LONGEST_START);
        match name.parse() {
            Ok(name) if starts_well && fits => {
                let is_start = start.is_some();
                let has_only_legal = IfName::as_str(&name).bytes().all(legal);
                has_only_legal.then_some(Self { name, is_start }).ok_or_else(wrong_taps)
            }
            _ => Err(wrong_taps()),
        }
    }
}

fn wrong_taps() -> String {
    "the name of an interface, of letters, digits and _ . - @, or how names begin and a + (tap+)".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::nft_text::RuleText;

    fn lines(taps: &[&str], queues: &[(Traffic, u16)], bypass: bool) -> Vec<String> {
        let taps = taps.iter().map(|taps| taps.parse().unwrap()).collect();
        let ruleset = ruleset(&Wishes { taps, queues: queues.to_vec(), bypass });
        let of_table = |table: &Table| {
            let family = table.family.to_string();
            let rules: Vec<_> = table
                .chains
                .iter()
                .flat_map(|chain| &chain.rules)
                .map(|it| format!("{family}: {}", RuleText(it)))
                .collect();
            rules
        };
        ruleset.tables.iter().flat_map(of_table).collect()
    }

    #[test]
    fn each_place_and_protocol_has_a_rule() {
        let all = [
            (Traffic::Dhcp4, 42),
            (Traffic::RouterSolicitations, 43),
            (Traffic::NeighborSolicitations, 44),
            (Traffic::Dhcp6, 45),
        ];
        let expected = [
            "bridge: iifname \"tap*\" ether type ip udp dport 67 queue num 42",
            "bridge: iifname \"tap*\" icmpv6 type nd-router-solicit queue num 43",
            "bridge: iifname \"tap*\" icmpv6 type nd-neighbor-solicit queue num 44",
            "bridge: iifname \"tap*\" ether type ip6 udp dport 547 queue num 45",
            "ip: iifname \"tap*\" udp dport 67 queue num 42",
            "ip6: iifname \"tap*\" icmpv6 type nd-router-solicit queue num 43",
            "ip6: iifname \"tap*\" icmpv6 type nd-neighbor-solicit queue num 44",
            "ip6: iifname \"tap*\" udp dport 547 queue num 45",
        ];
        assert_eq!(lines(&["tap+"], &all, false), expected);
    }

    #[test]
    fn what_is_not_spoken_is_not_redirected_and_names_may_be_whole() {
        let expected = [
            "bridge: iifname \"vnet0\" ether type ip udp dport 67 queue num 7 bypass",
            "bridge: iifname \"gnt.com*\" ether type ip udp dport 67 queue num 7 bypass",
            "ip: iifname \"vnet0\" udp dport 67 queue num 7 bypass",
            "ip: iifname \"gnt.com*\" udp dport 67 queue num 7 bypass",
        ];
        assert_eq!(lines(&["vnet0", "gnt.com*"], &[(Traffic::Dhcp4, 7)], true), expected);
    }

    #[test]
    fn patterns_are_names_or_their_starts() {
        for (text, has, has_not) in [("tap+", "tap0", "eth0"), ("tap*", "tap", "ta"), ("tap0", "tap0", "tap01")] {
            let taps: Taps = text.parse().unwrap();
            assert!(taps.has(&has.parse().unwrap()) && !taps.has(&has_not.parse().unwrap()), "{text}");
        }
        let wrong =
            ["", "+", "*", "-i+", "t p", "tap;x", "$x+", "a+b", "a123456789012345", "a12345678901234+", "tap++"];
        for text in wrong {
            assert!(text.parse::<Taps>().is_err(), "{text:?}");
        }
    }
}
