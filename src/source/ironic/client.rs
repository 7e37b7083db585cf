//! Ironic's API over HTTP: versions, who we are, pages.

use super::explain::{self, Asked};
use super::http::{Answer, Http, shown};
use super::keystone::Keystone;
use super::listing::Listing;
use super::version::{self, Offer, Version};
use super::wire::{self, Listed};
use super::{Access, Auth, Baremetal, Endpoint, Failure, Kind, Page, Ports};
use crate::error::{Error, Result};
use crate::plan::pxe_access::Node;
use reqwest::header::AUTHORIZATION;
use reqwest::{Request, StatusCode, Url};
use std::collections::{HashMap, HashSet};
use std::mem;
use uuid::Uuid;

/// How often a listing of nodes begins anew because the node between two pages was deleted.
const FRESH_STARTS: u32 = 3;

/// Ironic, asked over HTTP. It keeps a connection, a token and what versions were agreed on; after any failure it can be asked
/// again, as often as one likes.
pub struct Client {
    http: Http,
    auth: Auth,
    endpoint: Place,
    keystone: Option<Keystone>,
    /// The header with which HTTP Basic lets us in, for it not to be shown.
    authorization: Option<String>,
    page_size: u32,
    version: Option<Version>,
    listing: Listing,
    /// The nodes of the answer before.
    inspected: HashSet<Uuid>,
    notices: Vec<String>,
    /// The version whose shortcomings were said.
    said: Option<Version>,
}

/// Where the API is.
enum Place {
    Here(Url),
    /// Where the token's catalogue says.
    Catalog,
}

impl Client {
    /// Makes ready to ask; asks nothing yet.
    ///
    /// # Errors
    /// What is configured cannot be: an URL that is none, a CA file that holds no certificates, a catalogue without Keystone.
    pub fn new(access: &Access) -> Result<Self> {
        let endpoint = match &access.endpoint {
            Endpoint::Url(text) => {
                Place::Here(base_of(text).map(|url| with_user(url, &access.auth)).map_err(|why| {
                    let url = crate::source::http::without_user(text);
                    Error::new(format!("endpoint_override = {url} {why}")).remedy("write http://HOST:6385, say")
                })?)
            }
            Endpoint::Catalog { .. } if matches!(access.auth, Auth::Keystone { .. }) => Place::Catalog,
            Endpoint::Catalog { .. } => {
                let message = "where Ironic's API is stands in Keystone's catalogue only, and Keystone is not used";
                return Err(Error::new(message).remedy("set endpoint_override"));
            }
        };
        let insecure = access.insecure.then(|| {
            "insecure = true: nobody looks at the API's certificate; whoever is on the way can open the filter and read its \
             password"
                .to_owned()
        });
        Ok(Self {
            http: Http::new(access)?,
            auth: access.auth.clone(),
            endpoint,
            keystone: Keystone::new(&access.auth, &access.endpoint)?,
            authorization: None,
            page_size: access.page_size.max(1),
            version: None,
            listing: Listing::default(),
            inspected: HashSet::new(),
            notices: insecure.into_iter().collect(),
            said: None,
        })
    }

    /// The version of the API that was agreed on, if one was.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Asks, and does what an answer asks for: once a fresh token after 401, once another version after 406.
    async fn get(&mut self, path: impl Fn(Version) -> String) -> Result<Answer, Failure> {
        let (mut may_renew, mut may_negotiate) = (true, true);
        loop {
            let version = self.agreed(&mut may_renew).await?;
            let answer = self.ask(&path(version), Some(version)).await?;
            match answer.status {
                StatusCode::UNAUTHORIZED if may_renew && self.forget_token() => may_renew = false,
                StatusCode::NOT_ACCEPTABLE if mem::take(&mut may_negotiate) => self.version = None,
                StatusCode::NOT_ACCEPTABLE => return Err(self.unacceptable(&answer, version)),
                _ => {
                    // Ironic was upgraded meanwhile, perhaps: the next request is in newer terms.
                    let newer = Offer::of_headers(&answer.headers).and_then(Offer::choose);
                    self.version = self.version.filter(|version| newer.is_none_or(|newer| newer <= *version));
                    return Ok(answer);
                }
            }
        }
    }

    /// The version to ask in: the one that was agreed on, or else the newest that both know.
    async fn agreed(&mut self, may_renew: &mut bool) -> Result<Version, Failure> {
        if let Some(version) = self.version {
            return Ok(version);
        }
        let mut answer = self.ask("", None).await?;
        if answer.status == StatusCode::UNAUTHORIZED && mem::take(may_renew) && self.forget_token() {
            answer = self.ask("", None).await?;
        }
        let offer = Offer::of_headers(&answer.headers).or_else(|| Offer::of_document(&answer.body));
        let Some(offer) = offer else {
            return Err(if answer.status.is_success() {
                explain::nonsense(&answer, "it does not say which versions of the API it knows; check the endpoint")
            } else {
                explain::refusal(&answer, Asked::Ironic, &self.auth)
            });
        };
        let Some(version) = offer.choose() else {
            let (oldest, newest) = (Version::OLDEST, Version::NEWEST);
            let what = answer.what;
            let text = format!(
                "{what}: Ironic knows versions {offer} of the API, and we {oldest} to {newest}; upgrade the older"
            );
            return Err(Failure { kind: Kind::Version, text });
        };
        if self.said != Some(version) {
            self.said = Some(version);
            self.notices.extend(version.lacks());
        }
        self.version = Some(version);
        Ok(version)
    }

