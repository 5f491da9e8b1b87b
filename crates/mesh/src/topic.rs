//! Topics that gateways use (firmware `src/mqtt/MQTT.cpp`). The root may be any number of levels, or none.

use crate::node::NodeNum;

/// What a mesh topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicKind {
    /// `{root}/2/e/{channel}/{gateway}`: envelopes.
    Envelope,
    /// `{root}/2/c/{channel}/{gateway}`: envelopes of firmware before 2.3.
    LegacyEnvelope,
    /// `{root}/2/map/`: map reports; names no gateway.
    Map,
    /// `{root}/2/json/{channel}/{gateway}`: decoded JSON of firmware up to 2.7.
    Json,
    /// `{root}/2/json/mqtt/…`: JSON commands that make a node transmit. A gateway with a channel named `mqtt` uplinks
    /// its own JSON on the same topic, so who published decides what it is.
    JsonCommand,
    /// `{root}/2/stat/{gateway}`: online/offline of firmware before July 2024.
    Stat,
}

/// A mesh topic taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeshTopic<'a> {
    /// Everything before `/2/`; may be empty.
    pub root: &'a str,
    /// What it carries.
    pub kind: TopicKind,
    /// Channel name.
    pub channel: Option<&'a str>,
    /// The last level, as it stands.
    pub gateway: Option<&'a str>,
    /// Its number: many ask for it, so it is read once.
    gateway_node: Option<NodeNum>,
}

impl<'a> MeshTopic<'a> {
    /// Takes a Topic Name apart; `None` when it is none of the mesh's.
    pub fn parse(topic: &'a str) -> Option<Self> {
        let (rest, last) = topic.rsplit_once('/')?;
        let make = |root, kind, channel, gateway: Option<&'a str>| {
            Some(Self { root, kind, channel, gateway, gateway_node: gateway.and_then(NodeNum::parse) })
        };
        if last.is_empty()
            && let Some(root) = before(rest, "2/map")
        {
            return make(root, TopicKind::Map, None, None);
        }
        if let Some(root) = before(rest, "2/stat") {
            return make(root, TopicKind::Stat, None, Some(last));
        }
        // A channel's name may hold slashes, so it is all that follows the rightmost marker.
        let (root, kind, channel) = rightmost_marker(rest)?;
        let first_level = channel.split('/').next().unwrap_or_default();
        let is_command = kind == TopicKind::Json && first_level.eq_ignore_ascii_case("mqtt");
        make(root, if is_command { TopicKind::JsonCommand } else { kind }, Some(channel), Some(last))
    }

    /// The gateway's number, when the last level is written as firmware writes it.
    pub const fn gateway_node(&self) -> Option<NodeNum> {
        self.gateway_node
    }
}

/// Root, kind and channel: what stands before, in and after the last `2/e/`, `2/c/` or `2/json/` that begins a level.
fn rightmost_marker(rest: &str) -> Option<(&str, TopicKind, &str)> {
    let bytes = rest.as_bytes();
    let begins =
        (0..bytes.len()).rev().filter(|at| bytes[*at] == b'2' && (*at == 0 || bytes[at - 1] == b'/'));
    begins.into_iter().find_map(|at| {
        // A level begins there, so both are borders of characters.
        let (root, tail) = (rest[..at].strip_suffix('/').unwrap_or_default(), &rest[at..]);
        let kinds = [
            ("2/e/", TopicKind::Envelope),
            ("2/c/", TopicKind::LegacyEnvelope),
            ("2/json/", TopicKind::Json),
        ];
        kinds.into_iter().find_map(|(marker, kind)| Some((root, kind, tail.strip_prefix(marker)?)))
    })
}

/// What stands before a tail of whole levels.
fn before<'a>(text: &'a str, tail: &str) -> Option<&'a str> {
    let root = text.strip_suffix(tail)?;
    if root.is_empty() { Some(root) } else { root.strip_suffix('/') }
}

/// The topic a gateway uplinks envelopes on.
pub fn envelope_topic(root: &str, channel: &str, gateway: NodeNum) -> String {
    let slash = if root.is_empty() { "" } else { "/" };
    format!("{root}{slash}2/e/{channel}/{gateway}")
}

/// The topic of map reports.
pub fn map_topic(root: &str) -> String {
    let slash = if root.is_empty() { "" } else { "/" };
    format!("{root}{slash}2/map/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_all_kinds() {
        use TopicKind::*;
        for (topic, expected) in [
            ("msh/US/CITY/2/e/LongFast/!a5000001", Some((Envelope, "msh/US/CITY", Some("LongFast")))),
            ("msh/2/e/Long Fast/!a5000001", Some((Envelope, "msh", Some("Long Fast")))),
            ("2/e/LongFast/!a5000001", Some((Envelope, "", Some("LongFast")))),
            ("msh/US/2/c/LongFast/!a5000001", Some((LegacyEnvelope, "msh/US", Some("LongFast")))),
            ("msh/US/2/map/", Some((Map, "msh/US", None))),
            ("msh/US/2/json/LongFast/!a5000001", Some((Json, "msh/US", Some("LongFast")))),
            ("msh/US/2/json/mqtt/!a5000001", Some((JsonCommand, "msh/US", Some("mqtt")))),
            ("msh/US/2/json/MQTT/anything", Some((JsonCommand, "msh/US", Some("MQTT")))),
            ("msh/US/2/json/mqtt/any/thing", Some((JsonCommand, "msh/US", Some("mqtt/any")))),
            ("msh/US/2/stat/!a5000001", Some((Stat, "msh/US", None))),
            ("msh/2/e/KC/MO/!a5000001", Some((Envelope, "msh", Some("KC/MO")))),
            ("msh/2/e/2/e/LongFast/!a5000001", Some((Envelope, "msh/2/e", Some("LongFast")))),
            ("msh/2/json/2/e/LongFast/!a5000001", Some((Envelope, "msh/2/json", Some("LongFast")))),
            ("msh/12/e/2/e/X/!a5000001", Some((Envelope, "msh/12/e", Some("X")))),
            ("msh/2/e/12/e/X/!a5000001", Some((Envelope, "msh", Some("12/e/X")))),
            ("msh/2/e//!a5000001", Some((Envelope, "msh", Some("")))),
            ("msh/2/e/!a5000001", None),
            ("msh/US/2/map", None),
            ("msh/US/12/e/LongFast/!a5000001", None),
            ("home/lights", None),
            ("", None),
        ] {
            let found = MeshTopic::parse(topic).map(|t| (t.kind, t.root, t.channel));
            assert_eq!(found, expected, "{topic}");
        }
    }

    #[test]
    fn topics_that_are_made_are_understood() {
        let topic = envelope_topic("msh/US", "Ops", NodeNum(7));
        assert_eq!(MeshTopic::parse(&topic).unwrap().gateway_node(), Some(NodeNum(7)));
        assert_eq!(MeshTopic::parse(&map_topic("msh")).unwrap().kind, TopicKind::Map);
    }
}
