//! The doorman: a thread that takes connections through what comes before MQTT (PROXY header, TLS handshake, WebSocket
//! upgrade) and hands them to the core, and that sees those out whom the core has sent away.
//!
//! A storm of handshakes keeps this thread busy and delays nobody who is in. Nothing here outlasts its deadline.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use broker::{DOOR_REASONS, Origin};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use policy::throttle::network;
use slab::Slab;

use crate::arriving::{Arriving, Door, Refusal, Stage, Step};
use crate::core_loop::{Arrival, Command, CoreHandle};
use crate::leaving::Leaving;
use crate::listener::unmapped;
use crate::tls::common_name;
use crate::transport::{ReadBuffers, Transport};

/// What others ask of the doorman.
pub(crate) enum Errand {
    /// Write the rest, say goodbye, and wait a moment until the peer has read it: a socket that is closed with bytes
    /// unread on our side is reset, and the peer may lose what it was told.
    SeeOut(Transport, Vec<u8>),
    /// Let nobody in any more.
    CloseDoors,
    /// Give those on their way out until then, and stop.
    Stop(Instant),
}

/// A handle for other threads.
#[derive(Clone)]
pub(crate) struct DoormanHandle {
    errands: Sender<Errand>,
    waker: Arc<Waker>,
    refusals: Arc<Refusals>,
}

