//! The client, asked from tests that are not asynchronous.

use instances::plan::pxe_access::Node;
use instances::source::ironic::{
    Access, Auth, Baremetal as _, Client, Domain, Endpoint, Failure, Identity, Named, Ports, Scope,
};
use std::future::Future;
use std::time::Duration;
use uuid::Uuid;

/// A client, and what its connections live in.
pub struct Asking {
    runtime: tokio::runtime::Runtime,
    pub client: Client,
}

impl Asking {
    pub fn new(access: &Access) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: Client::new(access).unwrap() }
    }

    /// Without credentials at this URL.
    pub fn at(url: &str) -> Self {
        Self::new(&access(url))
    }

    /// The whole listing, page by page, and how many pages it took.
    pub fn listing(&mut self) -> Result<(Ports, usize), Failure> {
        self.runtime.block_on(async {
            let (mut all, mut marker, mut pages) = (Ports::default(), None, 0);
            loop {
                let page = self.client.ports(marker).await?;
                pages += 1;
                all.ports.extend(page.ports.ports);
                all.refused.extend(page.ports.refused);
                marker = page.next;
                if marker.is_none() {
                    return Ok((all, pages));
                }
            }
        })
    }

    pub fn ports(&mut self) -> Result<Ports, Failure> {
        self.listing().map(|(ports, _)| ports)
    }

    pub fn page(&mut self, marker: Option<Uuid>) -> Result<instances::source::ironic::Page, Failure> {
        self.runtime.block_on(self.client.ports(marker))
    }

    pub fn ports_of(&mut self, node: Uuid) -> Result<Ports, Failure> {
        self.runtime.block_on(self.client.ports_of(node))
    }

    pub fn nodes(&mut self) -> Result<Vec<Node>, Failure> {
        self.runtime.block_on(self.client.nodes_under_inspection())
    }

    /// Their UUIDs, sorted.
    pub fn inspected(&mut self) -> Vec<Uuid> {
        let mut uuids: Vec<_> = self.nodes().unwrap().into_iter().map(|node| node.uuid).collect();
        uuids.sort_unstable();
        uuids
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// Nobody, at this URL, with time enough for a machine that is busy.
pub fn access(url: &str) -> Access {
    Access {
        endpoint: Endpoint::Url(url.to_owned()),
        auth: Auth::None,
        ca_file: None,
        insecure: false,
        timeout: Duration::from_secs(20),
        page_size: 1000,
        environment_proxies: false,
    }
}

/// The user `ironic` with the password `s3cret` in the default domain, for the project `service`.
pub fn keystone(auth_url: &str) -> Auth {
    let domain = || Some(Domain::Name("Default".to_owned()));
    let user = Named::Name { name: "ironic".to_owned(), domain: domain() };
    Auth::Keystone {
        auth_url: auth_url.to_owned(),
        identity: Identity::Password { user, password: "s3cret".to_owned() },
        scope: Scope::Project(Named::Name { name: "service".to_owned(), domain: domain() }),
    }
}

/// Ironic as the catalogue knows it: internal, then public.
pub fn catalog(region: Option<&str>) -> Endpoint {
    Endpoint::Catalog {
        service_type: "baremetal".to_owned(),
        service_name: None,
        region: region.map(str::to_owned),
        interfaces: vec!["internal".to_owned(), "public".to_owned()],
    }
}
