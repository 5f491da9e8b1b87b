//! Which limit stood in a client's way: one name for each, the same in the counters, in `$SYS`, on the operator's page and
//! in docs/limits.md.

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// `connections_max`.
    Connections,
    /// `connections_per_address_max`.
    ConnectionsPerAddress,
    /// `connections_per_credential_max`.
    ConnectionsPerCredential,
    /// `connects_per_second_max`.
    ConnectRate,
    /// `connects_per_address_per_minute_max`.
    ConnectRatePerAddress,
    /// `sign_in_free_tries`: the client has to wait.
    SignInWait,
    /// `sessions_max`.
    Sessions,
    /// `topic_bytes_max` or `topic_levels_max`.
    Topic,
    /// `subscriptions_max` or `subscriptions_total_max`.
    Subscriptions,
    /// `retained_max` or `retained_bytes_max`.
    Retained,
    /// `partial_bytes_max`.
    PartialBytes,
    /// `queue_bytes_max`, by answers that the client does not read.
    UnreadAnswers,
    /// `memory_bytes_max`: a QoS 0 copy for a slow reader.
    MemoryQos0,
    /// `memory_bytes_max`: a message that waited for an absent client.
    MemoryQueued,
    /// `memory_bytes_max`: a connection whose client reads too slowly.
    MemoryReader,
    /// `memory_bytes_max`: a connection or a retained message that was not taken.
    MemoryRefused,
}

impl Reached {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::ConnectionsPerCredential,
        Self::ConnectRate,
        Self::ConnectRatePerAddress,
        Self::SignInWait,
        Self::Sessions,
        Self::Topic,
        Self::Subscriptions,
        Self::Retained,
        Self::PartialBytes,
        Self::UnreadAnswers,
        Self::MemoryQos0,
        Self::MemoryQueued,
        Self::MemoryReader,
        Self::MemoryRefused,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections-per-address",
            Self::ConnectionsPerCredential => "connections-per-credential",
            Self::ConnectRate => "connect-rate",
            Self::ConnectRatePerAddress => "connect-rate-per-address",
            Self::SignInWait => "sign-in-wait",
            Self::Sessions => "sessions",
            Self::Topic => "topic",
            Self::Subscriptions => "subscriptions",
            Self::Retained => "retained",
            Self::PartialBytes => "partial-bytes",
            Self::UnreadAnswers => "unread-answers",
            Self::MemoryQos0 => "memory-qos0",
            Self::MemoryQueued => "memory-queued",
            Self::MemoryReader => "memory-reader",
            Self::MemoryRefused => "memory-refused",
        }
    }
}

/// How often each limit was reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReachedCounts([u64; Reached::ALL.len()]);

impl ReachedCounts {
    /// Adds one.
    pub fn add(&mut self, reached: Reached) {
        self.0[reached as usize] += 1;
    }

    /// How often this one was reached.
    pub fn of(&self, reached: Reached) -> u64 {
        self.0[reached as usize]
    }

    /// All counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Reached::ALL.into_iter().map(|reached| (reached.name(), self.of(reached)))
    }
}
