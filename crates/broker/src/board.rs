//! The airtime board: what of each island's hour downlink has used up, what waits, who is held, and what was withheld. For
//! pages; made when somebody asks.

use std::collections::BTreeMap;

use directory::IslandNumber;
use policy::downlink::class::Class;
use policy::memory::airtime::Account;
use policy::memory::holds::{Held, Hold};
use policy::memory::islands::InCommon;
use policy::rule::{RULES, RuleId, Stage};

use crate::{Broker, Now};

/// An amount of airtime and its limit within an hour, µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Used within the last hour.
    pub used_us: u64,
    /// What it may be.
    pub limit_us: u64,
}

/// One island.
#[derive(Debug, Clone, PartialEq)]
pub struct IslandBoard {
    /// Its number: that of one of its gateways.
    pub island: u32,
    /// Whether the operator has stopped downlink there.
    pub is_stopped: bool,
    /// Utilisation of the channel in percent, the highest that a gateway of it reported lately.
    pub utilisation_percent: Option<f32>,
    /// All downlink.
    pub all: Share,
    /// Of that, each class by itself, µs.
    pub by_class: [u64; Class::ALL.len()],
    /// Its gateways.
    pub gateways: Vec<GatewayBoard>,
}

/// One gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayBoard {
    /// Its node number.
    pub gateway: u32,
    /// Whether it is connected.
    pub is_connected: bool,
    /// What it transmits of others.
    pub share: Share,
    /// What its measurements and positions took up of the airtime that was agreed on for them.
    pub telemetry: Option<Share>,
    /// Copies that wait for its turn, by class.
    pub waiting: [Option<WaitingClass>; Class::ALL.len()],
    /// The gateway that it has most in common with; `None` when it is alone on its island.
    pub in_common: Option<InCommon>,
}

/// Copies of one class that wait for a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingClass {
    /// How many.
    pub copies: usize,
    /// How long the oldest has waited, ms.
    pub oldest_ms: u64,
}

/// Everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Board {
    /// Islands by number.
    pub islands: Vec<IslandBoard>,
    /// Nodes that used most of their share of other islands, most first.
    pub nodes: Vec<(u32, Share)>,
    /// Copies withheld since the start, by rule.
    pub withheld: Vec<(RuleId, u64)>,
    /// Who is held at this moment.
    pub held: Vec<(Held, Hold)>,
}

/// Nodes listed.
const NODES_MAX: usize = 10;

impl Broker {
    /// The airtime board.
    pub fn board(&self, now: Now) -> Board {
        let (memory, settings) = (&self.policy.memory, self.policy.settings());
        let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        memory
            .islands
            .members()
            .for_each(|(gateway, island)| members.entry(island).or_default().push(gateway));
        let accounts = memory.airtime.accounts(now.mono_ms);
        let mut nodes: Vec<(u32, Share)> = accounts
            .iter()
            .filter_map(|(account, used_us)| match account {
                Account::Node(node) => {
                    let limit_us = settings.budget.limit_us(*account, None);
                    Some((*node, Share { used_us: *used_us, limit_us }))
                }
                _ => None,
            })
            .collect();
        nodes.sort_by_key(|(node, share)| (std::cmp::Reverse(share.used_us), *node));
        nodes.truncate(NODES_MAX);
        let release = RULES.iter().filter(|rule| rule.stage == Stage::Release && rule.id != RuleId::HopLimit);
        let withheld = release.filter_map(|rule| {
            let count =
                self.counters.by_rule.iter().find(|(id, _)| *id == rule.id).map_or(0, |(_, count)| count);
            (count > 0).then_some((rule.id, count))
        });
        let released = |held: &Held| {
            let (Held::Gateway(number) | Held::Node(number)) = *held;
            self.options.directory.hold_released_ms(number)
        };
        Board {
            islands: members
                .into_iter()
                .map(|(island, gateways)| self.island_board(now, island, gateways))
                .collect(),
            nodes,
            withheld: withheld.collect(),
            held: memory
                .holds
                .all()
                .into_iter()
                .filter(|(held, _)| memory.holds.on(now, *held, released(held)).is_some())
                .collect(),
        }
    }

    fn island_board(&self, now: Now, island: u32, mut gateways: Vec<u32>) -> IslandBoard {
        let (memory, settings) = (&self.policy.memory, self.policy.settings());
        gateways.sort_unstable();
        let reported =
            gateways.iter().filter_map(|gateway| memory.reports.utilisation(now.mono_ms, *gateway));
        let utilisation_percent = reported.reduce(f32::max);
        let share = |account| Share {
            used_us: memory.airtime.used_us(now.mono_ms, account),
            limit_us: settings.budget.limit_us(account, utilisation_percent),
        };
        // An account of a class holds what is less important too.
        let from_class = |class: usize| match u8::try_from(class) {
            Ok(class) if usize::from(class) < Class::ALL.len() => {
                share(Account::Class(island, class)).used_us
            }
            _ => 0,
        };
        let by_class = std::array::from_fn(|class| from_class(class).saturating_sub(from_class(class + 1)));
        IslandBoard {
            island,
            is_stopped: self.options.directory.downlink().is_stopped_for(Some(IslandNumber(island))),
            utilisation_percent,
            all: share(Account::Class(island, 0)),
            by_class,
            gateways: gateways
                .into_iter()
                .map(|gateway| {
                    let all = share(Account::Gateway(gateway));
                    self.gateway_board(now, gateway, all)
                })
                .collect(),
        }
    }

    fn gateway_board(&self, now: Now, gateway: u32, all: Share) -> GatewayBoard {
        let memory = &self.policy.memory;
        let grant = self.options.directory.grant(gateway, now.unix_ms);
        let agreed_us = |ms: u32| u64::from(ms) * 1_000;
        let agreed_down = grant.and_then(|grant| grant.downlink_ms).map_or(u64::MAX, agreed_us);
        let agreed_telemetry =
            grant.filter(|grant| grant.telemetry).and_then(|grant| grant.telemetry_ms).map(agreed_us);
        let used_us = memory.uplink.used_us(now.mono_ms, Account::Granted(gateway));
        let (mut is_connected, mut waiting) = (false, [None; Class::ALL.len()]);
        for (_, session) in self.sessions.iter().filter(|(_, s)| s.principal.gateway() == Some(gateway)) {
            is_connected |= session.connection.is_some();
            for (sum, one) in waiting.iter_mut().zip(session.downlink_by_class()) {
                *sum = Waiting::both(*sum, one.map(|(copies, since_ms)| Waiting { copies, since_ms }));
            }
        }
        // The page counts from now, and does not know the broker's clock.
        let aged =
            |w: Waiting| WaitingClass { copies: w.copies, oldest_ms: now.mono_ms.saturating_sub(w.since_ms) };
        GatewayBoard {
            gateway,
            is_connected,
            share: Share { limit_us: all.limit_us.min(agreed_down), ..all },
            telemetry: agreed_telemetry.map(|limit_us| Share { used_us, limit_us }),
            waiting: waiting.map(|w| w.map(aged)),
            in_common: memory.islands.in_common(now.mono_ms, gateway).into_iter().find(|c| c.is_joined),
        }
    }
}

/// Copies of one class of one or several queues.
#[derive(Clone, Copy)]
struct Waiting {
    copies: usize,
    since_ms: u64,
}

impl Waiting {
    fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
        Some(Self { copies: one.copies + other.copies, since_ms: one.since_ms.min(other.since_ms) })
    }
}
