use super::*;
use crate::plan::guest::{Configured, Kind, Nic, State};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

fn mac(number: u32) -> Mac {
    let [_, b, c, d] = number.to_be_bytes();
    Mac([0xbc, 0x24, 0x11, b, c, d])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nic(vmid: u32) -> Nic {
    let bridge = Some("vmbr0".to_owned());
    Nic {
        index: 0,
        mac: mac(vmid),
        bridge,
        tag: None,
        is_link_down: false,
        v4: Configured::Dhcp,
        v6: Configured::Unsaid,
    }
}

/// A running virtual machine with an interface on DHCP in the lab.
fn guest(vmid: u32, name: &str) -> Guest {
    Guest {
        vmid,
        kind: Kind::Qemu,
        node: "pve1".to_owned(),
        name: Some(name.to_owned()),
        state: State::Running,
        is_template: false,
        tags: BTreeSet::new(),
        agent_enabled: true,
        has_custom_cloud_init: false,
        nics: vec![nic(vmid)],
        lists: BTreeMap::new(),
    }
}

fn with(vmid: u32, name: &str, change: impl FnOnce(&mut Nic)) -> Guest {
    let mut guest = guest(vmid, name);
    change(&mut guest.nics[0]);
    guest
}

fn with_static(vmid: u32, name: &str, address: &str) -> Guest {
    with(vmid, name, |nic| nic.v4 = Configured::Static(address.parse().unwrap()))
}

fn network(vlan: Vlan, prefixes: &[&str], domain: &str) -> Network {
    let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    Network { bridge: Some("vmbr0".to_owned()), vlan, prefixes, domain: domain.parse().unwrap() }
}

fn policy() -> Policy {
    let lab = network(Vlan::Untagged, &["192.0.2.0/24", "2001:db8:0:1::/64"], "lab.example");
    let dmz = network(Vlan::Tag(20), &["198.51.100.0/24", "2001:db8:0:20::/64"], "dmz.example");
    Policy { networks: vec![lab, dmz], ..Policy::default() }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Seen by an agent that was asked, else on the wire; first and last at these seconds.
fn seen(vmid: u32, address: &str, by: By, since: u64, at: u64) -> Sighting {
    let asked = matches!(by, By::Agent | By::Interfaces | By::Ipam).then_some(vmid);
    Sighting { mac: mac(vmid), address: ip(address), vmid: asked, by, since: seconds(since), at: seconds(at) }
}

/// `name address`, for each record.
fn brief(records: &Records) -> Vec<String> {
    records.records.iter().map(|record| format!("{} {}", record.name, record.address)).collect()
}

fn plan(guests: &[Guest], sightings: &[Sighting]) -> Vec<String> {
    brief(&Records::new(guests, sightings, &policy()))
}

fn addresses_of(sightings: &[Sighting]) -> Vec<String> {
    let records = Records::new(&[guest(100, "a")], sightings, &policy());
    records.records.iter().map(|record| record.address.to_string()).collect()
}

fn said(records: &Records) -> Vec<String> {
    records.warnings.iter().map(ToString::to_string).collect()
}

fn names(guests: &[Guest], policy: &Policy) -> Vec<String> {
    Records::new(guests, &[], policy).names.values().flatten().map(ToString::to_string).collect()
}

#[test]
fn of_guests_with_one_name_the_lowest_number_has_it() {
    let guests = [with_static(111, "DB01", "192.0.2.41"), with_static(110, "db01", "192.0.2.31"), guest(112, "db01")];
    let records = Records::new(&guests, &[], &policy());
    assert_eq!(brief(&records), ["db01.lab.example 192.0.2.31", "db01-111.lab.example 192.0.2.41"]);
    assert_eq!(
        said(&records),
        [
            "guest 111: the name db01 is guest 110's; it is called db01-111",
            "guest 112: the name db01 is guest 110's; it is called db01-112",
        ]
    );
    assert_eq!(records.dhcp_hostsfile(), "bc:24:11:00:00:70,db01-112\n");
    let left_out = Policy { duplicates: Duplicates::LeftOut, ..policy() };
    let records = Records::new(&guests, &[], &left_out);
    assert_eq!(brief(&records), ["db01.lab.example 192.0.2.31"]);
    assert_eq!(
        records.left_out.iter().map(|left| (left.vmid, left.why)).collect::<Vec<_>>(),
        [(111, Why::NameTaken), (112, Why::NameTaken)]
    );
}

#[test]
fn the_same_name_in_two_domains_is_two_names() {
    let guests = [guest(110, "web"), with(111, "web", |nic| nic.tag = Some(20)), guest(112, "db"), {
        let mut both = guest(113, "db");
        both.nics.push(Nic { index: 1, tag: Some(20), mac: mac(9), ..nic(113) });
        both
    }];
    // Who cannot have it in one of its domains has another in all.
    let expected = ["web.lab.example", "web.dmz.example", "db.lab.example", "db-113.dmz.example", "db-113.lab.example"];
    assert_eq!(names(&guests, &policy()), expected);
}

#[test]
fn a_number_behind_a_name_may_be_taken_too() {
    let guests = [guest(110, "db"), guest(105, "db-111"), guest(111, "db"), guest(200, "db-111")];
    assert_eq!(
        names(&guests, &policy()),
        ["db-111.lab.example", "db.lab.example", "db-111-111.lab.example", "db-111-200.lab.example"]
    );
}

#[test]
fn names_that_dns_or_somebody_else_has_are_nobodys() {
    let extra = |name: &str, address| Extra { name: name.parse().unwrap(), address: ip(address) };
    let policy = Policy {
        reserved_names: ["gateway", "ns.lab.example"].map(|name| name.parse().unwrap()).into(),
        extra: vec![extra("printer.lab.example", "192.0.2.9"), extra("alias.lab.example", "192.0.2.20")],
        ..policy()
    };
    let guests = [
        guest(1, "localhost"),
        guest(2, "Gateway"),
        guest(3, "ns"),
        guest(4, "printer"),
        with_static(5, "web", "192.0.2.20"),
    ];
    let records = Records::new(&guests, &[], &policy);
    let expected = ["localhost-1", "gateway-2", "ns-3", "printer-4", "web"].map(|label| format!("{label}.lab.example"));
    assert_eq!(records.names.values().flatten().map(ToString::to_string).collect::<Vec<_>>(), expected);
    assert_eq!(said(&records)[0], "guest 1: the name localhost is reserved; it is called localhost-1");
    let lines: Vec<_> = records.lines().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["192.0.2.9 printer.lab.example", "192.0.2.20 web.lab.example alias.lab.example"]);
    let ptr: Vec<_> =
        records.records.iter().filter(|record| record.has_ptr).map(|record| record.name.as_str()).collect();
    assert_eq!(ptr, ["printer.lab.example", "web.lab.example"]);
    let files = records.hosts_files();
    assert_eq!(files[&None], "192.0.2.9 printer.lab.example\n");
    assert_eq!(files[&Some(5)], "192.0.2.20 web.lab.example alias.lab.example\n");
}

#[test]
fn what_is_reserved_in_a_domain_is_so_for_who_brings_the_domain_along() {
    let mut policy =
        Policy { reserved_names: ["GateWay", "www.corp"].map(|name| name.parse().unwrap()).into(), ..policy() };
    policy.networks[1].domain = "DMZ.example".parse().unwrap();
    for (vmid, name, expected) in [
        (1, "gateway.lab.example", "gateway-1.lab.example"),
        (2, "GATEWAY.Lab.Example.", "gateway-2.lab.example"),
        (3, "gateway.dmz.example", "gateway-3.dmz.example"),
        (4, "localhost.lab.example", "localhost-4.lab.example"),
        (5, ".LocalHost..lab.example.", "localhost-5.lab.example"),
        (6, "www.corp.", "www-6.corp"),
        // Elsewhere it is no name of ours.
        (7, "gateway.example.com", "gateway.example.com"),
        (8, "gateway.x.lab.example", "gateway.x.lab.example"),
    ] {
        assert_eq!(names(&[guest(vmid, name)], &policy), [expected], "{name}");
    }
    let hyphens = Policy { dotted: Dotted::Hyphens, ..policy };
    assert_eq!(names(&[guest(1, "gateway.lab.example")], &hyphens), ["gateway-lab-example.lab.example"]);
}

#[test]
fn odd_names_become_labels_and_are_reported() {
    let long = "n".repeat(300);
    let guests = [
        guest(1, "*"),
        guest(2, "-x"),
        guest(3, &long),
        guest(4, "\u{1f980}"),
        guest(5, "web"),
        guest(6, &long),
        guest(7, "Web_1"),
    ];
    let records = Records::new(&guests, &[], &policy());
    let cut = "n".repeat(63);
    let shorter = format!("{}-6", "n".repeat(61));
    let expected = ["vm-1", "x", &cut, "vm-4", "web", &shorter, "web-1"].map(|label| format!("{label}.lab.example"));
    assert_eq!(records.names.values().flatten().map(ToString::to_string).collect::<Vec<_>>(), expected);
    let warned: Vec<_> = records
        .warnings
        .iter()
        .map(|warning| match warning {
            Warning::NameMadeLegal { vmid, .. } => *vmid,
            Warning::NameTaken { vmid, .. } => 1000 + *vmid,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(warned, [1, 2, 3, 4, 6, 7, 1006]);
}

#[test]
fn guests_without_a_name_have_a_number_or_nothing() {
    let mut container = guest(104, "");
    container.kind = Kind::Lxc;
    container.name = None;
    let mut machine = guest(117, "");
    machine.name = None;
    let guests = [container, machine, guest(118, "*")];
    assert_eq!(names(&guests, &policy()), ["ct104.lab.example", "vm-117.lab.example", "vm-118.lab.example"]);
    let policy = Policy { unnamed: Unnamed::LeftOut, ..policy() };
    let records = Records::new(&guests, &[], &policy);
    assert!(records.names.is_empty() && records.left_out.iter().all(|left| left.why == Why::Unnamed));
}

#[test]
fn dotted_names_are_whole_unless_the_policy_says_otherwise() {
    let guests = [
        guest(1, "win-ad.corp"),
        guest(2, "win-ad"),
        guest(3, "win-ad.corp"),
        guest(4, "x.lab.example"),
        guest(5, "x"),
    ];
    let whole = ["win-ad.corp", "win-ad.lab.example", "win-ad-3.corp", "x.lab.example", "x-5.lab.example"];
    assert_eq!(names(&guests, &policy()), whole);
    // dnsmasq would put the network's domain behind a foreign name's label.
    let records = Records::new(&guests, &[], &policy());
    assert_eq!(records.dhcp_hostsfile(), "bc:24:11:00:00:02,win-ad\nbc:24:11:00:00:04,x\nbc:24:11:00:00:05,x-5\n");
    let policy = Policy { dotted: Dotted::Hyphens, ..policy() };
    assert_eq!(names(&guests[..1], &policy), ["win-ad-corp.lab.example"]);
}

#[test]
fn names_that_are_too_long_with_their_domain_are_left_out() {
    let mut policy = policy();
    policy.networks[0].domain = ["d".repeat(63), "d".repeat(63), "d".repeat(63)].join(".").parse().unwrap();
    let records = Records::new(&[guest(1, &"n".repeat(61)), guest(2, &"n".repeat(62))], &[], &policy);
    assert_eq!(records.names.keys().collect::<Vec<_>>(), [&1]);
    assert!(matches!(&records.warnings[..], [Warning::NameTooLong { vmid: 2, .. }]), "{:?}", records.warnings);
}

#[test]
fn tags_opt_in_and_out() {
    let tagged = |vmid, tags: &[&str]| Guest {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..guest(vmid, &format!("g{vmid}"))
    };
    let guests = [tagged(1, &["dns"]), tagged(2, &["dns", "secret"]), tagged(3, &[])];
    let of = |only: &[&str], without: &[&str]| {
        let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        let policy = Policy { only_tags: tags(only), without_tags: tags(without), ..policy() };
        Records::new(&guests, &[], &policy).names.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(of(&[], &[]), [1, 2, 3]);
    assert_eq!(of(&["dns", "other"], &[]), [1, 2]);
    assert_eq!(of(&["dns"], &["secret"]), [1]);
    assert_eq!(of(&[], &["secret"]), [1, 3]);
}

#[test]
fn templates_have_no_names_and_do_not_hold_any() {
    let template = Guest { is_template: true, ..with_static(1, "web", "192.0.2.5") };
    let mut clone = with_static(2, "web", "192.0.2.5");
    clone.nics[0].mac = mac(1);
    assert_eq!(plan(&[template, clone], &[]), ["web.lab.example 192.0.2.5"]);
}

#[test]
fn what_is_configured_counts_for_its_family_only() {
    let guest = with_static(100, "a", "192.0.2.5");
    let seen = [
        seen(100, "192.0.2.150", By::Agent, 5, 5),
        seen(100, "2001:db8:0:1::5", By::Agent, 5, 5),
        seen(100, "192.0.2.151", By::Lease, 9, 9),
    ];
    let records = Records::new(std::slice::from_ref(&guest), &seen, &policy());
    assert_eq!(brief(&records), ["a.lab.example 192.0.2.5", "a.lab.example 2001:db8:0:1::5"]);
    assert!(records.reservations.is_empty());
    // A snippet may say otherwise, and the API does not show what.
    let custom = Guest { has_custom_cloud_init: true, ..guest };
    let records = Records::new(&[custom], &seen, &policy());
    assert_eq!(brief(&records), ["a.lab.example 192.0.2.151", "a.lab.example 2001:db8:0:1::5"]);
    assert_eq!(records.dhcp_hostsfile(), "bc:24:11:00:00:64,a\n");
}

#[test]
fn addresses_outside_of_the_interfaces_network_are_never_published() {
    let guests = [
        with_static(1, "a", "198.51.100.5"),
        with_static(2, "b", "192.0.2.255"),
        with_static(3, "c", "192.0.2.0"),
        guest(4, "d"),
    ];
    let sightings: Vec<_> = [
        "198.51.100.6",
        "172.17.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "fe80::1",
        "2001:db8:0:20::1",
        "2001:db8:0:1::",
        "::",
        "ff02::1",
        "192.0.2.255",
    ]
    .iter()
    .flat_map(|address| [By::Agent, By::Lease, By::Neighbor, By::Ipam].map(|by| seen(4, address, by, 1, 1)))
    .collect();
    let records = Records::new(&guests, &sightings, &policy());
    assert_eq!(brief(&records), Vec::<String>::new());
    assert_eq!(
        said(&records),
        [
            "guest 1: net0: 198.51.100.5 is configured, which is outside of its network; not published",
            "guest 2: net0: 192.0.2.255 is configured, which is outside of its network; not published",
            "guest 3: net0: 192.0.2.0 is configured, which is outside of its network; not published",
        ]
    );
    assert!(records.left_out.iter().all(|left| left.why == Why::Outside));
    let reserved = Policy { reserved_addresses: [ip("192.0.2.1")].into(), ..policy() };
    let records = Records::new(
        &[with_static(1, "a", "192.0.2.1"), guest(2, "b")],
        &[seen(2, "192.0.2.1", By::Neighbor, 1, 1)],
        &reserved,
    );
    assert_eq!(brief(&records), Vec::<String>::new());
    assert_eq!(said(&records), ["guest 1: net0: 192.0.2.1 is configured, which is reserved; not published"]);
}

#[test]
fn one_network_for_all_is_enough() {
    let everywhere = Network { bridge: None, vlan: Vlan::Any, ..policy().networks.swap_remove(0) };
    let policy = Policy { networks: vec![everywhere], ..Policy::default() };
    let mut two = with(1, "a", |nic| (nic.bridge, nic.tag) = (None, Some(7)));
    two.nics.push(Nic { index: 1, mac: mac(9), ..nic(1) });
    let other = Sighting { mac: mac(9), ..seen(1, "10.0.0.1", By::Neighbor, 1, 1) };
    let records = Records::new(&[two], &[seen(1, "192.0.2.7", By::Neighbor, 1, 1), other], &policy);
    assert_eq!(brief(&records), ["a.lab.example 192.0.2.7"]);
    assert_eq!(policy.networks[0].to_string(), "*");
}

#[test]
fn another_guests_word_about_a_mac_address_does_not_count() {
    let lie = Sighting { vmid: Some(2), ..seen(1, "192.0.2.66", By::Agent, 5, 5) };
    assert_eq!(plan(&[guest(1, "a"), guest(2, "b")], &[lie]), Vec::<String>::new());
    let unknown = Sighting { mac: mac(77), ..seen(1, "192.0.2.67", By::Neighbor, 5, 5) };
    assert_eq!(plan(&[guest(1, "a")], &[unknown]), Vec::<String>::new());
}

#[test]
fn a_guest_that_changes_its_address_has_the_new_one_only() {
    use By::{Agent, Lease, Neighbor};
    let old = seen(100, "192.0.2.151", Neighbor, 1, 95);
    let new = seen(100, "192.0.2.60", Neighbor, 100, 100);
    let leased = seen(100, "192.0.2.151", Lease, 1, 50);
    assert_eq!(addresses_of(&[old, leased]), ["192.0.2.151"]);
    assert_eq!(addresses_of(&[old, leased, new]), ["192.0.2.60"]);
    // What the agent said before ...
    let listed = seen(100, "192.0.2.151", Agent, 1, 90);
    assert_eq!(addresses_of(&[old, leased, listed, new]), ["192.0.2.60"]);
    // ... and after.
    let relisted = seen(100, "192.0.2.60", Agent, 110, 110);
    assert_eq!(addresses_of(&[old, leased, relisted, new]), ["192.0.2.60"]);
    assert_eq!(addresses_of(&[old, leased, relisted, listed]), ["192.0.2.60"]);
}

#[test]
fn an_address_that_comes_on_top_stays_beside_the_first() {
    use By::{Agent, Neighbor};
    let second = seen(100, "192.0.2.200", Neighbor, 100, 130);
    assert_eq!(addresses_of(&[seen(100, "192.0.2.10", Neighbor, 1, 120), second]), ["192.0.2.10", "192.0.2.200"]);
    let listed = [seen(100, "192.0.2.10", Agent, 1, 140), seen(100, "192.0.2.200", Agent, 140, 140)];
    assert_eq!(addresses_of(&[&listed[..], &[second]].concat()), ["192.0.2.10", "192.0.2.200"]);
    // What an agent does not list and was heard before, is not its own: proxy ARP, a forgery.
    assert_eq!(addresses_of(&[listed[0], second]), ["192.0.2.10"]);
}

#[test]
fn a_list_in_which_nothing_is_for_dns_says_everything_too() {
    use By::{Agent, Ipam, Lease, Neighbor};
    let lists = |at| Guest { lists: BTreeMap::from([(mac(100), seconds(at))]), ..guest(100, "a") };
    let of = |at, sightings: &[Sighting]| plan(&[lists(at)], sightings);
    let nothing = [seen(100, "fe80::1", Agent, 500, 500), seen(100, "172.17.0.1", Agent, 500, 500)];
    let all = |more: &[Sighting]| of(500, &[&nothing[..], more].concat());
    // What was heard or leased before is not there: both families, whatever the list has, or nothing at all.
    let heard = |since, at| seen(100, "192.0.2.44", Neighbor, since, at);
    let heard_v6 = seen(100, "2001:db8:0:1::44", Neighbor, 1, 499);
    let leased = |since, at| seen(100, "192.0.2.44", Lease, since, at);
    for before in [heard(1, 20), heard(1, 600), heard_v6, leased(1, 499), seen(100, "192.0.2.44", Ipam, 1, 600)] {
        assert!(all(&[before]).is_empty() && of(500, &[before]).is_empty(), "{before:?}");
        assert_eq!(plan(&[guest(100, "a")], &[before]).len(), 1);
    }
    // What came after counts: a lease that was renewed, too.
    for after in [heard(501, 501), leased(501, 501), leased(1, 501)] {
        assert_eq!(all(&[after]), ["a.lab.example 192.0.2.44"], "{after:?}");
    }
    // A list of the other family is one of this family, if it is of all.
    let v4 = seen(100, "192.0.2.7", Agent, 500, 500);
    assert_eq!(plan(&[guest(100, "a")], &[v4, heard_v6]).len(), 2);
    assert_eq!(of(500, &[v4, heard_v6]), ["a.lab.example 192.0.2.7"]);
    // Of another interface it says nothing, and nothing of a guest that was stopped since.
    let other = Guest { lists: BTreeMap::from([(mac(101), seconds(500))]), ..guest(100, "a") };
    assert_eq!(plan(&[other], &[heard(1, 20)]).len(), 1);
    let stopped = Guest { state: State::Stopped, ..lists(500) };
    assert_eq!(plan(&[stopped], &[seen(100, "192.0.2.44", Ipam, 1, 1)]).len(), 1);
}

#[test]
fn what_the_sdn_gave_out_counts_if_nothing_else_is_known() {
    use By::{Ipam, Lease};
    let given = seen(100, "192.0.2.114", Ipam, 500, 500);
    assert_eq!(addresses_of(&[given]), ["192.0.2.114"]);
    assert_eq!(addresses_of(&[given, seen(100, "192.0.2.10", Lease, 1, 1)]), ["192.0.2.10"]);
    assert_eq!(addresses_of(&[given, seen(100, "2001:db8:0:1::10", Lease, 1, 1)]), ["192.0.2.114", "2001:db8:0:1::10"]);
}

#[test]
fn temporary_addresses_are_left_out() {
    use By::{Agent, Lease, Neighbor};
    let eui = "2001:db8:0:1:be24:11ff:fe00:64";
    let (first, second) = ("2001:db8:0:1:1111:2222:3333:4444", "2001:db8:0:1:a1b2:c3d4:e5f6:789a");
    let v6 = |address, since, at| seen(100, address, Agent, since, at);
    assert_eq!(addresses_of(&[v6(first, 1, 9), v6(eui, 1, 9), v6(second, 1, 9)]), [eui]);
    for written in ["2001:db8:0:1::20", "2001:db8:0:1::1234:5678", "2001:db8:0:1:192:168:1:20"] {
        assert_eq!(addresses_of(&[v6(first, 1, 9), v6(written, 5, 9)]), [written]);
    }
    // RFC 7217 alone; then beside one that came later; then two that are equally old.
    assert_eq!(addresses_of(&[v6(first, 1, 9)]), [first]);
    assert_eq!(addresses_of(&[v6(first, 1, 9), v6(second, 5, 9)]), [first]);
    let records = Records::new(&[guest(100, "a")], &[v6(first, 1, 9), v6(second, 1, 9)], &policy());
    assert_eq!((brief(&records), &records.warnings[..]), (vec![], &[Warning::Ambiguous { vmid: 100, nic: 0 }][..]));
    assert_eq!(records.left_out.len(), 2);
    // Windows has the same in its link-local address; DHCPv6 knows its own.
    let link_local = v6("fe80::a1b2:c3d4:e5f6:789a", 1, 9);
    assert_eq!(addresses_of(&[v6(first, 1, 9), v6(second, 1, 9), link_local]), [second]);
    let leased = seen(100, first, Lease, 1, 5);
    assert_eq!(addresses_of(&[v6(first, 1, 9), v6(second, 1, 9), leased]), [first]);
    // The wire knows no more than the agent.
    let heard = |address, since| seen(100, address, Neighbor, since, 9);
    assert_eq!(addresses_of(&[heard(first, 3), heard(eui, 7)]), [eui]);
}

#[test]
fn who_does_not_run_keeps_what_is_configured_and_given() {
    let stopped = |guest: Guest| Guest { state: State::Stopped, ..guest };
    let guests = [stopped(with_static(1, "a", "192.0.2.36")), stopped(guest(2, "b")), stopped(guest(3, "c"))];
    let sightings = [By::Agent, By::Lease, By::Neighbor].map(|by| seen(2, "192.0.2.150", by, 1, 1));
    let sightings = [&sightings[..], &[seen(3, "192.0.2.114", By::Ipam, 1, 1)]].concat();
    assert_eq!(plan(&guests, &sightings), ["a.lab.example 192.0.2.36", "c.lab.example 192.0.2.114"]);
    // Of a guest on a node that is offline, what was seen last counts.
    let lost = Guest { state: State::Unknown, ..guest(2, "b") };
    assert_eq!(plan(&[lost], &sightings), ["b.lab.example 192.0.2.150"]);
}

#[test]
fn an_address_is_one_guests() {
    // Configured before seen, then the lowest number.
    let guests = [guest(1, "a"), with_static(2, "b", "192.0.2.5"), with_static(3, "c", "192.0.2.5")];
    let records = Records::new(&guests, &[seen(1, "192.0.2.5", By::Agent, 1, 9)], &policy());
    assert_eq!(brief(&records), ["b.lab.example 192.0.2.5"]);
    assert_eq!(
        said(&records),
        [
            "192.0.2.5 is guest 2's and guest 1's; guest 2 has it in DNS",
            "192.0.2.5 is guest 2's and guest 3's; guest 2 has it in DNS",
        ]
    );
    // Both are seen with it: one of them forges.
    let both = [seen(1, "192.0.2.9", By::Neighbor, 1, 50), seen(2, "192.0.2.9", By::Neighbor, 40, 60)];
    let guests = [guest(1, "a"), guest(2, "b")];
    let records = Records::new(&guests, &both, &policy());
    assert_eq!((brief(&records), records.warnings.len()), (vec!["a.lab.example 192.0.2.9".to_owned()], 1));
    // What a DHCP server gave out, nobody takes by saying so, even while its owner is silent.
    let leased = [both[0], seen(2, "192.0.2.9", By::Lease, 1, 1)];
    let records = Records::new(&guests, &leased, &policy());
    assert_eq!((brief(&records), records.warnings.len()), (vec!["b.lab.example 192.0.2.9".to_owned()], 1));
    let taken = [seen(1, "192.0.2.9", By::Neighbor, 500, 500), leased[1]];
    assert_eq!(plan(&guests, &taken), ["b.lab.example 192.0.2.9"]);
    // The first was not seen since the second came: the address was leased again.
    let again = [seen(1, "192.0.2.9", By::Neighbor, 1, 30), both[1]];
    let records = Records::new(&guests, &again, &policy());
    assert_eq!(brief(&records), ["b.lab.example 192.0.2.9"]);
    let moved =
        "192.0.2.9 was guest 1's, and guest 2 was heard with it last and has it in DNS; nobody but the wire says so";
    assert_eq!(said(&records), [moved]);
    // That is nothing to worry about if the first does not run, or if a DHCP server says so.
    let gone = [Guest { state: State::Stopped, ..guests[0].clone() }, guests[1].clone()];
    let released = [again[0], seen(2, "192.0.2.9", By::Lease, 40, 60)];
    for (guests, sightings) in [(&gone, &again), (&guests, &released)] {
        let records = Records::new(guests, sightings, &policy());
        assert_eq!((brief(&records), said(&records)), (vec!["b.lab.example 192.0.2.9".to_owned()], vec![]));
    }
}

#[test]
fn arp_alone_takes_no_address_that_anybody_else_tells_of() {
    let guests = [guest(1, "a"), guest(2, "b")];
    let arp = seen(1, "192.0.2.9", By::Neighbor, 500, 500);
    let has = |state, sightings: &[Sighting]| {
        let guests = [guests[0].clone(), Guest { state, ..guests[1].clone() }];
        let records = Records::new(&guests, sightings, &policy());
        (records.records[0].reason.vmid(), records.warnings.len())
    };
    // Its owner was seen last long before.
    for by in [By::Agent, By::Interfaces, By::Lease, By::Ipam] {
        assert_eq!(has(State::Running, &[arp, seen(2, "192.0.2.9", by, 1, 50)]), (Some(2), 1), "{by}");
    }
    let configured = [guest(1, "a"), with_static(2, "b", "192.0.2.9")];
    assert_eq!(plan(&configured, &[arp]), ["b.lab.example 192.0.2.9"]);
    // What was last known of a guest that may not run is no such word; nor is it of one that does not.
    let listed = seen(2, "192.0.2.9", By::Agent, 1, 50);
    assert_eq!(has(State::Unknown, &[arp, listed]), (Some(1), 0));
    assert_eq!(has(State::Stopped, &[arp, listed]), (Some(1), 0));
    // An address that moves from agent to agent.
    let moved = seen(1, "192.0.2.9", By::Agent, 500, 500);
    assert_eq!(has(State::Running, &[arp, moved, listed]), (Some(1), 0));
    // Who was only heard, too, gives way.
    assert_eq!(has(State::Running, &[arp, seen(2, "192.0.2.9", By::Neighbor, 1, 50)]), (Some(1), 1));
}

#[test]
fn a_frame_that_claims_anothers_address_in_a_guests_name_takes_nothing_from_either() {
    let own = seen(1, "192.0.2.150", By::Lease, 1, 50);
    let forged = seen(1, "192.0.2.9", By::Neighbor, 500, 500);
    let both = ["a.lab.example 192.0.2.150", "b.lab.example 192.0.2.9"];
    for by in [By::Agent, By::Interfaces, By::Lease, By::Ipam] {
        let guests = [guest(1, "a"), guest(2, "b")];
        let records = Records::new(&guests, &[own, forged, seen(2, "192.0.2.9", by, 1, 50)], &policy());
        assert_eq!((brief(&records), records.warnings.len()), (both.map(str::to_owned).to_vec(), 1), "{by}");
    }
    assert_eq!(plan(&[guest(1, "a"), with_static(2, "b", "192.0.2.9")], &[own, forged]), both);
    // In another network that address is nobody's.
    let mut other = with_static(2, "b", "192.0.2.9");
    other.nics[0].tag = Some(77);
    assert_eq!(plan(&[guest(1, "a"), other], &[own, forged]), ["a.lab.example 192.0.2.9"]);
    // So is one that nobody has: a guest may give itself another.
    let free = seen(1, "192.0.2.66", By::Neighbor, 500, 500);
    assert_eq!(plan(&[guest(1, "a"), guest(2, "b")], &[own, free]), ["a.lab.example 192.0.2.66"]);
}

#[test]
fn a_guest_that_claims_a_whole_network_gets_a_few_addresses() {
    let all = (1..=254).map(|last| seen(1, &format!("192.0.2.{last}"), By::Neighbor, 9, 9));
    let more = (0..500).map(|last| seen(1, &format!("2001:db8:0:1::{last:x}"), By::Neighbor, 9, 9));
    let outside = (0..500).map(|last| seen(1, &format!("2001:db8:9:1::{last:x}"), By::Neighbor, 9, 9));
    let own = [seen(1, "192.0.2.200", By::Lease, 10, 10), seen(2, "192.0.2.5", By::Neighbor, 1, 9)];
    let sightings: Vec<_> = all.chain(more).chain(outside).chain(own).collect();
    let records = Records::new(&[guest(1, "a"), guest(2, "b")], &sightings, &policy());
    assert_eq!(records.records.len(), 32);
    assert!(brief(&records).contains(&"a.lab.example 192.0.2.200".to_owned()));
    assert!(records.left_out.len() <= 17 && records.warnings.len() <= 1);
}

#[test]
fn of_two_guests_with_one_mac_address_the_one_that_runs_was_seen() {
    let twin = |vmid, name, state| {
        let mut guest = with(vmid, name, |nic| nic.mac = mac(1));
        guest.state = state;
        guest
    };
    let heard = [seen(1, "192.0.2.9", By::Neighbor, 1, 1)];
    let guests = [twin(1, "a", State::Stopped), twin(2, "b", State::Running), twin(3, "c", State::Running)];
    let records = Records::new(&guests, &heard, &policy());
    assert_eq!(brief(&records), ["b.lab.example 192.0.2.9"]);
    assert_eq!(records.dhcp_hostsfile(), "bc:24:11:00:00:01,b\n");
    assert_eq!(said(&records), ["guests 1, 2, 3 have one MAC address in one network, bc:24:11:00:00:01"]);
    // An agent knows whom it answers for.
    let told = [Sighting { vmid: Some(3), ..seen(1, "192.0.2.8", By::Agent, 2, 2) }];
    assert_eq!(plan(&guests, &[&heard[..], &told].concat()), ["b.lab.example 192.0.2.9", "c.lab.example 192.0.2.8"]);
    // In two VLANs it is no mistake, and the address tells whose it is.
    let mut other = twin(2, "b", State::Running);
    other.nics[0].tag = Some(20);
    let guests = [twin(1, "a", State::Running), other];
    let heard = [seen(1, "192.0.2.9", By::Neighbor, 1, 1), seen(1, "198.51.100.9", By::Neighbor, 1, 1)];
    let records = Records::new(&guests, &heard, &policy());
    assert_eq!(brief(&records), ["a.lab.example 192.0.2.9", "b.dmz.example 198.51.100.9"]);
    assert!(records.warnings.is_empty());
}

#[test]
fn a_label_that_dnsmasq_takes_for_something_else_is_reserved_with_its_domain() {
    let labels = ["42", "10m", "ignore", "infinite", "3w", "5x", "m", "web-1h", "1-2"];
    let guests: Vec<_> = (1..).zip(labels).map(|(vmid, label)| guest(vmid, label)).collect();
    let records = Records::new(&guests, &[], &policy());
    let reserved: Vec<_> = records.reservations.iter().map(|reservation| reservation.name.as_str()).collect();
    let expected = [
        "42.lab.example",
        "10m.lab.example",
        "ignore.lab.example",
        "infinite.lab.example",
        "3w.lab.example",
        "5x",
        "m.lab.example",
        "web-1h",
        "1-2",
    ];
    assert_eq!(reserved, expected);
}

#[test]
fn guests_that_are_listed_twice_count_once() {
    let guests = [guest(1, "b"), guest(1, "a"), guest(1, "a")];
    let records = Records::new(&guests, &[], &policy());
    assert_eq!(records.names.len(), 1);
    assert_eq!(records.warnings, [Warning::ListedTwice { vmid: 1 }]);
}

#[test]
fn a_sighting_goes_on_since_it_began() {
    let before = [seen(1, "192.0.2.1", By::Agent, 5, 10), seen(1, "192.0.2.2", By::Agent, 6, 10)];
    let now = vec![
        seen(1, "192.0.2.1", By::Agent, 20, 20),
        seen(1, "192.0.2.1", By::Neighbor, 21, 21),
        seen(1, "192.0.2.3", By::Agent, 20, 20),
    ];
    let since: Vec<_> = Sighting::continued(now, &before).iter().map(|sighting| sighting.since.as_secs()).collect();
    assert_eq!(since, [5, 21, 20]);
}

fn any_guest() -> impl Strategy<Value = Guest> {
    let name = prop_oneof![
        4 => prop::sample::select(vec!["web", "db", "web-3", "web-3-3", "db.corp", "localhost", "x.lab.example", "vm-4", "42"]).prop_map(|name| Some(name.to_owned())),
        2 => any::<String>().prop_map(Some),
        1 => Just(None),
    ];
    let v4 = prop_oneof![
        (0_u8..30).prop_map(|last| Configured::Static(Ipv4Addr::new(192, 0, 2, last))),
        (0_u8..30).prop_map(|last| Configured::Static(Ipv4Addr::new(198, 51, 100, last))),
        Just(Configured::Dhcp),
        Just(Configured::Unsaid),
    ];
    let v6 = prop_oneof![
        (0_u16..30).prop_map(|last| Configured::Static(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last))),
        Just(Configured::Auto),
        Just(Configured::Dhcp),
    ];
    let nic = (0_u32..12, prop::sample::select(vec![None, Some(20), Some(30)]), any::<bool>(), v4, v6);
    let state = prop::sample::select(vec![State::Running, State::Running, State::Stopped, State::Unknown]);
    let nics = prop::collection::vec(nic, 0..3);
    let rest = (
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        nics,
        prop::collection::btree_map(0_u32..12, 0_u64..20, 0..3),
    );
    (1_u32..9, any::<bool>(), name, state, rest).prop_map(
        |(vmid, is_container, name, state, (is_template, has_custom_cloud_init, nics, lists))| Guest {
            vmid,
            kind: if is_container { Kind::Lxc } else { Kind::Qemu },
            name,
            state,
            is_template,
            has_custom_cloud_init,
            nics: (0..)
                .zip(nics)
                .map(|(index, (number, tag, is_link_down, v4, v6))| Nic {
                    index,
                    mac: mac(number),
                    tag,
                    is_link_down,
                    v4,
                    v6,
                    ..nic_of()
                })
                .collect(),
            lists: lists.into_iter().map(|(number, at)| (mac(number), seconds(at))).collect(),
            ..guest(vmid, "")
        },
    )
}

fn nic_of() -> Nic {
    nic(0)
}

fn any_sighting() -> impl Strategy<Value = Sighting> {
    let address = prop_oneof![
        (0_u8..40).prop_map(|last| IpAddr::from([192, 0, 2, last])),
        (0_u8..40).prop_map(|last| IpAddr::from([198, 51, 100, last])),
        (any::<u64>(), 0_u128..3)
            .prop_map(|(low, net)| { Ipv6Addr::from(0x2001_0db8_u128 << 96 | net << 64 | u128::from(low)).into() }),
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ];
    let by = prop::sample::select(vec![By::Agent, By::Interfaces, By::Lease, By::Neighbor, By::Ipam]);
    (0_u32..12, address, prop::option::of(1_u32..9), by, 0_u64..20, 0_u64..20).prop_map(
        |(number, address, vmid, by, since, more)| Sighting {
            mac: mac(number),
            address,
            vmid,
            by,
            since: seconds(since),
            at: seconds(since + more),
        },
    )
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let of = |chance| prop::bool::weighted(chance);
    (of(0.2), of(0.2), of(0.2), of(0.2), of(0.3), of(0.3)).prop_map(
        |(unnamed, duplicates, dotted, link_down, extra, anywhere)| {
            let mut policy = Policy {
                unnamed: if unnamed { Unnamed::LeftOut } else { Unnamed::Numbered },
                duplicates: if duplicates { Duplicates::LeftOut } else { Duplicates::Numbered },
                dotted: if dotted { Dotted::Hyphens } else { Dotted::AsIs },
                link_down: if link_down { LinkDown::LeftOut } else { LinkDown::Published },
                extra: extra
                    .then(|| Extra { name: "db.lab.example".parse().unwrap(), address: ip("192.0.2.7") })
                    .into_iter()
                    .collect(),
                reserved_addresses: [ip("192.0.2.1")].into(),
                ..policy()
            };
            if anywhere {
                let net = &policy.networks[0];
                policy.networks.push(Network {
                    bridge: None,
                    vlan: Vlan::Any,
                    domain: "any.example".parse().unwrap(),
                    ..net.clone()
                });
            }
            policy
        },
    )
}

fn is_legal(name: &DomainName) -> bool {
    let is_label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.as_str().len() <= 253 && name.labels().all(is_label) && name.labels().next() != Some("localhost")
}

proptest! {
    #[test]
    fn the_order_makes_no_difference(
        (guests, shuffled) in prop::collection::vec(any_guest(), 0..10).prop_flat_map(|guests| (Just(guests.clone()), Just(guests).prop_shuffle())),
        (sightings, others) in prop::collection::vec(any_sighting(), 0..40).prop_flat_map(|seen| (Just(seen.clone()), Just(seen).prop_shuffle())),
        policy in any_policy(),
    ) {
        prop_assert_eq!(Records::new(&guests, &sightings, &policy), Records::new(&shuffled, &others, &policy));
    }

    #[test]
    fn a_new_guest_never_renames_an_older_one(guests in prop::collection::vec(any_guest(), 0..10), mut new in any_guest(), policy in any_policy()) {
        let before = Records::new(&guests, &[], &policy).names;
        new.vmid = guests.iter().map(|guest| guest.vmid).max().unwrap_or(0) + 1;
        let mut after = Records::new(&[guests, vec![new.clone()]].concat(), &[], &policy).names;
        after.remove(&new.vmid);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn names_and_addresses_are_always_legal(
        guests in prop::collection::vec(any_guest(), 0..10),
        sightings in prop::collection::vec(any_sighting(), 0..60),
        policy in any_policy(),
    ) {
        let records = Records::new(&guests, &sightings, &policy);
        let mut holders: BTreeMap<&DomainName, u32> = BTreeMap::new();
        for (vmid, names) in &records.names {
            for name in names {
                prop_assert!(is_legal(name), "{}", name);
                prop_assert!(holders.insert(name, *vmid).is_none(), "{} is two guests'", name);
            }
        }
        let mut owners: BTreeMap<(IpAddr, usize), u32> = BTreeMap::new();
        let mut with_ptr = BTreeSet::new();
        for record in &records.records {
            if record.has_ptr {
                prop_assert!(with_ptr.insert(record.address));
            }
            let Reason::Nic { vmid, nic, network, source } = record.reason else { continue };
            prop_assert!(records.names[&vmid].contains(&record.name));
            prop_assert!(policy.networks[network].holds(record.address));
            prop_assert!(!policy.reserved_addresses.contains(&record.address));
            prop_assert_eq!(*owners.entry((record.address, network)).or_insert(vmid), vmid);
            let of_vmid: Vec<_> = guests.iter().filter(|guest| guest.vmid == vmid).collect();
            let is_right = of_vmid.iter().any(|guest| {
                guest.nics.iter().any(|other| {
                    let is_there = other.index == nic && policy.networks[network].has(other);
                    let is_seen = |sighting: &Sighting| sighting.mac == other.mac && sighting.address == record.address;
                    is_there && !guest.is_template && match source {
                        Source::Config => [other.v4.address().map(IpAddr::V4), other.v6.address().map(IpAddr::V6)].contains(&Some(record.address)),
                        Source::Seen(by) => sightings.iter().any(|sighting| is_seen(sighting) && sighting.by == by),
                    }
                })
            });
 prop_assert!(is_right, "{:?}", record);
        }
        // Each address is on one line, and every record is on it.
        let lines = records.lines();
        let addresses: BTreeSet<_> = lines.iter().map(|line| line.address).collect();
        prop_assert_eq!((lines.len(), &addresses), (addresses.len(), &with_ptr));
        for record in &records.records {
            prop_assert!(lines.iter().any(|line| line.address == record.address && line.names.contains(&&record.name)));
        }
        let macs: BTreeSet<_> = records.reservations.iter().map(|reservation| reservation.mac).collect();
        prop_assert_eq!(macs.len(), records.reservations.len());
        // The texts hold no line break but their own.
        prop_assert_eq!(records.dhcp_hostsfile().lines().count(), records.reservations.len());
        prop_assert_eq!(records.table(&policy).to_string().lines().count(), records.records.len() + records.reservations.len() + records.left_out.len() + records.warnings.len());
        prop_assert_eq!(records.json(&policy)["records"].as_array().unwrap().len(), records.records.len());
    }
}
