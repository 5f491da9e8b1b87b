//! The core loop: one thread that owns the broker and every plain socket. It decides nothing.
//!
//! A turn: wait for readiness, read every ready socket dry (up to a fairness limit), hand the bytes to the broker,
//! obey commands from other threads, then write every connection that has something to send, once.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::{Broker, ConnectionId, Now};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use record::Record;

/// What other threads ask of the core.
pub enum Command {
    /// The directory changed: who may connect, and who must leave.
    SetDirectory(Arc<directory::Directory>),
    /// Receptions up to this number are on disk; their acknowledgements may go out.
    Durable(u64),
    /// Changes of what must survive a restart are on disk up to this number; what promised them may go out.
    Kept(u64),
    /// The reception could not be kept; its acknowledgement must not promise that it was.
    Lost(u64),
    /// Say what is going on.
    Snapshot(Sender<broker::Snapshot>),
    /// Say goodbye to the clients, write what can be written, and stop.
    Stop,
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
        let (reply, answer) = std::sync::mpsc::channel();
        self.send(Command::Snapshot(reply));
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
    listener: TcpListener,
    broker: Broker,
    sockets: Vec<Option<Socket>>,
    commands: Receiver<Command>,
    records: RecordSink,
    changes: ChangeSink,
    started: Instant,
    read_buffer: Box<[u8]>,
    /// Connections that stopped at the fairness limit with bytes still to read.
    unread: Vec<ConnectionId>,
}

