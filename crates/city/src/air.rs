//! The air: one channel that all nodes of an island share. Who hears a transmission, what collides, how busy it is.
//!
//! The model, simple on purpose. A node that hears another transmit waits. Those out of each other's earshot do not know of
//! each other, so their frames may overlap at a listener: the stronger survives when it is 6 dB louder, else both are lost
//! there. A node that transmits hears nothing. So loss and delay grow with the load by themselves, and nobody tunes them.

use fastrand::Rng;

use crate::radio::{FADING_DB, SNR_LIMIT_DB, SNR_MAX_DB, Signal};

/// Which nodes hear which, and how: for each node, those that can hear it.
pub type Links = Vec<Vec<(usize, Signal)>>;

/// How much louder a frame must be than what overlaps it, dB.
const CAPTURE_DB: f32 = 6.0;
/// Channel utilisation is over the last minute, as firmware counts it, in steps of ten seconds.
const BUCKET_MS: u64 = 10_000;
const BUCKETS: usize = 6;
/// No frame takes longer on any preset that people use; what ended before overlaps nothing that runs.
const LONGEST_MS: u64 = 15_000;

/// One frame on the air.
#[derive(Debug, Clone, Copy)]
struct Transmission {
    number: u64,
    sender: usize,
    from_ms: u64,
    until_ms: u64,
}

/// What became of one transmission.
#[derive(Debug, Default)]
pub struct Ended {
    /// Those who received it, and how.
    pub received: Vec<(usize, Signal)>,
    /// Those in whose place it was lost to another transmission.
    pub collided: u32,
}

/// The air of the whole city.
#[derive(Debug)]
pub struct Air {
    hearers: Links,
    /// Signal strength at a listener (row) from a sender (column); negative infinity where nothing arrives.
    rssi_dbm: Vec<f32>,
    /// Running, or ended so lately that they overlap a running one.
    transmissions: Vec<Transmission>,
    next_number: u64,
    busy: Vec<Busy>,
    seed: u64,
}

/// Time that a node found its channel taken.
#[derive(Debug, Clone, Copy, Default)]
struct Busy {
    bucket: u64,
    us: [u64; BUCKETS],
    total_us: u64,
}

impl Busy {
    fn roll_to(&mut self, bucket: u64) {
        let steps = (bucket - self.bucket.min(bucket)).min(BUCKETS as u64);
        for step in 1..=steps {
            self.us[((bucket - steps + step) % BUCKETS as u64) as usize] = 0;
        }
        self.bucket = self.bucket.max(bucket);
    }

    fn add(&mut self, bucket: u64, us: u64) {
        self.roll_to(bucket);
        self.us[(bucket % BUCKETS as u64) as usize] += us;
        self.total_us += us;
    }
}

impl Air {
    /// Quiet air. The same seed and the same transmissions give the same receptions.
    pub fn new(hearers: Links, seed: u64) -> Self {
        let nodes = hearers.len();
        let mut air = Self {
            hearers,
            rssi_dbm: Vec::new(),
            transmissions: Vec::new(),
            next_number: 0,
            busy: vec![Busy::default(); nodes],
            seed,
        };
        air.write_down_signals();
        air
    }

    /// Somebody moved: from now on these hear each other.
    pub fn set_hearers(&mut self, hearers: Links) {
        self.hearers = hearers;
        self.write_down_signals();
    }

    fn write_down_signals(&mut self) {
        let nodes = self.hearers.len();
        self.rssi_dbm = vec![f32::NEG_INFINITY; nodes * nodes];
        for (sender, hearers) in self.hearers.iter().enumerate() {
            for (listener, signal) in hearers {
                self.rssi_dbm[listener * nodes + sender] = signal.rssi_dbm;
            }
        }
    }

    /// Those who can hear a node.
    pub fn hearers(&self, node: usize) -> &[(usize, Signal)] {
        &self.hearers[node]
    }

    fn rssi_dbm(&self, listener: usize, sender: usize) -> f32 {
        self.rssi_dbm[listener * self.hearers.len() + sender]
    }

    /// Whether a node transmits or hears somebody transmit.
    pub fn is_busy(&self, node: usize, now_ms: u64) -> bool {
        let is_heard = |t: &Transmission| t.sender == node || self.rssi_dbm(node, t.sender).is_finite();
        self.transmissions.iter().any(|t| t.until_ms > now_ms && is_heard(t))
    }

    /// A node begins to transmit; returns the number of the transmission.
    pub fn begin(&mut self, sender: usize, now_ms: u64, airtime_us: u64) -> u64 {
        self.next_number += 1;
        self.transmissions.retain(|t| t.until_ms + LONGEST_MS > now_ms);
        let until_ms = now_ms + airtime_us.div_ceil(1000);
        self.transmissions.push(Transmission { number: self.next_number, sender, from_ms: now_ms, until_ms });
        let bucket = now_ms / BUCKET_MS;
        self.busy[sender].add(bucket, airtime_us);
        for (listener, _) in &self.hearers[sender] {
            self.busy[*listener].add(bucket, airtime_us);
        }
        self.next_number
    }

