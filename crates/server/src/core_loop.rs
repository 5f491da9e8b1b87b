//! The core loop: one thread that owns the broker and every established connection. It decides nothing.
//!
//! A turn: wait for readiness, read every ready socket dry (up to a fairness limit), hand the bytes to the broker,
//! obey commands from other threads, then write every connection that has something to send, once. Connections that
//! begin with something else than MQTT come from the doorman; those that the broker closes go to the doorman.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use broker::{Broker, ConnectionId, Now, Origin};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use record::Record;

use crate::clock::Clock;
use crate::doorman::{DoormanHandle, Errand};
use crate::listener::unmapped;
use crate::transport::{ReadBuffers, ReadEnd, Transport};

/// What other threads ask of the core.
pub enum Command {
    /// The directory changed: who may connect, and who must leave.
    SetDirectory(Arc<directory::Directory>),
    /// Another policy is in force from the next packet on; who did it is recorded.
    SetPolicy(Arc<policy::settings::Settings>, Box<record::PolicyChange>),
    /// Receptions up to this number are on disk; their acknowledgements may go out.
    Durable(u64),
    /// Changes of what must survive a restart are on disk up to this number; what promised them may go out.
    Kept(u64),
    /// The reception could not be kept; its acknowledgement must not promise that it was.
    Lost(u64),
    /// Say what policy remembers.
    Remembered(Sender<Vec<u8>>),
    /// Say what is going on.
    Snapshot(Sender<broker::Snapshot>),
    /// Say what is known of a node.
    AboutNode(u32, Sender<broker::NodeAbout>),
    /// Say what wants the operator's eye.
    Watching(Sender<broker::Watching>),
    /// Say what downlink has used up.
    Board(Sender<broker::Board>),
    /// Say that the loop still turns.
    Ping(Sender<()>),
    /// Publish these in the broker's own name, and say when it is done; beside them, from who tells home automation, how
    /// many records were lost on their way there.
    Tell(Vec<broker::OwnMessage>, Option<u64>, Sender<()>),
    /// Put these messages of the past back, and say when it is done.
    Replay(Vec<broker::ReplayedMessage>, Sender<()>),
    /// Forget a node that was erased, and say what was here of it.
    Erase(u32, Sender<broker::ErasedHere>),
    /// Tell subscribers whether a bridge is up.
    Bridge(Arc<str>, bool),
    /// A connection got past everything that comes before MQTT.
    Enter(Box<Arrival>),
    /// Say goodbye to the clients, write what can be written, and stop.
    Stop,
}

/// A connection whose next byte is MQTT's.
pub struct Arrival {
    pub(crate) transport: Transport,
    pub(crate) origin: Origin,
}

/// A handle for other threads.
#[derive(Clone)]
pub struct CoreHandle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl CoreHandle {
    /// Sends a command and wakes the core. After the core has stopped, commands go nowhere.
    pub fn send(&self, command: Command) {
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "the core could not be woken");
        }
    }

    /// Asks the core what is going on; `None` when it does not answer within a second.
    pub fn snapshot(&self) -> Option<broker::Snapshot> {
        self.ask(Command::Snapshot)
    }

    /// Asks the core what is known of a node; `None` when it does not answer within a second.
    pub fn about_node(&self, node: u32) -> Option<broker::NodeAbout> {
        self.ask(|reply| Command::AboutNode(node, reply))
    }

    /// Asks the core what wants the operator's eye; `None` when it does not answer within a second.
    pub fn watching(&self) -> Option<broker::Watching> {
        self.ask(Command::Watching)
    }

    /// Asks the core what downlink has used up; `None` when it does not answer within a second.
    pub fn board(&self) -> Option<broker::Board> {
        self.ask(Command::Board)
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = std::sync::mpsc::channel();
        self.send(question(reply));
        answer.recv_timeout(Duration::from_secs(1)).ok()
    }
}

/// Where records go: the recorder's queue. Must not block.
pub type RecordSink = Box<dyn FnMut(Record) + Send>;

/// Where changes of what must survive a restart go: the keeper's queue. Must not block.
pub type ChangeSink = Box<dyn FnMut(broker::Batch) + Send>;

