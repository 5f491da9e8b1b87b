//! Connections of a gateway are found again, newest first and no others.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use history::{Came, Reader, Writer};
use made_up::{Maker, NOON_MS};
use record::{ConnectionWhat, Record};

const DAY_MS: i64 = 86_400_000;

#[test]
fn connections_of_a_gateway_are_found_newest_first_over_days() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path()).unwrap();
    let mut maker = Maker::new(11);
    let mut told = Vec::new();
    for minute in 0..400 {
        maker.at_ms = NOON_MS - 2 * DAY_MS + minute * DAY_MS / 200;
        let record = maker.connection();
        let Record::Connection(event) = &record else { unreachable!("it makes one") };
        told.push(event.clone());
        writer.append(&[record]).unwrap();
    }
    let gateway = told[0].gateway.unwrap();
    let expected: Vec<_> = told
        .iter()
        .rev()
        .filter(|event| event.gateway == Some(gateway))
        .map(|event| match event.what {
            ConnectionWhat::Connected(version) => (event.at_ms, Came::In, version),
            ConnectionWhat::Refused(why) => (event.at_ms, Came::Refused, why),
            ConnectionWhat::Disconnected(why) => (event.at_ms, Came::Out, why),
            ConnectionWhat::Moved(why) => (event.at_ms, Came::Moved, why),
        })
        .collect();
    assert!(expected.len() > 5);
    let reader = Reader::open(folder.path()).unwrap();
    let of = |since, until, count| {
        let found = reader.connections_of(gateway, since, until, count).unwrap();
        found.into_iter().map(|c| (c.at_ms, c.came, c.detail)).collect::<Vec<_>>()
    };
    let as_found = |part: &[(i64, Came, &str)]| {
        part.iter().map(|(at, came, detail)| (*at, *came, (*detail).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(of(0, i64::MAX, 1_000), as_found(&expected));
    assert_eq!(of(0, i64::MAX, 3), as_found(&expected[..3]));
    let (since, until) = (expected[4].0, expected[1].0);
    assert_eq!(of(since, until, 1_000), as_found(&expected[2..5]));
}