    /// A transmission is over. `what` tells the frame from others, so that its luck does not depend on what else is sent.
    pub fn end(&mut self, number: u64, what: u64) -> Ended {
        let mut ended = Ended::default();
        let Some(this) = self.transmissions.iter().find(|t| t.number == number).copied() else {
            return ended;
        };
        let overlapping: Vec<Transmission> = self
            .transmissions
            .iter()
            .filter(|t| t.number != number && t.from_ms < this.until_ms && t.until_ms > this.from_ms)
            .copied()
            .collect();
        for (listener, signal) in &self.hearers[this.sender] {
            let mut rng = draw(self.seed, &[what, this.sender as u64, *listener as u64]);
            let fading = (rng.f32() + rng.f32() - 1.0) * 2.0 * FADING_DB;
            let snr_db = (signal.snr_db + fading).min(SNR_MAX_DB);
            if snr_db < SNR_LIMIT_DB {
                continue;
            }
            let rssi_dbm = signal.rssi_dbm + fading;
            let is_lost = overlapping.iter().any(|other| {
                other.sender == *listener
                    || self.rssi_dbm(*listener, other.sender) > signal.rssi_dbm - CAPTURE_DB
            });
            if is_lost {
                ended.collided += 1;
            } else {
                ended.received.push((*listener, Signal { rssi_dbm, snr_db }));
            }
        }
        ended
    }

    /// Channel utilisation that a node measured over the last minute, percent.
    pub fn utilisation_percent(&mut self, node: usize, now_ms: u64) -> f32 {
        let busy = &mut self.busy[node];
        busy.roll_to(now_ms / BUCKET_MS);
        let us: u64 = busy.us.iter().sum();
        (us as f32 / (BUCKETS as u64 * BUCKET_MS * 10) as f32).min(100.0)
    }

    /// Time that a node found its channel taken since the start, µs.
    pub fn busy_us(&self, node: usize) -> u64 {
        self.busy[node].total_us
    }
}

/// Random numbers that depend on nothing but the seed and what they are for.
pub fn draw(seed: u64, what: &[u64]) -> Rng {
    let mixed = what.iter().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, part| {
        (hash ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29) ^ (hash >> 31)
    });
    Rng::with_seed(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Signal = Signal { rssi_dbm: -90.0, snr_db: 8.0 };

    /// Node 1 hears 0 and 2, which do not hear each other.
    fn hidden(loud: Signal) -> Air {
        Air::new(vec![vec![(1, loud)], vec![(0, GOOD), (2, GOOD)], vec![(1, GOOD)]], 1)
    }

    #[test]
    fn a_frame_alone_is_received() {
        let mut air = hidden(GOOD);
        let frame = air.begin(0, 0, 500_000);
        assert!(air.is_busy(1, 100) && air.is_busy(0, 100) && !air.is_busy(2, 100));
        let ended = air.end(frame, 7);
        assert_eq!((ended.received.len(), ended.collided), (1, 0));
        assert!(!air.is_busy(1, 500));
    }

    #[test]
    fn frames_from_both_sides_collide_where_both_are_heard() {
        let mut air = hidden(GOOD);
        let (one, two) = (air.begin(0, 0, 500_000), air.begin(2, 400, 500_000));
        assert_eq!(air.end(one, 7).collided, 1);
        // The first is over, and still spoils the second.
        assert_eq!(air.end(two, 8).collided, 1);
        let later = air.begin(2, 1_000, 500_000);
        assert_eq!(air.end(later, 9).collided, 0);
    }

    #[test]
    fn the_louder_of_two_survives() {
        let mut air = hidden(Signal { rssi_dbm: -70.0, snr_db: 12.0 });
        let (one, two) = (air.begin(0, 0, 500_000), air.begin(2, 400, 500_000));
        assert_eq!(air.end(one, 7).received.len(), 1);
        assert_eq!(air.end(two, 8).received.len(), 0);
    }

    #[test]
    fn who_transmits_hears_nothing() {
        let mut air = hidden(GOOD);
        let (_, spoken) = (air.begin(1, 0, 500_000), air.begin(0, 100, 200_000));
        assert!(air.end(spoken, 7).received.is_empty());
    }

    #[test]
    fn utilisation_is_that_of_the_last_minute() {
        let mut air = hidden(GOOD);
        for second in [0, 10, 20] {
            let frame = air.begin(0, second * 1000, 2_000_000);
            air.end(frame, second);
        }
        assert_eq!(air.utilisation_percent(1, 30_000).round(), 10.0);
        assert_eq!(air.utilisation_percent(2, 30_000), 0.0);
        assert_eq!(air.utilisation_percent(1, 65_000).round(), 7.0);
        assert_eq!(air.utilisation_percent(1, 200_000), 0.0);
        assert_eq!(air.busy_us(1), 6_000_000);
    }
}
