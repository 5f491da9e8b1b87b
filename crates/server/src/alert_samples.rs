//! How the broker is doing, as the numbers that alert rules look at.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use automation::alert::rule::Subject;
use bridge::status::Connection;
use history::Health;

use crate::alerting_desk::free_percent;
use crate::bridging::BridgeBoard;
use crate::core_loop::CoreHandle;

/// One number; the names stand in `automation::alert::rule::SAMPLES`.
pub(crate) struct Sampled {
    pub name: &'static str,
    pub subject: Subject,
    pub value: f64,
}

/// Asks for the numbers.
pub(crate) struct Sampler {
    data: PathBuf,
    health: Option<Arc<Health>>,
    bridges: BridgeBoard,
    before: Option<Counted>,
    /// Subjects that were once bad, so that they are told to be good.
    known: BTreeSet<(&'static str, u32)>,
}

/// Totals at a moment, to make rates of.
#[derive(Clone, Copy)]
struct Counted {
    at_ms: i64,
    refused: u64,
    dropped: u64,
    shed: u64,
}

const OFFLINE: &str = "gateway_offline";
/// Rates are made over this time at least, ms.
const RATE_OVER_MS: i64 = 30_000;
const MINUTE_MS: f64 = 60_000.0;

impl Sampler {
    pub fn new(data: PathBuf, health: Option<Arc<Health>>, bridges: BridgeBoard) -> Self {
        Self { data, health, bridges, before: None, known: BTreeSet::new() }
    }

    /// The numbers as they are. May wait for the core for a second or two.
    pub fn look(&mut self, core: &CoreHandle, now_ms: i64) -> Vec<Sampled> {
        let mut found = Vec::new();
        let mut of_mesh = |name, value: Option<f64>| {
            found.extend(value.map(|value| Sampled { name, subject: Subject::Mesh, value }))
        };
        of_mesh("disk_free_percent", free_percent(&self.data));
        let stalled = self.health.as_ref().map(|health| f64::from(u8::from(health.last_error().is_some())));
        of_mesh("history_stalled", stalled);
        let shed = self.health.as_ref().map_or(0, |health| health.shed.load(Ordering::Relaxed));
        if let Some(snapshot) = core.snapshot() {
            let counters = &snapshot.counters;
            let [.., refused] = counters.by_verdict;
            let counted = Counted { at_ms: now_ms, refused, dropped: counters.dropped, shed };
            let before = *self.before.get_or_insert(counted);
            let passed_ms = now_ms - before.at_ms;
            if passed_ms >= RATE_OVER_MS {
                let rate = |now: u64, before: u64| {
                    Some(now.saturating_sub(before) as f64 * MINUTE_MS / passed_ms as f64)
                };
                of_mesh("refused_per_minute", rate(refused, before.refused));
                of_mesh("dropped_per_minute", rate(counters.dropped, before.dropped));
                of_mesh("history_lost", rate(shed, before.shed));
                self.before = Some(counted);
            }
            for client in &snapshot.clients {
                if let Some(gateway) = client.gateway {
                    let value = f64::from(u8::from(!client.is_connected));
                    found.push(Sampled { name: OFFLINE, subject: Subject::Gateway(gateway), value });
                    self.known.insert((OFFLINE, gateway));
                }
            }
            self.forget_removed(core, &mut found);
            self.gone(OFFLINE, 1.0, &mut found);
        }
        if let Some(watching) = core.watching() {
            for (gateway, _) in &watching.moved {
                found.push(Sampled {
                    name: "gateway_moved",
                    subject: Subject::Gateway(*gateway),
                    value: 1.0,
                });
                self.known.insert(("gateway_moved", *gateway));
            }
            self.gone("gateway_moved", 0.0, &mut found);
            for (node, evidence) in &watching.marked {
                let value = evidence.iter().map(|evidence| f64::from(evidence.times)).sum();
                found.push(Sampled { name: "identity_marks", subject: Subject::Node(*node), value });
                self.known.insert(("identity_marks", *node));
            }
            self.gone("identity_marks", 0.0, &mut found);
        }
        for status in self.bridges.read() {
            let is_up = status.there == Connection::Up && status.here == Connection::Up;
            let subject = Subject::Bridge((*status.name).into());
            found.push(Sampled { name: "bridge_down", subject, value: f64::from(u8::from(!is_up)) });
        }
        found
    }

    /// What fires since an earlier run is watched until it is good, too.
    pub fn watch(&mut self, measure: &str, node: u32) {
        let name = [OFFLINE, "gateway_moved", "identity_marks"].into_iter().find(|name| *name == measure);
        self.known.extend(name.map(|name| (name, node)));
    }

    /// A gateway whose credential was removed is not missed.
    fn forget_removed(&mut self, core: &CoreHandle, listed: &mut Vec<Sampled>) {
        let is_listed =
            |node: u32| listed.iter().any(|s| s.name == OFFLINE && s.subject.node() == Some(node));
        let absent = self.known.iter().filter(|(name, node)| *name == OFFLINE && !is_listed(*node));
        let removed: Vec<u32> = absent
            .map(|(_, node)| *node)
            .filter(|node| core.about_node(*node).is_some_and(|about| !about.has_credential))
            .collect();
        for node in removed {
            self.known.remove(&(OFFLINE, node));
            listed.push(Sampled { name: OFFLINE, subject: Subject::Gateway(node), value: 0.0 });
        }
    }

    /// Says of those who are not listed any more what that means.
    fn gone(&mut self, name: &'static str, value: f64, found: &mut Vec<Sampled>) {
        let listed: BTreeSet<u32> =
            found.iter().filter(|sampled| sampled.name == name).filter_map(|s| s.subject.node()).collect();
        let known = self.known.iter().filter(|(known, node)| *known == name && !listed.contains(node));
        let gone = known.map(|(_, node)| {
            let is_node = name == "identity_marks";
            let subject = if is_node { Subject::Node(*node) } else { Subject::Gateway(*node) };
            Sampled { name, subject, value }
        });
        found.extend(gone.collect::<Vec<_>>());
    }
}
