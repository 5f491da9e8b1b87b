//! How much comes from whom: messages of a gateway, kinds of packet of a node. Bounded, and constant work for each.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// Gateways, and kinds of packet of nodes, that are remembered. When there are more, those that were silent longest make
/// room.
const GATEWAYS_MAX: usize = 4_096;
const KINDS_MAX: usize = 50_000;
/// Within this time packets of one kind are counted as one flow, in ms.
pub const FLOW_MS: u64 = 600_000;

/// What a node sends of one kind: a port, and what the port carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// Node number of the sender.
    pub node: u32,
    /// Port number; `u32::MAX` for what cannot be opened.
    pub port: u32,
    /// Which of the things that the port carries; 0 where there is one.
    pub variant: u8,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Flow {
    /// When the last one was passed on, in ms.
    passed_ms: Option<u64>,
    /// When the counting began, in ms.
    since_ms: u64,
    packets: u32,
    large: u32,
    last_ms: u64,
}

/// Tokens of a gateway: one for each message, refilled steadily.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Bucket {
    tokens: f32,
    at_ms: u64,
}

/// How fast a gateway may publish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Messages per minute in the long run.
    pub per_minute: u32,
    /// Messages at once after a pause.
    pub at_once: u32,
}

impl Bucket {
    fn tokens(self, now_ms: u64, rate: Rate) -> f32 {
        let refilled = now_ms.saturating_sub(self.at_ms) as f32 * rate.per_minute as f32 / 60_000.0;
        (self.tokens + refilled).min(rate.at_once as f32)
    }
}

/// What came from whom, as it is kept across a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptVolume {
    buckets: Vec<(u32, Bucket)>,
    flows: Vec<(Kind, Flow)>,
}

/// What came from whom.
#[derive(Debug)]
pub struct Volume {
    buckets: HashMap<u32, Bucket, FixedState>,
    flows: HashMap<Kind, Flow, FixedState>,
}

/// What is known of a flow before the packet that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowFacts {
    /// Time since the last one that was passed on, in ms; `None` when there was none.
    pub since_passed_ms: Option<u64>,
    /// Packets within [`FLOW_MS`].
    pub packets: u32,
    /// Large ones among them.
    pub large: u32,
}

impl Volume {
    /// Nothing came yet.
    pub fn new(seed: u64) -> Self {
        Self {
            buckets: HashMap::with_hasher(FixedState::with_seed(seed)),
            flows: HashMap::with_hasher(FixedState::with_seed(seed)),
        }
    }

    /// What came from whom, as it is kept across a restart.
    pub fn kept(&self) -> KeptVolume {
        KeptVolume {
            buckets: self.buckets.iter().map(|(gateway, bucket)| (*gateway, *bucket)).collect(),
            flows: self.flows.iter().map(|(kind, flow)| (*kind, *flow)).collect(),
        }
    }

    /// Forgets a node.
    pub fn forget_node(&mut self, node: u32) {
        self.buckets.remove(&node);
        self.flows.retain(|kind, _| kind.node != node);
    }

    /// Takes over what an earlier run knew.
    pub fn take_over(&mut self, kept: KeptVolume) {
        self.buckets.clear();
        self.buckets.extend(kept.buckets.into_iter().take(GATEWAYS_MAX));
        self.flows.clear();
        self.flows.extend(kept.flows.into_iter().take(KINDS_MAX));
    }

    /// Whether a gateway may publish one more message now.
    pub fn has_token(&self, now_ms: u64, gateway: u32, rate: Rate) -> bool {
        self.buckets.get(&gateway).is_none_or(|bucket| bucket.tokens(now_ms, rate) >= 1.0)
    }

    /// A gateway published a message. What was refused for its rate takes no token: who goes on publishing gets as much
    /// through as who does not.
    pub fn take_token(&mut self, now_ms: u64, gateway: u32, rate: Rate) {
        if self.buckets.len() >= GATEWAYS_MAX && !self.buckets.contains_key(&gateway) {
            let oldest =
                self.buckets.iter().min_by_key(|(_, bucket)| bucket.at_ms).map(|(gateway, _)| *gateway);
            oldest.map(|gateway| self.buckets.remove(&gateway));
        }
        let full = Bucket { tokens: rate.at_once as f32, at_ms: now_ms };
        let bucket = self.buckets.entry(gateway).or_insert(full);
        *bucket = Bucket { tokens: (bucket.tokens(now_ms, rate) - 1.0).max(0.0), at_ms: now_ms };
    }