    /// One request for something below `/v1`.
    async fn ask(&mut self, path: &str, version: Option<Version>) -> Result<Answer, Failure> {
        let request = self.request(path, version).await?;
        self.http.send(request).await
    }

    async fn request(&mut self, path: &str, version: Option<Version>) -> Result<Request, Failure> {
        let token = match &mut self.keystone {
            Some(keystone) => Some(keystone.token(&self.http).await?),
            None => None,
        };
        let base = match &self.endpoint {
            Place::Here(url) => Some(url),
            Place::Catalog => token.as_ref().and_then(|token| token.endpoint.as_ref()),
        };
        let failure = |text| Failure { kind: Kind::NotFound, text };
        let base = base.ok_or_else(|| failure("the catalogue does not say where Ironic is".to_owned()))?;
        let text = format!("{}/v1{path}", base.as_str().trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|error| failure(format!("{}: {error}", shown(base))))?;
        let mut builder = self.http.client().get(url);
        if let Some(version) = version {
            builder = builder.header(version::HEADER, version.to_string());
        }
        if let Some(token) = &token {
            builder = builder.header("x-auth-token", token.value.clone());
        }
        if let Auth::HttpBasic { username, password } = &self.auth {
            builder = builder.basic_auth(username, Some(password));
        }
        let request = builder.build().map_err(|error| failure(format!("{}: {error}", shown(base))))?;
        let text = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.authorization = text.map(|text| text.trim_start_matches("Basic ").to_owned());
        Ok(request)
    }

    /// Forgets a token that was refused; whether there was one.
    fn forget_token(&mut self) -> bool {
        self.keystone.as_mut().map(Keystone::forget).is_some()
    }

    /// 406, again.
    fn unacceptable(&self, answer: &Answer, version: Version) -> Failure {
        let mut failure = explain::refusal(answer, Asked::Ironic, &self.auth);
        let answered = answer.header(version::HEADER.as_str());
        if answered.is_some_and(|answered| answered != version.to_string()) {
            failure.text.push_str("; somebody on the way takes away the header X-OpenStack-Ironic-API-Version");
        }
        failure
    }

    /// A failure that shows no secret, whatever a server sent back to us.
    fn discreet(&self, mut failure: Failure) -> Failure {
        let token = self.keystone.as_ref().and_then(Keystone::secret);
        for secret in [self.auth.secret(), self.authorization.as_deref(), token].into_iter().flatten() {
            if secret.len() > 3 {
                failure.text = failure.text.replace(secret, "***");
            }
        }
        failure
    }

    /// A page of all ports.
    async fn page(&mut self, marker: Option<Uuid>) -> Result<Page, Failure> {
        let limit = self.page_size;
        let path = |version| format!("/ports?limit={limit}&fields={}{}", port_fields(version), behind(marker));
        let answer = self.get(path).await?;
        let listed = self.listed(&answer, marker, wire::ports)?;
        self.listing.check(&answer, marker, &listed)?;
        Ok(Page { ports: listed.items, next: listed.last })
    }

    /// All ports of a node.
    async fn all_of(&mut self, node: Uuid) -> Result<Ports, Failure> {
        let (mut all, mut listing, mut marker) = (Ports::default(), Listing::default(), None);
        let limit = self.page_size;
        loop {
            let fields = |version| port_fields(version);
            let path =
                |version| format!("/ports?node_uuid={node}&limit={limit}&fields={}{}", fields(version), behind(marker));
            let answer = self.get(path).await?;
            if marker.is_none() && answer.status == StatusCode::NOT_FOUND && is_ironics(&answer) {
                return Ok(Ports::default());
            }
            let listed = self.listed(&answer, marker, wire::ports)?;
            listing.check(&answer, marker, &listed)?;
            if let Some(other) = listed.items.ports.iter().find(|port| port.node != node) {
                let why = format!(
                    "port {} is of node {}, which was not asked for; look for a cache or proxy that ignores node_uuid=",
                    other.uuid, other.node
                );
                return Err(explain::nonsense(&answer, &why));
            }
            all.ports.extend(listed.items.ports);
            all.refused.extend(listed.items.refused);
            marker = listed.last.filter(|_| listed.goes_on);
            if marker.is_none() {
                return Ok(all);
            }
        }
    }

    /// All nodes in a state; begun anew if the node between two pages is deleted.
    async fn nodes_in(&mut self, state: &str, nodes: &mut HashMap<Uuid, Node>) -> Result<(), Failure> {
        let mut starts = 0;
        loop {
            match self.all_nodes_in(state, nodes).await {
                Err(failure) if failure.kind == Kind::MarkerGone && starts < FRESH_STARTS => starts += 1,
                ended => return ended,
            }
        }
    }

