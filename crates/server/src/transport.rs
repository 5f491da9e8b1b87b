//! What an established connection is to the core: TCP, or TLS and WebSocket in either combination over it.
//!
//! Plain TCP is one system call each way, straight from and to the broker's buffers. The other layers keep at most one
//! chunk that the socket has not taken; the outbox stays the only queue. Nothing here waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use doorway::websocket::{End, Incoming, write_binary_header, write_goodbye};
use mio::net::TcpStream;
use rustls::ServerConnection;

/// An established connection.
pub(crate) enum Transport {
    /// TCP alone.
    Tcp(TcpStream),
    /// TLS, WebSocket, or WebSocket over TLS. Boxed, so that plain connections stay small.
    Layered(Box<Layered>),
}

/// Buffers that all connections of one loop read into; an idle connection has none of its own.
pub(crate) struct ReadBuffers {
    /// What one read takes from a socket.
    wire: Box<[u8]>,
    /// What comes out of TLS.
    plain: Box<[u8]>,
}

/// One read takes at most this much; several small packets of one client come out of one system call.
const READ_BYTES: usize = 64 * 1024;
/// A TLS record holds at most this much.
const PLAIN_BYTES: usize = 16 * 1024;
/// What is wrapped at a time: one TLS record.
const CHUNK_BYTES: usize = 16 * 1024;
/// A buffer of wrapped bytes is kept up to this size when it empties.
const KEPT_BYTES: usize = 1024;

impl Default for ReadBuffers {
    fn default() -> Self {
        Self { wire: vec![0; READ_BYTES].into_boxed_slice(), plain: vec![0; PLAIN_BYTES].into_boxed_slice() }
    }
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The socket is empty; the next bytes raise an event.
    Drained,
    /// There may be more.
    More,
    /// The connection is over, for the reason told.
    Closed(&'static str),
}

impl Transport {
    /// TCP that further layers will be put on.
    pub fn layered(stream: TcpStream) -> Self {
        Self::Layered(Box::new(Layered::over(stream)))
    }

    /// Puts TLS on, its handshake already done.
    pub fn with_tls(self, session: ServerConnection) -> Self {
        let mut layered = self.into_layered();
        layered.begin_tls(session);
        Self::Layered(layered)
    }

    fn into_layered(self) -> Box<Layered> {
        match self {
            Self::Tcp(stream) => Box::new(Layered::over(stream)),
            Self::Layered(layered) => layered,
        }
    }

    /// From here on, WebSocket frames are spoken inside. `ahead` is what was read of them already.
    pub fn into_websocket(self, ahead: Vec<u8>) -> Self {
        let mut layered = self.into_layered();
        layered.websocket = Some(Incoming::default());
        layered.ahead = ahead;
        Self::Layered(layered)
    }

    /// The socket below everything.
    pub const fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Layered(layered) => &mut layered.stream,
        }
    }

    /// The TLS session, if there is one.
    pub fn tls_session(&mut self) -> Option<&mut ServerConnection> {
        match self {
            Self::Tcp(_) => None,
            Self::Layered(layered) => layered.tls_session(),
        }
    }

    /// Reads once from the socket; the bytes that are meant for the next layer go to `take`, in any portions.
    #[inline]
    pub fn read(&mut self, buffers: &mut ReadBuffers, mut take: impl FnMut(&[u8])) -> ReadEnd {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Layered(layered) => return layered.read(buffers, &mut take),
        };
        match read_once(stream, &mut buffers.wire) {
            Ok(count) => {
                take(&buffers.wire[..count]);
                // A short read has emptied the socket.
                if count < buffers.wire.len() { ReadEnd::Drained } else { ReadEnd::More }
            }
            Err(end) => end,
        }
    }

    /// Writes bytes as the socket takes them, and returns how many are taken care of.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes nothing now; anything else when the connection is lost.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Layered(layered) => layered.write(bytes),
        }
    }

    /// Writes what was taken care of but has not left: part of a chunk, an answer to a ping.
    ///
    /// # Errors
    /// As `write`.
    #[inline]
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Layered(layered) => layered.flush(),
        }
    }

    /// Reads once and throws away, below every layer: for a connection whose end is decided.
    pub fn drain(&mut self, buffers: &mut ReadBuffers) -> ReadEnd {
        match read_once(self.stream(), &mut buffers.wire) {
            Ok(_) => ReadEnd::More,
            Err(end) => end,
        }
    }

    /// Says goodbye on every layer and sends nothing any more; the peer can still be read. Call `flush` until it
    /// succeeds, then `shut_down_writing`.
    pub fn say_goodbye(&mut self) {
        if let Self::Layered(layered) = self {
            layered.say_goodbye();
        }
    }

    /// Tells the peer's TCP that nothing more comes.
    pub fn shut_down_writing(&mut self) {
        if let Err(error) = self.stream().shutdown(Shutdown::Write) {
            tracing::debug!(%error, "the peer was gone before it could be told");
        }
    }
}

