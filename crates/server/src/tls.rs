//! Certificates: read from files, made at the first start, read again when they change. Knows no connections.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use crate::acme::AcmeSettings;
use crate::private_file;

/// Where a server's certificate comes from, and what it asks of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate.
    pub certificate: CertificateSource,
    /// What is asked of clients.
    pub clients: ClientCertificates,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files in PEM, which something else renews.
    Files {
        /// The chain, the server's own certificate first.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// One made at the first start and kept in this folder, good for this machine's names and these.
    SelfMade {
        /// The folder.
        folder: PathBuf,
        /// Further names and addresses.
        names: Vec<String>,
    },
    /// One from an authority; a self-made one in this folder stands in until it is there.
    Acme {
        /// How it is obtained.
        acme: AcmeSettings,
        /// The folder.
        folder: PathBuf,
    },
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    Off,
    /// They may; it must be signed by one of the certificates in this file.
    Optional(PathBuf),
    /// They must.
    Required(PathBuf),
}

/// Why TLS cannot be spoken. Never shows a key.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read or written.
    File(PathBuf, std::io::Error),
    /// A file does not hold what it should.
    Content(PathBuf, String),
    /// Certificate, key or client authorities cannot be used together.
    Unusable(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "`{}`: {error}", path.display()),
            Self::Content(path, what) => write!(f, "`{}` {what}", path.display()),
            Self::Unusable(why) => write!(f, "the certificate cannot be used: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// TLS as a listener uses it; what it is made of may be exchanged while the server runs.
#[derive(Debug, Clone)]
pub(crate) struct SharedTls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: TlsSettings,
    config: RwLock<Arc<ServerConfig>>,
    /// Certificates that show an ACME authority that their names are ours, while it asks.
    proofs: RwLock<Proofs>,
    seen: RwLock<Vec<Fingerprint>>,
}

type Proofs = BTreeMap<String, Arc<CertifiedKey>>;

/// What tells whether a file changed without reading it.
type Fingerprint = Option<(std::time::SystemTime, u64)>;

impl SharedTls {
    /// Reads, or makes, the certificate.
    pub fn new(settings: TlsSettings) -> Result<Self, TlsError> {
        match &settings.certificate {
            CertificateSource::Files { .. } => {}
            CertificateSource::SelfMade { folder, names } => make_once(folder, names)?,
            CertificateSource::Acme { acme, folder } => make_once(folder, &acme.names)?,
        }
        let seen = RwLock::new(fingerprints(&settings));
        let config = RwLock::new(load(&settings, &Proofs::new())?);
        Ok(Self(Arc::new(Shared { settings, config, proofs: RwLock::default(), seen })))
    }

    /// A server's side of a handshake.
    pub fn begin(&self) -> Result<ServerConnection, rustls::Error> {
        let config = self.0.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        ServerConnection::new(config)
    }

    /// Reads the files again if they changed. What cannot be used leaves everything as it was, and is told once.
    pub fn look(&self) {
        let found = fingerprints(&self.0.settings);
        let mut seen = self.0.seen.write().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return;
        }
        *seen = found;
        drop(seen);
        match self.renew() {
            Ok(()) => {
                let (certificate, _) = self.0.settings.certificate.files();
                tracing::info!(file = %certificate.display(), "the certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the changed certificate is not used, the old one stays in force");
            }
        }
    }

    /// Shows these certificates to an authority that asks by tls-alpn-01. (RFC 8737)
    pub fn set_proofs(&self, proofs: Proofs) {
        let mut shown = self.0.proofs.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = shown.is_empty() && proofs.is_empty();
        *shown = proofs;
        drop(shown);
        if !is_same && let Err(error) = self.renew() {
            tracing::error!(%error, "the authority cannot be shown what it asks for");
        }
    }

    fn renew(&self) -> Result<(), TlsError> {
        let proofs = self.0.proofs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let config = load(&self.0.settings, &proofs)?;
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Whether no client is asked for a certificate; an ACME authority has none.
    pub fn asks_nothing(&self) -> bool {
        self.0.settings.clients == ClientCertificates::Off
    }

    /// How the certificate is obtained, where an authority gives it.
    pub fn acme(&self) -> Option<&AcmeSettings> {
        match &self.0.settings.certificate {
            CertificateSource::Acme { acme, .. } => Some(acme),
            CertificateSource::Files { .. } | CertificateSource::SelfMade { .. } => None,
        }
    }

    /// The configuration in force, for the pages' own acceptor.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.0.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl CertificateSource {
    /// Chain and key.
    fn files(&self) -> (PathBuf, PathBuf) {
        match self {
            Self::Files { certificate, key } => (certificate.clone(), key.clone()),
            Self::Acme { acme, .. } if acme.certificate_file().exists() => {
                (acme.certificate_file(), acme.certificate_file())
            }
            Self::SelfMade { folder, .. } | Self::Acme { folder, .. } => {
                (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE))
            }
        }
    }
}

