//! The threads of the bridges, one each: sockets, names, time and pauses around `bridge::Relay`. A slow or absent broker
//! costs its own thread and nobody else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bridge::relay::Settings as RelaySettings;
use bridge::wait::Backoff;
use bridge::{End, Relay, Status};
use broker::Origin;
use mesh::node::NodeNum;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ClientConfig;

use crate::bridge_wire::{Peer, Wire, begin_tls, pair, trust};
use crate::core_loop::{Arrival, Command, CoreHandle};
use crate::transport::Transport;

/// One bridge to run.
#[derive(Debug, Clone)]
pub struct BridgeSettings {
    /// What crosses, and how to sign in.
    pub relay: RelaySettings,
    /// The other broker.
    pub peer: Peer,
}

impl BridgeSettings {
    /// Says as whom it speaks: the broker's own node, which no other broker's is.
    pub(crate) fn introduce_as(&mut self, own_node: u32) {
        self.relay.own_id = NodeNum(own_node).to_string().into();
        if self.relay.there.client_id.is_empty() {
            self.relay.there.client_id = format!("backhaul-{own_node:08x}-{}", self.relay.name).into();
        }
    }
}

/// How every bridge is doing, for pages and monitors.
#[derive(Clone, Default)]
pub struct BridgeBoard(Arc<Mutex<Vec<Status>>>);

impl BridgeBoard {
    /// Every bridge as it was within the last second, in the order of the configuration.
    pub fn read(&self) -> Vec<Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, index: usize, status: Status) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = all.get_mut(index) {
            *place = status;
        }
    }
}

/// The running bridges; they end when this is dropped.
pub(crate) struct Bridging {
    stop: Arc<AtomicBool>,
    running: Vec<(Arc<Waker>, Receiver<()>)>,
}

/// How long a bridge may take to say goodbye. One that looks up a name cannot be hurried, and is left behind.
const GOODBYE: Duration = Duration::from_secs(1);

impl Bridging {
    /// Starts a thread for each bridge.
    pub fn start(bridges: Vec<BridgeSettings>, core: &CoreHandle, board: &BridgeBoard) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let relays: Vec<_> = bridges.into_iter().map(|b| (Relay::new(b.relay.clone(), 0), b)).collect();
        let mut running = Vec::new();
        let (mut threads, mut first) = (Vec::new(), Vec::new());
        for (index, (mut relay, settings)) in relays.into_iter().enumerate() {
            first.push(relay.status(0));
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
            let (done, is_done) = channel();
            running.push((waker, is_done));
            threads.push(Span {
                name: (*settings.relay.name).into(),
                index,
                poll,
                relay,
                peer: settings.peer,
                trust: None,
                ends: [None, None],
                retry_ms: [0, 0],
                backoff: Backoff::default(),
                was_up: None,
                began: Instant::now(),
                core: core.clone(),
                board: board.clone(),
                stop: stop.clone(),
                _done: done,
            });
        }
        *board.0.lock().unwrap_or_else(PoisonError::into_inner) = first;
        for span in threads {
            let name = format!("bridge-{}", span.index);
            std::thread::Builder::new().name(name).spawn(move || span.run())?;
        }
        Ok(Self { stop, running })
    }
}

impl Drop for Bridging {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for (waker, _) in &self.running {
            // One that cannot be woken looks again within half a second.
            let _ = waker.wake();
        }
        let deadline = Instant::now() + GOODBYE;
        for (_, is_done) in &self.running {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(left) {
                tracing::debug!("a bridge was left behind");
            }
        }
    }
}

const HERE: Token = Token(0);
const THERE: Token = Token(1);
const WAKER: Token = Token(2);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long a TCP connection and TLS may take before MQTT begins, ms.
const CONNECT_MS: u64 = 15_000;
/// Pause before our own broker is tried again, ms: it turns a bridge away only while it is full.
const HERE_AGAIN_MS: u64 = 5_000;

