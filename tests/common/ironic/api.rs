//! Ironic's part, as recorded from 39.0.0.

use super::state::{AuthMode, State};
use super::wire::{Request, Response};
use std::fmt::Write as _;
use std::ops::Bound;
use uuid::Uuid;

const STATES: [&str; 8] =
    ["enroll", "verifying", "manageable", "available", "active", "inspecting", "inspect wait", "inspect failed"];

/// The answer to this request.
pub fn answer(state: &mut State, request: &Request) -> Response {
    let Some(path) = request.path.strip_prefix(state.prefix.as_str()) else {
        return Response::new(404, "text/html", "<html><head><title>404 Not Found</title></head></html>");
    };
    if matches!(path, "/" | "" | "/v1" | "/v1/") {
        let version = requested(state, request).unwrap_or(state.versions.0);
        return versioned(state, document(state, request, path), Some(version));
    }
    if let Some(refusal) = refused(state, request) {
        return refusal;
    }
    let version = match requested(state, request) {
        Ok(version) => version,
        Err(refusal) => return refusal,
    };
    if request.method != "GET" {
        return error(405, "Method Not Allowed");
    }
    if state.forbidden {
        let message = "Access was denied to the following resource: baremetal:port:list_all";
        return versioned(state, error(403, message), Some(version));
    }
    let answer = match path {
        "/v1/ports" | "/v1/ports/" => ports(state, request, version),
        "/v1/nodes" | "/v1/nodes/" => nodes(state, request, version),
        _ => Err(Response::json(404, wrapped(r#"{"code": 404, "title": "Not Found", "description": ""}"#))),
    };
    let answer = versioned(state, answer.unwrap_or_else(|refusal| refusal), Some(version));
    if state.gzip { answer.header("Simulated-Gzip", "") } else { answer }
}

/// As Ironic says no: JSON in JSON.
pub fn error(status: u16, message: &str) -> Response {
    let inner = serde_json::json!({ "faultcode": "Client", "faultstring": message, "debuginfo": null });
    Response::json(status, wrapped(&inner.to_string()))
}

fn wrapped(inner: &str) -> String {
    serde_json::json!({ "error_message": inner }).to_string()
}

fn versioned(state: &State, answer: Response, version: Option<u32>) -> Response {
    let (oldest, newest) = state.versions;
    let answer = answer
        .header("X-OpenStack-Ironic-API-Minimum-Version", format!("1.{oldest}"))
        .header("X-OpenStack-Ironic-API-Maximum-Version", format!("1.{newest}"));
    match version {
        Some(version) => answer.header("X-OpenStack-Ironic-API-Version", format!("1.{version}")),
        None => answer,
    }
}

fn document(state: &State, request: &Request, path: &str) -> Response {
    let (oldest, newest) = state.versions;
    let host = request.header("host").unwrap_or_default();
    let version = serde_json::json!({
        "id": "v1", "links": [{ "href": format!("http://{host}/v1/"), "rel": "self" }],
        "status": "CURRENT", "min_version": format!("1.{oldest}"), "version": format!("1.{newest}"),
    });
    let document = if path.starts_with("/v1") {
        serde_json::json!({ "id": "v1", "links": version["links"], "version": version })
    } else {
        serde_json::json!({ "name": "OpenStack Ironic API", "default_version": version, "versions": [version] })
    };
    Response::json(200, document.to_string())
}

/// The answer of whoever guards the door, unless the request may pass.
fn refused(state: &mut State, request: &Request) -> Option<Response> {
    let plain = |status, message: &str| {
        let body = serde_json::json!({ "error": { "message": message, "code": status } });
        Response::json(status, body.to_string())
    };
    match &state.auth {
        AuthMode::None => None,
        AuthMode::Basic(user, password) => {
            let challenge = |answer: Response| answer.header("WWW-Authenticate", "Basic realm=\"Baremetal API\"");
            match request.header("authorization") {
                None => Some(challenge(plain(401, "Authorization required"))),
                Some(given) if given == format!("Basic {}", base64(&format!("{user}:{password}"))) => None,
                Some(given) if given.starts_with("Basic ") => {
                    Some(challenge(plain(401, "Incorrect username or password")))
                }
                Some(_) => Some(plain(400, "Unsupported authorization type")),
            }
        }
        AuthMode::Keystone => {
            let now = std::time::Instant::now();
            let is_good = |token: &str| state.tokens.get(token).is_some_and(|end| now < *end);
            if request.header("x-auth-token").is_some_and(is_good) {
                return None;
            }
            state.tokens_refused += 1;
            let message = "The request you have made requires authentication.";
            let body = serde_json::json!({ "error": { "code": 401, "title": "Unauthorized", "message": message } });
            Some(
                Response::json(401, body.to_string())
                    .header("WWW-Authenticate", "Keystone uri=\"http://127.0.0.1:5000\""),
            )
        }
    }
}

/// The version that is asked for, or 406.
fn requested(state: &State, request: &Request) -> Result<u32, Response> {
    let (oldest, newest) = state.versions;
    let refuse = |description: String, with_range| {
        let inner = serde_json::json!({ "code": 406, "title": "Not Acceptable", "description": description });
        let answer = Response::json(406, wrapped(&inner.to_string()));
        if with_range { versioned(state, answer, None) } else { answer }
    };
    let supported = format!("The supported version range is: [1.{oldest}, 1.{newest}].");
    let asked = match request.header("x-openstack-ironic-api-version") {
        None => return Ok(oldest),
        Some("latest") => return Ok(newest),
        Some(asked) => asked,
    };
    let numbers = asked.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match numbers {
        None => Err(refuse("Invalid value for X-OpenStack-Ironic-API-Version header".to_owned(), false)),
        Some((1_u32, minor)) if (oldest..=newest).contains(&minor) => Ok(minor),
        Some((1, _)) => Err(refuse(
            format!(
                "Version {asked} was requested but the minor version is not supported by this service. {supported}"
            ),
            true,
        )),
        Some(_) => Err(refuse(
            format!(
                "Mutually exclusive versions requested. Version {asked} requested but not supported by this service. {supported}"
            ),
            true,
        )),
    }
}

/// What a listing is asked for.
struct Asked {
    limit: usize,
    marker: Option<Uuid>,
    fields: Vec<String>,
    node: Option<String>,
    state: Option<String>,
}

impl Asked {
    fn read(state: &State, request: &Request, version: u32, default: &[&str]) -> Result<Self, Response> {
        let fields = default.iter().map(|field| (*field).to_owned()).collect();
        let mut asked = Self { limit: state.max_limit, marker: None, fields, node: None, state: None };
        for (name, value) in request.parameters() {
            match name.as_str() {
                "limit" => {
                    let message = format!("Expected an integer for limit: {value}");
                    let limit: i64 = value.parse().map_err(|_| error(400, &message))?;
                    if limit <= 0 {
                        return Err(error(400, "Limit must be positive"));
                    }
                    asked.limit = state.max_limit.min(usize::try_from(limit).unwrap());
                }
                "marker" => {
                    let uuid = value.parse().map_err(|_| error(400, &format!("Expected UUID for marker: {value}")))?;
                    asked.marker = Some(uuid);
                }
                "fields" if version < 8 => return Err(error(406, "Request not acceptable.")),
                "fields" => asked.fields = value.split(',').map(str::to_owned).collect(),
                "node" | "node_uuid" => asked.node = Some(value),
                "provision_state" if version < 9 => return Err(error(406, "Request not acceptable.")),
                "provision_state" if asked.state.is_some() => {
                    let states = format!("['{}', '{value}']", asked.state.unwrap());
                    return Err(error(400, &format!("Expected string for provision_state: {states}")));
                }
                "provision_state" => asked.state = Some(value),
                "sort_key" | "sort_dir" => {}
                _ => return Err(error(400, &format!("Unexpected arguments: {name}"))),
            }
        }
        Ok(asked)
    }

    /// Refuses fields that are none or that came with a later version.
    fn check(&self, version: u32, known: &[(&str, u32)]) -> Result<(), Response> {
        for field in &self.fields {
            match known.iter().find(|(name, _)| name == field) {
                None => return Err(error(400, &format!("Field(s) \"{field}\" are not valid"))),
                Some((_, since)) if version < *since => return Err(error(406, "Request not acceptable.")),
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|known| known == field)
    }
}

fn ports(state: &State, request: &Request, version: u32) -> Result<Response, Response> {
    let asked = Asked::read(state, request, version, &["uuid", "address"])?;
    asked.check(version, &[("uuid", 1), ("address", 1), ("extra", 1), ("pxe_enabled", 19), ("node_uuid", 1)])?;
    let behind = match asked.marker {
        None => Bound::Unbounded,
        Some(uuid) => {
            let gone = || error(404, &format!("Port {uuid} could not be found."));
            Bound::Excluded(state.port_id(uuid).ok_or_else(gone)?)
        }
    };
    let host = request.header("host").unwrap_or_default();
    let mut page = Page::new("ports");
    if let Some(node) = &asked.node {
        let uuid = node_named(state, node).ok_or_else(|| error(404, &format!("Node {node} could not be found.")))?;
        let ids = state.ports_of(uuid).iter().filter(|id| match behind {
            Bound::Excluded(marker) => **id > marker,
            _ => true,
        });
        ids.take(asked.limit).for_each(|id| page.port(state, *id, &asked, host));
    } else {
        let range = state.ports.range((behind, Bound::Unbounded));
        range.take(asked.limit).for_each(|(id, _)| page.port(state, *id, &asked, host));
    }
    Ok(page.end(&asked, host))
}

/// The node of this UUID or name.
fn node_named(state: &State, text: &str) -> Option<Uuid> {
    let by_uuid = text.parse().ok().filter(|uuid| state.node_id(*uuid).is_some());
    let is = |(_, node): &&(Uuid, super::state::Node)| node.name.as_deref() == Some(text);
    by_uuid.or_else(|| state.nodes.values().find(is).map(|(uuid, _)| *uuid))
}

fn nodes(state: &State, request: &Request, version: u32) -> Result<Response, Response> {
    let asked = Asked::read(state, request, version, &["uuid", "provision_state"])?;
    let known =
        [("uuid", 1), ("name", 5), ("provision_state", 1), ("provision_updated_at", 1), ("inspect_interface", 31)];
    asked.check(version, &known)?;
    if let Some(wanted) = &asked.state {
        let is_known = STATES.contains(&wanted.as_str()) && (state.knows_inspect_wait || wanted != "inspect wait");
        if !is_known {
            return Err(error(400, &format!("Provision state \"{wanted}\" is not valid")));
        }
    }
    let behind = match asked.marker {
        None => Bound::Unbounded,
        Some(uuid) => {
            let gone = || error(404, &format!("Node {uuid} could not be found."));
            Bound::Excluded(state.node_id(uuid).ok_or_else(gone)?)
        }
    };
    let host = request.header("host").unwrap_or_default();
    let mut page = Page::new("nodes");
    let range = state.nodes.range((behind, Bound::Unbounded)).map(|(_, (uuid, node))| (uuid, node));
    let wanted = range.filter(|(_, node)| asked.state.as_ref().is_none_or(|wanted| *wanted == node.state));
    for (uuid, node) in wanted.take(asked.limit) {
        let shown = if version < 39 && node.state == "inspect wait" { "inspecting" } else { &node.state };
        page.item(*uuid, &asked, host, |field| match field {
            "name" => serde_json::json!(node.name).to_string(),
            "provision_state" => serde_json::json!(shown).to_string(),
            "provision_updated_at" => serde_json::json!(node.updated_at).to_string(),
            _ => serde_json::json!(node.inspect_interface).to_string(),
        });
    }
    Ok(page.end(&asked, host))
}

/// A page that is being written.
struct Page {
    kind: &'static str,
    text: String,
    count: usize,
    last: Option<Uuid>,
}

impl Page {
    fn new(kind: &'static str) -> Self {
        Self { kind, text: format!("{{\"{kind}\": ["), count: 0, last: None }
    }

    fn port(&mut self, state: &State, id: u64, asked: &Asked, host: &str) {
        let port = &state.ports[&id];
        if state.skipped.contains(&port.uuid) {
            return;
        }
        if let Some(raw) = &port.raw {
            self.comma();
            self.text.push_str(raw);
            self.last = Some(port.uuid);
            return;
        }
        self.item(port.uuid, asked, host, |field| match field {
            "address" => quoted(&port.address),
            "extra" => port.extra.as_deref().unwrap_or("{}").to_owned(),
            "pxe_enabled" => port.pxe_enabled.to_string(),
            _ => format!("\"{}\"", port.node),
        });
    }

    fn comma(&mut self) {
        if self.count > 0 {
            self.text.push_str(", ");
        }
        self.count += 1;
    }

    /// Fields come in an order of Ironic's own, whatever was asked for.
    fn item(&mut self, uuid: Uuid, asked: &Asked, host: &str, value: impl Fn(&str) -> String) {
        const ORDER: [&str; 8] = [
            "name",
            "address",
            "extra",
            "pxe_enabled",
            "provision_state",
            "provision_updated_at",
            "node_uuid",
            "inspect_interface",
        ];
        self.comma();
        let text = &mut self.text;
        text.push('{');
        if asked.has("uuid") {
            let _ = write!(text, "\"uuid\": \"{uuid}\", ");
        }
        for field in ORDER.iter().filter(|field| asked.has(field)) {
            let _ = write!(text, "\"{field}\": {}, ", value(field));
        }
        let kind = self.kind;
        let _ = write!(
            text,
            "\"links\": [{{\"href\": \"http://{host}/v1/{kind}/{uuid}\", \"rel\": \"self\"}}, \
             {{\"href\": \"http://{host}/{kind}/{uuid}\", \"rel\": \"bookmark\"}}]}}"
        );
        self.last = Some(uuid);
    }

    /// There is a `next` whenever the page is full, even if nothing is left; it is made from the Host header.
    fn end(mut self, asked: &Asked, host: &str) -> Response {
        self.text.push(']');
        if let Some(last) = self.last.filter(|_| self.count == asked.limit) {
            let (fields, limit, kind) = (asked.fields.join(","), asked.limit, self.kind);
            let query = format!("sort_key=id&sort_dir=asc&fields={fields}&limit={limit}&marker={last}");
            let _ = write!(self.text, ", \"next\": \"http://{host}/v1/{kind}?{query}\"");
        }
        self.text.push('}');
        Response::json(200, self.text)
    }
}

/// A JSON text; most have nothing in them that would have to be escaped.
fn quoted(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    if is_plain { format!("\"{text}\"") } else { serde_json::json!(text).to_string() }
}

/// RFC 4648 §4.
pub fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let is_there = place <= chunk.len();
            let index = (bits >> (18 - 6 * place)) as usize & 63;
            out.push(if is_there { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    out
}
