//! Certificates: a CA of our own, and a server's that it signs.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A CA and a server's certificate.
pub struct Certificates {
    /// Whose the server's is.
    pub address: Ipv4Addr,
    /// The CA's certificate, PEM.
    pub ca: String,
    server: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificates {
    /// A good one.
    pub fn new() -> Self {
        let address = super::own_address();
        Self::made(address, &address.to_string(), 2999)
    }

    /// One that ended long ago.
    pub fn expired() -> Self {
        let address = super::own_address();
        Self::made(address, &address.to_string(), 2001)
    }

    /// Somebody else's.
    pub fn of_another() -> Self {
        Self::made(super::own_address(), "ironic.example.com", 2999)
    }

    fn made(address: Ipv4Addr, name: &str, until: i32) -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "Simulated CA");
        let ca_key = KeyPair::generate().unwrap();
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let mut server = CertificateParams::new([name.to_owned()]).unwrap();
        server.not_before = date_time_ymd(2000, 1, 1);
        server.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap();
        Self { address, ca: ca_certificate.pem(), server: certificate.der().clone(), key: key.serialize_der() }
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
