//! The policy in force with all it remembers: one value, asked in the order of a packet's journey. Live traffic,
//! backtests and simulations differ in the clock they pass in, and in nothing else.

use std::sync::Arc;

use directory::Directory;

use crate::decision::{Decision, Outcome};
use crate::memory::seen::PacketKey;
use crate::memory::{Memory, MemoryLimits};
use crate::now::Now;
use crate::principal::Principal;
use crate::release::{Passing, Release, decide_release};
use crate::rule::RuleSet;
use crate::settings::Settings;
use crate::uplink::{Permit, Publish, Uplink, decide_uplink};

/// The policy: what the operator chose, and what was learned.
#[derive(Debug)]
pub struct Policy {
    settings: Arc<Settings>,
    /// What was learned.
    pub memory: Memory,
}

impl Policy {
    /// A policy that has seen nothing yet.
    pub fn new(settings: Arc<Settings>, limits: MemoryLimits, seed: u64) -> Self {
        let memory = Memory::new(settings.duplicate_window_ms, limits, seed);
        Self { settings, memory }
    }

    /// What the operator chose.
    pub const fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Another choice of the operator's; what was learned stays.
    pub fn set_settings(&mut self, settings: Arc<Settings>) {
        self.memory.seen.set_window(settings.duplicate_window_ms);
        self.settings = settings;
    }

    /// Journey step 3, judge: decides on one reception and learns from it. A permit comes with *accept* and *rewrite*.
    pub fn judge(&mut self, now: Now, publish: &Publish<'_>) -> (Decision, Option<Permit>) {
        let decided = decide_uplink(&self.settings, &Uplink::new(now, publish, &self.memory));
        self.memory.learn(now, publish, &decided.0);
        decided
    }

    /// Journey step 7, release: decides on one copy. The set holds rules in state `observe` that would have withheld or
    /// changed it.
    pub fn release(
        &self,
        now: Now,
        passing: &Passing<'_>,
        receiver: &Principal,
        directory: &Directory,
    ) -> (Outcome, RuleSet) {
        decide_release(&self.settings, &Release { now, passing, receiver, directory, memory: &self.memory })
    }

    /// Journey step 9, account: the packet was passed on, as far as its permit allows.
    pub fn note_passed_on(&mut self, now: Now, key: Option<PacketKey>, permit: &Permit) {
        if let Some(key) = key.filter(|_| permit.allows_radio()) {
            self.memory.seen.note_released(now.mono_ms, key);
        }
    }
}