/// The loop's own state.
pub struct CoreLoop {
    poll: Poll,
    listeners: Vec<PlainListener>,
    broker: Broker,
    connections: Vec<Option<Transport>>,
    commands: Receiver<Command>,
    /// Sees out those whom the broker closes; `None` until the doorman is there.
    doorman: Option<DoormanHandle>,
    records: RecordSink,
    changes: ChangeSink,
    clock: Clock,
    buffers: ReadBuffers,
    /// Connections that stopped at the fairness limit with bytes still to read.
    unread: Vec<ConnectionId>,
    /// Listeners at which the system refused a connection, and when they are asked again.
    refused: Vec<usize>,
    accept_again_ms: u64,
    stop_grace: Duration,
}

/// A listener whose connections are MQTT from their first byte.
pub struct PlainListener {
    /// Its number in the broker's list.
    pub number: u8,
    /// Its socket.
    pub listener: TcpListener,
}

const WAKER: Token = Token(usize::MAX);
/// Tokens of the listeners count down from here.
const FIRST_LISTENER: usize = usize::MAX - 1;

/// A client that never stops sending gives way to the others after this many reads.
const READS_PER_TURN_MAX: usize = 4;
/// More than a system's receive buffer holds; the end is there before.
const LAST_READS_MAX: usize = 1024;
/// New connections taken per turn and listener, so that a storm does not starve those who are in.
const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Pause of a listener after the system refused a connection, in ms. The broker's own tick wakes the loop often enough.
const REFUSED_PAUSE_MS: u64 = 1_000;
/// A connection that is closed takes along what it has not taken yet, up to this much. More is a client that does not
/// read, and would not read this either.
const SEEN_OUT_BYTES_MAX: usize = 64 * 1024;

