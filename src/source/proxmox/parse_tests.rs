//! What is read from answers that nobody should give, and from all spellings that Proxmox has.

use super::*;
use crate::plan::guest::{By, Configured, Guest, Kind, Nic, State};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn read(kind: Kind, data: &Value) -> Read<Config> {
    config(kind, 117, json!({ "data": data }).to_string().as_bytes()).unwrap()
}

fn nics(kind: Kind, data: &Value) -> Vec<Nic> {
    let read = read(kind, data);
    assert_eq!(read.refused, [], "{data}");
    read.value.nics
}

fn refused(kind: Kind, data: &Value) -> (usize, Vec<String>) {
    let read = read(kind, data);
    (read.value.nics.len(), read.refused.iter().map(ToString::to_string).collect())
}

const MAC: Mac = Mac([0xbc, 0x24, 0x11, 0, 0, 0x64]);

fn nic() -> Nic {
    let (v4, v6) = (Configured::Unsaid, Configured::Unsaid);
    Nic { index: 0, mac: MAC, bridge: Some("vmbr0".to_owned()), tag: None, is_link_down: false, v4, v6 }
}

#[test]
fn every_spelling_of_a_virtual_machines_interface() {
    for (text, expected) in [
        ("virtio=BC:24:11:00:00:64,bridge=vmbr0", nic()),
        ("virtio=bc:24:11:00:00:64,bridge=vmbr0,firewall=1,queues=2,mtu=1,rate=12.5,trunks=2;3", nic()),
        ("bridge=vmbr0,e1000e=BC:24:11:00:00:64", nic()),
        ("model=virtio,macaddr=BC:24:11:00:00:64,bridge=vmbr0", nic()),
        ("virtio,macaddr=BC:24:11:00:00:64,bridge=vmbr0", nic()),
        ("a-model-of-later=BC:24:11:00:00:64, bridge=vmbr0", nic()),
        ("virtio=BC:24:11:00:00:64", Nic { bridge: None, ..nic() }),
        ("virtio=BC:24:11:00:00:64,bridge=", Nic { bridge: None, ..nic() }),
        (
            "virtio=BC:24:11:00:00:64,bridge=vmbr0,tag=20,link_down=1",
            Nic { tag: Some(20), is_link_down: true, ..nic() },
        ),
        ("virtio=BC:24:11:00:00:64,bridge=vmbr0,tag=4094,link_down=no", Nic { tag: Some(4094), ..nic() }),
    ] {
        assert_eq!(nics(Kind::Qemu, &json!({ "net0": text })), [expected], "{text}");
    }
}

#[test]
fn every_spelling_of_a_virtual_machines_addresses() {
    let v4 = Configured::Static("192.0.2.31".parse().unwrap());
    let v6 = Configured::Static("2001:db8::31".parse().unwrap());
    for (text, expected) in [
        ("ip=192.0.2.31/24,gw=192.0.2.1,ip6=2001:db8::31/64,gw6=2001:db8::1", (v4, v6)),
        ("ip6=2001:DB8:0::0:31/64", (Configured::Unsaid, v6)),
        ("gw=192.0.2.1,ip=192.0.2.31/24", (v4, Configured::Unsaid)),
        ("ip=dhcp,ip6=auto", (Configured::Dhcp, Configured::Auto)),
        ("ip6=dhcp", (Configured::Unsaid, Configured::Dhcp)),
        ("ip=manual,ip6=manual", (Configured::Manual, Configured::Manual)),
        ("", (Configured::Unsaid, Configured::Unsaid)),
    ] {
        let nics = nics(Kind::Qemu, &json!({ "net0": "virtio=BC:24:11:00:00:64,bridge=vmbr0", "ipconfig0": text }));
        assert_eq!((nics[0].v4, nics[0].v6), expected, "{text}");
    }
}

