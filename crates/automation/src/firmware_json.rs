//! Packets in the JSON of firmware 2.7, on its topics. Firmware 2.8 publishes none, so that what reads it would go dark.

use mesh::node::NodeNum;
use mesh::observe::Facts;
use mesh::topic::TopicKind;
use serde_json::Value as Json;

use crate::known_nodes::KnownNodes;
use crate::settings::Settings;

/// The topic and the message; `None` for what firmware 2.7 has no JSON of, such as map reports.
pub fn of(settings: &Settings, facts: &Facts<'_>, nodes: &KnownNodes) -> Option<(String, Json)> {
    let topic = facts.topic?;
    let is_envelope = matches!(topic.kind, TopicKind::Envelope | TopicKind::LegacyEnvelope);
    let (channel, gateway) = (topic.channel.filter(|_| is_envelope)?, topic.gateway?);
    // Below that name are commands that make nodes transmit.
    let first_level = channel.split('/').next().unwrap_or_default();
    if first_level.eq_ignore_ascii_case("mqtt") {
        return None;
    }
    let index = settings.channels.iter().position(|named| **named == *channel).unwrap_or(0);
    let name = |node: NodeNum| nodes.long_name(node.0).map(str::to_owned);
    let message = mesh::json27::message(facts, u32::try_from(index).unwrap_or(0), &name)?;
    let slash = if topic.root.is_empty() { "" } else { "/" };
    Some((format!("{}{slash}2/json/{channel}/{gateway}", topic.root), message))
}
