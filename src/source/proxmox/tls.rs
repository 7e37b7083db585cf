//! Who is at the other end of a connection: by the system's certificates, a CA file, the certificate itself, or not at all.

use super::access::{Fingerprint, Trust};
use crate::error::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Octets of a file of certificates that are read: the system's own has 250,000.
const LONGEST: u64 = 16 << 20;

/// How to speak TLS with servers that are to be trusted so.
///
/// # Errors
/// The CA file cannot be read or holds no certificates; there is nothing to trust at all; the server's name is none.
pub(super) fn config(trust: &Trust) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let name = trust.server_name.as_deref().map(server_name).transpose()?;
    let verifier = Verifier {
        chain: if trust.is_blind || !trust.fingerprints.is_empty() { None } else { Some(chain(trust, &provider)?) },
        fingerprints: trust.fingerprints.clone(),
        name,
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::new(format!("cannot prepare TLS: {error}")))?;
    // Dangerous is what the verifier says, and that is above.
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// A name or address as certificates have it.
pub(super) fn server_name(text: &str) -> Result<ServerName<'static>> {
    let shown = crate::source::http::printable(text);
    ServerName::try_from(text.to_owned())
        .map_err(|_| Error::new(format!("server name {shown} is neither a host's name nor an address")))
}

fn chain(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    let whose = if let Some(path) = &trust.ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| {
                Error::new(format!("CA file {}: {error}", path.display())).remedy("it must be certificates in PEM")
            })?;
        }
        format!("CA file {}", path.display())
    } else {
        // One that makes no sense among the system's is not our affair.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        "the system's certificates".to_owned()
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().map_err(|error| {
        let remedy = "name a CA file (a cluster's own is /etc/pve/pve-root-ca.pem) or pin a fingerprint";
        Error::new(format!("cannot check the API's certificate by {whose}: {error}")).remedy(remedy)
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let file = format!("CA file {}", path.display());
    let mut pem = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut pem))
        .map_err(|error| Error::new(format!("cannot read {file}: {}", crate::error::in_words(&error))))?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Error::new(format!("{file} holds no certificate")).remedy("it must be PEM")),
        Err(error) => Err(Error::new(format!("{file}: {error}")).remedy("it must be PEM")),
    }
}

/// Looks at the certificate that a server shows.
#[derive(Debug)]
struct Verifier {
    /// By whom it was issued; none: nobody looks.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// If there are any, it must be one of these.
    fingerprints: Vec<Fingerprint>,
    /// For whom it must be, instead of the host that was asked.
    name: Option<ServerName<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.fingerprints.is_empty() {
            let shown = Fingerprint::of(certificate);
            if !self.fingerprints.contains(&shown) {
                let other = OtherError(Arc::new(NotPinned(shown)));
                return Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)));
            }
            return Ok(ServerCertVerified::assertion());
        }
        match &self.chain {
            Some(chain) => {
                let name = self.name.as_ref().unwrap_or(host);
                chain.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    // That it has the key of the certificate that it shows is looked at in any case: a certificate is public.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// That a certificate is not one of those that were pinned.
#[derive(Debug)]
struct NotPinned(Fingerprint);

impl std::fmt::Display for NotPinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server's certificate has the fingerprint {}, which is not pinned", self.0)
    }
}

impl std::error::Error for NotPinned {}
