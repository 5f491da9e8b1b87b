//! TLS of the load: one certificate for all brokers, which clients trust and nobody else does.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use bench::Failure;
use rcgen::{CertifiedKey, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Names of the files that brokers are given.
pub const CERTIFICATE: &str = "certificate.pem";
/// See `CERTIFICATE`.
pub const KEY: &str = "key.pem";
const NAME: &str = "localhost";

struct Tls {
    certificate: CertifiedKey<KeyPair>,
    clients: Arc<ClientConfig>,
}

/// Puts certificate and key into a folder.
pub fn write(folder: &Path) -> Result<(), Failure> {
    let CertifiedKey { cert, signing_key } = &tls()?.certificate;
    std::fs::write(folder.join(CERTIFICATE), cert.pem())?;
    std::fs::write(folder.join(KEY), signing_key.serialize_pem())?;
    Ok(())
}

/// A client's side.
pub fn begin() -> Result<ClientConnection, Failure> {
    let name = ServerName::try_from(NAME)?;
    Ok(ClientConnection::new(tls()?.clients.clone(), name)?)
}

/// Made once, because a signature for each client would be work of the generator.
fn tls() -> Result<&'static Tls, Failure> {
    static TLS: OnceLock<Tls> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls);
    }
    let certificate = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone())?;
    let clients = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TLS.get_or_init(|| Tls { certificate, clients: Arc::new(clients) }))
}
