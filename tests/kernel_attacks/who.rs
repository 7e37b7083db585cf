//! Who is who in the lab, and what is true about them.

use instances::net::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A machine on the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    pub name: &'static str,
    /// The bridge's port that leads to it.
    pub port: &'static str,
    pub mac: Mac,
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
    /// Link-local, from the MAC by modified EUI-64.
    pub lla: Ipv6Addr,
}

const fn who(name: &'static str, port: &'static str, number: u8) -> Who {
    let last = number as u16;
    Who {
        name,
        port,
        mac: Mac([2, 0, 0, 0, 0, number]),
        v4: Ipv4Addr::new(10, 0, 0, number),
        v6: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last),
        lla: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, last),
    }
}

/// A registered instance that lies.
pub const ATTACKER: Who = who("attacker", "p-attacker", 0x0a);
/// A registered instance that is lied to.
pub const VICTIM: Who = who("victim", "p-victim", 0x0b);
/// A registered instance that is lied about.
pub const NEIGHBOUR: Who = who("neighbour", "p-neighbour", 0x0c);
/// Registered, without any address.
pub const NEWCOMER: Who = who("newcomer", "p-newcomer", 0x0e);
/// Not registered, behind a port of its own.
pub const STRANGER: Who = who("stranger", "p-stranger", 0x0f);
/// Router and DHCP server on the trusted uplink.
pub const ROUTER: Who = who("router", "uplink", 0x01);
/// The host itself, with its addresses on the bridge.
pub const HOST: Who = who("host", "br0", 0x02);

/// A MAC of nobody.
pub const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0x66]);
/// A virtual router (VRRP, RFC 9568, section 7.3) with virtual router id 7, a registered instance behind NEIGHBOUR's port.
pub const VIRTUAL_ROUTER: Mac = Mac([0, 0, 0x5e, 0, 1, 7]);
/// The virtual router's address; NEIGHBOUR may use it, too.
pub const VIRTUAL_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
/// A single address that is `allowed` to NEIGHBOUR.
pub const ALLOWED_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 5);
/// In a prefix that is `allowed` to NEIGHBOUR.
pub const PREFIX_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 6, 7);
pub const ALLOWED_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 5, 0, 0, 0, 0, 0, 5);
pub const PREFIX_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 6, 0, 0, 0, 0, 0, 7);

pub const ALL: [Who; 7] = [ATTACKER, VICTIM, NEIGHBOUR, NEWCOMER, STRANGER, ROUTER, HOST];

impl Who {
    pub fn addresses(&self) -> [IpAddr; 3] {
        [self.v4.into(), self.v6.into(), self.lla.into()]
    }
}

/// Whether this address is at this MAC.
pub fn is_true(address: IpAddr, mac: Mac) -> bool {
    let of_neighbour: [IpAddr; 5] =
        [VIRTUAL_V4.into(), ALLOWED_V4.into(), PREFIX_V4.into(), ALLOWED_V6.into(), PREFIX_V6.into()];
    ALL.iter().any(|who| who.mac == mac && who.addresses().contains(&address))
        || mac == NEIGHBOUR.mac && of_neighbour.contains(&address)
        || mac == VIRTUAL_ROUTER && address == VIRTUAL_V4
}

/// The registry. With `ports`, every instance is bound to its port too.
pub fn registry(ports: bool) -> String {
    let port = |who: &Who| if ports { format!(r#", "port": "{}""#, who.port) } else { String::new() };
    let instance = |who: &Who| {
        let Who { name, mac, v4, v6, lla, .. } = who;
        format!(r#""{mac}": {{"name": "{name}", "ipv4": "{v4}", "ipv6_ula": "{v6}", "ipv6_lla": "{lla}""#)
    };
    let allowed =
        format!(r#", "allowed": ["{VIRTUAL_V4}", "{ALLOWED_V4}", "10.0.6.0/24", "{ALLOWED_V6}", "fd00:6::/64"]"#);
    let mut lines: Vec<_> = [ATTACKER, VICTIM].iter().map(|who| format!("{}{}}}", instance(who), port(who))).collect();
    lines.push(format!("{}{allowed}{}}}", instance(&NEIGHBOUR), port(&NEIGHBOUR)));
    // The virtual router speaks from the master's address, or answers for its own.
    lines.push(format!(
        r#""{VIRTUAL_ROUTER}": {{"allowed": ["{VIRTUAL_V4}", "{}"]{}}}"#,
        NEIGHBOUR.v4,
        port(&NEIGHBOUR)
    ));
    lines.push(format!(r#""{}": {{"name": "newcomer"{}}}"#, NEWCOMER.mac, port(&NEWCOMER)));
    format!("{{\n  {}\n}}\n", lines.join(",\n  "))
}
