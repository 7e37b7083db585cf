//! Tokens of Keystone's, Identity API v3: asked for with a password or an application credential, kept, renewed in good time.

use super::explain::{self, Asked};
use super::http::{Answer, Http, shown};
use super::{Auth, Domain, Endpoint, Failure, Identity, Kind, Named, Scope, time};
use crate::error::{Error, Result};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long before its end a token is renewed, if it lives that long.
const AHEAD: Duration = Duration::from_secs(60);
/// After how long renewal is tried again while the old token is still good.
const PAUSE: Duration = Duration::from_secs(10);

/// Who we are to Keystone, and the token that we have.
pub(super) struct Keystone {
    auth: Auth,
    url: Url,
    body: Vec<u8>,
    endpoint: Endpoint,
    token: Option<Token>,
}

/// A token.
#[derive(Clone)]
pub(super) struct Token {
    /// For the header `X-Auth-Token`.
    pub value: HeaderValue,
    /// Where the catalogue says that Ironic is, if it was asked.
    pub endpoint: Option<Url>,
    /// When it is to be renewed, and when it ends. By our own clock, since Keystone's may be wrong.
    renew: Option<Instant>,
    ends: Option<Instant>,
}

impl Keystone {
    /// # Errors
    /// `auth_url` is no URL.
    pub(super) fn new(auth: &Auth, endpoint: &Endpoint) -> Result<Option<Self>> {
        let Auth::Keystone { auth_url, identity, scope } = auth else { return Ok(None) };
        let mut url = tokens_url(auth_url)?;
        if matches!(endpoint, Endpoint::Url(_)) {
            url.set_query(Some("nocatalog"));
        }
        let body = request(identity, scope).to_string().into_bytes();
        Ok(Some(Self { auth: auth.clone(), url, body, endpoint: endpoint.clone(), token: None }))
    }

    /// The token, asked for if there is none or if it ends soon. While an old one is good, Keystone may be away.
    ///
    /// # Errors
    /// Keystone gives none, or does not know where Ironic is.
    pub(super) async fn token(&mut self, http: &Http) -> Result<Token, Failure> {
        let now = Instant::now();
        let is_past = |time: Option<Instant>| time.is_some_and(|time| now >= time);
        match self.token.take() {
            Some(token) if !is_past(token.renew) => Ok(self.token.insert(token).clone()),
            Some(mut old) if !is_past(old.ends) => {
                let token = self.ask(http).await.unwrap_or_else(|_| {
                    old.renew = Some(Instant::now() + PAUSE);
                    old
                });
                Ok(self.token.insert(token).clone())
            }
            _ => Ok(self.token.insert(self.ask(http).await?).clone()),
        }
    }

    /// Forgets the token: it was refused.
    pub(super) fn forget(&mut self) {
        self.token = None;
    }

    /// The token as text, for it not to be shown.
    pub(super) fn secret(&self) -> Option<&str> {
        self.token.as_ref().and_then(|token| token.value.to_str().ok())
    }

    async fn ask(&self, http: &Http) -> Result<Token, Failure> {
        let request =
            http.client().post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(self.body.clone());
        let request = request.build().map_err(|error| Failure { kind: Kind::Nonsense, text: error.to_string() })?;
        let asked = Instant::now();
        let answer = http.send(request).await?;
        if !matches!(answer.status, StatusCode::CREATED | StatusCode::OK) {
            return Err(explain::refusal(&answer, Asked::Keystone, &self.auth));
        }
        self.read(&answer, asked)
    }

    fn read(&self, answer: &Answer, asked: Instant) -> Result<Token, Failure> {
        #[derive(Deserialize)]
        struct Body {
            token: Wire,
        }
        #[derive(Deserialize)]
        struct Wire {
            issued_at: Option<String>,
            expires_at: Option<String>,
            #[serde(default)]
            catalog: Vec<Service>,
        }
        let Some(value) = answer.headers.get("x-subject-token") else {
            return Err(explain::nonsense(
                answer,
                "an answer without X-Subject-Token; check that auth_url is Keystone's",
            ));
        };
        let mut value = value.clone();
        value.set_sensitive(true);
        let Body { token } = serde_json::from_slice(&answer.body)
            .map_err(|error| explain::nonsense(answer, &format!("not a token's description: {error}")))?;
        let at = |text: Option<String>| text.and_then(|text| time::parse(&text));
        let lifetime = match (at(token.issued_at), at(token.expires_at)) {
            (Some(issued), Some(ends)) => Some(ends.duration_since(issued).unwrap_or_default()),
            _ => None,
        };
        let renew = lifetime.map(|lifetime| asked + renewal(lifetime));
        let endpoint = match &self.endpoint {
            Endpoint::Url(_) => None,
            Endpoint::Catalog { .. } => Some(found(&token.catalog, &self.endpoint, &shown(&self.url))?),
        };
        Ok(Token { value, endpoint, renew, ends: lifetime.map(|lifetime| asked + lifetime) })
    }
}

/// How long after its beginning a token is renewed: in good time, but not before three quarters of a short life are over.
fn renewal(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(AHEAD).max(lifetime / 4 * 3)
}