#[test]
fn every_spelling_of_a_containers_interface() {
    let (v4, v6) = (Configured::Static("192.0.2.20".parse().unwrap()), Configured::Auto);
    for (text, expected) in [
        (
            "name=eth0,bridge=vmbr0,firewall=1,gw=192.0.2.1,hwaddr=BC:24:11:00:00:64,ip=192.0.2.20/24,ip6=auto,type=veth",
            Nic { v4, v6, ..nic() },
        ),
        (
            "name=eth0,bridge=vmbr0,host-managed=1,hwaddr=BC:24:11:00:00:64,ip=dhcp",
            Nic { v4: Configured::Dhcp, ..nic() },
        ),
        (
            "hwaddr=bc:24:11:00:00:64,bridge=vmbr0,tag=20,ip=manual,link_down=1",
            Nic { tag: Some(20), v4: Configured::Manual, is_link_down: true, ..nic() },
        ),
    ] {
        // A container has no `ipconfigN`.
        assert_eq!(nics(Kind::Lxc, &json!({ "net0": text, "ipconfig0": "ip=10.0.0.1/8" })), [expected], "{text}");
    }
    let indexes = |data| nics(Kind::Lxc, &data).iter().map(|nic| nic.index).collect::<Vec<_>>();
    let net = "hwaddr=BC:24:11:00:00:64";
    assert_eq!(indexes(json!({ "net31": net, "net2": net, "net32": net, "net02": net, "net": net })), [2, 31]);
}

#[test]
fn what_makes_no_sense_is_named_and_costs_nothing_else() {
    let right = "virtio=BC:24:11:00:00:65,bridge=vmbr0";
    for (net0, why) in [
        (json!("virtio=BC:24:11:00:00:64,bridge=vmbr0,tag=4095"), "tag 4095 is no VLAN, 1 to 4094"),
        (json!("virtio=BC:24:11:00:00:64,tag="), "tag  is no VLAN, 1 to 4094"),
        (json!("virtio=BC:24:11:00:00:6G,bridge=vmbr0"), "BC:24:11:00:00:6G is no MAC address"),
        (json!("virtio=01:00:5E:00:00:01,bridge=vmbr0"), "01:00:5e:00:00:01 is the MAC address of a group"),
        (json!("virtio=00:00:00:00:00:00,bridge=vmbr0"), "00:00:00:00:00:00 is nobody's MAC address"),
        (json!("virtio,bridge=vmbr0"), "there is no MAC address in virtio,bridge=vmbr0"),
        (json!("\u{1b}[2J"), "there is no MAC address in \\u{1b}[2J"),
        (json!([1]), "it is no text"),
        (json!(null), "it is no text"),
    ] {
        let read = refused(Kind::Qemu, &json!({ "net0": net0, "net1": right }));
        assert_eq!(read, (1, vec![format!("guest 117: net0: {why}")]));
    }
    for (ipconfig, why) in [
        ("ip=192.0.2.300/24,ip6=auto", "ip: 192.0.2.300/24 is no address and no word for one"),
        ("ip=192.0.2.3/33", "ip: 192.0.2.3/33 is no address and no word for one"),
        ("ip=auto", "ip: auto is no address and no word for one"),
        ("ip=", "ip:  is no address and no word for one"),
        ("ip6=192.0.2.3/24", "ip6: 192.0.2.3/24 is no address and no word for one"),
    ] {
        let read = refused(Kind::Qemu, &json!({ "net1": right, "ipconfig1": ipconfig }));
        assert_eq!(read, (1, vec![format!("guest 117: ipconfig1: {why}")]));
    }
    let read = refused(Kind::Lxc, &json!({ "net0": "hwaddr=BC:24:11:00:00:64,ip=1/2" }));
    assert_eq!(read, (1, vec!["guest 117: net0: ip: 1/2 is no address and no word for one".to_owned()]));
}

