//! Certificates: a CA of our own, and servers' that it signs.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each simulator uses its part"
)]

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The next authority's.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A CA.
pub struct Authority {
    /// Its certificate, PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be taken for one that signs badly.
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        ca.distinguished_name.push(DnType::CommonName, format!("Simulated CA {number}"));
        let key = KeyPair::generate().unwrap();
        let pem = ca.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(ca, key) }
    }

    /// A certificate for a server at this address, with these names, until the beginning of a year.
    pub fn certify(&self, address: Ipv4Addr, names: &[&str], until: i32) -> Certificates {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut server = CertificateParams::new(names).unwrap();
        server.not_before = date_time_ymd(2000, 1, 1);
        server.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &self.issuer).unwrap();
        let (server, key) = (certificate.der().clone(), key.serialize_der());
        Certificates { address, ca: self.pem.clone(), server, key }
    }
}

/// A CA and a server's certificate.
pub struct Certificates {
    /// Whose the server's is.
    pub address: Ipv4Addr,
    /// The CA's certificate, PEM.
    pub ca: String,
    /// The server's, DER.
    pub server: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificates {
    /// A good one.
    pub fn new() -> Self {
        let address = own_address();
        Authority::new().certify(address, &[&address.to_string()], 2999)
    }

    /// One that ended long ago.
    pub fn expired() -> Self {
        let address = own_address();
        Authority::new().certify(address, &[&address.to_string()], 2001)
    }

    /// Somebody else's.
    pub fn of_another() -> Self {
        Authority::new().certify(own_address(), &["ironic.example.com"], 2999)
    }

    /// What the server speaks TLS with.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.server.clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

/// 127.x.y.z: another one for each simulator of each process, as good as that goes.
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(251).wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst));
    let [_, high, middle, low] = number.to_be_bytes();
    Ipv4Addr::new(127, high.clamp(1, 254), middle, low.clamp(1, 254))
}
