use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const REQUIRED: &str = "MAC=aa:6b:39:22:33:44\nHOSTNAME=testing-vm\n";

fn with(lines: &str) -> Parsed {
    parse(format!("{REQUIRED}{lines}").as_bytes()).unwrap_or_else(|problem| panic!("{lines}{problem}"))
}

fn binding(lines: &str) -> Binding {
    let parsed = with(lines);
    assert_eq!(parsed.warnings, [], "{lines}");
    parsed.binding
}

fn refused(lines: &str) -> String {
    parse(format!("{REQUIRED}{lines}").as_bytes()).expect_err(lines).to_string()
}

#[test]
fn the_seeds_sample_is_read() {
    let sample =
        b"\nINDEV=tap10\nIP=192.0.2.100\nMAC=aa:6b:39:22:33:44\nHOSTNAME=testing-vm\nTAGS=\"\"\nGATEWAY=192.0.2.1\n\
        SUBNET=192.0.2.0/24\nGATEWAY6=2001:db8:aaaa:bbbb::1\nSUBNET6=2001:db8:aaaa:bbbb::/64\n\
        EUI64=2001:db8:aaaa:bbbb:a86b:39ff:fe22:3344\nPRIVATE=\nMTU=\n";
    let Parsed { binding, warnings } = parse(sample).unwrap();
    assert_eq!(warnings, []);
    let expected = Binding {
        indev: "tap10".parse().ok(),
        mac: "aa:6b:39:22:33:44".parse().unwrap(),
        hostname: "testing-vm".parse().ok(),
        ip: "192.0.2.100".parse().ok(),
        subnet: "192.0.2.0/24".parse().ok(),
        gateway: "192.0.2.1".parse().ok(),
        ip6: None,
        eui64: "2001:db8:aaaa:bbbb:a86b:39ff:fe22:3344".parse().ok(),
        subnet6: "2001:db8:aaaa:bbbb::/64".parse().ok(),
        gateway6: "2001:db8:aaaa:bbbb::1".parse().ok(),
        prefix6: None,
        private: false,
        mac_spoof: false,
        mtu: None,
        own: Options::default(),
    };
    assert_eq!(binding, expected);
}

#[test]
fn the_last_duplicate_wins_also_if_it_is_empty() {
    assert_eq!(binding("MTU=1400\nMTU=9000\n").mtu, Some(9000));
    assert_eq!(binding("MTU=1400\nMTU=\n").mtu, None);
    assert_eq!(refused("MAC=\n"), ": MAC is missing, or empty");
}

#[test]
fn a_value_ends_at_a_second_equals_sign() {
    assert_eq!(binding("MTU=1400=1500\n").mtu, Some(1400));
    assert_eq!(binding("MTU=1400 = x\r\n").mtu, Some(1400));
}

#[test]
fn keys_start_their_line_and_others_are_left_alone() {
    let none = binding(" MTU=1400\n#MTU=1400\nexport MTU=1400\nMTU =1400\nmtu=1400\nMTU\nX=\u{0}\u{1b}\nTAGS=a=b\n");
    assert_eq!(none, binding(""));
}

#[test]
fn what_is_required_must_be_there() {
    assert_eq!(parse(b"").unwrap_err().to_string(), ": MAC is missing, or empty");
    assert_eq!(parse(b"MAC=aa:6b:39:22:33:44").unwrap_err().to_string(), ": HOSTNAME is missing, or empty");
    assert_eq!(parse(b"HOSTNAME=x").unwrap_err().to_string(), ": MAC is missing, or empty");
}

