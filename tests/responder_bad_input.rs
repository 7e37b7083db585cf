//! DHCPv4 messages that are broken or meant to break: each is refused for what is wrong with it, or answered as if the odd
//! part were not there. Those that nobody thought of: `fuzz_dhcp4.rs`; over IPv6: `responder_ipv6/bad_input.rs`; to a running
//! responder: `kernel_nfdhcpd_faults.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/dhcp4.rs"]
mod dhcp4;

use dhcp4::{ADDRESS, GUEST, US, answer_to, binding, reply, settings, silence};
use instances::packet::dhcp4::{CLIENT, Dhcp4, FIXED, SERVER, kind};
use instances::packet::{Ipv4, Udp};
use instances::plan::responder::Decision;
use std::net::Ipv4Addr;

const HLEN: usize = 2;
const COOKIE: usize = FIXED;

fn discover() -> Dhcp4 {
    Dhcp4 { flags: 0, ..Dhcp4::from_client(kind::DISCOVER, GUEST) }
}

/// What becomes of a message with these octets, in a packet that is right.
fn decide(message: &[u8]) -> Decision {
    let packet =
        Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).packet(&Udp::new(CLIENT, SERVER, message).segment());
    answer_to(&packet, &binding(), &settings())
}

/// A discover with these octets as its options.
fn with_options(options: &[u8]) -> Decision {
    let mut message = discover().bytes();
    message.truncate(COOKIE + 4);
    message.extend_from_slice(options);
    decide(&message)
}

#[test]
fn hardware_addresses_of_other_lengths_or_kinds_are_refused() {
    for (at, values) in [(HLEN, &[0, 1, 5, 7, 16, 17, 128, 255][..]), (1, &[0, 6, 255])] {
        for value in values {
            let mut message = discover().bytes();
            message[at] = *value;
            assert_eq!(silence(decide(&message)), "DHCP: hardware address is not Ethernet's", "{at}: {value}");
        }
    }
}

#[test]
fn another_magic_cookie_is_refused() {
    for octet in COOKIE..COOKIE + 4 {
        let mut message = discover().bytes();
        message[octet] ^= 0x10;
        assert_eq!(silence(decide(&message)), "DHCP: wrong magic cookie");
    }
}

#[test]
fn bootp_with_and_without_a_cookie_and_dhcp_without_a_kind_get_no_answer() {
    let without = Dhcp4 { options: vec![(12, b"vm".to_vec()), (55, vec![1, 3])], ..discover() };
    assert_eq!(silence(decide(&without.bytes())), "BOOTP, without a message type");
    let mut message = Dhcp4 { options: vec![], ..discover() }.bytes();
    assert_eq!(silence(decide(&message)), "BOOTP, without a message type");
    message[COOKIE..].fill(0);
    assert_eq!(silence(decide(&message)), "DHCP: wrong magic cookie");
}

#[test]
fn options_that_are_cut_off_are_refused_wherever_the_message_ends() {
    for (options, reason) in [
        (&[53][..], "DHCP: option without a length"),
        (&[53, 1], "DHCP: option longer than its field"),
        (&[53, 1, 1, 61, 200, 1, 2, 3], "DHCP: option longer than its field"),
        (&[53, 1, 1, 61, 255, 255], "DHCP: option longer than its field"),
        (&[53, 0, 255], "DHCP: option 53 is not one octet"),
        (&[53, 2, 1, 1, 255], "DHCP: option 53 is not one octet"),
        (&[53, 1, 1, 50, 3, 1, 2, 3, 255], "DHCP: option 50 is no address"),
        (&[53, 1, 1, 54, 5, 1, 2, 3, 4, 5, 255], "DHCP: option 54 is no address"),
        (&[53, 1, 1, 57, 1, 255, 255], "DHCP: option 57 is not two octets"),
    ] {
        assert_eq!(silence(with_options(options)), reason, "{options:?}");
    }
    let whole = discover().with(50, ADDRESS.octets()).with(55, [1, 3, 6]).with(61, [1, 2, 3]).bytes();
    let end = whole.iter().rposition(|octet| *octet == 255).unwrap();
    // Between two options, the end may be missing.
    let ends = [3, 9, 14, 19].map(|length| COOKIE + 4 + length);
    assert_eq!(ends[3], end);
    for length in 0..=end {
        match decide(&whole[..length]) {
            Decision::Silence(_) => assert!(!ends.contains(&length), "{length}"),
            decision => assert!(ends.contains(&length) && reply(decision).what == "offer", "{length}"),
        }
    }
    assert_eq!(reply(decide(&whole[..=end])).what, "offer");
    assert_eq!(silence(with_options(&[0, 0, 0])), "BOOTP, without a message type");
}