fn fingerprints(settings: &TlsSettings) -> Vec<Fingerprint> {
    let (certificate, key) = settings.certificate.files();
    let authorities = match &settings.clients {
        ClientCertificates::Off => None,
        ClientCertificates::Optional(file) | ClientCertificates::Required(file) => Some(file.clone()),
    };
    let of = |path: PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    [certificate, key].into_iter().chain(authorities).map(of).collect()
}

fn load(settings: &TlsSettings, proofs: &Proofs) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |error: &dyn fmt::Display| TlsError::Unusable(error.to_string());
    let (certificate_file, key_file) = settings.certificate.files();
    let chain = certificates(&certificate_file)?;
    let pem = std::fs::read(&key_file).map_err(|error| TlsError::File(key_file.clone(), error))?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| TlsError::Content(key_file, "holds no private key in PEM".to_owned()))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(&e))?;
    let verifier = |authorities: &Path| {
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities)? {
            roots.add(authority).map_err(|e| unusable(&e))?;
        }
        Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()))
    };
    let builder = match &settings.clients {
        ClientCertificates::Off => builder.with_no_client_auth(),
        ClientCertificates::Required(file) => {
            builder.with_client_cert_verifier(verifier(file)?.build().map_err(|e| unusable(&e))?)
        }
        ClientCertificates::Optional(file) => {
            let verifier = verifier(file)?.allow_unauthenticated().build().map_err(|e| unusable(&e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let usual = Arc::new(CertifiedKey::from_der(chain, key, &provider).map_err(|e| unusable(&e))?);
    let mut config = if proofs.is_empty() {
        builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(usual)))
    } else {
        let mut config = builder.with_cert_resolver(Arc::new(Asked { usual, proofs: proofs.clone() }));
        // As soon as one protocol is named, clients that offer others are refused; so the others are named too.
        config.alpn_protocols = [ACME_PROTOCOL, b"mqtt", b"http/1.1"].map(<[u8]>::to_vec).to_vec();
        config
    };
    // Gateways that come back after an outage resume, which costs a tenth of a handshake.
    config.ticketer = ring::Ticketer::new().map_err(|e| unusable(&e))?;
    Ok(Arc::new(config))
}

/// A certificate that is only shown as a proof. Its key is not checked against it, because the check refuses what makes
/// it a proof: an extension that is critical and known to authorities only.
pub(crate) fn proof(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    let key = ring::default_provider().key_provider.load_private_key(key)?;
    Ok(CertifiedKey::new(vec![certificate], key))
}

/// The protocol that an authority asks in.
const ACME_PROTOCOL: &[u8] = b"acme-tls/1";

/// Shows proofs to an authority that asks for them, and the usual certificate to everybody else.
#[derive(Debug)]
struct Asked {
    usual: Arc<CertifiedKey>,
    proofs: Proofs,
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ACME_PROTOCOL));
        if asks { self.proofs.get(hello.server_name()?).cloned() } else { Some(self.usual.clone()) }
    }
}

/// Whether the peer was an authority that has seen what it asked for, and nothing follows.
pub(crate) fn was_proof(tls: &ServerConnection) -> bool {
    tls.alpn_protocol() == Some(ACME_PROTOCOL)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = std::fs::read(file).map_err(|error| TlsError::File(file.to_owned(), error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(TlsError::Content(file.to_owned(), "holds no certificate in PEM".to_owned())),
    }
}

/// The common name of a client certificate whose signature was checked during the handshake.
pub(crate) fn common_name(tls: &ServerConnection) -> Option<Arc<str>> {
    let certificate = tls.peer_certificates()?.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.into())
}

const CERTIFICATE_FILE: &str = "certificate.pem";
const KEY_FILE: &str = "key.pem";
/// A self-made certificate is pinned by its clients, so it outlives the hardware they run on.
const LAST_YEAR: i32 = 2099;

