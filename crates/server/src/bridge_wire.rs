//! The network side of a bridge: TCP or TLS to another broker, and the two ends of a connection to our own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// A connection that may have TLS on it.
pub(crate) struct Wire {
    pub stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// One read takes at most this much.
const READ_BYTES: usize = 16 * 1024;
/// And all reads of one turn this much: a broker that never stops sending has its turn again when the other side had its.
const READ_BYTES_MAX: usize = 256 * 1024;

impl Wire {
    /// A connection, or what will become one.
    pub fn new(stream: TcpStream, tls: Option<ClientConnection>) -> Self {
        Self { stream, tls: tls.map(Box::new) }
    }

    /// Reads what there is. `false` when the other side has closed.
    ///
    /// # Errors
    /// When the connection is lost, or TLS cannot be spoken.
    pub fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let mut buffer = [0; READ_BYTES];
        while bytes.len() < READ_BYTES_MAX {
            let count = match &mut self.tls {
                None => self.stream.read(&mut buffer),
                Some(tls) => tls.read_tls(&mut self.stream),
            };
            match count {
                Ok(0) => return Ok(false),
                Ok(count) if self.tls.is_none() => bytes.extend_from_slice(&buffer[..count]),
                Ok(_) => self.open(bytes)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn open(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let state = tls.process_new_packets().map_err(|error| match error {
            rustls::Error::InvalidCertificate(why) => {
                let text = format!("its certificate is not trusted ({why:?}); name who signs it with `ca`");
                io::Error::other(text)
            }
            error => io::Error::other(error),
        })?;
        let start = bytes.len();
        bytes.resize(start + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(&mut bytes[start..])
    }

    /// Writes as much as the socket takes; returns how many bytes are taken care of.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return match self.stream.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                done => done,
            };
        };
        // rustls takes what its buffer holds and no more, so a broker that does not read fills nothing.
        let taken = tls.writer().write(bytes)?;
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}

/// Whom a bridge trusts: the authorities in a file, or those of this machine.
///
/// # Errors
/// With what to do about it.
pub(crate) fn trust(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let unreadable = |error: &dyn std::fmt::Display| format!("`{}`: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| unreadable(&error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("no certificate authority is known; install `ca-certificates`, or set `ca`".to_owned());
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// The client's side of TLS with that host.
///
/// # Errors
/// When it is neither a name nor an address.
pub(crate) fn begin_tls(config: &Arc<ClientConfig>, host: &str) -> Result<ClientConnection, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no host name"))?;
    ClientConnection::new(config.clone(), name).map_err(|error| error.to_string())
}

/// Two ends of one connection within this machine: the bridge's and the broker's.
///
/// # Errors
/// When the system gives no socket.
pub(crate) fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = StdListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let ours = StdStream::connect(listener.local_addr()?)?;
    loop {
        let (theirs, peer) = listener.accept()?;
        // Another program of this machine may have come first; it gets nothing.
        if peer == ours.local_addr()? {
            for stream in [&ours, &theirs] {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
            }
            return Ok((TcpStream::from_std(ours), TcpStream::from_std(theirs)));
        }
    }
}

/// Where the other broker is, and how to speak to it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
    /// Authorities that sign its certificate, if no public one does.
    pub ca: Option<PathBuf>,
}
