//! The client, asked from tests that are not asynchronous.

use super::Simulator;
use instances::source::proxmox::{
    Access, Client, Cluster as _, Config, Failure, Place, Read, Resources, Token, Told, Trust, host,
};
use std::future::Future;
use std::time::Duration;

/// The token that a simulator lets in.
pub const TOKEN: &str = "companion@pve!dns";
/// Its secret.
pub const SECRET: &str = "5ecre700-dead-beef-cafe-0123456789ab";

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

    /// All hosts of this one, with its CA.
    pub fn of(simulator: &Simulator) -> Self {
        Self::new(&access(simulator))
    }

    pub fn resources(&self) -> Result<Read<Resources>, Failure> {
        self.wait(self.client.resources())
    }

    pub fn config(&self, place: &Place) -> Result<Read<Config>, Failure> {
        self.wait(self.client.config(place))
    }

    pub fn interfaces(&self, place: &Place) -> Result<Told, Failure> {
        self.wait(self.client.interfaces(place))
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// How to get in, with time enough for a machine that is busy.
pub fn access(simulator: &Simulator) -> Access {
    Access {
        hosts: simulator.hosts.iter().map(|each| host(&each.url()).unwrap()).collect(),
        token: Token { id: TOKEN.to_owned(), secret: SECRET.to_owned() },
        trust: Trust { ca_file: Some(simulator.ca_file()), ..Trust::default() },
        connect_timeout: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
    }
}
