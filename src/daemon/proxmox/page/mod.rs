//! What is answered over HTTP: `/metrics` for Prometheus, `/healthz`, the page for people, and its data. Read-only, and everything in
//! there was written by others: the page makes text of it, never HTML ([`plain`] escapes it).

mod host;
mod plain;
#[cfg(test)]
mod tests;

use super::metrics::{Metrics, Now};
use super::snapshot::Dnsmasq;
use crate::daemon::endpoint::{Answer, Listener, OPENMETRICS, Request};
use crate::daemon::schedule::Moment;
use crate::error::Result;
use crate::net::DomainName;
use prometheus_client::registry::Registry;
use ring::digest::{SHA256, digest};
use serde::Serialize;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const PAGE: &str = include_str!("page.html");

/// All that is answered.
struct Site {
    metrics: Metrics,
    registry: Registry,
    names: Vec<DomainName>,
    page: String,
    policy: String,
}

/// What the page asks for again and again.
#[derive(Serialize)]
struct State<'a> {
    /// Another number for another run of the program, whose versions begin anew.
    run: u64,
    /// Another number for another snapshot: then it is worth while to ask for it.
    version: u64,
    /// Whether all is well.
    healthy: bool,
    /// Why not.
    why: Option<String>,
    /// Seconds since a round succeeded.
    last_round: Option<u64>,
    dnsmasq: &'a Dnsmasq,
    troubles: &'a [String],
}

/// A snapshot, and what was so when it was asked for.
#[derive(Serialize)]
struct All<'a, S> {
    state: State<'a>,
    snapshot: S,
}

/// Answers from now on, in threads of their own. Browsers may call us by our addresses, by bare names, and by names in these domains.
///
/// # Errors
/// No thread can be had.
pub fn serve(listener: Listener, metrics: Metrics, domains: Vec<DomainName>) -> Result<()> {
    let site = Site::new(metrics, domains);
    listener.serve_people(move |request| site.answer(request))
}

impl Site {
    fn new(metrics: Metrics, names: Vec<DomainName>) -> Self {
        let page = PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
        let (style, script) = (hash(STYLE), hash(SCRIPT));
        let policy = format!(
            "default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        );
        let registry = metrics.registry();
        Self { metrics, registry, names, page, policy }
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut answer = if host::is_ours(request, &self.names) { self.route(request.path) } else { host::refusal() };
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", self.policy.as_str()),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Frame-Options", "DENY"),
        ] {
            answer.headers.push((name, value.to_owned()));
        }
        answer
    }

    fn route(&self, path: &str) -> Answer {
        match path {
            "/metrics" => Answer::new("200 OK", OPENMETRICS, Metrics::page(&self.registry)),
            "/healthz" => match self.metrics.health() {
                Ok(()) => Answer::new("200 OK", TEXT, "ok\n"),
                Err(why) => Answer::new("503 Service Unavailable", TEXT, format!("{why}\n")),
            },
            "/" => Answer::new("200 OK", HTML, self.page.as_str()),
            "/plain" => {
                let (now, at) = (self.metrics.now(), self.metrics.moment());
                Answer::new("200 OK", HTML, plain::page(&now.snapshot, &self.metrics.health(), at))
            }
            "/api/state" => json(&self.state(&self.metrics.now(), self.metrics.moment())),
            "/api/records" => {
                let (now, at) = (self.metrics.now(), self.metrics.moment());
                json(&All { state: self.state(&now, at), snapshot: now.snapshot.json(at) })
            }
            _ => Answer::not_found(),
        }
    }

    fn state<'a>(&self, now: &'a Now, at: Moment) -> State<'a> {
        let why = self.metrics.health().err();
        State {
            run: self.metrics.run(),
            version: now.version,
            healthy: why.is_none(),
            why,
            last_round: now.last_round.map(|last| at.saturating_sub(last).as_secs()),
            dnsmasq: &now.snapshot.dnsmasq,
            troubles: &now.snapshot.troubles,
        }
    }
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Answer::new("200 OK", JSON, body),
        // Nothing in there can fail to be said.
        Err(error) => Answer::new("500 Internal Server Error", TEXT, error.to_string()),
    }
}

/// What Content-Security-Policy calls a text (CSP3, section 2.3.1): `sha256-` and the digest in Base64 (RFC 4648).
fn hash(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut hash = "sha256-".to_owned();
    for piece in digest(&SHA256, text.as_bytes()).as_ref().chunks(3) {
        let octet = |index: usize| u32::from(piece.get(index).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for index in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * index) & 63).ok().and_then(|digit| DIGITS.get(digit));
            let is_there = index <= piece.len();
            hash.push(digit.filter(|_| is_there).map_or('=', |digit| char::from(*digit)));
        }
    }
    hash
}
