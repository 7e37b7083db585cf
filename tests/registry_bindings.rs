//! The registry follows binding files (`instances-nfdhcpd --registry`), beside everybody else who writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Sandbox;
use instances::plan::responder::binding::{Binding, Options};
use instances::plan::responder::instance;
use instances::registry::Bound;
use instances::registry::bound::{self, Followed, Origin};
use instances::registry::paths::Paths;
use serde_json::Value;

const A: &str = "02:00:00:00:00:0a";
const B: &str = "02:00:00:00:00:0b";

/// A binding with these keys, as its file has them.
fn bound(tap: &str, mac: &str, keys: &[(&str, &str)]) -> Bound {
    let value = |wanted: &str| keys.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
    let binding = Binding {
        indev: None,
        mac: mac.parse().unwrap(),
        hostname: value("HOSTNAME").map(|text| text.parse().unwrap()),
        ip: value("IP").map(|text| text.parse().unwrap()),
        subnet: None,
        gateway: None,
        ip6: value("IP6").map(|text| text.parse().unwrap()),
        eui64: value("EUI64").map(|text| text.parse().unwrap()),
        subnet6: None,
        gateway6: None,
        prefix6: value("PREFIX6").map(|text| text.parse().unwrap()),
        private: false,
        mac_spoof: false,
        mtu: None,
        own: Options::default(),
    };
    instance::of(tap.parse().unwrap(), &binding)
}

struct Registry(Sandbox);

impl Registry {
    fn new() -> Self {
        Self(Sandbox::new())
    }

    fn try_follow(&self, bindings: &[Bound]) -> Followed {
        let base = self.0.folder().join("instances");
        bound::follow(&Paths::new(Some(base.into()), None).unwrap(), Origin::Binding, bindings).unwrap()
    }

    /// Follows without conflicts, then once more without a change; says whether there was one, which the flag says too.
    #[track_caller]
    fn follow(&self, bindings: &[Bound]) -> bool {
        self.0.drop_flag();
        let followed = self.try_follow(bindings);
        assert_eq!((followed.conflicts.as_slice(), followed.changed), (&[][..], self.0.drop_flag()));
        assert_eq!(self.try_follow(bindings), Followed::default(), "twice is once");
        assert!(!self.0.has(".updated"));
        followed.changed
    }

    /// The instance without its record.
    fn get(&self, mac: &str) -> Option<Value> {
        let all: Value = serde_json::from_str(&self.0.registry()).unwrap();
        let mut instance = all.get(mac)?.clone();
        instance.as_object_mut().unwrap().remove("binding");
        Some(instance)
    }

    #[track_caller]
    fn has(&self, mac: &str, json: &str) {
        assert_eq!(self.get(mac).unwrap(), serde_json::from_str::<Value>(json).unwrap());
    }

    fn update(&self, arguments: &[&str]) {
        assert_eq!(self.0.update(arguments).status, Some(0), "{arguments:?}");
    }
}

fn web() -> Bound {
    let keys = [("HOSTNAME", "web.example.com"), ("IP", "10.0.0.1"), ("EUI64", "2a00:1450::a"), ("IP6", "fd00::1")];
    bound("tap0", A, &keys)
}

#[test]
fn a_binding_is_an_instance_for_as_long_as_it_is_there() {
    let registry = Registry::new();
    assert!(!registry.follow(&[]));
    assert!(!registry.0.has(".json"), "nothing to say, nothing written");
    assert!(registry.follow(&[web(), bound("tap1", B, &[])]));
    registry.has(
        A,
        r#"{"name": "web", "ipv4": "10.0.0.1", "ipv6_ula": "fd00::1", "ipv6_gua": "2a00:1450::a",
            "ipv6_lla": "fe80::ff:fe00:a", "port": "tap0"}"#,
    );
    registry.has(B, r#"{"ipv6_lla": "fe80::ff:fe00:b", "port": "tap1"}"#);
    assert!(registry.follow(&[web()]));
    assert_eq!(registry.get(B), None);
    assert!(registry.follow(&[]));
    assert_eq!(registry.0.registry(), "{}\n");
}

#[test]
fn what_no_field_takes_is_allowed_and_so_is_a_delegated_prefix() {
    let registry = Registry::new();
    let keys = [("IP6", "fd00::1"), ("EUI64", "fd00::a"), ("PREFIX6", "fd01::/56")];
    registry.follow(&[bound("tap0", A, &keys), bound("tap1", B, &[("EUI64", "2001:db8::b")])]);
    registry.has(
        A,
        r#"{"ipv6_ula": "fd00::1", "ipv6_lla": "fe80::ff:fe00:a", "allowed": ["fd00::a/128", "fd01::/56"], "port": "tap0"}"#,
    );
    registry.has(B, r#"{"ipv6_lla": "fe80::ff:fe00:b", "allowed": ["2001:db8::b/128"], "port": "tap1"}"#);
}

#[test]
fn a_changed_binding_changes_what_it_said_and_nothing_else() {
    let registry = Registry::new();
    registry.follow(&[web()]);
    registry.update(&["--allow", A, "10.9.0.0/24"]);
    let keys = [("HOSTNAME", "www"), ("IP", "10.0.0.2"), ("PREFIX6", "fd01::/56")];
    assert!(registry.follow(&[bound("tap7", A, &keys)]));
    registry.has(
        A,
        r#"{"name": "www", "ipv4": "10.0.0.2", "ipv6_lla": "fe80::ff:fe00:a", "port": "tap7",
            "allowed": ["10.9.0.0/24", "fd01::/56"]}"#,
    );
    assert!(registry.follow(&[bound("tap7", A, &[("IP", "10.0.0.2")])]));
    registry.has(
        A,
        r#"{"name": "www", "ipv4": "10.0.0.2", "ipv6_lla": "fe80::ff:fe00:a", "port": "tap7", "allowed": ["10.9.0.0/24"]}"#,
    );
}

