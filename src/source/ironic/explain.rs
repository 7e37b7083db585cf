//! What an answer that is a refusal says, and what to do about it.

use super::http::Answer;
use super::{Auth, Failure, Kind};
use crate::source::http::{printable, without_user};
use reqwest::StatusCode;
use serde_json::Value;
use std::fmt::Write as _;

/// Whom we asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Ironic,
    Keystone,
}

/// The failure that this answer is.
pub(super) fn refusal(answer: &Answer, asked: Asked, auth: &Auth) -> Failure {
    let kind = match answer.status {
        StatusCode::UNAUTHORIZED => Kind::Unauthorized,
        StatusCode::FORBIDDEN => Kind::Forbidden,
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::NOT_ACCEPTABLE => Kind::Version,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Kind::Server,
        status if status.is_server_error() => Kind::Server,
        _ => Kind::Nonsense,
    };
    let mut text = format!("{}: {}", answer.what, answer.status.as_u16());
    if let Some(reason) = answer.status.canonical_reason().or(answer.reason.as_deref()) {
        let _ = write!(text, " {reason}");
    }
    let said = said(answer);
    if let Some(said) = &said {
        let _ = write!(text, ": {said}");
    }
    if answer.is_html() {
        text.push_str(" (an HTML page, so it comes from a proxy or another server)");
    }
    if let Some(remedy) = remedy(answer, asked, auth, said.as_deref().unwrap_or_default()) {
        let _ = write!(text, "; {remedy}");
    }
    Failure { kind, text }
}

/// The failure that an answer is which should have been JSON of a certain form.
pub(super) fn nonsense(answer: &Answer, why: &str) -> Failure {
    let what = &answer.what;
    let text = if answer.is_html() {
        let title = said(answer).map(|said| format!(" ({said})")).unwrap_or_default();
        format!("{what}: an HTML page{title} where JSON should be; look for a proxy or login page at this address")
    } else {
        format!("{what}: {why}")
    };
    Failure { kind: Kind::Nonsense, text }
}

/// What to do about it.
fn remedy(answer: &Answer, asked: Asked, auth: &Auth, said: &str) -> Option<&'static str> {
    if answer.status.is_redirection() {
        return Some(
            "write the address it leads to in the configuration; a redirection is not followed, as a token goes along",
        );
    }
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    match (asked, answer.status.as_u16()) {
        (Asked::Keystone, 401) => Some("check username, password and their domain, or the application credential"),
        (Asked::Keystone, 403) => Some("the account may be locked or its password expired"),
        (Asked::Keystone, 404) => Some("check auth_url"),
        (Asked::Keystone, 400) => Some("a user's and a project's name need their domains"),
        (Asked::Keystone, 503) => Some("look at Keystone's log"),
        (Asked::Ironic, 401) => Some(match auth {
            Auth::None if challenge.starts_with("Basic") => {
                "Ironic wants HTTP Basic: set auth_type = http_basic, username and password"
            }
            Auth::None => "Ironic wants a token of Keystone's: set auth_type = password, auth_url, username and so on",
            Auth::HttpBasic { .. } if challenge.starts_with("Keystone") => {
                "Ironic wants a token of Keystone's, not HTTP Basic: set auth_type = password and auth_url"
            }
            Auth::HttpBasic { .. } => "check username and password against Ironic's http_basic_auth_user_file",
            Auth::Keystone { .. } if challenge.starts_with("Basic") => {
                "Ironic wants HTTP Basic, not a token: set auth_type = http_basic"
            }
            Auth::Keystone { .. } => "a fresh token is refused, too: check that Ironic and we use the same Keystone",
        }),
        (Asked::Ironic, 403) => Some(
            "give the account a role that may list all ports and nodes: reader with system_scope = all, \
             or service in the service project",
        ),
        (Asked::Ironic, 404) => Some("check the endpoint's path: /v1 must be Ironic's"),
        (Asked::Ironic, 503) if said.contains("Keystone") => {
            Some("Ironic cannot reach Keystone: look at [keystone_authtoken] in its configuration")
        }
        (Asked::Ironic, 500..) => Some("look at the log of Ironic's API, or of the proxy before it"),
        _ => None,
    }
}

/// What a server says for people, whatever it wraps it in: one line of printable characters.
pub(super) fn said(answer: &Answer) -> Option<String> {
    if answer.status.is_redirection() {
        return answer.header("location").map(|location| printable(&without_user(location)));
    }
    let body = String::from_utf8_lossy(&answer.body);
    let text = match serde_json::from_str::<Value>(&body) {
        Ok(value) => message(&value, 4)?,
        Err(_) if answer.is_html() => title(&body)?,
        Err(_) => body.into_owned(),
    };
    let text = printable(&without_tags(&text));
    (!text.is_empty()).then_some(text)
}

/// Ironic has a JSON document in `error_message`, as text; its middleware and Keystone have `error`, others `message`.
fn message(value: &Value, depth: u8) -> Option<String> {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) if depth > 0 => message(&inner, depth - 1),
            _ => Some(text.clone()),
        },
        Value::Object(fields) if depth > 0 => {
            let keys = ["error_message", "faultstring", "description", "error", "message", "title"];
            keys.iter().filter_map(|key| message(fields.get(*key)?, depth - 1)).find(|text| !text.trim().is_empty())
        }
        _ => None,
    }
}

/// A page's title.
fn title(html: &str) -> Option<String> {
    let start = html.to_ascii_lowercase().find("<title>")? + "<title>".len();
    let rest = html.get(start..)?;
    rest.split('<').next().map(str::to_owned)
}

/// What stands between the tags.
fn without_tags(text: &str) -> String {
    if !text.contains('<') {
        return text.to_owned();
    }
    let mut outside = String::with_capacity(text.len());
    for part in text.split('<') {
        match part.split_once('>') {
            Some((_, after)) => {
                outside.push(' ');
                outside.push_str(after);
            }
            None => outside.push_str(part),
        }
    }
    outside
}
