//! Why the API did not answer, and what to do about it. Proxmox says what is wrong in the reason phrase, for some errors nowhere
//! else.

use crate::source::http::{Answer, Broken, Lost, printable};
use serde_json::Value;
use std::fmt::{self, Write as _};

/// What kept an answer from us, for a metric's label and for whoever decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No connection, or one that broke.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The certificate, or TLS at all.
    Tls,
    /// 401: the token is wrong or has expired.
    Unauthorized,
    /// 403: a privilege is missing.
    Forbidden,
    /// 500 of a guest whose configuration is not where it was: it moved to another node or is gone.
    Moved,
    /// 595, 596, 599, or 500 for a node whose name nobody can look up: the node that was asked cannot reach the one meant.
    NodeDown,
    /// The guest agent does not answer, or there is none.
    NoAgent,
    /// The rest of 5xx, and 429.
    Server,
    /// What is asked for is not there: a version of Proxmox that does not have it.
    NotFound,
    /// Not what the API says: HTML, half a JSON, our request refused as a bad one.
    Nonsense,
}

impl Kind {
    /// One word, for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Moved => "moved",
            Self::NodeDown => "node_down",
            Self::NoAgent => "no_agent",
            Self::Server => "server",
            Self::NotFound => "not_found",
            Self::Nonsense => "nonsense",
        }
    }
}

/// Why an answer did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of what kind.
    pub kind: Kind,
    /// What was asked (method and URL), what came, and what to do, for a person. No secrets.
    pub text: String,
}

impl Failure {
    /// One of this kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        let kind = match broken.lost {
            Lost::Unreachable => Kind::Unreachable,
            Lost::Timeout => Kind::Timeout,
            Lost::Tls => Kind::Tls,
            Lost::Nonsense => Kind::Nonsense,
        };
        Self { kind, text: broken.text }
    }
}

/// The failure that an answer is which is no success.
pub(super) fn refusal(answer: &Answer) -> Failure {
    let said = said(answer);
    let kind = kind(answer.status.as_u16(), said.as_deref().unwrap_or_default());
    let mut text = format!("{}: {}", answer.what, answer.status.as_u16());
    if let Some(said) = said.as_deref().or_else(|| answer.status.canonical_reason()) {
        let _ = write!(text, " {said}");
    }
    if answer.is_html() {
        text.push_str(" (an HTML page, so it comes from a proxy or another server)");
    }
    if let Some(remedy) = remedy(kind, answer, said.as_deref().unwrap_or_default()) {
        let _ = write!(text, "; {remedy}");
    }
    Failure { kind, text }
}

/// The failure that an answer is which should have been JSON of a certain form.
pub(super) fn nonsense(answer: &Answer, error: &serde_json::Error) -> Failure {
    let (what, length) = (&answer.what, answer.body.len());
    let text = if answer.is_html() {
        format!("{what}: an HTML page where JSON should be; look for a proxy or login page at this address")
    } else if error.is_eof() {
        format!("{what}: the JSON ends too early, after {length} bytes; look for a proxy that cuts answers short")
    } else {
        format!("{what}: not what Proxmox's API says: {}; check the host", printable(&error.to_string()))
    };
    Failure { kind: Kind::Nonsense, text }
}

fn kind(status: u16, said: &str) -> Kind {
    let is = |words: &str| said.contains(words);
    match status {
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 | 501 => Kind::NotFound,
        595 | 596 | 599 => Kind::NodeDown,
        500 if is("Configuration file") && is("does not exist") => Kind::Moved,
        500 if is("hostname lookup") => Kind::NodeDown,
        500 if is("guest agent") || is("guest-ping") || is("is not running") || is("QMP") || is("qmp") => Kind::NoAgent,
        408 | 429 | 500..=599 => Kind::Server,
        _ => Kind::Nonsense,
    }
}

/// What the server says: its reason phrase, unless it has but the usual words for this status; then its message.
fn said(answer: &Answer) -> Option<String> {
    if let Some(reason) = &answer.reason {
        let mut said = reason.clone();
        // `Parameter verification failed.`, and what about which is in the body only.
        if let Ok(Value::Object(body)) = serde_json::from_slice(&answer.body)
            && let Some(Value::Object(errors)) = body.get("errors")
        {
            for (parameter, why) in errors.iter().take(3) {
                let why = why.as_str().unwrap_or("wrong");
                let _ = write!(said, " {}: {}", printable(parameter), printable(why));
            }
        }
        return Some(said);
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&answer.body) else { return None };
    let message = printable(body.get("message")?.as_str()?);
    (!message.is_empty()).then_some(message)
}

fn remedy(kind: Kind, answer: &Answer, said: &str) -> Option<String> {
    if answer.status.is_redirection() {
        return Some(
            "name the host that it leads to; a redirection is not followed, as the token goes along".to_owned(),
        );
    }
    let text = match kind {
        Kind::Unauthorized => {
            "check the token's id (user@realm!name) and secret, and whether it or its user has expired or is disabled"
        }
        Kind::Forbidden => return Some(privilege(said)),
        Kind::Moved => "the guest was moved or removed meanwhile",
        Kind::NodeDown => "the node that was asked does not reach the one that is meant: is it down?",
        Kind::NotFound => "this version of Proxmox does not have it, or the host is no Proxmox",
        Kind::Server => "look at the system log of the node (pveproxy, pvedaemon)",
        _ => return None,
    };
    Some(text.to_owned())
}

/// The privilege that is missing, from `Permission check failed (/vms/110, VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted)`.
fn privilege(said: &str) -> String {
    let inside = said.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
    let parts = inside.and_then(|inside| inside.split_once(','));
    let Some((path, privileges)) = parts else {
        return "give the token's user and, if privileges are separated, the token itself the role PVEAuditor on /"
            .to_owned();
    };
    let (path, privileges) = (path.trim(), privileges.trim());
    let names: Vec<_> = privileges.split(['|', ',']).map(str::trim).filter(|name| !name.is_empty()).collect();
    let role = match names.as_slice() {
        names if names.contains(&"VM.Monitor") => {
            " (Proxmox VE 8: PVEAuditor lacks it; make a role of VM.Audit and VM.Monitor)"
        }
        names if names.iter().any(|name| name.ends_with(".Audit")) => " (the role PVEAuditor has it)",
        _ => "",
    };
    let names = names.join(" or ");
    format!("the token lacks {names} on {path}{role}; with separated privileges both the user and the token need it")
}
