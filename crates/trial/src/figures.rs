//! What a trial counted.

use std::collections::BTreeMap;

use city::letter::{Kind, Letter};
use city::misfit::Manner;
use city::report::{IslandReport, Report};
use city::simulation::City;

use crate::Plan;

/// How many of those who should have had something got it, and how late.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach {
    /// Who should have had it: for a text each node, for a direct message its destination.
    pub due: u64,
    /// Who got it.
    pub got: u64,
    /// How long it took them, ms, in rising order.
    pub delays_ms: Vec<u64>,
}

impl Reach {
    /// Share of those who got it, 0–1.
    pub fn ratio(&self) -> f64 {
        self.got as f64 / self.due.max(1) as f64
    }

    /// The delay that so many percent did not exceed, ms; 0 when nobody got anything.
    pub fn delay_ms(&self, percent: usize) -> u64 {
        let last = self.delays_ms.len().saturating_sub(1);
        self.delays_ms.get(last * percent / 100).copied().unwrap_or(0)
    }

    fn add(&mut self, delay_ms: Option<u64>) {
        self.due += 1;
        self.got += u64::from(delay_ms.is_some());
        self.delays_ms.extend(delay_ms);
    }

    fn sorted(mut self) -> Self {
        self.delays_ms.sort_unstable();
        self
    }
}

/// The air of one island.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IslandFigures {
    /// Time on air of its own packets, relays included, s.
    pub own_airtime_s: f64,
    /// Time on air of what came down, relays included, s.
    pub downlink_airtime_s: f64,
    /// Share of the time that a node of it finds the channel taken, percent.
    pub utilisation_percent: f64,
    /// Share of what nodes could have received that was lost to collisions, percent.
    pub collided_percent: f64,
}

/// What a trial counted after its warm-up. Texts and direct messages are those of nodes that agree to MQTT and do not
/// misbehave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// The islands' air.
    pub islands: Vec<IslandFigures>,
    /// Texts at the nodes of other islands.
    pub texts_across: Reach,
    /// Texts at the gateways of other islands, whose phones show them even where nothing goes on the air.
    pub texts_at_gateways: Reach,
    /// Texts at the nodes of their own island.
    pub texts_within: Reach,
    /// Direct messages to other islands.
    pub directs_across: Reach,
    /// Acknowledgements of those.
    pub acknowledged_across: Reach,
    /// Traceroutes to other islands that were answered.
    pub traceroutes_across: Reach,
    /// Direct messages within an island.
    pub directs_within: Reach,
    /// Forged texts and places of the spoofer and texts of the abuser, at the nodes of the city.
    pub forged_received: u64,
    /// Envelopes that went up.
    pub uplinks: u64,
    /// Copies that were sent to gateways.
    pub copies: u64,
    /// Of these, copies of packets that the abuser made.
    pub copies_of_abuse: u64,
    /// Receptions decided by a rule, and copies withheld by one, by its name.
    pub by_rule: BTreeMap<&'static str, u64>,
    /// Receptions of honest gateways' packets that were held because of volume, by rule.
    pub honest_by_rule: BTreeMap<&'static str, u64>,
}

impl Figures {
    /// Time on air of what came down, all islands, s.
    pub fn downlink_airtime_s(&self) -> f64 {
        self.islands.iter().map(|i| i.downlink_airtime_s).sum()
    }

    /// Counts what the city knows.
    pub(crate) fn take_from(&mut self, city: &City, plan: &Plan, before: &Report, busy_before: &[f64]) {
        let hours_s = plan.duration_ms.saturating_sub(plan.warm_up_ms) as f64 / 1000.0;
        let islands = city.report().islands.iter().zip(&before.islands).enumerate();
        self.islands = islands
            .map(|(n, (now, then))| {
                let busy_s = city.utilisation_percent(n) / 100.0 * (plan.duration_ms as f64 / 1000.0);
                let busy_before_s = busy_before.get(n).copied().unwrap_or(0.0);
                IslandFigures {
                    utilisation_percent: (busy_s - busy_before_s) / hours_s.max(1.0) * 100.0,
                    ..air_between(then, now)
                }
            })
            .collect();
        self.uplinks = city.report().uplinks - before.uplinks;
        let manner = |letter: &Letter| city.manner(letter.maker);
        let last_ms = plan.duration_ms.saturating_sub(60_000);
        let counted =
            city.letters().filter(|l| l.born_ms >= plan.warm_up_ms && l.born_ms < last_ms && l.consents);
        for letter in counted {
            match letter.kind {
                Kind::Forged => self.forged_received += letter.reached.len() as u64,
                Kind::Text if manner(letter) == Manner::Honest => self.count_text(city, letter),
                Kind::Direct | Kind::Traceroute if manner(letter) == Manner::Honest => {
                    self.count_direct(city, letter);
                }
                Kind::Text
                | Kind::Direct
                | Kind::Traceroute
                | Kind::Ack
                | Kind::TracerouteReply
                | Kind::Routine => {}
            }
        }
        for reach in [
            &mut self.texts_across,
            &mut self.texts_at_gateways,
            &mut self.texts_within,
            &mut self.directs_across,
            &mut self.acknowledged_across,
            &mut self.traceroutes_across,
            &mut self.directs_within,
        ] {
            *reach = std::mem::take(reach).sorted();
        }
    }

    fn count_text(&mut self, city: &City, letter: &Letter) {
        let delays: BTreeMap<usize, u64> =
            letter.reached.iter().map(|(node, at)| (*node, at - letter.born_ms)).collect();
        for (node, resident) in city.residents().iter().enumerate() {
            let delay = delays.get(&node).copied();
            if node == letter.maker || city.manner(node) == Manner::Mobile {
                continue;
            }
            if resident.island == letter.island {
                self.texts_within.add(delay);
                continue;
            }
            self.texts_across.add(delay);
            if resident.is_gateway {
                self.texts_at_gateways.add(delay);
            }
        }
    }

    fn count_direct(&mut self, city: &City, letter: &Letter) {
        let Some((node, resident)) =
            city.residents().iter().enumerate().find(|(_, r)| r.num == letter.packet.to)
        else {
            return;
        };
        let is_across = resident.island != letter.island;
        let arrived = letter.reached.iter().find(|(n, _)| *n == node).map(|(_, at)| at - letter.born_ms);
        let answered = letter.acknowledged_ms.map(|at| at - letter.born_ms);
        match (letter.kind, is_across) {
            (Kind::Traceroute, true) => self.traceroutes_across.add(answered),
            (Kind::Traceroute, false) => {}
            // Whether the destination's answer may cross is its own choice.
            (_, true) => {
                self.directs_across.add(arrived);
                if resident.consents {
                    self.acknowledged_across.add(answered);
                }
            }
            (_, false) => self.directs_within.add(arrived),
        }
    }
}

fn air_between(then: &IslandReport, now: &IslandReport) -> IslandFigures {
    let (received, collided) = (now.received - then.received, now.collided - then.collided);
    IslandFigures {
        own_airtime_s: (now.own_airtime_us - then.own_airtime_us) as f64 / 1e6,
        downlink_airtime_s: (now.downlink_airtime_us - then.downlink_airtime_us) as f64 / 1e6,
        utilisation_percent: 0.0,
        collided_percent: collided as f64 / (received + collided).max(1) as f64 * 100.0,
    }
}
