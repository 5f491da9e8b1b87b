//! Who publishes, and where: topics that a credential allows, and one gateway named everywhere.

use ipnet::IpNet;
use mesh::observe::{Facts, Flags};
use mesh::topic::TopicKind;

use super::{Objection, Uplink, carries_envelopes, kind, object};
use crate::decision::Verdict;
use crate::principal::Principal;
use crate::response::is_response_topic;

/// Who is shut out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhoSettings {
    /// Networks that nothing is taken from.
    pub blocked_networks: Vec<IpNet>,
    /// Node numbers of gateways that nothing is taken from.
    pub blocked_gateways: Vec<u32>,
    /// Node numbers whose packets are not passed on, whoever heard them.
    pub blocked_nodes: Vec<u32>,
}

pub(super) fn blocked_address(settings: &WhoSettings, up: &Uplink<'_>) -> Option<Objection> {
    let address = up.address?.to_canonical();
    if !settings.blocked_networks.iter().any(|network| network.contains(&address)) {
        return None;
    }
    object(Verdict::Refuse, "The operator has blocked the network that this gateway connects from.")
}

pub(super) fn blocked_gateway(settings: &WhoSettings, up: &Uplink<'_>) -> Option<Objection> {
    let is_blocked = |number: u32| settings.blocked_gateways.contains(&number);
    let named = up.sender.gateway().is_some_and(is_blocked)
        || (!settings.blocked_gateways.is_empty() && super::heard_by(up.facts).is_some_and(is_blocked));
    if !named {
        return None;
    }
    object(Verdict::Refuse, "The operator has blocked this gateway; ask them why.")
}

pub(super) fn channel_grant(up: &Uplink<'_>) -> Option<Objection> {
    let grant = up.directory.grant(super::heard_by(up.facts)?, up.now.unix_ms)?;
    let channel = up.facts.channel_id.or(up.facts.topic.as_ref().and_then(|t| t.channel))?;
    if grant.allows_channel(channel) {
        return None;
    }
    object(
        Verdict::RecordOnly,
        "The operator has agreed to other channels of this gateway, and not to this one.",
    )
}

pub(super) fn blocked_node(settings: &WhoSettings, facts: &Facts<'_>) -> Option<Objection> {
    let from = facts.packet.as_ref()?.from.0;
    if !settings.blocked_nodes.contains(&from) {
        return None;
    }
    object(Verdict::RecordOnly, format!("The operator has blocked the node !{from:08x}."))
}

pub(super) fn topic_rights(up: &Uplink<'_>) -> Option<Objection> {
    match up.sender {
        Principal::Gateway { .. } if up.facts.topic.is_none() => object(
            Verdict::Refuse,
            "A gateway publishes on its own mesh topics only; this topic is none of them. Check the MQTT root topic.",
        ),
        Principal::Bridge { .. } if !carries_envelopes(up.facts) => {
            object(Verdict::Refuse, "A bridge brings packets of the mesh and nothing else.")
        }
        Principal::Observer { .. } => object(Verdict::Refuse, "An observer reads and does not publish."),
        Principal::Service { .. } | Principal::Guest { .. } if is_response_topic(up.topic) => None,
        // What it asks for is sent by the broker's own node, so that its topics do not matter.
        Principal::Service { .. } if kind(up.facts) == Some(TopicKind::JsonCommand) => None,
        Principal::Service { prefix, .. } if !is_at_or_below(up.topic, prefix) => {
            object(Verdict::Refuse, "A service publishes at or below its own topic prefix only.")
        }
        Principal::Service { .. } if carries_envelopes(up.facts) => object(
            Verdict::Refuse,
            "Packets come from gateways: a service does not publish on envelope topics.",
        ),
        Principal::Guest { .. } if up.topic.starts_with('$') => {
            object(Verdict::Refuse, "Topics that begin with `$` belong to the broker.")
        }
        _ => None,
    }
}

/// Whether a topic is the prefix itself or lies below it; `a/b` does not lie below `a/`'s sibling `ab`.
fn is_at_or_below(topic: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn json_command(up: &Uplink<'_>) -> Option<Objection> {
    if kind(up.facts) != Some(TopicKind::JsonCommand) {
        return None;
    }
    if let Principal::Service { username, .. } = up.sender {
        return match up.directory.sending(username) {
            Some(_) => object(
                Verdict::RecordOnly,
                "A command of a service that may send: it is passed on to nobody, and what it asks for is sent by the \
                 broker's own node.",
            ),
            None => object(
                Verdict::Refuse,
                "This service may not have anything sent. The operator allows it with `backhaul service allow`.",
            ),
        };
    }
    // A gateway with a channel named `mqtt` uplinks its decoded JSON on the same topic, under its own id; that is
    // judged as JSON. Everybody else could only mean a command.
    let own = up.facts.topic.as_ref().and_then(|t| t.gateway_node()).map(|n| n.0);
    if own.is_some() && own == up.sender.gateway() {
        return None;
    }
    object(
        Verdict::Refuse,
        "JSON command topics make a node transmit; only services that the operator allows may use them.",
    )
}

pub(super) fn identity(up: &Uplink<'_>) -> Option<Objection> {
    let topic = up.facts.topic.as_ref()?;
    if matches!(up.sender, Principal::Service { .. }) {
        // A service speaks for itself on topics of its own; envelope topics are closed to it.
        return None;
    }
    let in_topic = topic.gateway_node().map(|n| n.0);
    let credential = match up.sender {
        Principal::Gateway { gateway, .. } => Some(*gateway),
        _ => None,
    };
    if topic.gateway.is_some() && in_topic.is_none() {
        return object(
            Verdict::Refuse,
            "The last level of the topic must be the gateway's id: `!` and eight lower-case hexadecimal digits.",
        );
    }
    if let (Some(topic), Some(credential)) = (in_topic, credential)
        && topic != credential
    {
        return object(
            Verdict::Refuse,
            format!("The topic names gateway !{topic:08x}, but the credential is of !{credential:08x}."),
        );
    }
    if !carries_envelopes(up.facts) {
        return None;
    }
    let Some(envelope) = up.facts.gateway.map(|n| n.0) else {
        return object(Verdict::Refuse, "The envelope does not say which gateway it comes from.");
    };
    let expected = in_topic.or(credential);
    if let Some(expected) = expected
        && expected != envelope
    {
        return object(
            Verdict::Refuse,
            format!("The envelope names gateway !{envelope:08x}, but it came as !{expected:08x}."),
        );
    }
    if up.facts.flags.contains(Flags::TOPIC_CHANNEL_MISMATCH) {
        return object(Verdict::Refuse, "Topic and envelope name different channels.");
    }
    if up.facts.flags.contains(Flags::FROM_INVALID) {
        return object(
            Verdict::Refuse,
            "The packet's sender is not a node: its number is 0 or the broadcast address.",
        );
    }
    None
}
