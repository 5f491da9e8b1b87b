//! What the operator chose: the state of each rule and its parameters. Values only; reading a file is elsewhere.

use crate::downlink::budget::BudgetSettings;
use crate::downlink::model::ModelSettings;
use crate::downlink::queue::QueueSettings;
use crate::downlink::target::TargetSettings;
use crate::memory::holds::HoldSettings;
use crate::memory::islands::IslandSettings;
use crate::memory::proof::ProofSettings;
use crate::outside::OutsideSettings;
use crate::release::DownlinkSettings;
use crate::rule::{RULES, RuleId, RuleSet, RuleState};
use crate::uplink::consent::ConsentSettings;
use crate::uplink::identity::IdentitySettings;
use crate::uplink::keys::KeySettings;
use crate::uplink::origin::OriginSettings;
use crate::uplink::stationary::StationarySettings;
use crate::uplink::volume::VolumeSettings;
use crate::uplink::what::WhatSettings;
use crate::uplink::who::WhoSettings;

/// The policy in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Every key of the file that this was made from with its value, so that what no rule lists among its parameters can
    /// be compared too; empty where there was no file.
    pub told: Vec<(&'static str, String)>,
    states: [RuleState; 64],
    off: RuleSet,
    /// Who is shut out.
    pub who: WhoSettings,
    /// What needs an agreement.
    pub what: WhatSettings,
    /// What happens on channels that anyone can read.
    pub keys: KeySettings,
    /// How far the time of a reception may be from ours.
    pub origin: OriginSettings,
    /// How much is tolerated before a packet is marked.
    pub identity: IdentitySettings,
    /// When a gateway counts as moved.
    pub stationary: StationarySettings,
    /// Who is outside the community.
    pub outside: OutsideSettings,
    /// What happens to packets without consent.
    pub consent: ConsentSettings,
    /// What gateways are sent.
    pub downlink: DownlinkSettings,
    /// How much may come from whom.
    pub volume: VolumeSettings,
    /// When somebody is held.
    pub holds: HoldSettings,
    /// What it takes to be on one island.
    pub islands: IslandSettings,
    /// How far copies may go on the radio, by island and channel.
    pub model: ModelSettings,
    /// Where packets for one node go.
    pub target: TargetSettings,
    /// How much of an hour downlink may take up.
    pub budget: BudgetSettings,
    /// How copies wait for a gateway.
    pub queue: QueueSettings,
    /// How gateways prove that downlink reaches them.
    pub proof: ProofSettings,
    /// How long a packet is remembered to recognise further copies, in milliseconds.
    pub duplicate_window_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            told: Vec::new(),
            states: [RuleState::Off; 64],
            off: RuleSet::default(),
            who: WhoSettings::default(),
            what: WhatSettings::default(),
            keys: KeySettings::default(),
            origin: OriginSettings::default(),
            identity: IdentitySettings::default(),
            stationary: StationarySettings::default(),
            outside: OutsideSettings::default(),
            consent: ConsentSettings::default(),
            downlink: DownlinkSettings::default(),
            volume: VolumeSettings::default(),
            holds: HoldSettings::default(),
            islands: IslandSettings::default(),
            model: ModelSettings::default(),
            target: TargetSettings::default(),
            budget: BudgetSettings::default(),
            queue: QueueSettings::default(),
            proof: ProofSettings::default(),
            duplicate_window_ms: 3_600_000,
        };
        RULES.iter().for_each(|r| settings.set_state(r.id, r.default));
        settings
    }
}

impl Settings {
    /// The state of a rule.
    pub const fn state(&self, rule: RuleId) -> RuleState {
        self.states[rule.code() as usize]
    }

    /// Sets the state of a rule.
    pub fn set_state(&mut self, rule: RuleId, state: RuleState) {
        self.states[usize::from(rule.code())] = state;
        if state == RuleState::Off {
            self.off.insert(rule);
        } else {
            self.off.remove(rule);
        }
    }

    /// The rules that are off.
    pub const fn off(&self) -> RuleSet {
        self.off
    }
}
