//! All ways in, from what is asked for to sockets and certificates, before anything runs.

use std::net::{SocketAddr, TcpListener};

use crate::arriving::Door;
use crate::core_loop::PlainListener;
use crate::listener::{ListenerSettings, bind};
use crate::start::StartError;
use crate::tls::{SharedTls, TlsSettings};

/// A way in that is open.
#[derive(Debug, Clone)]
pub struct OpenListener {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks, in words.
    pub kind: &'static str,
    /// Whether it is MQTT over TCP and nothing else.
    pub is_plain: bool,
}

/// Sockets that the service manager has opened, by the name of the listener they are for.
pub type InheritedSockets = Vec<(String, TcpListener)>;

/// Numbers are a byte, and the pages' `/mqtt` needs one.
const LISTENERS_MAX: usize = 250;

/// Sockets and certificates.
#[derive(Default)]
pub(crate) struct Entrances {
    pub open: Vec<OpenListener>,
    /// Those that the core accepts from.
    pub plain: Vec<PlainListener>,
    /// Those that the doorman accepts from.
    pub doors: Vec<Door>,
    certificates: Vec<(TlsSettings, SharedTls)>,
    inherited: InheritedSockets,
}

impl Entrances {
    /// Opens every listener.
    pub fn open(listeners: &[ListenerSettings], inherited: InheritedSockets) -> Result<Self, StartError> {
        if listeners.len() > LISTENERS_MAX {
            return Err(StartError::TooManyListeners);
        }
        let mut entrances = Self { inherited, ..Self::default() };
        for (number, settings) in listeners.iter().enumerate() {
            let number = u8::try_from(number).map_err(|_| StartError::TooManyListeners)?;
            let name = settings.rules.name.to_string();
            let tls = settings.tls.as_ref().map(|tls| entrances.tls(tls)).transpose()?;
            let mut sockets = vec![entrances.socket(&name, settings.address)?];
            // The service manager may have opened several for one listener, such as one for each address.
            while entrances.inherited.iter().any(|(inherited, _)| *inherited == name) {
                sockets.push(entrances.socket(&name, settings.address)?);
            }
            for socket in sockets {
                let address = socket.local_addr().map_err(StartError::System)?;
                let listener = mio::net::TcpListener::from_std(socket);
                if settings.is_plain() {
                    entrances.plain.push(PlainListener { number, listener });
                } else {
                    entrances.doors.push(Door::new(number, listener, settings, tls.clone()));
                }
                let (name, kind, is_plain) = (name.clone(), settings.kind(), settings.is_plain());
                entrances.open.push(OpenListener { name, address, kind, is_plain });
            }
        }
        Ok(entrances)
    }

    /// The socket that was inherited under this name, or one made for it. Never blocks.
    pub fn socket(&mut self, name: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
        match self.inherited.iter().position(|(inherited, _)| inherited == name) {
            Some(index) => {
                let (_, socket) = self.inherited.swap_remove(index);
                socket.set_nonblocking(true).map_err(StartError::System)?;
                Ok(socket)
            }
            None => bind(address).map_err(|error| StartError::Listen(address, error)),
        }
    }

    /// TLS by these settings; listeners with the same share it.
    pub fn tls(&mut self, settings: &TlsSettings) -> Result<SharedTls, StartError> {
        if let Some((_, tls)) = self.certificates.iter().find(|(known, _)| known == settings) {
            return Ok(tls.clone());
        }
        let tls = SharedTls::new(settings.clone()).map_err(StartError::Tls)?;
        self.certificates.push((settings.clone(), tls.clone()));
        Ok(tls)
    }

    /// Every certificate in use.
    pub fn certificates(&self) -> Vec<SharedTls> {
        self.certificates.iter().map(|(_, tls)| tls.clone()).collect()
    }

    /// An error when a socket was inherited that no listener is named after: its clients would wait for ever.
    pub fn check_inherited(&self) -> Result<(), StartError> {
        match self.inherited.first() {
            Some((name, _)) => Err(StartError::UnknownSocket(name.clone())),
            None => Ok(()),
        }
    }
}