/// Makes a certificate unless the folder has one.
fn make_once(folder: &Path, names: &[String]) -> Result<(), TlsError> {
    let (certificate_file, key_file) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
    if certificate_file.exists() && key_file.exists() {
        return Ok(());
    }
    let unusable = |error: rcgen::Error| TlsError::Unusable(error.to_string());
    let key = rcgen::KeyPair::generate().map_err(unusable)?;
    let mut parameters = rcgen::CertificateParams::new(own_names(names)).map_err(unusable)?;
    parameters.not_after = rcgen::date_time_ymd(LAST_YEAR, 12, 31);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Backhaul");
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = parameters.self_signed(&key).map_err(unusable)?;
    std::fs::create_dir_all(folder).map_err(|error| TlsError::File(folder.to_owned(), error))?;
    let write = |path: &Path, text: &str, mode| {
        private_file::write(path, text.as_bytes(), mode)
            .map_err(|error| TlsError::File(path.to_owned(), error))
    };
    // The key first: a start that is cut short leaves no certificate, and the next one makes both.
    write(&key_file, &key.serialize_pem(), 0o600)?;
    write(&certificate_file, &certificate.pem(), 0o644)?;
    tracing::info!(
        file = %certificate_file.display(),
        "a certificate was made; clients must be given this file to trust it"
    );
    Ok(())
}

/// This machine's names, loopback, and what the operator adds.
fn own_names(names: &[String]) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let mut all: Vec<String> = names.to_vec();
    all.push("localhost".to_owned());
    all.extend(loopback.map(|address| address.to_string()));
    let host = host.trim();
    if !host.is_empty() && host != "localhost" {
        all.extend([host.to_owned(), format!("{host}.local")]);
    }
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn self_made(folder: &Path) -> TlsSettings {
        let names = vec!["mesh.example.org".to_owned(), "10.0.0.7".to_owned()];
        TlsSettings {
            certificate: CertificateSource::SelfMade { folder: folder.to_owned(), names },
            clients: ClientCertificates::Off,
        }
    }

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_the_owners() {
        let folder = tempfile::tempdir().unwrap();
        let settings = self_made(&folder.path().join("tls"));
        SharedTls::new(settings.clone()).unwrap();
        let (certificate, key) = settings.certificate.files();
        let first = std::fs::read(&certificate).unwrap();
        SharedTls::new(settings).unwrap();
        assert_eq!(std::fs::read(&certificate).unwrap(), first);
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        let der = CertificateDer::from_pem_slice(&first).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let names = format!("{:?}", parsed.subject_alternative_name().unwrap().unwrap().value);
        assert!(names.contains("mesh.example.org") && names.contains("localhost"), "{names}");
    }

    #[test]
    fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let settings = self_made(folder.path());
        let tls = SharedTls::new(settings.clone()).unwrap();
        let first = tls.config();
        tls.look();
        assert!(Arc::ptr_eq(&first, &tls.config()), "nothing changed");
        let (certificate, key) = settings.certificate.files();
        std::fs::write(&certificate, "not a certificate").unwrap();
        tls.look();
        assert!(Arc::ptr_eq(&first, &tls.config()), "the old one stays");
        std::fs::remove_file(&certificate).unwrap();
        std::fs::remove_file(&key).unwrap();
        tls.look();
        SharedTls::new(settings).unwrap();
        tls.look();
        assert!(!Arc::ptr_eq(&first, &tls.config()), "the renewed one is used");
    }

    #[test]
    fn errors_name_the_file_and_show_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("k.pem");
        std::fs::write(&key, "SECRET").unwrap();
        let certificate = folder.path().join("c.pem");
        let of = |clients| {
            let certificate = CertificateSource::Files { certificate: certificate.clone(), key: key.clone() };
            SharedTls::new(TlsSettings { certificate, clients }).unwrap_err().to_string()
        };
        assert!(of(ClientCertificates::Off).contains("c.pem"));
        SharedTls::new(self_made(folder.path())).unwrap();
        std::fs::copy(folder.path().join(CERTIFICATE_FILE), &certificate).unwrap();
        let error = of(ClientCertificates::Off);
        assert!(error.contains("k.pem` holds no private key") && !error.contains("SECRET"), "{error}");
        std::fs::copy(folder.path().join(KEY_FILE), &key).unwrap();
        let error = of(ClientCertificates::Required(folder.path().join("none.pem")));
        assert!(error.contains("none.pem"), "{error}");
    }
}
