//! A Topic Name of unknown origin as a mesh topic: its parts are parts of it, and those of an envelope make it again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh::node::NodeNum;
use mesh::topic::{MeshTopic, TopicKind, envelope_topic, map_topic};

fuzz_target!(|name: &str| {
    let _ = NodeNum::parse(name);
    let Some(topic) = MeshTopic::parse(name) else { return };
    assert!(name.starts_with(topic.root));
    match (topic.kind, topic.channel, topic.gateway_node()) {
        (TopicKind::Map, ..) => assert!(topic.root.is_empty() || map_topic(topic.root) == name),
        // An empty root with a slash after it is another topic than one without.
        (TopicKind::Envelope, Some(channel), Some(gateway)) if !name.starts_with('/') => {
            assert_eq!(envelope_topic(topic.root, channel, gateway), name);
        }
        _ => {}
    }
});