    async fn all_nodes_in(&mut self, state: &str, nodes: &mut HashMap<Uuid, Node>) -> Result<(), Failure> {
        let (mut listing, mut marker) = (Listing::default(), None);
        let limit = self.page_size;
        loop {
            let path = |version: Version| {
                let interface = if version.has_inspect_interface() { ",inspect_interface" } else { "" };
                let fields = wire::NODE_FIELDS;
                format!("/nodes?provision_state={state}&limit={limit}&fields={fields}{interface}{}", behind(marker))
            };
            let answer = self.get(path).await?;
            let is_unknown = answer.status == StatusCode::BAD_REQUEST && state == "inspect%20wait";
            if is_unknown
                && Offer::of_headers(&answer.headers).and_then(Offer::choose).is_some_and(|v| !v.has_inspect_wait())
            {
                // Ironic before 1.39 had but one state for both.
                return Ok(());
            }
            let listed = self.listed(&answer, marker, wire::nodes)?;
            listing.check(&answer, marker, &listed)?;
            nodes.extend(listed.items.into_iter().map(|node| (node.uuid, node)));
            marker = listed.last.filter(|_| listed.goes_on);
            if marker.is_none() {
                return Ok(());
            }
        }
    }

    /// What an answer lists.
    fn listed<T>(
        &self,
        answer: &Answer,
        marker: Option<Uuid>,
        read: impl FnOnce(&[u8]) -> Result<Listed<T>, serde_json::Error>,
    ) -> Result<Listed<T>, Failure> {
        match answer.status {
            StatusCode::OK => {
                read(&answer.body).map_err(|error| explain::nonsense(answer, &not_a_page(answer, &error)))
            }
            StatusCode::NOT_FOUND if marker.is_some() && is_ironics(answer) => {
                let text = format!("{}: what the page before ended with was deleted meanwhile", answer.what);
                Err(Failure { kind: Kind::MarkerGone, text })
            }
            _ => Err(explain::refusal(answer, Asked::Ironic, &self.auth)),
        }
    }

    /// `inspecting` is asked for first: that is where inspection begins, so that a node which goes on to `inspect wait` meanwhile
    /// is in one answer at least. The way back, from `inspect wait` to `inspecting` when the node has reported, would be missed,
    /// so that whoever seems to have left is looked for once more.
    async fn inspected(&mut self) -> Result<Vec<Node>, Failure> {
        let mut nodes = HashMap::new();
        self.nodes_in("inspecting", &mut nodes).await?;
        self.nodes_in("inspect%20wait", &mut nodes).await?;
        if self.inspected.iter().any(|uuid| !nodes.contains_key(uuid)) {
            self.nodes_in("inspecting", &mut nodes).await?;
        }
        self.inspected = nodes.keys().copied().collect();
        Ok(nodes.into_values().collect())
    }
}

impl Baremetal for Client {
    async fn ports(&mut self, marker: Option<Uuid>) -> Result<Page, Failure> {
        if marker.is_none() {
            self.listing = Listing::default();
        }
        self.page(marker).await.map_err(|failure| self.discreet(failure))
    }

    async fn ports_of(&mut self, node: Uuid) -> Result<Ports, Failure> {
        self.all_of(node).await.map_err(|failure| self.discreet(failure))
    }

    async fn nodes_under_inspection(&mut self) -> Result<Vec<Node>, Failure> {
        self.inspected().await.map_err(|failure| self.discreet(failure))
    }

    fn notices(&mut self) -> Vec<String> {
        mem::take(&mut self.notices)
    }
}

fn port_fields(version: Version) -> String {
    let pxe_enabled = if version.has_pxe_enabled() { ",pxe_enabled" } else { "" };
    format!("{}{pxe_enabled}", wire::PORT_FIELDS)
}

fn behind(marker: Option<Uuid>) -> String {
    marker.map_or_else(String::new, |marker| format!("&marker={marker}"))
}

/// Whether it is Ironic itself that found nothing, and not a proxy before it.
fn is_ironics(answer: &Answer) -> bool {
    answer.body.trim_ascii_start().starts_with(b"{") && explain::said(answer).is_some_and(|said| !said.is_empty())
}

/// Why it is no page.
fn not_a_page(answer: &Answer, error: &serde_json::Error) -> String {
    let length = answer.body.len();
    if error.is_eof() {
        format!("the JSON ends too early, after {length} bytes; look for a proxy that cuts answers short")
    } else {
        format!("not what Ironic's API says: {error}; check the endpoint")
    }
}

/// The API's address without `/v1`, so that it can be given with or without, below a path or not. Or why it is none.
pub(super) fn base_of(text: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(text.trim()).map_err(|_| "is no URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A name and password in the URL are HTTP Basic's, unless something else was said.
fn with_user(mut url: Url, auth: &Auth) -> Url {
    if *auth != Auth::None {
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url
}
