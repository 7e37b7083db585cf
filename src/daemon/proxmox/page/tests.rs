use super::*;
use crate::daemon::proxmox::snapshot::{GuestRow, NicRow, Row, Snapshot};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const HOSTILE: &str = "<script>alert('1')</script>\u{1f980}\"&\n";

fn snapshot() -> Snapshot {
    let row = Row {
        name: "web.lan".to_owned(),
        address: "192.0.2.10".parse().unwrap(),
        has_ptr: true,
        nic: Some(NicRow { vmid: 101, index: 0, mac: None, network: 0 }),
        source: "config",
        since: Duration::ZERO,
    };
    let guest = GuestRow {
        vmid: 101,
        kind: "lxc",
        node: "pve1".to_owned(),
        name: Some(HOSTILE.to_owned()),
        state: "running",
        names: vec!["web.lan".to_owned()],
        records: 1,
        stale: None,
    };
    let warnings = vec![format!("guest 101: {HOSTILE} is no name")];
    Snapshot { rows: vec![row], guests: vec![guest], warnings, dnsmasq: Dnsmasq::Answers, ..Snapshot::default() }
}

fn served() -> (Metrics, SocketAddr) {
    let metrics = Metrics::new(Instant::now(), Duration::from_secs(60));
    metrics.snapshot(snapshot());
    let listener = Listener::bind_as("LISTEN", "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    serve(listener, metrics.clone(), vec!["vm.example.com".parse().unwrap()]).unwrap();
    (metrics, address)
}

/// Header and content of an answer.
fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: en\r\n\r\n"))
}

#[test]
fn whether_all_is_well_can_be_asked() {
    let (metrics, address) = served();
    let (head, body) = get(address, "/healthz");
    assert!(head.starts_with("HTTP/1.1 503 ") && body == "nothing was heard of Proxmox yet\n", "{head} {body}");
    metrics.round(Duration::ZERO);
    let (head, body) = get(address, "/healthz");
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok\n", "{head} {body}");
    metrics.snapshot(Snapshot { dnsmasq: Dnsmasq::Down("it has ended".to_owned()), ..snapshot() });
    let (head, body) = get(address, "/healthz");
    assert!(head.starts_with("HTTP/1.1 503 ") && body == "dnsmasq: it has ended\n", "{head} {body}");
}

#[test]
fn everything_is_read_only_and_says_what_it_is() {
    let (_metrics, address) = served();
    for (path, kind) in [
        ("/", HTML),
        ("/plain?x", HTML),
        ("/api/state", JSON),
        ("/api/records", JSON),
        ("/metrics", OPENMETRICS),
        ("/healthz", TEXT),
    ] {
        let (head, body) = get(address, path);
        assert!(head.contains(&format!("\r\nContent-Type: {kind}\r\n")) && !body.is_empty(), "{path}: {head}");
        for line in
            ["X-Content-Type-Options: nosniff", "Content-Security-Policy: default-src 'none';", "X-Frame-Options: DENY"]
        {
            assert!(head.contains(line), "{path}: {head}");
        }
    }
    for (request, status) in [
        ("POST / HTTP/1.1\r\n\r\n", "405"),
        ("DELETE /api/records HTTP/1.1\r\n\r\n", "405"),
        ("GET /../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        ("GET http://127.0.0.1/ HTTP/1.1\r\n\r\n", "404"),
        ("\r\n\r\n", "400"),
    ] {
        assert_eq!(&ask(address, request).0[9..12], status, "{request}");
    }
    let (head, body) = ask(address, "HEAD / HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty());
}

#[test]
fn a_browser_that_was_lured_to_us_by_anothers_name_learns_nothing() {
    let (_metrics, address) = served();
    for path in ["/", "/plain", "/api/state", "/api/records", "/metrics", "/healthz"] {
        let lured = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nAccept-Language: en\r\n\r\n");
        let (head, body) = ask(address, &lured);
        assert!(head.starts_with("HTTP/1.1 421 ") && !body.contains("web"), "{path} {head} {body}");
    }
    let program = "GET /metrics HTTP/1.1\r\nHost: pve1.example.com:9810\r\n\r\n";
    assert!(ask(address, program).0.starts_with("HTTP/1.1 200 "));
    let ours = "GET / HTTP/1.1\r\nHost: pve1.vm.example.com:9810\r\nAccept-Language: en\r\n\r\n";
    assert!(ask(address, ours).0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_guests_call_themselves_is_never_html() {
    let (_metrics, address) = served();
    let (_, plain) = get(address, "/plain");
    assert!(!plain.contains("<script"), "{plain}");
    let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\u{1f980}&quot;&amp;\u{fffd}";
    assert_eq!(plain.matches(escaped).count(), 2, "{plain}");
    let (_, records) = get(address, "/api/records");
    let records: serde_json::Value = serde_json::from_str(&records).unwrap();
    assert_eq!(records["snapshot"]["guests"][0]["name"], HOSTILE);
    assert_eq!((&records["state"]["version"], &records["state"]["healthy"]), (&1.into(), &false.into()));
}

#[test]
fn a_text_is_hashed_as_browsers_do() {
    assert_eq!(hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(hash("alert('Hello, world.');"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
}

#[test]
fn the_page_takes_nothing_from_elsewhere() {
    for text in [PAGE, STYLE, SCRIPT] {
        assert!(
            !text.contains("http:") && !text.contains("https:") && !text.contains("@import") && !text.contains("url(")
        );
    }
    for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "</"] {
        assert!(!SCRIPT.contains(forbidden), "{forbidden}");
    }
}
