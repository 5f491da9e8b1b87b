//! What a run came to, and the digest that shows whether two runs were the same.

use std::collections::VecDeque;
use std::fmt;

use crate::Promise;

/// The end of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed it came from.
    pub seed: u64,
    /// Hash of every byte and every event of the run.
    pub digest: u64,
    /// Events.
    pub steps: u64,
    /// Messages the broker took.
    pub messages: u64,
    /// Copies that clients received.
    pub deliveries: u64,
    /// Connections made.
    pub connections: u64,
    /// The first broken promise.
    pub failure: Option<Failure>,
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which one.
    pub promise: Promise,
    /// What was seen.
    pub what: String,
    /// The last steps before it, oldest first.
    pub last_steps: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: {}", self.promise, self.what)?;
        self.last_steps.iter().try_for_each(|step| writeln!(f, "  {step}"))
    }
}

/// Hashes and remembers what happens.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Hash so far (FNV-1a, 64 bits: it needs no strength, only to be the same everywhere).
    pub digest: u64,
    /// Events so far.
    pub steps: u64,
    last: VecDeque<String>,
    shown: usize,
}

impl Journal {
    pub fn new(seed: u64, shown: usize) -> Self {
        let mut journal = Self { digest: 0xcbf2_9ce4_8422_2325, steps: 0, last: VecDeque::new(), shown };
        journal.hash(&seed.to_be_bytes());
        journal
    }

    pub fn hash(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub fn note(&mut self, text: String) {
        self.steps += 1;
        self.hash(text.as_bytes());
        if self.last.len() >= self.shown {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }

    pub fn last_steps(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}
