//! Random registries and wishes.

use crate::dice::Dice;
use instances::net::Mac;
use instances::plan::guard::{Guard, Protection};
use instances::plan::hooks::Bridges;
use instances::plan::layout::Layout;
use instances::plan::policy::{Hooking, Wishes};

pub const MACS: [Mac; 5] = [mac(1), mac(2), mac(3), mac(4), mac(5)];
pub const V4: [&str; 7] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.1.0.7", "10.1.200.7", "192.0.2.1"];
pub const GLOBAL: [&str; 2] = ["2a00::1", "2a00::2"];
pub const UNIQUE_LOCAL: [&str; 3] = ["fd00::1", "fd00::2", "fd00::3"];
/// The first two are those that come of the first two MACs.
pub const LINK_LOCAL: [&str; 4] = ["fe80::ff:fe00:1", "fe80::ff:fe00:2", "fe80::1234", "febf::1"];
const ALLOWED: [&str; 10] = [
    "10.1.0.0/17",
    "10.0.0.3/32",
    "0.0.0.0/0",
    "10.0.0.0/30",
    "10.0.0.0/31",
    "fd07::/57",
    "fd00::3/128",
    "::/0",
    "fe80::/10",
    "2a00::/127",
];
/// Two ports of the bridge, and one that is not there.
const PORTS: [&str; 3] = ["webp", "dbp", "tap9"];

const fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// A registry as JSON.
pub fn registry(dice: &mut Dice) -> String {
    let count = dice.below(MACS.len() + 1);
    let instances: Vec<_> = MACS[..count].iter().map(|mac| format!("\"{mac}\": {{{}}}", fields(dice, *mac))).collect();
    format!("{{{}}}", instances.join(",\n "))
}

fn fields(dice: &mut Dice, mac: Mac) -> String {
    let mut fields = Vec::new();
    let mut add = |is_there: bool, field: &str, value: &str| {
        if is_there {
            fields.push(format!("\"{field}\": \"{value}\""));
        }
    };
    add(dice.percent(70), "name", &format!("guest-{}", mac.0[5]));
    add(dice.percent(75), "ipv4", dice.pick(&V4));
    add(dice.percent(40), "ipv6_gua", dice.pick(&GLOBAL));
    add(dice.percent(60), "ipv6_ula", dice.pick(&UNIQUE_LOCAL));
    add(dice.percent(40), "ipv6_lla", dice.pick(&LINK_LOCAL));
    add(dice.percent(40), "port", dice.pick(&PORTS));
    if dice.percent(40) {
        let allowed: Vec<_> = (0..=dice.below(3)).map(|_| format!("\"{}\"", dice.pick(&ALLOWED))).collect();
        fields.push(format!("\"allowed\": [{}]", allowed.join(", ")));
    }
    fields.join(", ")
}

/// What is wanted: strict, spec or any list, in both layouts, with one trusted port.
pub fn wishes(dice: &mut Dice, trusted_port: &str) -> Wishes {
    let guard = match dice.below(10) {
        0..4 => Guard::strict(),
        4..6 => Guard::SPEC,
        6 => [dice.pick(&Protection::ALL)].into_iter().collect(),
        _ => Protection::ALL.into_iter().filter(|_| dice.percent(50)).collect(),
    };
    Wishes {
        table: "instances".parse().unwrap(),
        guard,
        layout: dice.pick(&[Layout::Rules, Layout::Sets]),
        log: dice.percent(20),
        set_names: vec![],
        hook: Hooking::Protect { bridges: Bridges::All, trusted_ports: vec![trusted_port.parse().unwrap()] },
        sets_into: vec![],
    }
}
