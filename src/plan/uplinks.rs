//! Uplinks that nobody trusts, which `--hook` refuses to protect by mistake.
//!
//! Behind an uplink are routers and other hosts that no lease knows. In force, the protections drop what these announce
//! about themselves: guests and host lose their gateway, and who works over ssh loses the host. So each must be named with
//! `--trusted-port`, or `--trusted-port none` says that it is meant.
//!
//! Limits: a port is taken for an uplink by its kind. A veth pair or a tap to a router looks like a guest. A guest by
//! SR-IOV (a port representor has no kind, as any hardware) looks like an uplink.

use super::hooks::Bridges;
use crate::error::Error;
use crate::net::{IfName, Shown};

/// An interface that belongs to a bridge. Names are as the kernel has them, which may be none that we would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgePort {
    /// Its name.
    pub name: String,
    /// The bridge's name.
    pub bridge: String,
    /// What `ip link` calls its type: `veth`, `tun` (taps too), `vxlan`, `bond`, ...; hardware has none.
    pub kind: Option<String>,
}

/// Kinds of ports behind which guests are.
const GUESTS: [&str; 2] = ["veth", "tun"];

/// Ports that a message describes at most; the remedy names all.
const DESCRIBED: usize = 3;

/// The ports of these bridges that look like uplinks and are not trusted, in order.
pub fn untrusted<'a>(ports: &'a [BridgePort], bridges: &Bridges, trusted: &[IfName]) -> Vec<&'a BridgePort> {
    let is_protected = |port: &BridgePort| match bridges {
        Bridges::All => true,
        Bridges::These(names) => names.iter().any(|name| name.as_str() == port.bridge),
    };
    let is_for_guests = |port: &BridgePort| port.kind.as_ref().is_some_and(|kind| GUESTS.contains(&kind.as_str()));
    let is_trusted = |port: &BridgePort| trusted.iter().any(|name| name.as_str() == port.name);
    ports.iter().filter(|port| is_protected(port) && !is_for_guests(port) && !is_trusted(port)).collect()
}

/// Why these bridges are not put under protection, and what to say instead; nothing if all is well.
pub fn refusal(ports: &[BridgePort], bridges: &Bridges, trusted: &[IfName]) -> Option<Error> {
    let untrusted = untrusted(ports, bridges, trusted);
    let described = |port: &&BridgePort| {
        let kind = port.kind.as_deref().unwrap_or("hardware");
        format!("bridge {} has the port {} ({})", Shown(&port.bridge), Shown(&port.name), Shown(kind))
    };
    let mut which: Vec<_> = untrusted.iter().take(DESCRIBED).map(described).collect();
    let more = untrusted.len().saturating_sub(DESCRIBED);
    if more > 0 {
        which.push(format!("there are {more} more"));
    }
    let like = match untrusted.len() {
        0 => return None,
        1 => "it looks like an uplink, and --trusted-port does not name it",
        _ => "they look like uplinks, and --trusted-port does not name them",
    };
    let message = format!("{}: {like}", which.join(", "));
    let names = trusted.iter().map(ToString::to_string);
    let names: Vec<_> = names.chain(untrusted.iter().map(|port| Shown(&port.name).to_string())).collect();
    let remedy = format!(
        "let pass what comes in there with --trusted-port {}, or have it checked too with --trusted-port none",
        names.join(",")
    );
    Some(Error::new(message).remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Vec<BridgePort> {
        [
            ("br0", "eth0", None),
            ("br0", "tap100i0", Some("tun")),
            ("br0", "veth1", Some("veth")),
            ("br1", "vxlan5", Some("vxlan")),
            ("br1", "bond0.7", Some("vlan")),
            ("br1", "veth2", Some("veth")),
        ]
        .map(|(bridge, name, kind)| BridgePort {
            name: name.to_owned(),
            bridge: bridge.to_owned(),
            kind: kind.map(str::to_owned),
        })
        .into()
    }

    fn names(names: &[&str]) -> Vec<IfName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn these(bridges: &[&str]) -> Bridges {
        Bridges::These(names(bridges))
    }

    fn message(bridges: &Bridges, trusted: &[&str]) -> Option<String> {
        refusal(&ports(), bridges, &names(trusted)).map(|error| error.to_string())
    }

    #[test]
    fn what_is_neither_veth_nor_tap_nor_trusted_is_an_untrusted_uplink() {
        let found = |bridges: &Bridges, trusted: &[&str]| {
            let ports = ports();
            let untrusted = untrusted(&ports, bridges, &names(trusted));
            untrusted.iter().map(|port| port.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(&Bridges::All, &[]), ["eth0", "vxlan5", "bond0.7"]);
        assert_eq!(found(&Bridges::All, &["eth0", "bond0.7"]), ["vxlan5"]);
        assert_eq!(found(&these(&["br0"]), &[]), ["eth0"]);
        assert_eq!(found(&these(&["br0", "br1"]), &["eth0", "veth1"]), ["vxlan5", "bond0.7"]);
        assert_eq!(found(&these(&["br0"]), &["eth0"]), [""; 0]);
        assert_eq!(found(&these(&["br2"]), &[]), [""; 0], "a bridge that is still to come has no ports");
        assert_eq!(found(&these(&["eth0"]), &[]), [""; 0], "a port is not a bridge");
    }

    #[test]
    fn a_refusal_names_bridge_port_kind_and_both_ways_out() {
        let expected = "bridge br0 has the port eth0 (hardware): it looks like an uplink, and --trusted-port does not \
                        name it; let pass what comes in there with --trusted-port eth0, or have it checked too with \
                        --trusted-port none";
        assert_eq!(message(&these(&["br0"]), &[]).unwrap(), expected);
        assert_eq!(message(&these(&["br0"]), &["eth0"]), None);
    }

    #[test]
    fn the_remedy_is_complete_whoever_is_trusted_already() {
        let message = message(&Bridges::All, &["eth0"]).unwrap();
        assert!(
            message.contains("bridge br1 has the port vxlan5 (vxlan), bridge br1 has the port bond0.7 (vlan): they")
        );
        assert!(message.contains("--trusted-port eth0,vxlan5,bond0.7,"), "{message}");
    }

    #[test]
    fn hostile_names_and_many_ports_make_one_clean_line() {
        let port =
            |n: usize| BridgePort { name: format!("a\n\u{1b}{n}"), bridge: "b\n".to_owned(), kind: Some("\0".into()) };
        let ports: Vec<_> = (0..5).map(port).collect();
        let message = refusal(&ports, &Bridges::All, &[]).unwrap().to_string();
        assert!(message.contains("there are 2 more") && !message.contains(char::is_control), "{message}");
    }
}
