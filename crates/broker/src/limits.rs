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
        }
    }
}
