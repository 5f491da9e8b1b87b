//! One virtual Network Connection: bytes under way in both directions, and what the packets in them mean.

use std::collections::VecDeque;

use broker::ConnectionId;
use mqtt::subscribe::Options;

/// What a packet from a client means to the ledger, known before its bytes arrive.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    Connect(Box<Hello>),
    Publish { number: u64, packet_id: u16, is_clear: bool },
    Subscribe { packet_id: u16, filters: Vec<(&'static str, Options)>, identifier: Option<u32> },
    Unsubscribe { packet_id: u16, filters: Vec<&'static str> },
    Puback(u16),
    Pubrec { packet_id: u16, is_error: bool },
    Pubrel(u16),
    Pubcomp(u16),
    Ping,
    Disconnect { keeps_will: bool, expiry_s: Option<u32> },
}

/// What a CONNECT says.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub client: usize,
    /// Whose Client Identifier is asked for.
    pub session_of: usize,
    pub is_clean: bool,
    pub expiry_s: u32,
    pub receive_maximum: u16,
    pub packet_bytes_max: u32,
    pub will: Option<(u64, u64)>,
    /// Whether the password was right when it was sent.
    pub knows_password: bool,
    /// The rotation whose password it is.
    pub password_turn: u32,
}

impl Sent {
    /// Messages and answers are fed in separate portions, or nobody could say which came first at a limit.
    const fn is_publish(&self) -> bool {
        matches!(self, Self::Publish { .. })
    }

    /// Whether it must be fed to the broker alone, because what comes after it is judged by what it changed.
    pub const fn stands_alone(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::Subscribe { .. }
            | Self::Unsubscribe { .. }
            | Self::Disconnect { .. } => true,
            Self::Publish { is_clear, .. } => *is_clear,
            Self::Puback(_) | Self::Pubrec { .. } | Self::Pubrel(_) | Self::Pubcomp(_) | Self::Ping => false,
        }
    }
}

/// A packet in the broker's outbox, as the client is to see it.
#[derive(Debug)]
struct Staged {
    original_len: usize,
    sent: usize,
    seen: Vec<u8>,
    is_altered: bool,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub id: ConnectionId,
    pub client: usize,
    /// Whether the client still holds its end.
    pub has_client: bool,
    /// Whether the broker still holds its end.
    pub has_broker: bool,
    /// Whether the broker has asked for it to be closed.
    pub is_closing: bool,
    /// Whether the client's end was closed in a way that the broker will learn of once it has read everything.
    pub is_finished: bool,
    /// Whose session it serves, once CONNACK said yes and until it is taken over or closed.
    pub session: Option<usize>,
    /// The connection that made that session.
    pub session_made_by: Option<usize>,
    pub packet_bytes_max: u32,
    up: VecDeque<u8>,
    up_marks: VecDeque<(u64, Sent)>,
    up_written: u64,
    up_read: u64,
    staged: VecDeque<Staged>,
    /// Bytes at the front of the broker's outbox that have been looked at.
    staged_bytes: usize,
    down: VecDeque<u8>,
}

/// What the socket's buffer takes before the broker has to wait.
const SOCKET_BYTES: usize = 700;

impl Wire {
    pub fn new(id: ConnectionId, client: usize) -> Self {
        Self {
            id,
            client,
            has_client: true,
            has_broker: true,
            is_closing: false,
            is_finished: false,
            session: None,
            session_made_by: None,
            packet_bytes_max: u32::MAX,
            up: VecDeque::new(),
            up_marks: VecDeque::new(),
            up_written: 0,
            up_read: 0,
            staged: VecDeque::new(),
            staged_bytes: 0,
            down: VecDeque::new(),
        }
    }

    /// The client writes a packet; `bytes` may be empty when a fault swallows it.
    pub fn send(&mut self, bytes: &[u8], sent: Sent) {
        self.up.extend(bytes);
        self.up_written += bytes.len() as u64;
        self.up_marks.push_back((self.up_written, sent));
    }

    pub fn has_upstream(&self) -> bool {
        !self.up.is_empty() || !self.up_marks.is_empty()
    }

    pub fn upstream_len(&self) -> usize {
        self.up.len()
    }

    /// Takes up to `count` bytes from the client, and the packets that become whole with them. What must stand alone
    /// does, and no more than so many messages come at once.
    pub fn take_upstream(&mut self, count: usize, publishes_max: usize) -> (Vec<u8>, Vec<Sent>) {
        let mut end = self.up_read + count.min(self.up.len()) as u64;
        let mut whole: Vec<Sent> = Vec::new();
        while let Some((at, sent)) = self.up_marks.front() {
            if *at > end {
                break;
            }
            let is_alone = sent.stands_alone()
                || whole.iter().filter(|w| w.is_publish()).count() >= publishes_max
                || whole.iter().any(|w: &Sent| w.stands_alone() || w.is_publish() != sent.is_publish());
            if is_alone && !whole.is_empty() {
                end = end.min((*at).saturating_sub(1)).max(self.up_read);
                break;
            }
            whole.extend(self.up_marks.pop_front().map(|(_, sent)| sent));
        }
        let taken = usize::try_from(end - self.up_read).unwrap_or(0);
        self.up_read = end;
        (self.up.drain(..taken).collect(), whole)
    }

    /// What the client had sent and nobody has read is lost.
    pub fn lose_upstream(&mut self) {
        self.up.clear();
        self.up_marks.clear();
    }

    /// Bytes of the broker's outbox that were looked at before.
    pub const fn staged_bytes(&self) -> usize {
        self.staged_bytes
    }

    /// Notes a packet in the broker's outbox; `seen` is what the client will see of it.
    pub fn stage(&mut self, original: &[u8], seen: Vec<u8>) {
        self.staged_bytes += original.len();
        let is_altered = original != seen;
        self.staged.push_back(Staged { original_len: original.len(), sent: 0, seen, is_altered });
    }

    /// Room in the socket's buffer.
    pub fn room(&self) -> usize {
        if self.has_client { SOCKET_BYTES.saturating_sub(self.down.len()) } else { SOCKET_BYTES }
    }

    pub fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Moves bytes from the outbox to the socket; returns how many left the outbox.
    pub fn write(&mut self, count: usize) -> usize {
        let mut left = count;
        while let Some(front) = self.staged.front_mut() {
            let step = left.min(front.original_len - front.sent);
            if !front.is_altered {
                self.down.extend(&front.seen[front.sent..front.sent + step]);
            }
            front.sent += step;
            left -= step;
            if front.sent < front.original_len {
                break;
            }
            if front.is_altered {
                self.down.extend(&front.seen);
            }
            self.staged.pop_front();
        }
        self.staged_bytes -= count - left;
        count - left
    }

    pub fn downstream_len(&self) -> usize {
        self.down.len()
    }

    /// The client reads.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.down.len());
        self.down.drain(..count).collect()
    }

    /// The broker's end is gone, with everything that had not reached the socket.
    pub fn end(&mut self) {
        (self.has_broker, self.is_closing, self.session) = (false, false, None);
        self.staged.clear();
        self.staged_bytes = 0;
        self.lose_upstream();
        if self.has_client && !self.down.is_empty() {
            // The client may have read the beginning of a packet; its rest will not come.
            self.is_finished = true;
        }
    }

    /// What the client has not read is lost.
    pub fn lose_downstream(&mut self) {
        self.down.clear();
    }
}
