//! The policy on trial: a simulated city lives on the broker value, forwarded plainly, without hops, or by the policy, and
//! what the policy promises is checked at every step.
//!
//! Everything comes from one seed: the same seed gives the same trial, and `Outcome::digest` shows it. Knows no socket, no
//! clock, and nothing of broker and city but their public faces.
//!
//! Reading order: what is run, who takes part, one gateway's connection, the loop, the promises, the figures.

mod client;
mod fault;
mod figures;
mod promise;
mod scene;
mod stage;
mod watch;

use std::ops::Range;

use policy::downlink::budget::BudgetSettings;
use policy::downlink::model::Model;

pub use fault::Fault;
pub use figures::{Figures, IslandFigures, Reach};
pub use promise::{Broken, Promise};

/// How packets get from one island to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A plain broker: every copy to every gateway, hops as they are.
    Plain,
    /// A plain broker that lowers every hop limit to 0, as the public one does: phones see it, radios do not.
    ZeroHop,
    /// Backhaul's policy.
    Policy,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ZeroHop, Self::Policy];

    /// The words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Plain => "plain forwarding",
            Self::ZeroHop => "zero-hop",
            Self::Policy => "Backhaul's policy",
        }
    }
}

/// A gateway that misbehaves the whole time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// It uplinks again what came down, as if it had heard it over the radio.
    Bridge,
    /// It moves to another island half-way.
    Mobile,
    /// It uplinks packets under the ids of others.
    Spoofer,
}

impl Misfit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bridge, Self::Mobile, Self::Spoofer];

    /// Its name on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Mobile => "mobile",
            Self::Spoofer => "spoofer",
        }
    }
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything is drawn from it.
    pub seed: u64,
    /// How long the city lives, ms.
    pub duration_ms: u64,
    /// The first so many ms are not counted: nodes introduce themselves, the broker learns who hears whom.
    pub warm_up_ms: u64,
    /// How packets are forwarded.
    pub way: Way,
    /// When one gateway publishes 300 packets a second, ms since the start.
    pub abuse_ms: Option<Range<u64>>,
    /// Misfits that behave like everybody else in this trial.
    pub tamed: Vec<Misfit>,
    /// Nodes of the city, gateways included.
    pub nodes: usize,
    /// Text messages in the whole city per hour, outside the rush.
    pub texts_per_hour: u32,
    /// The model of how far copies go.
    pub model: Model,
    /// The budgets of airtime.
    pub budget: BudgetSettings,
    /// A fault to plant, which must be noticed.
    pub fault: Option<Fault>,
}

impl Plan {
    /// The city of 300 nodes for so many hours: the first half hour is not counted, a third of the time is rush, and the
    /// abuser is at it for ten minutes of the rush.
    pub fn of_hours(seed: u64, hours: u64, way: Way) -> Self {
        let duration_ms = hours.max(1) * 3_600_000;
        let rush = duration_ms / 2;
        Self {
            seed,
            duration_ms,
            warm_up_ms: 1_800_000,
            way,
            abuse_ms: Some(rush..rush + 600_000),
            tamed: Vec::new(),
            nodes: 300,
            texts_per_hour: 20,
            model: Model::TEXTS_KEEP_HOPS,
            budget: BudgetSettings::default(),
            fault: None,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What was counted.
    pub figures: Figures,
    /// Differs when anything that the broker decided or sent differs.
    pub digest: u64,
    /// The first broken promise.
    pub broken: Option<Broken>,
}

/// Runs a trial to its end.
pub fn run(plan: &Plan) -> Outcome {
    stage::Stage::new(plan).run()
}
