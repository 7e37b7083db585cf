//! Real answers: the simulator gives the same, and the client understands them.

use crate::simulator::{Asking, AuthMode, Fault, Recorded, Simulator, access, recorded};
use instances::source::ironic::{Access, Auth, Kind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use uuid::Uuid;

fn one(name: &str) -> Recorded {
    recorded().into_iter().find(|recorded| recorded.name.starts_with(name)).unwrap()
}

/// The Ironic that was recorded, as far as the recordings show it: forty ports and those of `more`, a node in `inspect wait`.
fn as_recorded(more: &[&str]) -> Simulator {
    let ironic = Simulator::start();
    let uuid = |value: &Value| -> Uuid { value.as_str().unwrap().parse().unwrap() };
    for page in ["noauth-026", "noauth-027", "noauth-028"].iter().chain(more) {
        for port in one(page).body["ports"].as_array().unwrap() {
            let node = uuid(&port["node_uuid"]);
            let mut state = ironic.state();
            if state.node_id(node).is_none() {
                state.put_node(node, "", "manageable", "agent");
            }
            state.put_port(crate::simulator::Port {
                uuid: uuid(&port["uuid"]),
                address: port["address"].as_str().unwrap().to_owned(),
                node,
                pxe_enabled: port["pxe_enabled"].as_bool().unwrap(),
                extra: Some(port["extra"].to_string().into()),
                raw: None,
            });
        }
    }
    let inspected = &one("noauth-046").body["nodes"][0];
    ironic.state().put_node(uuid(&inspected["uuid"]), "waiting", "inspect wait", "agent");
    ironic
}

/// Asks with a recorded request, to the letter, and gives status, headers and body.
fn asked(ironic: &Simulator, request: &Recorded) -> (u16, Vec<String>, Value) {
    let mut stream = TcpStream::connect(ironic.address()).unwrap();
    write!(stream, "{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.path).unwrap();
    for (name, value) in &request.request_headers {
        write!(stream, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = head.lines().skip(1).map(str::to_owned).collect();
    (status, headers, serde_json::from_str(body).unwrap())
}

/// Names of all headers that mean something, in lower case; with their values where these must agree.
fn essential(headers: impl Iterator<Item = (String, String)>) -> BTreeSet<String> {
    let by_name = |(name, value): (String, String)| {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "date" | "server" | "content-length" | "connection" => None,
            _ if name.ends_with("request-id") => None,
            _ => Some(format!("{name}: {value}")),
        }
    };
    headers.filter_map(by_name).collect()
}

/// JSON in JSON, unpacked: in which order Python writes it down means nothing.
fn unpacked(mut body: Value) -> Value {
    if let Some(inner) = body["error_message"].as_str().and_then(|text| serde_json::from_str(text).ok()) {
        body["error_message"] = inner;
    }
    body
}

/// What is where, without what it says.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => items.first().map(shape).into_iter().collect(),
        Value::String(_) => "text".into(),
        _ => Value::Null,
    }
}

#[test]
fn the_simulator_answers_as_ironic_did() {
    let (mut compared, mut letters) = (0, 0);
    for request in recorded() {
        let later = request.name.starts_with("noauth-067");
        let ironic = as_recorded(if later { &["noauth-067"] } else { &[] });
        if request.name.starts_with("http_basic") {
            ironic.state().auth = AuthMode::Basic("admin".to_owned(), "secret".to_owned());
        } else if request.name.starts_with("keystone") {
            ironic.state().auth = AuthMode::Keystone;
        }
        // Ironic's own page for people, and Keystone being away: not simulated, see below.
        if ["noauth-020", "keystone-005"].iter().any(|name| request.name.starts_with(name)) {
            continue;
        }
        if let Some(marker) = request.path.split("marker=").nth(1).filter(|_| request.name.contains("exactpage")) {
            let node = ironic.state().add_node();
            let uuid = marker.parse().unwrap();
            let port = crate::simulator::Port {
                uuid,
                address: String::new(),
                node,
                pxe_enabled: true,
                extra: None,
                raw: None,
            };
            ironic.state().put_port(port);
        }
        let (status, headers, body) = asked(&ironic, &request);
        let name = &request.name;
        assert_eq!(status, request.status, "{name}: {body}");
        let pairs = headers.iter().map(|line| line.split_once(": ").unwrap());
        let ours = essential(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(ours, essential(request.headers.iter().cloned()), "{name}");
        // Version documents have more links in reality, and nobody follows them.
        if request.path == "/" || request.path == "/v1" {
            assert_eq!(body["version"], request.body["version"], "{name}");
        } else if status == 200 && !name.starts_with("noauth-0") {
            // Other ports: another day.
            assert_eq!(shape(&body), shape(&request.body), "{name}");
        } else {
            assert_eq!(unpacked(body), unpacked(request.body), "{name}");
            letters += 1;
        }
        compared += 1;
    }
    assert!(compared >= 38 && letters >= 25, "{compared} compared, {letters} to the letter");
}

#[test]
fn the_pages_of_a_real_listing_are_understood() {
    let ironic = Simulator::start();
    for page in ["noauth-026", "noauth-027", "noauth-028", "noauth-217"] {
        ironic.fault_once("/v1/ports", Fault::Answer(200, "application/json", one(page).body.to_string().into_bytes()));
    }
    let (listed, pages) = Asking::at(&ironic.url()).listing().unwrap();
    assert_eq!((listed.ports.len(), listed.refused.len(), pages), (40, 0, 4));
    assert_eq!(listed.ports[0].uuid.to_string(), "36721f1b-b311-4e3b-980e-0bb161855ccd");
    assert_eq!(listed.ports[0].address.to_string(), "52:54:00:00:00:00");
    // InfiniBand.
    ironic.heal();
    let page = one("noauth-067").body.to_string().into_bytes();
    ironic.fault("/v1/ports", Fault::Answer(200, "application/json", page));
    let ports =
        Asking::at(&ironic.url()).ports_of("ac3d0f33-451e-4718-9417-f299c8ac244b".parse().unwrap()).unwrap().ports;
    assert_eq!(ports[0].guid.map(|guid| guid.0[7]), Some(0x4f));
}

#[test]
fn what_a_real_ironic_says_when_it_refuses_reaches_people() {
    let nobody = Auth::None;
    let basic = Auth::HttpBasic { username: "admin".to_owned(), password: "s3cret".to_owned() };
    for (name, auth, kind, text) in [
        ("noauth-006", &nobody, Kind::Version, "406 Not Acceptable: Request not acceptable."),
        ("noauth-014", &nobody, Kind::Version, "The supported version range is: [1.1, 1.115]."),
        (
            "noauth-020",
            &nobody,
            Kind::Version,
            "406 Not Acceptable: 406 Not Acceptable 406 Not Acceptable The resource",
        ),
        ("noauth-033", &nobody, Kind::Nonsense, "400 Bad Request: Limit must be positive"),
        (
            "noauth-039",
            &nobody,
            Kind::NotFound,
            "404 Not Found: Port 11111111-2222-3333-4444-555555555555 could not be",
        ),
        ("noauth-050", &nobody, Kind::Nonsense, "400 Bad Request: Provision state \"banana\" is not valid"),
        (
            "http_basic-003",
            &nobody,
            Kind::Unauthorized,
            "Authorization required; Ironic wants HTTP Basic: set auth_type",
        ),
        ("http_basic-004", &basic, Kind::Unauthorized, "Incorrect username or password; check username and password"),
        ("keystone-003", &nobody, Kind::Unauthorized, "requires authentication.; Ironic wants a token of Keystone's"),
        ("keystone-003", &basic, Kind::Unauthorized, "not HTTP Basic: set auth_type = password"),
        (
            "keystone-005",
            &nobody,
            Kind::Server,
            "503 Service Unavailable: The server is currently unavailable. Please try again at a later time. The Keystone \
             service is temporarily unavailable.; Ironic cannot reach Keystone: look at [keystone_authtoken]",
        ),
    ] {
        let ironic = Simulator::start();
        let answer = one(name);
        let body = answer.body.to_string().into_bytes();
        let lengthless = |(name, _): &(String, String)| name != "Content-Length";
        let headers: Vec<_> = answer.headers.into_iter().filter(lengthless).collect();
        ironic.fault("/v1/ports", Fault::AnswerWith(answer.status, headers, body));
        let failure = Asking::new(&Access { auth: auth.clone(), ..access(&ironic.url()) }).ports().unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.text.contains(text), "{failure} has no {text}");
    }
}