#[test]
fn flags_names_and_tags_in_all_spellings() {
    let of = |data: Value| read(Kind::Qemu, &data).value;
    for (agent, enabled) in [
        (json!("1"), true),
        (json!(1), true),
        (json!("1,fstrim_cloned_disks=1"), true),
        (json!("enabled=1"), true),
        (json!("fstrim_cloned_disks=1,enabled=1,type=virtio"), true),
        (json!("enabled=true"), true),
        (json!("0"), false),
        (json!("enabled=0,type=virtio"), false),
        (json!("type=virtio"), false),
        (json!(""), false),
    ] {
        assert_eq!(of(json!({ "agent": agent })).agent_enabled, enabled, "{agent}");
    }
    for (custom, network) in [
        ("network=local:snippets/a.yaml", true),
        ("user=local:a,network=local:b", true),
        ("user=local:network=", false),
    ] {
        assert_eq!(of(json!({ "cicustom": custom })).has_custom_cloud_init, network, "{custom}");
    }
    for (name, expected) in [
        (json!("web"), Some("web")),
        (json!("VM 117"), None),
        (json!(" "), None),
        (json!(42), Some("42")),
        (json!("VM 118"), Some("VM 118")),
    ] {
        assert_eq!(of(json!({ "name": name })).name.as_deref(), expected, "{name}");
    }
    let container = |name: &str| read(Kind::Lxc, &json!({ "hostname": name, "name": "no" })).value.name;
    assert_eq!(
        (container("CT117"), container("ct117"), container("a.b")),
        (None, Some("ct117".into()), Some("a.b".into()))
    );
    assert!(
        of(json!({ "template": 1 })).is_template
            && of(json!({ "template": "1" })).is_template
            && !of(json!({ "template": 0 })).is_template
    );
    assert_eq!(
        of(json!({ "tags": "Prod;dns, a  b;;" })).tags,
        BTreeSet::from(["prod", "dns", "a", "b"].map(str::to_owned))
    );
}

#[test]
fn rows_of_any_kind_and_spelling() {
    let read = |rows: Value| resources(json!({ "data": rows }).to_string().as_bytes()).unwrap();
    let all = read(json!([
        { "type": "qemu", "id": "qemu/117", "vmid": "117", "node": "pve1", "status": "running", "name": "VM 117", "template": "0", "uptime": "5" },
        { "type": "lxc", "id": "lxc/120", "node": "pve3", "status": "unknown" },
        { "type": "lxc", "vmid": 121, "node": "pve3", "name": 7, "template": 1, "tags": "A;b", "lock": "migrate", "status": "stopped" },
        { "type": "node", "node": "pve1", "status": "online", "later": { "than": ["this"] } },
        { "type": "node", "node": "pve3", "status": "unknown" },
        { "type": "network", "id": "network/pve1/zone/x" },
        { "id": "storage/pve1/local" },
    ]));
    assert_eq!(all.refused, []);
    let brief: Vec<_> = all
        .value
        .guests
        .iter()
        .map(|g| (g.vmid, g.kind, g.name.as_deref(), g.state, g.is_template, g.uptime))
        .collect();
    assert_eq!(
        brief,
        [
            (117, Kind::Qemu, None, State::Running, false, Some(5)),
            (120, Kind::Lxc, None, State::Unknown, false, None),
            (121, Kind::Lxc, Some("7"), State::Stopped, true, None),
        ]
    );
    assert_eq!(all.value.guests[2].tags, Some(BTreeSet::from(["a".to_owned(), "b".to_owned()])));
    assert_eq!(all.value.guests[2].lock.as_deref(), Some("migrate"));
    let nodes: Vec<_> = all.value.nodes.iter().map(|node| (node.name.as_str(), node.is_online)).collect();
    assert_eq!(nodes, [("pve1", true), ("pve3", false)]);

    let odd = read(json!([
        { "type": "qemu", "id": "qemu/x", "node": "pve1" },
        { "type": "qemu", "vmid": 0, "node": "pve1" },
        { "type": "qemu", "vmid": -1, "node": "pve1" },
        { "type": "qemu", "vmid": 5, "status": "running" },
        7,
        { "type": "qemu", "vmid": 6, "node": "pve1", "name": ["x"], "status": {} },
    ]));
    let vmids: Vec<_> = odd.value.guests.iter().map(|guest| (guest.vmid, guest.state)).collect();
    assert_eq!(vmids, [(6, State::Unknown)]);
    assert_eq!(odd.refused.len(), 5);
    assert_eq!(odd.refused[3].to_string(), "guest 5: node: it has none");
    for nonsense in ["", "{}", "{\"data\":null}", "{\"data\":{}}", "[", "{\"data\":[{\"type\":\"qemu\""] {
        assert!(resources(nonsense.as_bytes()).is_err(), "{nonsense}");
    }
}