/// A connection of one side.
struct Connected {
    wire: Wire,
    /// When it was begun; `None` once TCP is through.
    dialled_ms: Option<u64>,
}

/// One bridge.
struct Span {
    name: Arc<str>,
    index: usize,
    poll: Poll,
    relay: Relay,
    peer: Peer,
    trust: Option<Arc<ClientConfig>>,
    ends: [Option<Connected>; 2],
    retry_ms: [u64; 2],
    backoff: Backoff,
    was_up: Option<bool>,
    began: Instant,
    core: CoreHandle,
    board: BridgeBoard,
    stop: Arc<AtomicBool>,
    /// Its end tells that the thread is through.
    _done: Sender<()>,
}

impl Span {
    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        while !self.stop.load(Ordering::Relaxed) {
            self.connect();
            if let Err(error) = self.poll.poll(&mut events, Some(TICK))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(bridge = &*self.name, %error, "the bridge stops: its sockets cannot be watched");
                return;
            }
            for end in [End::Here, End::There] {
                self.turn(end);
            }
            for end in [End::Here, End::There] {
                self.flush(end);
            }
            self.tell();
        }
        self.relay.leave();
        [End::Here, End::There].into_iter().for_each(|end| self.flush(end));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Makes connections that are missing and due.
    fn connect(&mut self) {
        let now_ms = self.now_ms();
        if self.ends[End::Here as usize].is_none() && now_ms >= self.retry_ms[End::Here as usize] {
            match self.enter() {
                Ok(stream) => {
                    self.begin(End::Here, Connected { wire: Wire::new(stream, None), dialled_ms: None })
                }
                Err(error) => self.lost(End::Here, &format!("no connection within this machine: {error}")),
            }
        }
        if self.ends[End::There as usize].is_none() && now_ms >= self.retry_ms[End::There as usize] {
            match self.dial() {
                Ok(wire) => self.begin(End::There, Connected { wire, dialled_ms: Some(now_ms) }),
                Err(why) => self.lost(End::There, &why),
            }
        }
    }

    /// A connection to our own broker, as this bridge.
    fn enter(&self) -> io::Result<TcpStream> {
        let (ours, brokers) = pair()?;
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let bridge = Some(self.name.clone());
        let origin = Origin { address, listener: 0, certificate_name: None, bridge };
        self.core.send(Command::Enter(Box::new(Arrival { transport: Transport::Tcp(brokers), origin })));
        Ok(ours)
    }

    fn dial(&mut self) -> Result<Wire, String> {
        let Peer { host, port, tls, ca } = &self.peer;
        let found = (host.as_str(), *port).to_socket_addrs();
        let addresses: Vec<SocketAddr> =
            found.map_err(|error| format!("`{host}` is not found: {error}"))?.collect();
        // The next one has its turn when this one fails.
        let turn = usize::try_from(self.backoff.failures()).unwrap_or_default();
        let address =
            addresses.get(turn % addresses.len().max(1)).ok_or(format!("`{host}` has no address"))?;
        let session = if *tls {
            let trusted = match &self.trust {
                Some(trusted) => trusted.clone(),
                None => self.trust.insert(trust(ca.as_deref())?).clone(),
            };
            Some(begin_tls(&trusted, host)?)
        } else {
            None
        };
        let stream = TcpStream::connect(*address).map_err(|error| unreachable_text(host, *port, &error))?;
        Ok(Wire::new(stream, session))
    }

    fn begin(&mut self, end: End, mut connected: Connected) {
        let token = if end == End::Here { HERE } else { THERE };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut connected.wire.stream, token, interest) {
            return self.lost(end, &format!("the connection cannot be watched: {error}"));
        }
        let is_through = connected.dialled_ms.is_none();
        self.ends[end as usize] = Some(connected);
        if is_through {
            self.relay.connected(self.now_ms(), end);
        }
    }

    /// What one side has to say.
    fn turn(&mut self, end: End) {
        let now_ms = self.now_ms();
        if self.ends[end as usize].is_none() {
            // What waits grows too old all the same.
            let _ = self.relay.tick(now_ms, end);
            return;
        }
        match self.dialled(end, now_ms) {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => return self.lost(end, &why),
        }
        let mut bytes = Vec::new();
        let Some(connected) = &mut self.ends[end as usize] else { return };
        let read = connected.wire.read(&mut bytes);
        let outcome = self.relay.receive(now_ms, end, &bytes).and_then(|()| self.relay.tick(now_ms, end));
        match (outcome, read) {
            (Err(ended), _) => self.lost(end, &ended.0),
            (Ok(()), Ok(true)) => {}
            (Ok(()), Ok(false)) => self.lost(end, "the broker closed the connection"),
            (Ok(()), Err(error)) => self.lost(end, &lost_text(&error)),
        }
    }

    /// Whether TCP is through.
    fn dialled(&mut self, end: End, now_ms: u64) -> Result<bool, String> {
        let Peer { host, port, .. } = &self.peer;
        let Some(Connected { wire, dialled_ms }) = &mut self.ends[end as usize] else { return Ok(false) };
        let Some(began_ms) = *dialled_ms else { return Ok(true) };
        if let Ok(Some(error)) | Err(error) = wire.stream.take_error() {
            return Err(unreachable_text(host, *port, &error));
        }
        match wire.stream.peer_addr() {
            Ok(_) => {
                *dialled_ms = None;
                self.relay.connected(now_ms, end);
                Ok(true)
            }
            Err(_) if now_ms >= began_ms + CONNECT_MS => {
                Err(format!("`{host}` does not answer on port {port}; is it right, and open in firewalls?"))
            }
            Err(_) => Ok(false),
        }
    }

    fn flush(&mut self, end: End) {
        loop {
            let Some(connected) = &mut self.ends[end as usize] else { return };
            if connected.dialled_ms.is_some() {
                return;
            }
            let unsent = self.relay.unsent(end);
            match connected.wire.write(unsent) {
                Ok(count) => {
                    let is_through = count == 0 || count == unsent.len();
                    self.relay.advance(end, count);
                    if is_through {
                        return;
                    }
                }
                Err(error) => return self.lost(end, &lost_text(&error)),
            }
        }
    }

    fn lost(&mut self, end: End, why: &str) {
        let now_ms = self.now_ms();
        if let Some(mut connected) = self.ends[end as usize].take() {
            // A socket that is closed is not watched any more, whatever the registry says.
            let _ = self.poll.registry().deregister(&mut connected.wire.stream);
        }
        self.relay.lost(now_ms, end, Some(why));
        let pause_ms = match end {
            End::Here => HERE_AGAIN_MS,
            End::There => self.backoff.next_ms(u64::from(std::process::id()) * 7_919 + now_ms),
        };
        self.retry_ms[end as usize] = now_ms + pause_ms;
        tracing::warn!(
            bridge = &*self.name,
            again_in_s = pause_ms / 1000,
            "the bridge is interrupted: {why}"
        );
    }

    /// Says how it is, where monitors and pages look.
    fn tell(&mut self) {
        let is_up = self.relay.is_up(End::Here) && self.relay.is_up(End::There);
        if self.was_up != Some(is_up) {
            self.was_up = Some(is_up);
            self.core.send(Command::Bridge(self.name.clone(), is_up));
            if is_up {
                self.backoff.reset();
                tracing::info!(bridge = &*self.name, "the bridge is up");
            }
        }
        let now_ms = self.now_ms();
        self.board.write(self.index, self.relay.status(now_ms));
    }
}

fn unreachable_text(host: &str, port: u16, error: &io::Error) -> String {
    format!("`{host}` cannot be reached on port {port}: {error}")
}

fn lost_text(error: &io::Error) -> String {
    format!("the connection is lost: {error}")
}
