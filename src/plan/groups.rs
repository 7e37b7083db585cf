//! Frames that no rule of a bridge sees: those to 01:80:c2:00:00:0e, the group of the nearest bridge (LLDP).
//!
//! A bridge gives them to this host past every hook, as coming from the port itself, and learns from them: a guest can steal a
//! MAC by them, and reach what this host listens to on its ports. Told to forward them, it takes them through prerouting
//! first, where the guard drops them.

use super::hooks::Bridges;
use crate::net::Shown;

/// A bridge and what it does with groups of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Bit X: frames to 01:80:c2:00:00:0X are forwarded like any other (IFLA_BR_GROUP_FWD_MASK).
    pub group_forward_mask: u16,
}

/// Of the last octet 0e.
const NEAREST_BRIDGE: u16 = 1 << 0xe;

/// What to tell people about the bridges that are protected, a line for each.
pub fn notes<'b>(bridges: &'b [Bridge], protected: &Bridges) -> impl Iterator<Item = String> {
    let is_protected = move |bridge: &&'b Bridge| match protected {
        Bridges::All => true,
        Bridges::These(names) => names.iter().any(|name| name.as_str() == bridge.name),
    };
    let unseen = bridges.iter().filter(is_protected).filter(|bridge| bridge.group_forward_mask & NEAREST_BRIDGE == 0);
    unseen.map(|bridge| {
        let name = Shown(&bridge.name);
        let mask = bridge.group_forward_mask | NEAREST_BRIDGE;
        format!(
            "bridge {name} gives frames to 01:80:c2:00:00:0e to this host before any rule sees them, and learns from them; \
             have them checked with: ip link set {name} type bridge group_fwd_mask {mask:#x}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_that_forwards_them_needs_no_note_and_others_keep_their_mask() {
        let bridge = |name: &str, mask| Bridge { name: name.to_owned(), group_forward_mask: mask };
        let bridges = [bridge("br0", 0), bridge("br1", 0x4000), bridge("br2", 8)];
        let notes: Vec<_> = notes(&bridges, &Bridges::All).collect();
        assert_eq!(notes.len(), 2);
        assert!(notes[0].starts_with("bridge br0 ") && notes[0].ends_with("type bridge group_fwd_mask 0x4000"));
        assert!(notes[1].ends_with("br2 type bridge group_fwd_mask 0x4008"), "{}", notes[1]);
        let these = Bridges::These(vec!["br1".parse().unwrap()]);
        assert_eq!(super::notes(&bridges, &these).count(), 0);
    }
}
