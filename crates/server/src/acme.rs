//! ACME: a certificate from an authority such as Let's Encrypt, obtained and renewed by itself (RFC 8555).
//!
//! That a name is ours is shown by http-01 (a word over plain HTTP) or tls-alpn-01 (RFC 8737: a word in a certificate).

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;

use crate::listener::bind;
use crate::private_file;
use crate::tls::SharedTls;

/// How a certificate is obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// Address of the authority's directory.
    pub directory: String,
    /// Certificate (PEM) that signs the authority's own, when the system does not trust it.
    pub directory_ca: Option<PathBuf>,
    /// Where the authority writes to when something is wrong, such as `mailto:me@example.org`.
    pub contact: Option<String>,
    /// Names that the certificate is for; one at least.
    pub names: Vec<String>,
    /// How names are shown to be ours.
    pub proof: Proof,
    /// Folder of account and certificate.
    pub folder: PathBuf,
}

/// How names are shown to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Over HTTP on this address, which the authority must reach as port 80. It listens while a proof is asked for.
    Http01(SocketAddr),
    /// In the handshake of any TLS listener with this certificate, which the authority must reach as port 443.
    TlsAlpn01,
}

impl AcmeSettings {
    /// Key and chain in one file, so that they change together.
    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.folder.join("certificate-and-key.pem")
    }

    fn account_file(&self) -> PathBuf {
        self.folder.join("account.json")
    }
}

/// Why no certificate was obtained.
#[derive(Debug)]
enum AcmeError {
    Protocol(instant_acme::Error),
    File(PathBuf, std::io::Error),
    Listen(SocketAddr, std::io::Error),
    Refused(&'static str),
    Certificate(rcgen::Error),
}

impl fmt::Display for AcmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => {
                write!(f, "the authority: {error}")?;
                // What the connection failed at is only told by the causes.
                let mut cause = std::error::Error::source(error);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            Self::File(path, error) => write!(f, "`{}`: {error}", path.display()),
            Self::Listen(address, error) => write!(f, "{address} cannot be listened on for http-01: {error}"),
            Self::Refused(why) => f.write_str(why),
            Self::Certificate(error) => write!(f, "the request could not be made: {error}"),
        }
    }
}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        Self::Protocol(error)
    }
}

impl From<rcgen::Error> for AcmeError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

/// A running keeper; ends when dropped.
#[derive(Debug)]
pub(crate) struct AcmeKeeper {
    ending: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl AcmeKeeper {
    /// Starts obtaining, and renewing in time.
    pub fn start(settings: AcmeSettings, tls: SharedTls) -> std::io::Result<Self> {
        let (ending, ends) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || runtime.block_on(keep(settings, tls, ends));
        let thread = std::thread::Builder::new().name("acme".to_owned()).spawn(run)?;
        Ok(Self { ending, thread: Some(thread) })
    }
}

impl Drop for AcmeKeeper {
    fn drop(&mut self) {
        // An error means that it ended before.
        let _ = self.ending.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// The first pause after a failure; each further one is twice as long, because authorities count attempts.
const RETRY_FIRST: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(12 * 3600);
/// How often the certificate's time is looked at; the clock may step, so no longer sleep is taken.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// A certificate is renewed when this part of its time is left, as authorities ask for.
const RENEW_AT: u32 = 3;
/// Time that the authority gets for each step.
const STEP_PATIENCE: Duration = Duration::from_secs(120);

async fn keep(settings: AcmeSettings, tls: SharedTls, mut ends: watch::Receiver<bool>) {
    let mut pause = RETRY_FIRST;
    loop {
        let wait = if is_due(&settings.certificate_file(), SystemTime::now()) {
            let obtained = tokio::select! {
                obtained = obtain(&settings, &tls) => obtained,
                _ = ends.wait_for(|ending| *ending) => return,
            };
            tls.set_proofs(BTreeMap::new());
            match obtained {
                Ok(()) => {
                    tracing::info!(names = settings.names.join(", "), "a certificate was obtained");
                    tls.look();
                    pause = RETRY_FIRST;
                    RETRY_FIRST
                }
                Err(error) => {
                    let again_s = pause.as_secs();
                    tracing::error!(%error, again_s, "no certificate was obtained, the old one stays in force");
                    let wait = pause;
                    pause = (pause * 2).min(RETRY_MAX);
                    wait
                }
            }
        } else {
            LOOK_EVERY
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // An error means that the sender is gone.
            _ = ends.wait_for(|ending| *ending) => return,
        }
    }
}

/// Whether there is no certificate, or a third of its time is left.
fn is_due(file: &Path, now: SystemTime) -> bool {
    let read = || {
        let pem = std::fs::read(file).ok()?;
        let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
        let (begin, end) =
            (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        Some((u64::try_from(begin).ok()?, u64::try_from(end).ok()?))
    };
    let Some((begin_s, end_s)) = read() else { return true };
    let lifetime = Duration::from_secs(end_s.saturating_sub(begin_s));
    let end = UNIX_EPOCH + Duration::from_secs(end_s);
    end.duration_since(now).map_or(true, |left| left < lifetime / RENEW_AT)
}

async fn obtain(settings: &AcmeSettings, tls: &SharedTls) -> Result<(), AcmeError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |error| AcmeError::File(path, error)
    };
    std::fs::create_dir_all(&settings.folder).map_err(file(&settings.folder))?;
    let account = account(settings).await?;
    let names: Vec<Identifier> = settings.names.iter().map(|name| identifier(name)).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut proofs = Proofs::new(settings.proof, tls)?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated => {
                return Err(AcmeError::Refused("the authority does not let this name be proven"));
            }
        }
        let kind = match settings.proof {
            Proof::Http01(_) => ChallengeType::Http01,
            Proof::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(kind) else {
            return Err(AcmeError::Refused("the authority does not offer this kind of proof"));
        };
        let key = challenge.key_authorization();
        proofs.add(&name, &challenge.token, key.as_str(), key.digest().as_ref())?;
        challenge.set_ready().await?;
    }
    let patience = RetryPolicy::default().timeout(STEP_PATIENCE);
    if order.poll_ready(&patience).await? != OrderStatus::Ready {
        return Err(AcmeError::Refused(
            "the authority did not find the proof; its own port must be reachable",
        ));
    }
    let key = rcgen::KeyPair::generate()?;
    let request = rcgen::CertificateParams::new(settings.names.clone())?.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&patience).await?;
    let path = settings.certificate_file();
    let pem = format!("{}{chain}", key.serialize_pem());
    private_file::write(&path, pem.as_bytes(), 0o600).map_err(file(&path))
}