impl CoreLoop {
    /// Makes the loop around listeners and a broker. Returns the handle for other threads beside it.
    ///
    /// # Errors
    /// When the operating system gives no poll instance or a listener cannot be watched.
    pub fn new(
        mut listeners: Vec<PlainListener>,
        broker: Broker,
        clock: Clock,
        records: RecordSink,
        changes: ChangeSink,
        stop_grace: Duration,
    ) -> std::io::Result<(Self, CoreHandle)> {
        let poll = Poll::new()?;
        for (index, plain) in listeners.iter_mut().enumerate() {
            poll.registry().register(
                &mut plain.listener,
                Token(FIRST_LISTENER - index),
                Interest::READABLE,
            )?;
        }
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, commands) = std::sync::mpsc::channel();
        let core = Self {
            poll,
            listeners,
            broker,
            connections: Vec::new(),
            commands,
            doorman: None,
            records,
            changes,
            clock,
            buffers: ReadBuffers::default(),
            unread: Vec::new(),
            refused: Vec::new(),
            accept_again_ms: 0,
            stop_grace,
        };
        Ok((core, CoreHandle { commands: sender, waker }))
    }

    /// Tells the loop who sees out those whom the broker closes.
    pub(crate) fn set_doorman(&mut self, doorman: DoormanHandle) {
        self.doorman = Some(doorman);
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// When the operating system's poll fails, which nothing can be done about.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let (mut ready, mut callers) = (Vec::new(), Vec::new());
        loop {
            let timeout = self.until_next_deadline();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = self.now();
            ready.append(&mut self.unread);
            let left_over = ready.len();
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(token) if token > FIRST_LISTENER - self.listeners.len() => {
                        callers.push(FIRST_LISTENER - token);
                    }
                    Token(index) => {
                        let Ok(index) = u32::try_from(index) else { continue };
                        let id = ConnectionId(index);
                        if event.is_writable() {
                            self.flush(now, id);
                        }
                        // A socket has one event in a turn.
                        if event.is_readable() && !ready[..left_over].contains(&id) {
                            ready.push(id);
                        }
                    }
                }
            }
            ready.drain(..).for_each(|id| self.read(now, id));
            for event in events.iter().filter(|event| event.is_read_closed()) {
                if let Ok(index) = u32::try_from(event.token().0) {
                    self.read_to_end(now, ConnectionId(index));
                }
            }
            if self.obey_commands(now) {
                self.say_goodbye(now);
                return Ok(());
            }
            self.broker.tick(now);
            self.carry_out(now);
            // Accepting comes last: a slot freed above may be taken again without an event of its
            // previous owner being left in this turn.
            if now.mono_ms >= self.accept_again_ms {
                callers.append(&mut self.refused);
            }
            callers.drain(..).for_each(|listener| self.accept(now, listener));
        }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn until_next_deadline(&self) -> Option<Duration> {
        if !self.unread.is_empty() {
            return Some(Duration::ZERO);
        }
        let now_ms = self.now().mono_ms;
        self.broker.next_deadline_ms().map(|at| Duration::from_millis(at.saturating_sub(now_ms)))
    }

    fn accept(&mut self, now: Now, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let PlainListener { number, listener } = &self.listeners[index];
            match listener.accept() {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY was not set");
                    }
                    let address = unmapped(peer.ip());
                    let origin = Origin { address, listener: *number, certificate_name: None, bridge: None };
                    self.take_in(now, Arrival { transport: Transport::Tcp(stream), origin });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Out of file descriptors, mostly: those who are in must not suffer from asking again and again.
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.broker.note_accept_failed();
                    self.refused.push(index);
                    self.accept_again_ms = now.mono_ms + REFUSED_PAUSE_MS;
                    return;
                }
            }
        }
        // Edge-triggered: there may be more, and no event will say so.
        let token = Token(FIRST_LISTENER - index);
        let listener = &mut self.listeners[index].listener;
        if let Err(error) = self.poll.registry().reregister(listener, token, Interest::READABLE) {
            tracing::error!(%error, "a listener could not be watched");
        }
    }

    fn take_in(&mut self, now: Now, arrival: Arrival) {
        let Arrival { mut transport, origin } = arrival;
        let Some(id) = self.broker.open(now, origin) else { return };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = self.poll.registry().register(transport.stream(), Token(id.0 as usize), interest);
        if let Err(error) = watched {
            tracing::warn!(%error, "a connection could not be watched");
            self.broker.closed(now, id, "could not be watched");
            return;
        }
        let index = id.0 as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = Some(transport);
        self.read(now, id);
        self.carry_out(now);
    }

    fn read(&mut self, now: Now, id: ConnectionId) {
        for _ in 0..READS_PER_TURN_MAX {
            let Some(Some(transport)) = self.connections.get_mut(id.0 as usize) else { return };
            let broker = &mut self.broker;
            match transport.read(&mut self.buffers, |bytes| broker.receive(now, id, bytes)) {
                ReadEnd::Drained => return,
                ReadEnd::More => {}
                ReadEnd::Closed(reason) => return self.close(now, id, reason),
            }
        }
        self.unread.push(id);
    }

    /// The peer has sent its last byte, which no further event will tell: what is left is what fits into the system's
    /// buffer, and it is read at once.
    fn read_to_end(&mut self, now: Now, id: ConnectionId) {
        for _ in 0..LAST_READS_MAX {
            let Some(Some(transport)) = self.connections.get_mut(id.0 as usize) else { return };
            let broker = &mut self.broker;
            let end = transport.read(&mut self.buffers, |bytes| broker.receive(now, id, bytes));
            if let ReadEnd::Closed(reason) = end {
                return self.close(now, id, reason);
            }
        }
        self.close(now, id, "connection lost");
    }

    /// Passes on what the broker decided: records, bytes, and connections to close.
    fn carry_out(&mut self, now: Now) {
        self.pass_on(now);
        while let Some(id) = self.broker.next_dirty() {
            self.flush(now, id);
        }
        while let Some((id, reason)) = self.broker.next_closing() {
            self.see_out(now, id, reason);
        }
        self.pass_on(now);
    }

    /// What happened goes to the recorder, what changed to the keeper.
    fn pass_on(&mut self, now: Now) {
        self.broker.take_records(&mut self.records);
        if let Some(batch) = self.broker.take_changes(now) {
            (self.changes)(batch);
        }
    }

    fn flush(&mut self, now: Now, id: ConnectionId) {
        let Some(Some(transport)) = self.connections.get_mut(id.0 as usize) else { return };
        let Some(outbox) = self.broker.outbox(id) else { return };
        let mut written = transport.flush();
        while written.is_ok() && !outbox.is_empty() {
            written = transport.write(outbox.unsent()).map(|count| outbox.advance(count));
            if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
                written = Ok(());
            }
        }
        if written.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
            self.close(now, id, "connection lost");
        }
    }

    /// The peer is gone.
    fn close(&mut self, now: Now, id: ConnectionId, reason: &'static str) {
        drop(self.take_out(id));
        self.broker.closed(now, id, reason);
    }

    /// The broker ends a connection: the peer should get to read what it was told last.
    fn see_out(&mut self, now: Now, id: ConnectionId, reason: &'static str) {
        let Some(mut transport) = self.take_out(id) else { return };
        let outbox = self.broker.outbox(id);
        let rest = outbox.map(|outbox| outbox.unsent().to_vec()).unwrap_or_default();
        self.broker.closed(now, id, reason);
        // A client that has said DISCONNECT has mostly closed its side too, and there is nothing to wait for.
        let is_gone = rest.is_empty() && matches!(transport.drain(&mut self.buffers), ReadEnd::Closed(_));
        if let Some(doorman) = self.doorman.as_ref().filter(|_| !is_gone && rest.len() <= SEEN_OUT_BYTES_MAX)
        {
            doorman.send(Errand::SeeOut(transport, rest));
        }
    }

    fn take_out(&mut self, id: ConnectionId) -> Option<Transport> {
        let mut transport = self.connections.get_mut(id.0 as usize).and_then(Option::take)?;
        if let Err(error) = self.poll.registry().deregister(transport.stream()) {
            tracing::debug!(%error, "a closed connection was not watched");
        }
        Some(transport)
    }

    /// Returns whether to stop.
    fn obey_commands(&mut self, now: Now) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::SetDirectory(directory)) => self.broker.set_directory(now, directory),
                Ok(Command::SetPolicy(settings, change)) => self.broker.set_policy(now, settings, *change),
                Ok(Command::Durable(seq)) => self.broker.durable(seq),
                Ok(Command::Kept(change)) => self.broker.kept(now, change),
                Ok(Command::Lost(seq)) => self.broker.lost(seq),
                // Whoever asked may have stopped waiting.
                Ok(Command::Ping(reply)) => drop(reply.send(())),
                Ok(Command::Tell(messages, lost, done)) => {
                    messages.into_iter().for_each(|own| self.broker.publish_own(now, own));
                    if let Some(lost) = lost {
                        self.broker.note_untold(lost);
                    }
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
                Ok(Command::Replay(messages, done)) => {
                    messages.into_iter().for_each(|one| self.broker.publish_replayed(now, one));
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
                // Whoever asked may have stopped waiting.
                Ok(Command::Erase(node, reply)) => drop(reply.send(self.broker.erase(now, node))),
                Ok(Command::Bridge(name, is_up)) => self.broker.tell_bridge(now, &name, is_up),
                Ok(Command::AboutNode(node, reply)) => drop(reply.send(self.broker.about_node(node))),
                Ok(Command::Board(reply)) => drop(reply.send(self.broker.board(now))),
                Ok(Command::Watching(reply)) => drop(reply.send(self.broker.watching())),
                Ok(Command::Enter(arrival)) => self.take_in(now, *arrival),
                // Whoever asked may have stopped waiting.
                Ok(Command::Remembered(reply)) => drop(reply.send(self.broker.remembered(now))),
                Ok(Command::Snapshot(reply)) => {
                    if let Some(doorman) = &self.doorman {
                        self.broker.note_doors(doorman.refusals());
                    }
                    // Whoever asked has stopped waiting.
                    let _ = reply.send(self.broker.snapshot(now));
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// Takes nobody in and reads nobody any more; tells every client, and gives those who are slow to read the grace.
    fn say_goodbye(&mut self, now: Now) {
        self.listeners.clear();
        self.broker.shut_down(now);
        self.broker.take_records(&mut self.records);
        let mut leaving = Vec::new();
        while let Some(id) = self.broker.next_dirty() {
            self.flush(now, id);
        }
        while let Some(closing) = self.broker.next_closing() {
            leaving.push(closing);
        }
        let deadline = Instant::now() + self.stop_grace;
        let mut events = Events::with_capacity(1024);
        loop {
            leaving.retain(|&(id, reason)| {
                let is_waiting = self.broker.outbox(id).is_some_and(|outbox| !outbox.is_empty());
                if !is_waiting {
                    self.see_out(now, id, reason);
                }
                is_waiting
            });
            let left = deadline.saturating_duration_since(Instant::now());
            if leaving.is_empty() || left.is_zero() {
                break;
            }
            if let Err(error) = self.poll.poll(&mut events, Some(left)) {
                tracing::debug!(%error, "the poll failed while stopping");
            }
            for event in events.iter().filter(|event| event.is_writable()) {
                if let Ok(index) = u32::try_from(event.token().0) {
                    self.flush(now, ConnectionId(index));
                }
            }
        }
        for (id, reason) in leaving {
            self.close(now, id, reason);
        }
        self.broker.take_records(&mut self.records);
    }
}