#[test]
fn a_guest_on_an_offline_node_keeps_what_its_configuration_said() {
    let config =
        read(Kind::Qemu, &json!({ "name": "far-vm", "tags": "dns", "net0": "virtio=BC:24:11:00:00:64,bridge=vmbr0" }))
            .value;
    let listed = |state, name: Option<&str>| Listed {
        vmid: 121,
        kind: Kind::Qemu,
        node: "pve3".to_owned(),
        name: name.map(str::to_owned),
        state,
        is_template: false,
        tags: None,
        uptime: None,
        lock: None,
    };
    let lost = guest(&listed(State::Unknown, None), &config);
    assert_eq!((lost.name.as_deref(), lost.tags.len(), lost.nics.len()), (Some("far-vm"), 1, 1));
    assert_eq!(guest(&listed(State::Running, None), &config).name, None);
    assert_eq!(guest(&listed(State::Running, Some("new")), &config).name.as_deref(), Some("new"));
}

fn asked() -> Guest {
    let config = Config { nics: vec![nic()], ..Config::default() };
    let row = r#"{"data":[{"type":"qemu","vmid":117,"node":"pve1","status":"running"}]}"#;
    guest(&resources(row.as_bytes()).unwrap().value.guests[0], &config)
}

#[test]
fn a_guest_is_believed_about_its_own_interfaces_only() {
    let body = json!({ "data": { "result": [
        { "name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": [{ "ip-address": "127.0.0.1" }, { "ip-address": "::1" }] },
        { "name": "eth0", "hardware-address": "BC:24:11:00:00:64", "ip-addresses": [
            { "ip-address": "192.0.2.5", "ip-address-type": "ipv4", "prefix": 24 },
            { "ip-address": "192.0.2.5", "prefix": "24" },
            { "ip-address": "fe80::1%eth0" },
            { "ip-address": "224.0.0.1" }, { "ip-address": "0.0.0.0" }, { "ip-address": "255.255.255.255" },
            { "ip-address": "evil" }, { "ip-address": 5 }, {}, 7, null,
        ] },
        { "name": "somebody else's", "hardware-address": "bc:24:11:00:00:65", "ip-addresses": [{ "ip-address": "192.0.2.6" }] },
        { "name": "wg0", "ip-addresses": [{ "ip-address": "192.0.2.7" }] },
        { "name": "no list", "hardware-address": "bc:24:11:00:00:64", "ip-addresses": 5 },
        [], 5, null,
    ] } });
    let Told::Interfaces(interfaces) = agent_interfaces(body.to_string().as_bytes()).unwrap() else { panic!() };
    let at = Duration::from_secs(5);
    let seen: Vec<_> = sightings(&asked(), &interfaces, By::Agent, at)
        .into_iter()
        .map(|seen| {
            assert_eq!((seen.vmid, seen.by, seen.at, seen.since), (Some(117), By::Agent, at, at));
            (seen.mac, seen.address.to_string())
        })
        .collect();
    assert_eq!(seen, [(MAC, "192.0.2.5".to_owned()), (MAC, "fe80::1".to_owned())]);
}

/// A guest without loopback, or whose agent does not tell of it.
#[test]
fn an_agent_that_tells_of_one_interface_is_believed() {
    for interface in
        [json!({ "name": "eth0", "hardware-address": "bc:24:11:00:00:64" }), json!({}), json!(["it failed"])]
    {
        let body = json!({ "data": { "result": [interface] } }).to_string();
        assert!(matches!(agent_interfaces(body.as_bytes()).unwrap(), Told::Interfaces(_)), "{body}");
    }
}