/// The account that was made at the first order, or a new one.
async fn account(settings: &AcmeSettings) -> Result<Account, AcmeError> {
    let builder = match &settings.directory_ca {
        Some(file) => Account::builder_with_root(file)?,
        None => Account::builder()?,
    };
    let path = settings.account_file();
    let kept = std::fs::read(&path).ok();
    let kept = kept.and_then(|json| serde_json::from_slice::<AccountCredentials>(&json).ok());
    if let Some(credentials) = kept {
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = settings.contact.as_deref().into_iter().collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&wanted, settings.directory.clone(), None).await?;
    let json = serde_json::to_vec(&credentials).unwrap_or_default();
    private_file::write(&path, &json, 0o600).map_err(|error| AcmeError::File(path, error))?;
    Ok(account)
}

fn identifier(name: &str) -> Identifier {
    match name.parse::<IpAddr>() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(name.to_owned()),
    }
}

/// What the authority asks to see, shown until this is dropped.
enum Proofs<'a> {
    Http { answers: web::ChallengeAnswers, _ending: watch::Sender<bool> },
    Tls { tls: &'a SharedTls, certificates: BTreeMap<String, Arc<rustls::sign::CertifiedKey>> },
}

impl<'a> Proofs<'a> {
    fn new(proof: Proof, tls: &'a SharedTls) -> Result<Self, AcmeError> {
        match proof {
            Proof::Http01(address) => {
                let listener = bind(address).map_err(|error| AcmeError::Listen(address, error))?;
                let listener =
                    tokio::net::TcpListener::from_std(listener).map_err(|e| AcmeError::Listen(address, e))?;
                let (answers, (ending, ends)) = (web::ChallengeAnswers::default(), watch::channel(false));
                tokio::spawn(web::serve_challenges(listener, answers.clone(), ends));
                Ok(Self::Http { answers, _ending: ending })
            }
            Proof::TlsAlpn01 => Ok(Self::Tls { tls, certificates: BTreeMap::new() }),
        }
    }

    fn add(
        &mut self,
        name: &str,
        token: &str,
        key_authorization: &str,
        digest: &[u8],
    ) -> Result<(), AcmeError> {
        match self {
            Self::Http { answers, .. } => {
                answers.add(token, key_authorization);
            }
            Self::Tls { tls, certificates } => {
                if digest.len() != SHA256_BYTES {
                    return Err(AcmeError::Refused("the authority's word has a wrong length"));
                }
                let key = rcgen::KeyPair::generate()?;
                let mut parameters = rcgen::CertificateParams::new([name.to_owned()])?;
                parameters.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(digest)];
                let certificate = parameters.self_signed(&key)?;
                let certified = crate::tls::proof(certificate.der().clone(), key.into());
                let certified = certified
                    .map_err(|_| AcmeError::Refused("the certificate of the proof cannot be used"))?;
                certificates.insert(name.to_owned(), Arc::new(certified));
                tls.set_proofs(certificates.clone());
            }
        }
        Ok(())
    }
}

const SHA256_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_when_a_third_of_its_time_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.pem");
        let now = UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        assert!(is_due(&file, now), "there is none");
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        let day = |day| rcgen::date_time_ymd(2026, 11, day);
        (parameters.not_before, parameters.not_after) = (day(1), day(28));
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(&file, key.serialize_pem() + &certificate.pem()).unwrap();
        let on = |day: u64| UNIX_EPOCH + Duration::from_secs(1_793_491_200 + (day - 1) * 86_400);
        assert!(!is_due(&file, on(2)) && !is_due(&file, on(18)));
        assert!(is_due(&file, on(20)) && is_due(&file, on(29)));
    }
}
