//! The numbers of one copy toward a gateway: its island, how far it may go, what it costs there and what is left.

use directory::Directory;

use crate::downlink::budget::{Budget, tightest};
use crate::downlink::class::Class;
use crate::downlink::model::Model;
use crate::memory::Memory;
use crate::memory::airtime::{Charge, channel_number};
use crate::memory::islands::IslandId;
use crate::now::Now;
use crate::release::Passing;
use crate::settings::Settings;

/// The numbers of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// The island of the gateway; its own number as long as it has heard nothing.
    pub island: IslandId,
    /// The hop limit that it may leave with, or the model that sends nothing of its class.
    pub hop_limit: Result<u8, Model>,
    /// Time on the air of all transmissions that it is expected to cause, in µs.
    pub airtime_us: u32,
    /// The tightest of its budgets, before it.
    pub budget: Budget,
    /// Whether it fits into all of them.
    pub fits: bool,
}

/// What a copy toward a gateway is charged with, when it leaves with this hop limit.
pub fn charge_of(
    settings: &Settings,
    memory: &Memory,
    passing: &Passing<'_>,
    gateway: u32,
    hop_limit: u8,
) -> Charge {
    // What is heard on another preset takes another time on the air.
    let preset = memory.reports.preset(gateway).zip(passing.frame_bytes);
    let of_frame = preset.map(|(preset, bytes)| preset.time_on_air_us(usize::from(bytes)));
    let airtime_us = of_frame.or(passing.airtime_us).unwrap_or(0);
    Charge {
        gateway,
        island: memory.islands.island_of(gateway).unwrap_or(gateway),
        channel: channel_number(passing.channel),
        node: passing.from,
        class: Class::of(passing.port, passing.to),
        airtime_us: settings.budget.expected_us(airtime_us, hop_limit),
    }
}

/// How far a copy toward a gateway may go, and what it would be charged with.
pub fn reach_and_charge(
    settings: &Settings,
    memory: &Memory,
    passing: &Passing<'_>,
    gateway: u32,
) -> (Result<u8, Model>, Charge) {
    let island = memory.islands.island_of(gateway);
    let class = Class::of(passing.port, passing.to);
    let most = settings.downlink.hop_limit_max;
    let hop_limit = settings
        .model
        .hop_limit(island, passing.channel, class, most)
        .map(|hops| hops.min(passing.hop_limit));
    // What is for the gateway itself ends there.
    let on_air = hop_limit.ok().filter(|_| passing.to != gateway).unwrap_or(0);
    (hop_limit, charge_of(settings, memory, passing, gateway, on_air))
}

/// The tightest budget of a copy, and whether it fits into all of them.
pub fn budget_for(
    settings: &Settings,
    memory: &Memory,
    directory: &Directory,
    now: Now,
    charge: &Charge,
) -> (Budget, bool) {
    let utilisation = memory.reports.utilisation(now.mono_ms, charge.gateway);
    let agreed = directory.grant(charge.gateway, now.unix_ms).and_then(|grant| grant.downlink_ms);
    let agreed_us = agreed.map_or(u64::MAX, |ms| u64::from(ms) * 1_000);
    tightest(&settings.budget, &memory.airtime, now.mono_ms, charge, utilisation, agreed_us)
}

/// The numbers of a copy toward a gateway.
pub fn numbers(
    settings: &Settings,
    memory: &Memory,
    directory: &Directory,
    now: Now,
    passing: &Passing<'_>,
    gateway: u32,
) -> Numbers {
    let (hop_limit, charge) = reach_and_charge(settings, memory, passing, gateway);
    let (budget, fits) = budget_for(settings, memory, directory, now, &charge);
    Numbers { island: charge.island, hop_limit, airtime_us: charge.airtime_us, budget, fits }
}