/// A connection with more than TCP.
pub(crate) struct Layered {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// What has been read of a client's frames, where WebSocket is spoken.
    websocket: Option<Incoming>,
    /// Bytes inside TLS that were read before WebSocket began.
    ahead: Vec<u8>,
    /// Wrapped bytes that the socket has not taken. Empty where TLS is spoken, which keeps its own.
    wrapped: Vec<u8>,
    /// How many of them have left.
    left: usize,
}

impl Layered {
    const fn over(stream: TcpStream) -> Self {
        Self { stream, tls: None, websocket: None, ahead: Vec::new(), wrapped: Vec::new(), left: 0 }
    }

    pub fn tls_session(&mut self) -> Option<&mut ServerConnection> {
        self.tls.as_deref_mut()
    }

    pub const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Puts TLS on, its handshake not yet made or already done.
    pub fn begin_tls(&mut self, session: ServerConnection) {
        self.tls = Some(Box::new(session));
    }

    /// Goes on with the TLS handshake. `false` when the client went away.
    ///
    /// # Errors
    /// `WouldBlock` while the client has something to send or to take; anything else when the handshake failed.
    pub fn shake_hands(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            if !tls.is_handshaking() {
                return Ok(true);
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(false);
            }
            if let Err(error) = tls.process_new_packets() {
                // The alert says why; a client that does not take it will not learn.
                while tls.wants_write() && tls.write_tls(&mut self.stream).is_ok() {}
                return Err(io::Error::other(error));
            }
        }
    }

    fn read(&mut self, buffers: &mut ReadBuffers, take: &mut impl FnMut(&[u8])) -> ReadEnd {
        let ReadBuffers { wire, plain } = buffers;
        let mut ahead = std::mem::take(&mut self.ahead);
        // What TLS has already opened raises no event, so it is asked for first.
        let opened = self.take_inner(&mut ahead, take).and_then(|()| self.take_opened(plain, take));
        let end = match opened.and_then(|()| read_once(&mut self.stream, wire)) {
            Ok(count) => match self.take_wire(&mut wire[..count], plain, take) {
                Ok(()) if count < wire.len() => ReadEnd::Drained,
                Ok(()) => ReadEnd::More,
                Err(end) => end,
            },
            Err(end) => end,
        };
        // Answers to pings and TLS's own messages; what the socket does not take leaves with the next write.
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => ReadEnd::Closed(LOST),
            Ok(()) | Err(_) => end,
        }
    }

    /// Bytes from the socket.
    fn take_wire(
        &mut self,
        wire: &mut [u8],
        plain: &mut [u8],
        take: &mut impl FnMut(&[u8]),
    ) -> Result<(), ReadEnd> {
        if self.tls.is_none() {
            return self.take_inner(wire, take);
        }
        let mut sealed = &*wire;
        while !sealed.is_empty() {
            let Some(tls) = self.tls.as_deref_mut() else { return Ok(()) };
            // Fails only when opened bytes were left in, which `take_opened` does not do.
            let count = tls.read_tls(&mut sealed).map_err(|_| ReadEnd::Closed(BAD_TLS))?;
            if count == 0 {
                return Err(ReadEnd::Closed(BY_CLIENT)); // after the peer's close_notify nothing counts
            }
            tls.process_new_packets().map_err(|_| ReadEnd::Closed(BAD_TLS))?;
            self.take_opened(plain, take)?;
        }
        Ok(())
    }

    /// Bytes that TLS has opened.
    fn take_opened(&mut self, plain: &mut [u8], take: &mut impl FnMut(&[u8])) -> Result<(), ReadEnd> {
        while let Some(tls) = self.tls.as_deref_mut() {
            match tls.reader().read(plain) {
                Ok(0) => return Err(ReadEnd::Closed(BY_CLIENT)),
                Ok(count) => self.take_inner(&mut plain[..count], take)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(ReadEnd::Closed(LOST)),
            }
        }
        Ok(())
    }

    /// Bytes inside TLS, if there is any.
    fn take_inner(&mut self, bytes: &mut [u8], take: &mut impl FnMut(&[u8])) -> Result<(), ReadEnd> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(incoming) = &mut self.websocket else {
            take(bytes);
            return Ok(());
        };
        let mut replies = Vec::new();
        let end = incoming.receive(bytes, take, &mut replies);
        // A client that does not read gets no answers to its pings; a close frame is small and comes once.
        if !replies.is_empty() && (end.is_err() || self.is_flushed()) {
            self.wrap(&replies);
        }
        end.map_err(|end| match end {
            End::Closed => ReadEnd::Closed(BY_CLIENT),
            End::Broken(why) => ReadEnd::Closed(why),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let chunk = &bytes[..bytes.len().min(CHUNK_BYTES)];
        if self.websocket.is_some() {
            match &mut self.tls {
                Some(tls) => write_binary_header(chunk.len(), &mut tls.writer())?,
                None => write_binary_header(chunk.len(), &mut self.wrapped)?,
            }
        }
        self.wrap(chunk);
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(chunk.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
            return Ok(());
        }
        while self.left < self.wrapped.len() {
            match self.stream.write(&self.wrapped[self.left..]) {
                Ok(count) => self.left += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.left = 0;
        if self.wrapped.capacity() > KEPT_BYTES {
            self.wrapped = Vec::new();
        } else {
            self.wrapped.clear();
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        self.wrapped.is_empty() && self.tls.as_ref().is_none_or(|tls| !tls.wants_write())
    }

    /// Puts bytes where `flush` finds them. TLS takes them all: no limit is set on its buffer, because only one chunk
    /// is put in before it is empty again.
    fn wrap(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => {
                let written = tls.writer().write_all(bytes);
                debug_assert!(written.is_ok(), "an unlimited buffer takes everything");
            }
            None => self.wrapped.extend_from_slice(bytes),
        }
    }

    fn say_goodbye(&mut self) {
        if self.websocket.is_some() {
            let mut goodbye = Vec::new();
            write_goodbye(&mut goodbye);
            self.wrap(&goodbye);
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
    }
}

fn read_once(stream: &mut TcpStream, wire: &mut [u8]) -> Result<usize, ReadEnd> {
    match stream.read(wire) {
        Ok(0) => Err(ReadEnd::Closed(BY_CLIENT)),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ReadEnd::Drained),
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(ReadEnd::More),
        Err(_) => Err(ReadEnd::Closed(LOST)),
    }
}

const BY_CLIENT: &str = "closed by the client";
const LOST: &str = "connection lost";
const BAD_TLS: &str = "broken TLS record";

#[cfg(test)]
mod tests {
    use std::net::{TcpListener as StdListener, TcpStream as StdStream};
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use tungstenite::protocol::Role;

    use super::*;
    use crate::tls::{CertificateSource, ClientCertificates, SharedTls, TlsSettings};

    /// Our end, which does not block, and the peer's, which does.
    fn pair() -> (TcpStream, StdStream) {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (TcpStream::from_std(ours), peer)
    }

    /// A TLS connection after its handshake, and its client.
    fn tls_pair() -> (Transport, StreamOwned<ClientConnection, StdStream>) {
        let folder = tempfile::tempdir().unwrap();
        let certificate = CertificateSource::SelfMade { folder: folder.path().to_owned(), names: Vec::new() };
        let shared = SharedTls::new(TlsSettings { certificate, clients: ClientCertificates::Off }).unwrap();
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(folder.path().join("certificate.pem")).unwrap();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let (ours, peer) = pair();
        let shaking = std::thread::spawn(move || {
            let mut stream = StreamOwned::new(client, peer);
            stream.conn.complete_io(&mut stream.sock).unwrap();
            stream
        });
        let mut layered = Layered::over(ours);
        layered.begin_tls(shared.begin().unwrap());
        while let Err(error) = layered.shake_hands() {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            std::thread::yield_now();
        }
        (Transport::Layered(Box::new(layered)), shaking.join().unwrap())
    }

    /// Writes until the socket is full, then on while the peer reads; returns everything that the peer got.
    fn fill_and_drain(mut ours: Transport, read: impl FnOnce(usize) -> Vec<u8> + Send + 'static) {
        let sent: Vec<u8> = (0..40_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
        let mut written = 0;
        while let Ok(count) = ours.write(&sent[written..]) {
            written += count;
        }
        assert!(written < sent.len(), "the peer does not read, so the socket fills");
        if let Transport::Layered(layered) = &ours {
            assert!(layered.wrapped.len() <= CHUNK_BYTES + 10, "{}", layered.wrapped.len());
        }
        // Nothing more is taken as long as one chunk waits.
        for _ in 0..100 {
            assert_eq!(ours.write(&sent[written..]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        let expected = sent.clone();
        let reading = std::thread::spawn(move || assert!(read(expected.len()) == expected));
        while written < sent.len() || ours.flush().is_err() {
            match ours.write(&sent[written..]) {
                Ok(count) => written += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            std::thread::yield_now();
        }
        reading.join().unwrap();
    }

    #[test]
    fn a_websocket_client_that_does_not_read_costs_one_chunk() {
        let (ours, peer) = pair();
        fill_and_drain(Transport::Tcp(ours).into_websocket(Vec::new()), |wanted| {
            let mut client = tungstenite::WebSocket::from_raw_socket(peer, Role::Client, None);
            let mut got = Vec::new();
            while got.len() < wanted {
                got.extend_from_slice(&client.read().unwrap().into_data());
            }
            got
        });
    }

    #[test]
    fn a_tls_client_that_does_not_read_costs_one_chunk() {
        let (ours, mut peer) = tls_pair();
        fill_and_drain(ours, move |wanted| {
            let mut got = vec![0; wanted];
            peer.read_exact(&mut got).unwrap();
            got
        });
    }

    #[test]
    fn every_layer_reads_and_says_goodbye() {
        let (mut ours, peer) = tls_pair();
        ours = ours.into_websocket(Vec::new());
        let client = std::thread::spawn(move || {
            let mut client = tungstenite::WebSocket::from_raw_socket(peer, Role::Client, None);
            client.send(tungstenite::Message::binary(vec![7; 100_000])).unwrap();
            let close = client.read().unwrap();
            assert!(close.is_close(), "{close:?}");
            // After close_notify the stream ends in order; without it this would be an error.
            let (stream, mut rest) = (client.get_mut(), Vec::new());
            stream.read_to_end(&mut rest).unwrap();
        });
        let (mut buffers, mut got) = (ReadBuffers::default(), Vec::new());
        while got.len() < 100_000 {
            let end = ours.read(&mut buffers, |bytes| got.extend_from_slice(bytes));
            assert!(!matches!(end, ReadEnd::Closed(_)), "{end:?}");
            std::thread::yield_now();
        }
        assert!(got == vec![7; 100_000]);
        ours.say_goodbye();
        while ours.flush().is_err() {}
        ours.shut_down_writing();
        client.join().unwrap();
    }
}