struct Socket {
    stream: TcpStream,
    /// Whether the kernel's send buffer was full at the last write.
    blocked: bool,
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// One read takes at most this much; several small packets of one client come out of one system call.
const READ_BYTES: usize = 64 * 1024;
/// A client that never stops sending gives way to the others after this many reads.
const READS_PER_TURN_MAX: usize = 4;
/// New connections taken per turn, so that a storm does not starve those who are in.
const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Time given to clients to take their last bytes at a stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

impl CoreLoop {
    /// Makes the loop around a listening socket and a broker. Returns the handle for other threads beside it.
    ///
    /// # Errors
    /// When the operating system gives no poll instance or the listener cannot be watched.
    pub fn new(
        listener: std::net::TcpListener,
        broker: Broker,
        records: RecordSink,
        changes: ChangeSink,
    ) -> std::io::Result<(Self, CoreHandle)> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, commands) = std::sync::mpsc::channel();
        let core = Self {
            poll,
            listener,
            broker,
            sockets: Vec::new(),
            commands,
            records,
            changes,
            started: Instant::now(),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            unread: Vec::new(),
        };
        Ok((core, CoreHandle { commands: sender, waker }))
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// When the operating system's poll fails, which nothing can be done about.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = self.until_next_deadline();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = self.now();
            let mut accept = false;
            let mut ready = std::mem::take(&mut self.unread);
            for event in &events {
                match event.token() {
                    LISTENER => accept = true,
                    WAKER => {}
                    Token(index) => {
                        let Ok(index) = u32::try_from(index) else { continue };
                        let id = ConnectionId(index);
                        if event.is_writable() {
                            self.flush(now, id);
                        }
                        if event.is_readable() && !ready.contains(&id) {
                            ready.push(id);
                        }
                    }
                }
            }
            ready.drain(..).for_each(|id| self.read(now, id));
            if self.obey_commands(now) {
                self.say_goodbye(now);
                return Ok(());
            }
            self.broker.tick(now);
            self.carry_out(now);
            // Accepting comes last: a slot freed above may be taken again without an event of its
            // previous owner being left in this turn.
            if accept {
                self.accept(now);
            }
        }
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn until_next_deadline(&self) -> Option<Duration> {
        if !self.unread.is_empty() {
            return Some(Duration::ZERO);
        }
        let now_ms = self.now().mono_ms;
        self.broker.next_deadline_ms().map(|at| Duration::from_millis(at.saturating_sub(now_ms)))
    }

    fn accept(&mut self, now: Now) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            match self.listener.accept() {
                Ok((stream, address)) => self.take_in(now, stream, address),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Out of file descriptors, or the peer left already: those who are in must not suffer.
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.broker.note_accept_failed();
                    break;
                }
            }
        }
        // Edge-triggered: there may be more, and no event will say so.
        let again = self.poll.registry().reregister(&mut self.listener, LISTENER, Interest::READABLE);
        if let Err(error) = again {
            tracing::error!(%error, "the listener could not be watched");
        }
    }

    fn take_in(&mut self, now: Now, mut stream: TcpStream, address: SocketAddr) {
        let Some(id) = self.broker.open(now, unmapped(address.ip())) else { return };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(id.0 as usize), interest) {
            tracing::warn!(%error, "a connection could not be watched");
            self.broker.closed(now, id, "could not be watched");
            return;
        }
        let index = id.0 as usize;
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        self.sockets[index] = Some(Socket { stream, blocked: false });
        self.read(now, id);
        self.carry_out(now);
    }

    fn read(&mut self, now: Now, id: ConnectionId) {
        for _ in 0..READS_PER_TURN_MAX {
            let Some(Some(socket)) = self.sockets.get_mut(id.0 as usize) else { return };
            match socket.stream.read(&mut self.read_buffer) {
                Ok(0) => return self.close(now, id, "closed by the client"),
                Ok(count) => {
                    self.broker.receive(now, id, &self.read_buffer[..count]);
                    if count < self.read_buffer.len() {
                        // A short read has emptied the socket; the next bytes raise an event.
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(now, id, "connection lost"),
            }
        }
        self.unread.push(id);
    }

    /// Passes on what the broker decided: records, bytes, and connections to close.
    fn carry_out(&mut self, now: Now) {
        self.pass_on(now);
        while let Some(id) = self.broker.next_dirty() {
            self.flush(now, id);
        }
        while let Some((id, reason)) = self.broker.next_closing() {
            self.close(now, id, reason);
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
        let Some(Some(socket)) = self.sockets.get_mut(id.0 as usize) else { return };
        let Some(outbox) = self.broker.outbox(id) else { return };
        while !outbox.is_empty() {
            match socket.stream.write(outbox.unsent()) {
                Ok(count) => {
                    outbox.advance(count);
                    socket.blocked = false;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    socket.blocked = true;
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(now, id, "connection lost"),
            }
        }
    }

    fn close(&mut self, now: Now, id: ConnectionId, reason: &'static str) {
        let Some(mut socket) = self.sockets.get_mut(id.0 as usize).and_then(Option::take) else { return };
        if let Err(error) = self.poll.registry().deregister(&mut socket.stream) {
            tracing::debug!(%error, "a closed connection was not watched");
        }
        self.broker.closed(now, id, reason);
    }

    /// Returns whether to stop.
    fn obey_commands(&mut self, now: Now) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::SetDirectory(directory)) => self.broker.set_directory(now, directory),
                Ok(Command::Durable(seq)) => self.broker.durable(seq),
                Ok(Command::Kept(change)) => self.broker.kept(now, change),
                Ok(Command::Lost(seq)) => self.broker.lost(seq),
                Ok(Command::Snapshot(reply)) => drop(reply.send(self.broker.snapshot(now))),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    fn say_goodbye(&mut self, now: Now) {
        self.broker.shut_down(now);
        self.carry_out(now);
        let deadline = Instant::now() + STOP_GRACE;
        let unsent = |core: &mut Self| {
            (0..core.sockets.len()).any(|i| {
                core.sockets[i].is_some()
                    && u32::try_from(i)
                        .is_ok_and(|i| core.broker.outbox(ConnectionId(i)).is_some_and(|o| !o.is_empty()))
            })
        };
        while Instant::now() < deadline && unsent(self) {
            for index in 0..self.sockets.len() {
                if let Ok(index) = u32::try_from(index) {
                    self.flush(now, ConnectionId(index));
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The IPv4 address behind an IPv4-mapped IPv6 one, so that loopback is recognised on a dual-stack listener.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}