#[test]
fn options_of_any_size_are_answered_in_a_packet_that_fits() {
    let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
    for message in [
        discover().with(55, all.clone()),
        discover().with(61, vec![7; 255]),
        discover().with(61, vec![7; 900]),
        discover().with(77, vec![7; 255]).with(124, vec![7; 255]).with(125, vec![7; 255]),
        discover().with(57, [0, 0]),
        discover().with(57, [0xff, 0xff]).with(55, all),
    ] {
        let offer = reply(decide(&message.bytes()));
        assert_eq!((offer.what, offer.message.yours), ("offer", ADDRESS));
        let most = if message.option(57).is_some_and(|size| size[0] > 0) { 1500 } else { 576 };
        assert!(offer.length <= most, "{}", offer.length);
    }
}

#[test]
fn options_that_overlap_are_joined_and_must_then_be_right() {
    // Twice is one of two octets (RFC 3396).
    assert_eq!(silence(with_options(&[53, 1, 1, 53, 1, 3, 255])), "DHCP: option 53 is not one octet");
    let [a, b, c, d] = ADDRESS.octets();
    let halves = [53, 1, 3, 50, 2, a, b, 12, 1, b'x', 50, 2, c, d, 255];
    assert_eq!(reply(with_options(&halves)).what, "ack");
    assert_eq!(
        silence(with_options(&[53, 1, 3, 50, 4, a, b, c, d, 50, 4, a, b, c, d, 255])),
        "DHCP: option 50 is no address"
    );
    // What one option holds is no other one, however it looks.
    assert_eq!(reply(with_options(&[53, 1, 1, 61, 3, 53, 1, 7, 255])).what, "offer");
    assert_eq!(reply(with_options(&[53, 1, 1, 255, 53, 1, 7, 255])).what, "offer", "nothing is read behind the end");
}

#[test]
fn overloaded_fields_are_read_once_and_never_lead_back() {
    let overloaded = |how: &[u8], file: &[u8], name: &[u8]| {
        let mut message = Dhcp4 { options: vec![(52, how.to_vec())], ..discover() };
        message.file[..file.len()].copy_from_slice(file);
        message.server_name[..name.len()].copy_from_slice(name);
        decide(&message.bytes())
    };
    assert_eq!(reply(overloaded(&[1], &[53, 1, 1, 255], &[])).what, "offer");
    assert_eq!(reply(overloaded(&[2], &[], &[53, 1, 1, 255])).what, "offer");
    assert_eq!(reply(overloaded(&[3], &[53, 1, 1, 255], &[12, 1, b'x', 255])).what, "offer");
    let again = "DHCP: option 52 in an overloaded field";
    assert_eq!(silence(overloaded(&[1], &[53, 1, 1, 52, 1, 3, 255], &[])), again);
    assert_eq!(silence(overloaded(&[3], &[53, 1, 1, 255], &[52, 1, 1, 255])), again);
    assert_eq!(reply(overloaded(&[1], &[53, 1, 1], &[])).what, "offer", "without an end, zeros follow");
    assert_eq!(silence(overloaded(&[1], &[53, 200, 1], &[])), "DHCP: option longer than its field");
    for how in [&[0][..], &[4], &[255]] {
        assert_eq!(silence(overloaded(how, &[53, 1, 1, 255], &[])), "DHCP: option 52 is not 1, 2 or 3");
    }
    assert_eq!(silence(overloaded(&[1, 1], &[53, 1, 1, 255], &[])), "DHCP: option 52 is not one octet");
}

/// What a client calls itself is nowhere in an answer, nor in a reason for there being none.
#[test]
fn names_of_clients_may_be_anything_and_go_nowhere() {
    let plain = reply(decide(&discover().bytes())).message;
    for name in [
        &b"\xff\xfe\x80\xc3\x28"[..],
        b"vm\nINDEV=tap0\r\nMAC=aa:00:00:00:00:02\n",
        b"\0\0\0\0",
        b"\x1b]0;owned\x07$(reboot)`reboot`%s%n",
        b"",
        &[b'a'; 255],
        &[0xf0; 255],
        &[b'a'; 600],
    ] {
        // Host name, vendor class, client's name by FQDN, user class.
        for number in [12, 60, 81, 77] {
            assert_eq!(reply(decide(&discover().with(number, name).bytes())).message, plain, "{number}: {name:?}");
        }
        let late = Dhcp4 { options: vec![(12, name.to_vec()), (53, vec![kind::DISCOVER])], ..discover() };
        assert_eq!(reply(decide(&late.bytes())).message, plain, "before option 53: {name:?}");
    }
    // The request says who it is for, and both are echoed.
    let request = Dhcp4 { server_name: [0xff; 64], file: [b'\n'; 128], ..discover() };
    assert_eq!(reply(decide(&request.with(54, US.octets()).bytes())).what, "offer");
}
