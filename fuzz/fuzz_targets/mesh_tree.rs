//! An opened payload of unknown origin as a tree. The first two bytes are the port number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh::portnum::PortNum;
use mesh::schema;
use mesh::tree::{self, Entry, Tree, Value};

fuzz_target!(|bytes: &[u8]| {
    let [low, high, payload @ ..] = bytes else { return };
    // Port numbers end at 511.
    let port = PortNum(u32::from(u16::from_le_bytes([*low, *high]) & 511));
    let tree = tree::read(port, payload);
    let _ = tree.to_json().to_string();
    match &tree {
        Tree::Message(_, entries) => check(entries, payload.len()),
        Tree::Text(text) => assert_eq!(text.as_bytes(), payload),
        Tree::Bytes(kept) => assert_eq!(kept, payload),
    }
    if schema::is_valid(port, payload) {
        match schema::payload_of(port) {
            schema::Payload::Text => assert!(matches!(tree, Tree::Text(_)), "valid text reads as text"),
            schema::Payload::Message(_) => {
                assert!(matches!(tree, Tree::Message(..)), "valid messages are read")
            }
            schema::Payload::Opaque => {}
        }
    }
});

/// Entries stand within the payload.
fn check(entries: &[Entry], len: usize) {
    for entry in entries {
        let (from, to) = entry.bytes;
        assert!(from < to && to <= len, "{entry:?}");
        let _ = entry.value.to_text();
        if let Value::Message(inner) = &entry.value {
            check(inner, len);
        }
    }
}
