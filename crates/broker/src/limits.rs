//! The broker's limits: every resource a client can use up has one, with its default and reason.

/// Limits of one broker. All are inclusive.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest control packet taken from a client, in bytes, fixed header included.
    pub packet_bytes_max: u32,
    /// Largest CONNECT, in bytes: nobody who has not signed in makes the broker buffer more.
    pub connect_bytes_max: u32,
    /// Network Connections at a time.
    pub connections_max: usize,
    /// Sessions kept, of connected and absent clients together.
    pub sessions_max: usize,
    /// Time from accept to CONNECT, in ms.
    pub connect_timeout_ms: u64,
    /// Longest Keep Alive granted, in seconds; MQTT 5.0 clients are told, others are held to it.
    pub keep_alive_max_s: u16,
    /// Longest Session Expiry Interval granted, in seconds.
    pub session_expiry_max_s: u32,
    /// QoS 1 and 2 messages taken from one client at a time, and sent to it.
    pub receive_maximum: u16,
    /// QoS 1 and 2 messages kept for one client, in flight and waiting.
    pub queue_messages_max: usize,
    /// Bytes kept for one client: waiting messages, and separately bytes not yet written to its connection.
    pub queue_bytes_max: usize,
    /// Levels of a Topic Name or Topic Filter.
    pub topic_levels_max: usize,
    /// Topic Aliases of one connection, in each direction; 0 for none.
    pub topic_alias_maximum: u16,
    /// Subscriptions of one client.
    pub subscriptions_max: usize,
    /// Retained messages.
    pub retained_max: usize,
    /// How often the broker tells of itself on `$SYS`, in seconds; 0 for never.
    pub sys_interval_s: u16,
    /// Changes of kept sessions and retained messages that wait for the disk; beyond that what would add to them is
    /// refused.
    pub unkept_changes_max: usize,
    /// The same limit in bytes.
    pub unkept_bytes_max: usize,
    /// Packets remembered to recognise further copies.
    pub seen_packets_max: usize,
    /// Network Connections at a time from one address; for IPv6 one /64. This machine is exempt, since a proxy on it brings
    /// everybody under one address.
    pub connections_per_address_max: u32,
    /// Clients connected at a time under one credential.
    pub connections_per_credential_max: u32,
    /// Connections taken per second in the long run; twice as many at once.
    pub connects_per_second_max: u32,
    /// Connections taken per minute from one address, and at once; this machine is exempt.
    pub connects_per_address_per_minute_max: u32,
    /// Bytes of a Topic Name or Topic Filter.
    pub topic_bytes_max: usize,
    /// Subscriptions of all clients together.
    pub subscriptions_total_max: usize,
    /// Topic and payload bytes of all retained messages.
    pub retained_bytes_max: usize,
    /// Bytes of control packets whose rest has not arrived, of all connections together.
    pub partial_bytes_max: usize,
    /// Bytes held for clients in all: waiting messages, outboxes, unfinished packets, retained messages.
    pub memory_bytes_max: usize,
    /// Wrong passwords from one address, or for one user name, before the next try has to wait.
    pub sign_in_free_tries: u32,
}

impl Limits {
    /// What is wrong with the size of a Topic Name or Topic Filter.
    pub(crate) fn why_not_topic(&self, topic: &str) -> Option<&'static str> {
        if topic.len() > self.topic_bytes_max {
            return Some("Topic Name is too long");
        }
        // Its bytes are bounded, and so is the work of counting its levels.
        (topic.split('/').count() > self.topic_levels_max).then_some("Topic Name has too many levels")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 65_536,
            connect_bytes_max: 8_192,
            connections_max: 10_000,
            sessions_max: 20_000,
            connect_timeout_ms: 10_000,
            keep_alive_max_s: 3_600,
            session_expiry_max_s: 604_800,
            receive_maximum: 100,
            queue_messages_max: 1_000,
            queue_bytes_max: 1_048_576,
            topic_levels_max: 32,
            topic_alias_maximum: 16,
            subscriptions_max: 200,
            retained_max: 10_000,
            sys_interval_s: 10,
            unkept_changes_max: 100_000,
            unkept_bytes_max: 64 << 20,
            seen_packets_max: 200_000,
            connections_per_address_max: 200,
            connections_per_credential_max: 100,
            connects_per_second_max: 5_000,
            connects_per_address_per_minute_max: 240,
            topic_bytes_max: 1_024,
            subscriptions_total_max: 200_000,
            retained_bytes_max: 64 << 20,
            partial_bytes_max: 64 << 20,
            memory_bytes_max: 512 << 20,
            sign_in_free_tries: 10,
        }
    }
}
