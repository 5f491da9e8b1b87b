//! JSON commands are understood as firmware 2.7 does, by its vectors.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;

use mesh::json_command::{Asked, JsonCommand, parse};
use mesh::node::NodeNum;
use mesh::topic::{MeshTopic, TopicKind};
use proptest::prelude::*;
use serde_json::Value as Json;

#[test]
fn what_firmware_accepts_is_accepted_and_what_it_ignores_is_refused() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/json27_downlink.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let mut compared = 0;
    for line in text.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let word = |key: &str| line[key].as_str().unwrap().to_owned();
        let node = NodeNum::parse(&word("gateway")).unwrap();
        let topic = word("topic");
        let is_command = MeshTopic::parse(&topic).is_some_and(|topic| topic.kind == TopicKind::JsonCommand);
        let understood = parse(word("payload").as_bytes(), node);
        let accepts = is_command && understood.is_ok();
        assert_eq!(accepts, word("firmware_2_7_26") == "accept", "{}: {understood:?}", word("name"));
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");
}

#[test]
fn every_part_of_a_command_is_understood() {
    let command = br#"{"from":7,"to":9,"channel":2,"hopLimit":1,"type":"sendtext","payload":"hi"}"#;
    let expected =
        JsonCommand { to: NodeNum(9), channel: 2, hop_limit: 1, what: Asked::Text("hi".to_owned()) };
    assert_eq!(parse(command, NodeNum(7)), Ok(expected));
    let command = br#"{"from":7,"hopLimit":9,"channel":8,"type":"sendposition","payload":{"latitude_i":-1,"longitude_i":2}}"#;
    let what = Asked::Position { latitude_i: -1, longitude_i: 2, altitude_m: 0, time: 0 };
    let expected = JsonCommand { to: NodeNum::BROADCAST, channel: 0, hop_limit: 3, what };
    assert_eq!(parse(command, NodeNum(7)), Ok(expected));
    for wrong in [
        r#"{"from":7,"type":"sendtext","payload":""}"#,
        r#"{"from":7,"to":0,"type":"sendtext","payload":"x"}"#,
        r#"{"from":7,"to":1.5,"type":"sendtext","payload":"x"}"#,
        r#"{"from":7,"type":"sendposition","payload":{"latitude_i":1}}"#,
        r#"{"from":7,"type":"sendposition","payload":{"latitude_i":900000001,"longitude_i":1}}"#,
        r#"[1]"#,
    ] {
        assert!(parse(wrong.as_bytes(), NodeNum(7)).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&payload, NodeNum(7)));
    }
}