    /// What is known of a flow.
    pub fn flow(&self, now_ms: u64, kind: Kind) -> FlowFacts {
        let Some(flow) = self.flows.get(&kind) else { return FlowFacts::default() };
        let is_over = now_ms.saturating_sub(flow.since_ms) > FLOW_MS;
        FlowFacts {
            since_passed_ms: flow.passed_ms.map(|at| now_ms.saturating_sub(at)),
            packets: if is_over { 0 } else { flow.packets },
            large: if is_over { 0 } else { flow.large },
        }
    }

    /// A packet of a flow came for the first time.
    pub fn note(&mut self, now_ms: u64, kind: Kind, is_large: bool, is_passed: bool) {
        if self.flows.len() >= KINDS_MAX && !self.flows.contains_key(&kind) {
            self.forget_silent();
        }
        let flow = self.flows.entry(kind).or_default();
        if now_ms.saturating_sub(flow.since_ms) > FLOW_MS {
            (flow.since_ms, flow.packets, flow.large) = (now_ms, 0, 0);
        }
        flow.packets = flow.packets.saturating_add(1);
        flow.large = flow.large.saturating_add(is_large.into());
        flow.last_ms = now_ms;
        if is_passed {
            flow.passed_ms = Some(now_ms);
        }
    }

    fn forget_silent(&mut self) {
        let mut times: Vec<u64> = self.flows.values().map(|flow| flow.last_ms).collect();
        let tenth = times.len() / 10;
        let (_, limit, _) = times.select_nth_unstable(tenth);
        let limit = *limit;
        self.flows.retain(|_, flow| flow.last_ms > limit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_minute: 60, at_once: 10 };

    #[test]
    fn a_flow_is_counted_for_ten_minutes_and_knows_when_the_last_was_passed_on() {
        let (mut volume, kind) = (Volume::new(0), Kind { node: 7, port: 67, variant: 1 });
        assert_eq!(volume.flow(0, kind), FlowFacts::default());
        volume.note(1_000, kind, false, true);
        volume.note(2_000, kind, true, false);
        let facts = volume.flow(3_000, kind);
        assert_eq!(facts, FlowFacts { since_passed_ms: Some(2_000), packets: 2, large: 1 });
        assert_eq!(volume.flow(3_000, Kind { variant: 2, ..kind }), FlowFacts::default());
        assert_eq!(volume.flow(1_001 + FLOW_MS, kind).packets, 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut volume = Volume::new(0);
        for node in 0..60_000u32 {
            volume.note(u64::from(node), Kind { node, port: 1, variant: 0 }, false, true);
            volume.take_token(u64::from(node), node, RATE);
        }
        assert!(volume.flows.len() <= KINDS_MAX && volume.buckets.len() <= GATEWAYS_MAX);
    }

    proptest! {
        /// However a gateway spreads its messages: in no minute more than the rate and what may come at once.
        #[test]
        fn no_minute_has_more_than_the_rate_allows(pauses in prop::collection::vec(0u64..4_000, 1..300)) {
            let (mut volume, mut now_ms, mut passed) = (Volume::new(0), 0, Vec::new());
            for pause in pauses {
                now_ms += pause;
                if volume.has_token(now_ms, 7, RATE) {
                    volume.take_token(now_ms, 7, RATE);
                    passed.push(now_ms);
                }
            }
            for end in &passed {
                let within = passed.iter().filter(|at| *at <= end && end - **at < 60_000).count();
                prop_assert!(within <= 70, "{within}");
            }
        }

        /// Who keeps within the rate is never stopped, whatever others do.
        #[test]
        fn a_gateway_within_its_rate_is_never_stopped(others in prop::collection::vec(0u32..50, 0..2_000)) {
            let mut volume = Volume::new(0);
            for second in 0..40u64 {
                for other in &others {
                    volume.take_token(second * 1_000, 100 + other, RATE);
                }
                prop_assert!(volume.has_token(second * 1_000, 7, RATE));
                volume.take_token(second * 1_000, 7, RATE);
            }
        }
    }
}
