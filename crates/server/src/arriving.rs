//! One connection on its way in: PROXY header, TLS handshake, WebSocket request, step by step and without waiting.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use doorway::proxy_header;
use doorway::upgrade::{self, Answer};
use mio::net::{TcpListener, TcpStream};

use crate::listener::{ListenerSettings, ProxySettings};
use crate::tls::{SharedTls, was_proof};
use crate::transport::{ReadBuffers, ReadEnd, Transport};

/// A listener whose connections begin with something else than MQTT.
pub(crate) struct Door {
    /// Its number in the broker's list.
    pub number: u8,
    pub listener: TcpListener,
    pub proxy: Option<ProxySettings>,
    pub tls: Option<SharedTls>,
    pub is_websocket: bool,
    /// Time for everything that comes before MQTT.
    pub patience: Duration,
}

impl Door {
    /// The door of a listener that is not plain.
    pub fn new(
        number: u8,
        listener: TcpListener,
        settings: &ListenerSettings,
        tls: Option<SharedTls>,
    ) -> Self {
        Self {
            number,
            listener,
            proxy: settings.proxy.clone(),
            tls,
            is_websocket: settings.is_websocket,
            patience: Duration::from_millis(settings.rules.connect_timeout_ms),
        }
    }
}

/// Positions in `DOOR_REASONS`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    TooMany = 0,
    TooSlow = 1,
    Proxy = 2,
    Tls = 3,
    WebSocket = 4,
}

/// A connection on its way in.
pub(crate) struct Arriving {
    /// Which of the doorman's doors it came to.
    pub door: usize,
    pub stage: Stage,
    pub peer: SocketAddr,
    /// The client's address, once it is known and counted.
    pub address: Option<IpAddr>,
    /// A WebSocket request that is not whole, later what followed it.
    pub request: Vec<u8>,
    /// The answer to it.
    pub answer: Vec<u8>,
}

/// What it is at; the stages that its door does not have are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    ProxyHeader,
    Handshake,
    Request,
    /// The answer is being written; afterwards the client is let in, or sent away.
    Answer {
        is_accepted: bool,
    },
    Done,
}

/// What a step ended with.
pub(crate) enum Step {
    /// The socket has nothing more to give or takes nothing more.
    Wait,
    /// To the next stage.
    Next(Stage),
    /// The same for a client whose address was told and is to be counted.
    Counted(IpAddr, Stage),
    /// Close at once; refusals are counted.
    Close(Option<Refusal>),
}

impl Door {
    pub const fn after_proxy_header(&self) -> Stage {
        if self.tls.is_some() { Stage::Handshake } else { self.after_handshake() }
    }

    const fn after_handshake(&self) -> Stage {
        if self.is_websocket { Stage::Request } else { Stage::Done }
    }
}

impl Arriving {
    /// Does what can be done without waiting.
    pub fn go_on(&mut self, transport: &mut Transport, door: &Door, buffers: &mut ReadBuffers) -> Step {
        match self.stage {
            Stage::ProxyHeader => self.read_proxy_header(transport.stream(), door),
            Stage::Handshake => shake_hands(transport, door),
            Stage::Request => self.read_request(transport, buffers),
            Stage::Answer { is_accepted } => self.write_answer(transport, is_accepted),
            Stage::Done => Step::Next(Stage::Done),
        }
    }

    /// Looks at the bytes and takes exactly the header, so that whatever follows finds a fresh connection.
    fn read_proxy_header(&mut self, stream: &mut TcpStream, door: &Door) -> Step {
        let Some(proxy) = &door.proxy else { return Step::Next(door.after_proxy_header()) };
        let mut bytes = [0; proxy_header::BYTES_MAX];
        let known = match stream.peek(&mut bytes) {
            Ok(0) => return Step::Close(None),
            Ok(known) => known,
            Err(error) => return or_wait(&error, None),
        };
        let header = match proxy_header::parse(&bytes[..known], proxy.versions) {
            Ok(Some(header)) => header,
            Ok(None) => return Step::Wait,
            Err(error) => {
                tracing::info!(%error, proxy = %self.peer.ip(), "a PROXY header was refused");
                return Step::Close(Some(Refusal::Proxy));
            }
        };
        if stream.read_exact(&mut bytes[..header.len]).is_err() {
            return Step::Close(Some(Refusal::Proxy));
        }
        let next = door.after_proxy_header();
        header.source.map_or(Step::Next(next), |source| Step::Counted(source, next))
    }

    fn read_request(&mut self, transport: &mut Transport, buffers: &mut ReadBuffers) -> Step {
        loop {
            let before = self.request.len();
            let end = transport.read(buffers, |bytes| self.request.extend_from_slice(bytes));
            if self.request.len() > before {
                match upgrade::answer(&self.request) {
                    Answer::Wait => {}
                    Answer::Accept { response, request_bytes } => {
                        self.request.drain(..request_bytes);
                        self.answer = response;
                        return Step::Next(Stage::Answer { is_accepted: true });
                    }
                    Answer::Refuse { response, why } => {
                        tracing::debug!(why, "a WebSocket request was refused");
                        self.answer = response;
                        return Step::Next(Stage::Answer { is_accepted: false });
                    }
                }
            }
            match end {
                ReadEnd::Drained => return Step::Wait,
                ReadEnd::More => {}
                ReadEnd::Closed(_) => return Step::Close(None),
            }
        }
    }

    fn write_answer(&mut self, transport: &mut Transport, is_accepted: bool) -> Step {
        while !self.answer.is_empty() {
            match transport.write(&self.answer) {
                Ok(count) => drop(self.answer.drain(..count)),
                Err(error) => return or_wait(&error, None),
            }
        }
        match transport.flush() {
            Ok(()) if is_accepted => Step::Next(Stage::Done),
            Ok(()) => Step::Close(Some(Refusal::WebSocket)),
            Err(error) => or_wait(&error, None),
        }
    }
}

fn shake_hands(transport: &mut Transport, door: &Door) -> Step {
    let (Transport::Layered(layered), Some(tls)) = (transport, &door.tls) else {
        return Step::Next(door.after_handshake());
    };
    if !layered.has_tls() {
        // The certificate is the one that is in force at this moment.
        match tls.begin() {
            Ok(session) => layered.begin_tls(session),
            Err(error) => {
                tracing::error!(%error, "TLS could not be begun");
                return Step::Close(Some(Refusal::Tls));
            }
        }
    }
    match layered.shake_hands() {
        Ok(true) if layered.tls_session().is_some_and(|tls| was_proof(tls)) => Step::Close(None),
        Ok(true) => Step::Next(door.after_handshake()),
        Ok(false) => Step::Close(None),
        Err(error) => or_wait(&error, Some(Refusal::Tls)),
    }
}

fn or_wait(error: &std::io::Error, refusal: Option<Refusal>) -> Step {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Step::Wait,
        _ => Step::Close(refusal),
    }
}
