//! The policy in force with all it remembers: one value, asked in the order of a packet's journey. Live traffic,
//! backtests and simulations differ in the clock they pass in, and in nothing else.

use std::sync::Arc;

use directory::Directory;

use crate::decision::{Decision, Outcome};
use crate::downlink::details::{BudgetOf, CopyDetails};
use crate::downlink::hold::hold;
use crate::downlink::numbers::{charge_of, numbers};
use crate::memory::seen::PacketKey;
use crate::memory::{Memory, MemoryLimits};
use crate::now::Now;
use crate::principal::Principal;
use crate::release::{Passing, Release, decide_release};
use crate::rule::{RuleId, RuleSet};
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
        let memory = Memory::new(&settings, limits, seed);
        Self { settings, memory }
    }

    /// What the operator chose.
    pub const fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Another choice of the operator's; what was learned stays.
    pub fn set_settings(&mut self, settings: Arc<Settings>) {
        self.memory.set_settings(&settings);
        self.settings = settings;
    }

    /// Journey step 3, judge: decides on one reception and learns from it. A permit comes with *accept* and *rewrite*.
    pub fn judge(&mut self, now: Now, publish: &Publish<'_>) -> (Decision, Option<Permit>) {
        self.memory.look(&self.settings, now, publish);
        let decided = decide_uplink(&self.settings, &Uplink::new(now, publish, &self.memory));
        // Before the islands learn from it: whether its sender is on two of them is asked of how they were.
        self.memory.learn_who(&self.settings, now, publish, &decided.0);
        self.memory.learn(&self.settings, now, publish, &decided.0);
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

    /// How long a copy waits so that the radio may bring the packet first, in ms, and whether the rule that says so only
    /// watches.
    pub fn hold(&self, now: Now, passing: &Passing<'_>, receiver: u32) -> (u64, RuleSet) {
        hold(&self.settings, &self.memory, now, passing, receiver)
    }

    /// The numbers by which a rule withheld a copy from a gateway, where it went by any.
    pub fn why_withheld(
        &self,
        now: Now,
        passing: &Passing<'_>,
        receiver: u32,
        rule: RuleId,
        directory: &Directory,
    ) -> CopyDetails {
        match rule {
            RuleId::AirtimeBudget => {
                let (details, wanted_us) = self.details(now, passing, receiver, directory);
                CopyDetails { wanted_us, ..details }
            }
            RuleId::IslandHeard | RuleId::IslandOnce | RuleId::DownlinkModel => {
                let island = self.memory.islands.island_of(receiver).unwrap_or(receiver);
                CopyDetails { island: Some(island), ..CopyDetails::default() }
            }
            _ => CopyDetails::default(),
        }
    }

    /// Where a copy goes and what is left there, and what it costs when it leaves now.
    fn details(
        &self,
        now: Now,
        passing: &Passing<'_>,
        receiver: u32,
        directory: &Directory,
    ) -> (CopyDetails, u32) {
        let numbers = numbers(&self.settings, &self.memory, directory, now, passing, receiver);
        let details = CopyDetails {
            island: Some(numbers.island),
            budget_left_us: Some(numbers.budget.left_us),
            budget_of: BudgetOf::of(numbers.budget.account),
            ..CopyDetails::default()
        };
        (details, numbers.airtime_us)
    }

    /// Journey step 8, deliver: a copy has left toward a gateway with this hop limit. Says what it cost and what is left.
    pub fn charge(
        &mut self,
        now: Now,
        passing: &Passing<'_>,
        receiver: u32,
        hop_limit: u8,
        directory: &Directory,
    ) -> CopyDetails {
        // Its own packet comes back to a gateway as an acknowledgement, and what is for the gateway itself ends there. A
        // request of the broker's own node stays off the air too, but its answer is about as long.
        let is_answered = passing.from == self.memory.proofs.own_node() && passing.to == receiver;
        let hops = match () {
            () if is_answered => 1,
            () if passing.from == receiver || passing.to == receiver => 0,
            () => hop_limit,
        };
        let charge = charge_of(&self.settings, &self.memory, passing, receiver, hops);
        if hops > 0 {
            self.memory.airtime.charge(now.mono_ms, &charge);
            if let Some(key) = passing.key {
                self.memory.seen.note_sent(now.mono_ms, key, charge.island);
            }
        }
        if let Some(key) = passing.key.filter(|_| passing.from != receiver) {
            self.memory.seen.note_given(now.mono_ms, key, receiver);
        }
        let (details, _) = self.details(now, passing, receiver, directory);
        CopyDetails { airtime_us: charge.airtime_us, ..details }
    }

    /// Journey step 9, account: the packet was passed on, as far as its permit allows.
    pub fn note_passed_on(&mut self, now: Now, key: Option<PacketKey>, permit: &Permit) {
        if let Some(key) = key.filter(|_| permit.allows_radio()) {
            self.memory.seen.note_released(now.mono_ms, key);
        }
    }
}
