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
    let island = memory.islands.island_of(gateway).unwrap_or(gateway);
    charge_on(settings, memory, passing, (gateway, island), hop_limit)
}

fn charge_on(
    settings: &Settings,
    memory: &Memory,
    passing: &Passing<'_>,
    (gateway, island): (u32, IslandId),
    hop_limit: u8,
) -> Charge {
    // What is heard on another preset takes another time on the air.
    let preset = memory.reports.preset(gateway).zip(passing.frame_bytes);
    let of_frame = preset.map(|(preset, bytes)| preset.time_on_air_us(usize::from(bytes)));
    let airtime_us = of_frame.or(passing.airtime_us).unwrap_or(0);
    Charge {
        gateway,
        island,
        channel: channel_number(passing.channel),
        node: passing.from,
        class: Class::of(passing.port, passing.to),
        airtime_us: settings.budget.expected_us(airtime_us, hop_limit),
    }
}

/// How far a copy toward a gateway on this island may go, or the model that sends nothing of its class.
pub fn hop_limit_on(
    settings: &Settings,
    passing: &Passing<'_>,
    island: Option<IslandId>,
) -> Result<u8, Model> {
    let class = Class::of(passing.port, passing.to);
    let most = settings.downlink.hop_limit_max;
    let hop_limit = settings.model.hop_limit(island, passing.channel, class, most);
    hop_limit.map(|hops| hops.min(passing.hop_limit))
}

/// What a copy toward a gateway on this island would be charged with, when it may go this far.
pub fn charge_within(
    settings: &Settings,
    memory: &Memory,
    passing: &Passing<'_>,
    (gateway, island): (u32, IslandId),
    hop_limit: Result<u8, Model>,
) -> Charge {
    // What is for the gateway itself ends there.
    let on_air = hop_limit.ok().filter(|_| passing.to != gateway).unwrap_or(0);
    charge_on(settings, memory, passing, (gateway, island), on_air)
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
    let island = memory.islands.island_of(gateway);
    let hop_limit = hop_limit_on(settings, passing, island);
    let charge = charge_within(settings, memory, passing, (gateway, island.unwrap_or(gateway)), hop_limit);
    let (budget, fits) = budget_for(settings, memory, directory, now, &charge);
    Numbers { island: charge.island, hop_limit, airtime_us: charge.airtime_us, budget, fits }
}