#[test]
fn what_others_changed_stays_when_the_binding_goes() {
    let changes: [&[&str]; 4] = [
        &["--rename", A, "other"],
        &["--allow", A, "10.9.0.0/24"],
        &["--port", A, "tap9"],
        &["add", A, "10.0.0.9", "web"],
    ];
    for change in changes {
        let registry = Registry::new();
        registry.follow(&[web()]);
        registry.update(change);
        let changed = registry.get(A);
        let followed = registry.try_follow(&[]);
        assert!(followed.changed && followed.conflicts.len() == 1, "{followed:?}");
        assert!(followed.conflicts[0].starts_with(A), "{followed:?}");
        assert_eq!(registry.get(A), changed, "{change:?}");
        // It is theirs now.
        assert_eq!(registry.try_follow(&[]), Followed::default());
    }
}

#[test]
fn what_others_took_away_is_no_reason_to_stay() {
    let registry = Registry::new();
    registry.follow(&[web()]);
    registry.update(&["add", B, "10.0.0.1", "thief"]);
    registry.update(&["--no-port", A]);
    assert_eq!(registry.get(A).unwrap().get("ipv4"), None);
    registry.follow(&[]);
    assert_eq!(registry.get(A), None);
    assert!(registry.get(B).is_some());
}

#[test]
fn who_was_there_before_gets_addresses_and_port_and_stays() {
    let registry = Registry::new();
    registry.update(&["add", A, "10.0.0.9", "mine"]);
    registry.follow(&[web()]);
    let expected = r#"{"name": "mine", "ipv6_lla": "fe80::ff:fe00:a", "ipv4": "10.0.0.1", "ipv6_gua": "2a00:1450::a",
        "ipv6_ula": "fd00::1", "port": "tap0"}"#;
    registry.has(A, expected);
    assert!(!registry.follow(&[]));
    registry.has(A, expected);
}

#[test]
fn a_name_that_another_has_is_not_taken_until_it_is_free() {
    let registry = Registry::new();
    registry.update(&["add", B, "10.0.0.2", "WEB"]);
    registry.follow(&[web()]);
    assert_eq!(registry.get(A).unwrap().get("name"), None);
    registry.update(&["--rename", B, "db"]);
    assert!(registry.follow(&[web()]));
    assert_eq!(registry.get(A).unwrap()["name"], "web");
    // And one that an admin has given stays.
    registry.update(&["--rename", A, "www"]);
    assert!(!registry.follow(&[web()]));
    assert_eq!(registry.get(A).unwrap()["name"], "www");
}

#[test]
fn an_address_is_whose_binding_has_it() {
    let registry = Registry::new();
    registry.update(&["add", B, "10.0.0.1", "leased"]);
    registry.follow(&[web()]);
    assert_eq!(registry.get(B).unwrap().get("ipv4"), None);
    // It moves to another instance within one change.
    registry.follow(&[bound("tap5", "02:00:00:00:00:0c", &[("IP", "10.0.0.1")])]);
    assert_eq!(registry.get(A), None);
    assert_eq!(registry.get("02:00:00:00:00:0c").unwrap()["ipv4"], "10.0.0.1");
}

#[test]
fn of_two_bindings_that_cannot_both_be_right_the_first_tap_wins_every_time() {
    let registry = Registry::new();
    let both = [bound("tap2", B, &[("IP", "10.0.0.1")]), web(), bound("tap9", A, &[("IP", "10.0.0.3")])];
    let expected = [
        "tap2: 10.0.0.1 is bound to tap0 already: not registered".to_owned(),
        format!("tap9: {A} is bound to tap0 already: not registered"),
    ];
    for changed in [true, false] {
        let followed = registry.try_follow(&both);
        assert_eq!((followed.conflicts.as_slice(), followed.changed), (&expected[..], changed));
        assert_eq!(registry.get(A).unwrap()["ipv4"], "10.0.0.1");
        assert_eq!(registry.get(B).unwrap().get("ipv4"), None);
    }
}

#[test]
fn a_registry_that_cannot_be_read_is_left_as_it_is() {
    let registry = Registry(Sandbox::with_registry("{"));
    let base = registry.0.folder().join("instances");
    let refused = bound::follow(&Paths::new(Some(base.into()), None).unwrap(), Origin::Binding, &[web()]).unwrap_err();
    assert!(refused.to_string().contains("instances.json:1:"), "{refused}");
    assert_eq!(registry.0.registry(), "{");
}

#[test]
fn the_guard_binds_what_was_bound() {
    let registry = Registry::new();
    registry.follow(&[web()]);
    let ended = registry.0.process(&["-f", "--emit", "--guard", "strict", "--layout", "rules"]);
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    let chains = registry.0.read(".nftables_chains");
    for wanted in [format!("iifname \"tap0\" ether saddr {A}"), "0x0a000001".to_owned()] {
        assert!(chains.contains(&wanted), "{wanted}: {chains}");
    }
    assert!(registry.0.read(".hosts").contains("10.0.0.1 web."), "{}", registry.0.read(".hosts"));
}