impl DoormanHandle {
    /// Sends an errand. After the doorman has stopped, errands go nowhere.
    pub fn send(&self, errand: Errand) {
        if self.errands.send(errand).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "the doorman could not be woken");
        }
    }

    /// How many did not get in, in the order of `DOOR_REASONS`.
    pub fn refusals(&self) -> [u64; DOOR_REASONS.len()] {
        std::array::from_fn(|reason| self.refusals.0[reason].load(Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Refusals([AtomicU64; DOOR_REASONS.len()]);

/// The thread's state.
pub(crate) struct Doorman {
    poll: Poll,
    doors: Vec<Door>,
    people: Slab<Person>,
    /// How many are on their way in, in all and by address.
    arriving: usize,
    by_address: ByAddress,
    /// Until when nobody is accepted, because the system refused.
    paused_until: Option<Instant>,
    core: CoreHandle,
    errands: Receiver<Errand>,
    refusals: Arc<Refusals>,
    buffers: ReadBuffers,
}

/// A connection on its way in or out.
struct Person {
    transport: Transport,
    deadline: Instant,
    way: Way,
}

enum Way {
    In(Arriving),
    Out(Leaving),
}

/// Connections on their way in at a time. When there are as many, further ones wait in the system's queue.
const ARRIVING_MAX: usize = 4096;
/// The same from one address; further ones are closed.
const ARRIVING_PER_ADDRESS_MAX: usize = 1024;
/// Connections on their way out at a time; beyond that they are closed at once.
const LEAVING_MAX: usize = 16 * 1024;
/// Time for reading what was said last.
const LEAVING_PATIENCE: Duration = Duration::from_secs(2);
/// How often deadlines are looked at.
const ROUND: Duration = Duration::from_millis(200);
/// Pause after the system refused a connection.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
const ACCEPTS_PER_TURN_MAX: usize = 64;
const WAKER: Token = Token(usize::MAX);
/// Tokens of the doors count down from here.
const FIRST_DOOR: usize = usize::MAX - 1;

impl Doorman {
    pub fn new(mut doors: Vec<Door>, core: CoreHandle) -> std::io::Result<(Self, DoormanHandle)> {
        let poll = Poll::new()?;
        for (index, door) in doors.iter_mut().enumerate() {
            poll.registry().register(&mut door.listener, Token(FIRST_DOOR - index), Interest::READABLE)?;
        }
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, errands) = std::sync::mpsc::channel();
        let refusals = Arc::new(Refusals::default());
        let handle = DoormanHandle { errands: sender, waker, refusals: refusals.clone() };
        let doorman = Self {
            poll,
            doors,
            people: Slab::new(),
            arriving: 0,
            by_address: ByAddress::default(),
            paused_until: None,
            core,
            errands,
            refusals,
            buffers: ReadBuffers::default(),
        };
        Ok((doorman, handle))
    }

    /// Runs until told to stop.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut next_round = Instant::now() + ROUND;
        let mut stop_at = None;
        loop {
            let is_idle = self.people.is_empty() && stop_at.is_none() && self.paused_until.is_none();
            let timeout = if is_idle { None } else { Some(ROUND) };
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(token) if FIRST_DOOR - token < self.doors.len() => {}
                    Token(person) => self.attend(now, person),
                }
            }
            stop_at = self.do_errands(now).or(stop_at);
            if now >= next_round {
                next_round = now + ROUND;
                self.end_patience(now);
            }
            // Accepting comes last: a place freed above may be taken again without an event of its previous owner
            // being left in this turn. Every door is asked, because one may have been left waiting when all places
            // were taken.
            self.paused_until = self.paused_until.filter(|until| now < *until);
            (0..self.doors.len()).for_each(|door| self.accept(now, door));
            if stop_at.is_some_and(|at| now >= at || self.people.is_empty()) {
                return Ok(());
            }
        }
    }

    fn accept(&mut self, now: Instant, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            if self.arriving >= ARRIVING_MAX || self.paused_until.is_some() {
                return;
            }
            match self.doors[index].listener.accept() {
                Ok((stream, peer)) => self.welcome(now, index, stream, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Out of file descriptors, mostly; every door is asked again after the pause.
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.paused_until = Some(now + REFUSED_PAUSE);
                    return;
                }
            }
        }
        // Edge-triggered: there may be more, and no event will say so.
        let token = Token(FIRST_DOOR - index);
        let listener = &mut self.doors[index].listener;
        if let Err(error) = self.poll.registry().reregister(listener, token, Interest::READABLE) {
            tracing::error!(%error, "a listener could not be watched");
        }
    }

    fn welcome(&mut self, now: Instant, index: usize, stream: TcpStream, peer: SocketAddr) {
        let door = &self.doors[index];
        let (deadline, has_tls) = (now + door.patience, door.tls.is_some());
        let (stage, address) = match &door.proxy {
            Some(proxy) if !proxy.trusts(unmapped(peer.ip())) => return self.count(Refusal::Proxy),
            Some(_) => (Stage::ProxyHeader, None),
            None => (door.after_proxy_header(), Some(unmapped(peer.ip()))),
        };
        if address.is_some_and(|address| !self.by_address.enter(address)) {
            return self.count(Refusal::TooMany);
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let arriving =
            Arriving { door: index, stage, peer, address, request: Vec::new(), answer: Vec::new() };
        let transport = if has_tls { Transport::layered(stream) } else { Transport::Tcp(stream) };
        self.arriving += 1;
        if let Some(person) = self.admit(Person { transport, deadline, way: Way::In(arriving) }) {
            self.attend(now, person);
        }
    }

    /// Gives a connection a place and watches it.
    fn admit(&mut self, mut person: Person) -> Option<usize> {
        let entry = self.people.vacant_entry();
        let (number, interest) = (entry.key(), Interest::READABLE | Interest::WRITABLE);
        let watched = self.poll.registry().register(person.transport.stream(), Token(number), interest);
        if let Err(error) = watched {
            tracing::warn!(%error, "a connection could not be watched");
            self.forget(&person.way);
            return None;
        }
        entry.insert(person);
        Some(number)
    }

    /// Does what can be done for a connection without waiting.
    fn attend(&mut self, now: Instant, number: usize) {
        while let Some(person) = self.people.get_mut(number) {
            let arriving = match &mut person.way {
                Way::In(arriving) => arriving,
                Way::Out(leaving) => {
                    if leaving.go_on(&mut person.transport, &mut self.buffers) {
                        self.dismiss(number);
                    }
                    return;
                }
            };
            let door = &self.doors[arriving.door];
            if arriving.stage == Stage::Done {
                return self.let_in(number);
            }
            match arriving.go_on(&mut person.transport, door, &mut self.buffers) {
                Step::Wait => return,
                Step::Next(stage) => {
                    arriving.stage = stage;
                }
                Step::Counted(address, stage) => {
                    if !self.by_address.enter(address) {
                        self.count(Refusal::TooMany);
                        return self.dismiss(number);
                    }
                    arriving.address = Some(address);
                    arriving.stage = stage;
                }
                Step::Close(refusal) => {
                    let is_answered = arriving.stage == (Stage::Answer { is_accepted: false });
                    refusal.into_iter().for_each(|refusal| self.count(refusal));
                    if let Some(person) = self.dismissed(number).filter(|_| is_answered) {
                        self.see_out(now, person.transport, Vec::new());
                    }
                    return;
                }
            }
        }
    }

    /// Hands a connection to the core.
    fn let_in(&mut self, number: usize) {
        let Some(mut person) = self.dismissed(number) else { return };
        let Way::In(arriving) = person.way else { return };
        let door = &self.doors[arriving.door];
        let certificate_name = person.transport.tls_session().and_then(|tls| common_name(tls));
        let origin = Origin {
            // A proxy that does not tell the client's address cannot lend its own, which may be a guest's.
            address: arriving.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            listener: door.number,
            certificate_name,
            bridge: None,
        };
        let transport = if door.is_websocket {
            person.transport.into_websocket(arriving.request)
        } else {
            person.transport
        };
        self.core.send(Command::Enter(Box::new(Arrival { transport, origin })));
    }

    fn see_out(&mut self, now: Instant, mut transport: Transport, rest: Vec<u8>) {
        if self.people.len() - self.arriving >= LEAVING_MAX {
            return;
        }
        let mut leaving = Leaving::new(&mut transport, rest);
        if !leaving.go_on(&mut transport, &mut self.buffers) {
            let deadline = now + LEAVING_PATIENCE;
            self.admit(Person { transport, deadline, way: Way::Out(leaving) });
        }
    }

    /// Returns until when those on their way out have time, once told to stop.
    fn do_errands(&mut self, now: Instant) -> Option<Instant> {
        let mut stop_at = None;
        loop {
            match self.errands.try_recv() {
                Ok(Errand::SeeOut(transport, rest)) => self.see_out(now, transport, rest),
                Ok(Errand::CloseDoors) => {
                    for door in &mut self.doors {
                        if let Err(error) = self.poll.registry().deregister(&mut door.listener) {
                            tracing::debug!(%error, "a closed listener was not watched");
                        }
                    }
                    let arriving: Vec<usize> = self
                        .people
                        .iter()
                        .filter(|(_, p)| matches!(p.way, Way::In(_)))
                        .map(|(n, _)| n)
                        .collect();
                    arriving.into_iter().for_each(|number| self.dismiss(number));
                    self.doors.clear();
                }
                Ok(Errand::Stop(at)) => stop_at = Some(at),
                Err(TryRecvError::Disconnected) => return Some(now),
                Err(TryRecvError::Empty) => return stop_at,
            }
        }
    }

    fn end_patience(&mut self, now: Instant) {
        let late: Vec<usize> =
            self.people.iter().filter(|(_, p)| p.deadline <= now).map(|(number, _)| number).collect();
        for number in late {
            if let Some(Person { way: Way::In(_), .. }) = self.dismissed(number) {
                self.count(Refusal::TooSlow);
            }
        }
    }

    fn dismiss(&mut self, number: usize) {
        drop(self.dismissed(number));
    }

    /// Takes a connection out of everything here.
    fn dismissed(&mut self, number: usize) -> Option<Person> {
        let mut person = self.people.try_remove(number)?;
        if let Err(error) = self.poll.registry().deregister(person.transport.stream()) {
            tracing::debug!(%error, "a connection was not watched");
        }
        self.forget(&person.way);
        Some(person)
    }

    fn forget(&mut self, way: &Way) {
        let Way::In(arriving) = way else { return };
        self.arriving -= 1;
        if let Some(address) = arriving.address {
            self.by_address.leave(address);
        }
    }

    fn count(&self, refusal: Refusal) {
        self.refusals.0[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// How many are on their way in from one address; IPv6 counts by /64.
#[derive(Default)]
struct ByAddress(BTreeMap<IpAddr, usize>);

impl ByAddress {
    /// Counts one more, unless there are as many as may be.
    fn enter(&mut self, address: IpAddr) -> bool {
        let count = self.0.entry(network(address)).or_default();
        let is_allowed = *count < ARRIVING_PER_ADDRESS_MAX;
        *count += usize::from(is_allowed);
        is_allowed
    }

    fn leave(&mut self, address: IpAddr) {
        if let Some(count) = self.0.get_mut(&network(address)) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&network(address));
            }
        }
    }
}