/// `auth_url` with or without `/v3`.
fn tokens_url(auth_url: &str) -> Result<Url> {
    let text = auth_url.trim().trim_end_matches('/');
    let text = text.strip_suffix("/v3").unwrap_or(text);
    let shown = crate::source::http::without_user(auth_url);
    if text.ends_with("/v2.0") {
        let message = format!("auth_url = {shown} is Identity API v2.0, which no Keystone speaks any more");
        return Err(Error::new(message).remedy("write /v3"));
    }
    match Url::parse(&format!("{text}/v3/auth/tokens")) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(Error::new(format!("auth_url = {shown} is no URL")).remedy("write http://HOST:5000/v3, say")),
    }
}

/// What is sent to be known.
fn request(identity: &Identity, scope: &Scope) -> Value {
    let identity_and_scope = match identity {
        Identity::Password { user, password } => {
            let mut user = named(user);
            set(&mut user, "password", json!(password));
            let scope = match scope {
                Scope::Default => None,
                Scope::Project(project) => Some(json!({ "project": named(project) })),
                Scope::Domain(of) => Some(json!({ "domain": domain(of) })),
                Scope::System => Some(json!({ "system": { "all": true } })),
            };
            (json!({ "methods": ["password"], "password": { "user": user } }), scope)
        }
        Identity::ApplicationCredential { credential, user, secret } => {
            let mut credential = named(credential);
            set(&mut credential, "secret", json!(secret));
            if let Some(user) = user {
                set(&mut credential, "user", named(user));
            }
            // It is its own project's, and Keystone refuses to be told.
            (json!({ "methods": ["application_credential"], "application_credential": credential }), None)
        }
    };
    let (identity, scope) = identity_and_scope;
    let mut auth = json!({ "identity": identity });
    if let Some(scope) = scope {
        set(&mut auth, "scope", scope);
    }
    json!({ "auth": auth })
}

fn named(what: &Named) -> Value {
    match what {
        Named::Id(id) => json!({ "id": id }),
        Named::Name { name, domain: None } => json!({ "name": name }),
        Named::Name { name, domain: Some(of) } => json!({ "name": name, "domain": domain(of) }),
    }
}

fn domain(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({ "id": id }),
        Domain::Name(name) => json!({ "name": name }),
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value);
    }
}

/// A service in the catalogue.
#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    endpoints: Vec<Place>,
}

/// One of its endpoints.
#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    interface: String,
    region: Option<String>,
    region_id: Option<String>,
    url: Option<String>,
}

/// Where the catalogue says that Ironic is: the first interface in our order that it has in our region.
fn found(catalog: &[Service], wanted: &Endpoint, keystone: &str) -> Result<Url, Failure> {
    let Endpoint::Catalog { service_type, service_name, region, interfaces } = wanted else {
        return Err(Failure { kind: Kind::NotFound, text: String::new() });
    };
    let is_named = |service: &&Service| service_name.as_ref().is_none_or(|name| *name == service.name);
    let services: Vec<&Service> =
        catalog.iter().filter(|service| service.kind == *service_type).filter(is_named).collect();
    let in_region = |place: &&&Place| {
        region.as_ref().is_none_or(|region| [&place.region_id, &place.region].contains(&&Some(region.clone())))
    };
    let places: Vec<&Place> = services.iter().flat_map(|service| &service.endpoints).collect();
    let ours: Vec<&&Place> = places.iter().filter(in_region).collect();
    // URLs of long ago: `publicURL` and so on.
    let is = |place: &Place, wanted: &str| place.interface.trim_end_matches("URL") == wanted.trim_end_matches("URL");
    let first = interfaces.iter().find_map(|wanted| ours.iter().find(|place| is(place, wanted)));
    let failure = |text| Failure { kind: Kind::NotFound, text };
    let Some(place) = first else {
        let what = service_name.as_ref().map_or_else(String::new, |name| format!(" named {name}"));
        let there = region.as_ref().map_or_else(String::new, |region| format!(" in region {region}"));
        let has = if catalog.is_empty() {
            "no services".to_owned()
        } else if places.is_empty() {
            let kinds: Vec<&str> = catalog.iter().map(|service| service.kind.as_str()).collect();
            format!("services of the types {}", kinds.join(", "))
        } else {
            let list =
                |place: &&Place| format!("{} in {}", place.interface, place.region.as_deref().unwrap_or("no region"));
            places.iter().map(list).collect::<Vec<_>>().join(", ")
        };
        let interfaces = interfaces.join(" or ");
        return Err(failure(format!(
            "{keystone}: the catalogue has no {interfaces} endpoint of a service of type {service_type}{what}{there}; it has {}; \
             set valid_interfaces, region_name or endpoint_override",
            crate::source::http::printable(&has)
        )));
    };
    let url = place.url.as_deref().unwrap_or_default();
    super::client::base_of(url).map_err(|why| {
        let url = crate::source::http::printable(&crate::source::http::without_user(url));
        failure(format!("{keystone}: the catalogue's URL of {service_type}, {url}, {why}; set endpoint_override"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_a_minute_before_it_ends_or_after_three_quarters_of_its_life() {
        for (lifetime, seconds) in [(3600, 3540), (240, 180), (120, 90), (4, 3), (0, 0)] {
            assert_eq!(renewal(Duration::from_secs(lifetime)).as_secs(), seconds);
        }
    }
}
