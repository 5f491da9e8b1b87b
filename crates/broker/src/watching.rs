//! What policy remembers of nodes and gateways, for pages; and the event when a gateway turns out to have moved.

use std::sync::Arc;

use directory::{GatewayId, Quarantine};
use policy::memory::mark::Evidence;
use policy::memory::movement::{Moved, Standing};
use policy::memory::nodes::KnownNode;
use policy::memory::profiles::Profile;
use record::{ConnectionEvent, ConnectionWhat, Record};

use crate::{Broker, Now};

/// What is known of one node.
#[derive(Debug, Clone)]
pub struct NodeAbout {
    /// What was said by it and of it.
    pub known: Option<KnownNode>,
    /// What it said of itself as a gateway.
    pub profile: Option<Profile>,
    /// Whether it stays where it is, as a gateway.
    pub standing: Standing,
    /// Whether it is a gateway: it has a credential, or has spoken for itself.
    pub is_gateway: bool,
    /// Whether it has a credential as a gateway, switched off or not.
    pub has_credential: bool,
    /// Its quarantine, when it is in one.
    pub quarantine: Option<Quarantine>,
    /// When the operator has looked at it last, Unix ms.
    pub reviewed_ms: Option<i64>,
}

/// Everything that wants the operator's eye.
#[derive(Debug, Clone, Default)]
pub struct Watching {
    /// Gateways that have moved and were not looked at since.
    pub moved: Vec<(u32, Moved)>,
    /// Nodes with marks, those with the latest first.
    pub marked: Vec<(u32, Vec<Evidence>)>,
    /// Nodes in quarantine.
    pub quarantined: Vec<(u32, Quarantine)>,
}

/// Marked nodes that are listed at most.
const MARKED_MAX: usize = 200;

impl Broker {
    /// What is known of one node.
    pub fn about_node(&self, node: u32) -> NodeAbout {
        let (memory, directory) = (&self.policy.memory, &self.options.directory);
        let profile = memory.profiles.get(node).cloned();
        NodeAbout {
            known: memory.nodes.get(node).cloned(),
            standing: memory.movement.standing(directory, node),
            is_gateway: profile.is_some() || directory.gateway(GatewayId(node)).is_some(),
            has_credential: directory.gateway(GatewayId(node)).is_some(),
            profile,
            quarantine: directory.watch().quarantine(GatewayId(node)).cloned(),
            reviewed_ms: directory.watch().reviewed_ms(GatewayId(node)),
        }
    }

    /// Everything that wants the operator's eye.
    pub fn watching(&self) -> Watching {
        let (memory, directory) = (&self.policy.memory, &self.options.directory);
        let mut marked: Vec<(u32, Vec<Evidence>)> = memory
            .nodes
            .iter()
            .map(|(node, _, known)| (node, known.evidence().copied().collect::<Vec<_>>()))
            .filter(|(_, evidence)| !evidence.is_empty())
            .collect();
        marked.sort_by_key(|(_, evidence)| std::cmp::Reverse(evidence.iter().map(|e| e.last_ms).max()));
        marked.truncate(MARKED_MAX);
        let mut moved: Vec<_> = memory.movement.moved(directory).collect();
        moved.sort_by_key(|(gateway, moved)| (std::cmp::Reverse(moved.at_ms), *gateway));
        let quarantined = &directory.watch().quarantined;
        let quarantined = quarantined.iter().map(|(node, kept)| (node.0, kept.clone())).collect();
        Watching { moved, marked, quarantined }
    }

    /// Tells the history of gateways that have just turned out to have moved.
    pub(crate) fn tell_movement(&mut self, now: Now) {
        for (gateway, moved) in self.policy.memory.movement.take_news() {
            let session = self
                .sessions
                .iter()
                .map(|(_, session)| session)
                .find(|s| s.principal.gateway() == Some(gateway));
            let event = ConnectionEvent {
                at_ms: now.unix_ms,
                client_id: session
                    .map_or_else(|| GatewayId(gateway).to_string().into(), |s| s.client_id.clone()),
                username: session.and_then(|s| s.principal.username().cloned()),
                gateway: Some(gateway),
                address: "".into(),
                what: ConnectionWhat::Moved(moved.why.word()),
            };
            self.records.push(Record::Connection(Arc::new(event)));
        }
    }
}
