//! What a node's radio remembers and has to do: packets it has had, frames that wait for their turn.

use std::collections::{BTreeSet, VecDeque};

use crate::air::draw;
use crate::letter::Key;
use crate::radio::{SNR_LIMIT_DB, Signal};

/// Packets a node remembers to recognise copies.
const MEMORY_MAX: usize = 2_000;
/// Frames that wait for the air; firmware has room for 16.
const WAITING_MAX: usize = 16;
/// One slot of the contention window on LongFast, ms.
const SLOT_MS: u64 = 28;
/// The largest contention window, as a power of two of slots.
const WINDOW_MAX: u32 = 8;
/// The smallest.
const WINDOW_MIN: u32 = 3;

/// A frame that is to be transmitted.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// The packet.
    pub key: Key,
    /// Hop limit it is transmitted with.
    pub hop_limit: u32,
    /// Whether it crossed MQTT.
    pub via_mqtt: bool,
    /// Whether the node relays what it heard; then it keeps quiet when somebody else does so first.
    pub is_relay: bool,
}

/// One node's radio.
#[derive(Debug, Default)]
pub struct RadioNode {
    packets: BTreeSet<Key>,
    order: VecDeque<Key>,
    waiting: Vec<Frame>,
}

impl RadioNode {
    /// Notes a packet; returns whether it is new.
    pub fn note(&mut self, packet: Key) -> bool {
        if !self.packets.insert(packet) {
            return false;
        }
        self.order.push_back(packet);
        if self.order.len() > MEMORY_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.packets.remove(&oldest);
        }
        true
    }

    /// Puts a frame in line; returns false when there is no room.
    pub fn put(&mut self, frame: Frame) -> bool {
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.waiting.push(frame);
        true
    }

    /// Whether a frame of that packet waits.
    pub fn has(&self, key: Key) -> bool {
        self.waiting.iter().any(|f| f.key == key)
    }

    /// The frame of that packet that waits.
    pub fn take(&mut self, key: Key) -> Option<Frame> {
        let index = self.waiting.iter().position(|f| f.key == key)?;
        Some(self.waiting.remove(index))
    }

    /// Somebody else relayed the packet: what is enough. A router relays all the same.
    pub fn hear_again(&mut self, key: Key, is_router: bool) {
        if !is_router {
            self.waiting.retain(|f| f.key != key || !f.is_relay);
        }
    }
}

/// How long a relay waits (firmware's managed flooding): weak signals come from afar, so those who heard weakly go first;
/// routers go before all.
pub fn relay_wait_ms(signal: Signal, is_router: bool, seed: u64, node: usize, key: Key) -> u64 {
    let mut rng = draw(seed, &[2, node as u64, u64::from(key.0), u64::from(key.1)]);
    let strength = ((signal.snr_db - SNR_LIMIT_DB) / (10.0 - SNR_LIMIT_DB)).clamp(0.0, 1.0);
    let window = WINDOW_MIN + (strength * (WINDOW_MAX - WINDOW_MIN) as f32).round() as u32;
    let slots = if is_router {
        rng.u64(0..u64::from(2 * window))
    } else {
        u64::from(2 * WINDOW_MAX) + rng.u64(0..1 << window)
    };
    slots * SLOT_MS
}

/// How long a node waits before it transmits something of its own or tries again on a busy channel: the window grows
/// with the channel's utilisation, in percent.
pub fn own_wait_ms(utilisation: f32, seed: u64, node: usize, now_ms: u64) -> u64 {
    let mut rng = draw(seed, &[3, node as u64, now_ms]);
    let grown = (utilisation / 100.0 * (WINDOW_MAX - WINDOW_MIN) as f32).round() as u32;
    (1 + rng.u64(0..1 << (WINDOW_MIN + grown.min(WINDOW_MAX - WINDOW_MIN)))) * SLOT_MS
}