#[test]
fn macs_are_read_in_every_spelling_and_only_of_one_host() {
    for text in ["AA:6B:39:22:33:44", "aa-6b-39-22-33-44", "Aa:6b-39:22:33:44"] {
        assert_eq!(binding(&format!("MAC={text}\n")).mac.to_string(), "aa:6b:39:22:33:44", "{text}");
    }
    for wrong in
        ["\"aa:6b:39:22:33:44\"", "aa:6b:39:22:33", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"]
    {
        assert!(refused(&format!("MAC={wrong}\n")).starts_with(":3: MAC="), "{wrong}");
    }
}

#[test]
fn wrong_values_are_named_with_line_and_what_is_expected() {
    assert_eq!(refused("\nMTU=big\n"), ":4: MTU=big is wrong: a number of octets from 68 to 65535 is expected");
    for wrong in [
        "IP=192.0.2.256",
        "SUBNET=192.0.2.0",
        "GATEWAY6=fe80::1%eth0",
        "IP=\"192.0.2.1\"",
        "INDEV=a/b",
        "MTU=67",
        "NTP=x",
    ] {
        assert!(refused(wrong).starts_with(":3: "), "{wrong}");
    }
    let hostile = parse(b"MAC=aa:6b:39:22:33:44\nHOSTNAME=a\nIP=\xff\x1b[31m\0\n").unwrap_err().to_string();
    assert!(hostile.starts_with(":3: IP=") && !hostile.contains('\u{1b}') && !hostile.contains('\0'), "{hostile}");
}

#[test]
fn networks_may_have_masks_and_host_bits() {
    assert_eq!(binding("IP=192.0.2.7\nSUBNET=192.0.2.7/255.255.255.0\n").subnet, "192.0.2.0/24".parse().ok());
    assert_eq!(binding("SUBNET6=2001:db8::7/64\n").subnet6, "2001:db8::/64".parse().ok());
}

#[test]
fn an_empty_private_means_no_and_all_else_yes() {
    assert!(!binding("PRIVATE=\n").private && binding("PRIVATE=yes\n").private && binding("MACSPOOF=1\n").mac_spoof);
    let Parsed { binding, warnings } = with("PRIVATE=no\n");
    assert!(binding.private);
    assert_eq!(warnings[0].to_string(), ":3: PRIVATE=no means yes: only an empty PRIVATE= means no");
}

#[test]
fn names_that_cannot_be_sent_are_not_served_and_said_so() {
    for name in [&b"\xff\xfe"[..], b"a b", b"\"vm\"", &[b'x'; 300]] {
        let text = [b"MAC=aa:6b:39:22:33:44\nHOSTNAME=", name].concat();
        let Parsed { binding, warnings } = parse(&text).unwrap();
        assert_eq!(binding.hostname, None);
        assert!(warnings[0].to_string().starts_with(":2: HOSTNAME="), "{warnings:?}");
    }
}

#[test]
fn doubtful_values_are_served_and_said_so() {
    let warned = |lines: &str| with(lines).warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(warned("IP=192.0.2.1\n"), [":3: IP=192.0.2.1 has no SUBNET: no mask can be served with it"]);
    assert_eq!(warned("SUBNET=192.0.2.0/24\nIP=192.0.3.1\n"), [":4: IP=192.0.3.1 is not in SUBNET=192.0.2.0/24"]);
    assert_eq!(warned("SUBNET6=2001:db8::/64\nIP6=2001:db9::1\n").len(), 1);
    assert_eq!(warned("SUBNET6=2001:db8::/80\nEUI64=2001:db8::1\n").len(), 1);
}

#[test]
fn own_options_are_told_apart_by_family() {
    let own = binding(
        "NAMESERVERS=192.0.2.2, 2001:db8::2,192.0.2.3,\nNTP=2001:db8::5\nSEARCH=a.example,b.example\nDOMAIN=c.example\n\
         ROUTES=10.0.0.0/8 via 192.0.2.1, default via 192.0.2.9\nTFTP=pxe\nBOOTFILE=http://192.0.2.1/boot\n",
    )
    .own;
    assert_eq!(own.nameservers, Some(vec!["192.0.2.2".parse().unwrap(), "192.0.2.3".parse().unwrap()]));
    assert_eq!(own.nameservers6, Some(vec!["2001:db8::2".parse().unwrap()]));
    assert_eq!((own.ntp, own.ntp6), (None, Some(vec!["2001:db8::5".parse().unwrap()])));
    assert_eq!(own.search.as_ref().map(Vec::len), Some(2));
    assert_eq!(own.search, own.search6);
    assert_eq!(own.routes.map(|routes| routes.len()), Some(2));
    assert_eq!((own.tftp.as_deref(), own.bootfile.as_deref()), (Some("pxe"), Some("http://192.0.2.1/boot")));
    let many = vec!["192.0.2.1"; 64].join(",");
    assert!(refused(&format!("NAMESERVERS={many}")).contains("at most 63"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_lines_give_a_binding_or_a_line_that_is_there(
        lines in vec((prop::sample::select(KEYS.to_vec()), "[0-9a-f:./, =\"via]{0,20}"), 0..12), required in any::<bool>()
    ) {
        let lines: Vec<_> = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let text = [if required { REQUIRED } else { "" }, &lines.concat()].concat();
        let problems = match parse(text.as_bytes()) {
            Ok(parsed) => parsed.warnings,
            Err(problem) => vec![problem],
        };
        for problem in problems {
            prop_assert!(problem.line.is_none_or(|line| (1..=text.lines().count()).contains(&line)), "{}", problem);
        }
    }

    #[test]
    fn what_is_written_is_read(ip in any::<[u8; 4]>(), mac in any::<[u8; 5]>(), length in 0u8..=32, mtu in 68u16..) {
        let ip = std::net::Ipv4Addr::from(ip);
        let subnet = ipnet::Ipv4Net::new(ip, length).unwrap();
        prop_assume!(served::ipv4(&ip.to_string()).is_ok());
        let [b, c, d, e, f] = mac;
        let mac = Mac([2, b, c, d, e, f]);
        let mask = subnet.netmask();
        for subnet_as in [subnet.to_string(), format!("{ip}/{mask}")] {
            let read = binding(&format!("IP={ip}\nMAC={mac}\nSUBNET={subnet_as}\nMTU={mtu}\n"));
            prop_assert_eq!((read.ip, read.mac, read.subnet, read.mtu), (Some(ip), mac, Some(subnet.trunc()), Some(mtu)));
        }
    }
}