#[test]
fn an_agent_that_does_not_tell_says_why() {
    let told = |body: &str| agent_interfaces(body.as_bytes());
    let not = |text: &str| Told::Not(text.to_owned());
    let disabled = r#"{"data":{"result":{"error":{"class":"CommandNotFound","desc":"it was disabled"}}}}"#;
    assert_eq!(told(disabled).unwrap(), not("it was disabled"));
    assert_eq!(told(r#"{"data":{"result":{"error":{}}}}"#).unwrap(), not("an error without words"));
    assert_eq!(told(r#"{"data":null}"#).unwrap(), not("no answer"));
    for nonsense in [r#"{"data":{}}"#, r#"{"data":{"result":{}}}"#, r#"{"data":{"result":5}}"#, "", "<html>"] {
        assert!(told(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn a_guest_with_thousands_of_addresses_is_cut_short() {
    let addresses: Vec<_> =
        (0..5000).map(|n| json!({ "ip-address": format!("10.1.{}.{}", n / 250, n % 250 + 1) })).collect();
    let interface = json!({ "hardware-address": "bc:24:11:00:00:64", "ip-addresses": addresses });
    let body = json!({ "data": vec![interface; 20] }).to_string();
    let interfaces = container_interfaces(body.as_bytes()).unwrap();
    assert_eq!(sightings(&asked(), &interfaces, By::Interfaces, Duration::ZERO).len(), 256);
}

#[test]
fn ipam_rows_are_sightings_except_gateways() {
    let read = ipam(
        json!({ "data": [
            { "ip": "203.0.113.1", "gateway": 1, "mac": "bc:24:11:00:00:01" },
            { "ip": "203.0.113.2", "subnet": "203.0.113.0/24" },
            { "ip": "203.0.113.114", "mac": "BC:24:11:00:00:64", "vmid": "114" },
            { "ip": "2001:db8::114", "mac": "BC:24:11:00:00:64", "vmid": 114 },
            { "ip": "nowhere", "mac": "BC:24:11:00:00:64", "vmid": 115 },
            { "ip": "203.0.113.3", "mac": "BC-24-11-00-00-64" },
            null,
        ] })
        .to_string()
        .as_bytes(),
        Duration::ZERO,
    )
    .unwrap();
    let seen: Vec<_> = read.value.iter().map(|seen| (seen.vmid, seen.address.to_string())).collect();
    assert_eq!(seen, [(Some(114), "203.0.113.114".to_owned()), (Some(114), "2001:db8::114".to_owned())]);
    assert_eq!(read.refused.len(), 3);
    assert!(read.refused[0].to_string().starts_with("guest 115: IPAM row {"), "{}", read.refused[0]);
    assert_eq!(ipam(br#"{"data":null}"#, Duration::ZERO).unwrap(), Read::default());
}

/// JSON that looks like the API's, with anything in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("bc:24:11:00:00:64".to_owned()),
        Just("192.0.2.1/24".to_owned()),
        Just("virtio=BC:24:11:00:00:64,bridge=vmbr0,tag=20".to_owned()),
        "[a-z0-9=,:./%;-]{0,30}",
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from)
    ];
    let key = prop::sample::select(vec![
        "data",
        "result",
        "error",
        "desc",
        "type",
        "id",
        "vmid",
        "node",
        "name",
        "status",
        "template",
        "tags",
        "net0",
        "net1",
        "ipconfig0",
        "agent",
        "cicustom",
        "hostname",
        "hardware-address",
        "hwaddr",
        "ip-addresses",
        "ip-address",
        "inet",
        "inet6",
        "ip",
        "mac",
        "gateway",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// Everything that reads, reads it; what comes out is legal.
fn read_all(body: &[u8]) {
    for kind in [Kind::Qemu, Kind::Lxc] {
        if let Ok(read) = config(kind, 117, body) {
            assert!(
                read.value
                    .nics
                    .iter()
                    .all(|nic| nic.mac.0[0] & 1 == 0 && nic.tag.is_none_or(|tag| (1..=4094).contains(&tag)))
            );
        }
    }
    let _ = resources(body);
    let _ = ipam(body, Duration::ZERO);
    let interfaces = match agent_interfaces(body) {
        Ok(Told::Interfaces(interfaces)) => interfaces,
        _ => container_interfaces(body).unwrap_or_default(),
    };
    for seen in sightings(&asked(), &interfaces, By::Agent, Duration::ZERO) {
        assert!(seen.mac == MAC && !seen.address.is_loopback() && !seen.address.is_multicast());
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(body in any::<Vec<u8>>(), text in any::<String>()) {
        read_all(&body);
        read_all(text.as_bytes());
        read_all(json!({ "data": { "net0": text, "ipconfig0": text, "tags": text, "agent": text } }).to_string().as_bytes());
    }

    #[test]
    fn no_json_makes_a_reader_panic(value in any_json()) {
        for body in [value.clone(), json!({ "data": value }), json!({ "data": [value] }), json!({ "data": { "result": value } }), json!({ "data": { "result": [value] } })] {
            let text = body.to_string();
            read_all(text.as_bytes());
            // Half an answer.
            read_all(&text.as_bytes()[..text.len() / 2]);
        }
    }
}
