//! Neither broker can break a bridge: any bytes from either side are an error at most.
#![no_main]

use bridge::contract::Contract;
use bridge::link::LinkSettings;
use bridge::relay::Settings;
use bridge::{End, Relay};
use libfuzzer_sys::fuzz_target;
use mqtt::{ReasonCode, Version, connect, subscribe};

fuzz_target!(|data: &[u8]| {
    let Some((head, mut rest)) = data.split_first() else { return };
    let version = if head & 1 == 0 { Version::V5 } else { Version::V311 };
    let link = || LinkSettings {
        version,
        client_id: "x".into(),
        username: None,
        password: None,
        keep_alive_s: 60,
        filters: vec!["#".to_owned()],
    };
    let settings = Settings {
        name: "x".into(),
        own_id: "x".into(),
        roots: Default::default(),
        outward: Some(Contract::default()),
        inward: Some(Contract::default()),
        here: link(),
        there: link(),
        waiting_max: 4,
        stale_ms: 1_000,
        preset: mesh::airtime::ModemPreset::LongFast,
        keyring: Default::default(),
    };
    let mut relay = Relay::new(settings, 0);
    for end in [End::Here, End::There] {
        relay.connected(0, end);
        if head & 2 == 0 {
            let mut hello = Vec::new();
            connect::encode_connack(&mut hello, version, false, ReasonCode::Success, &[]);
            subscribe::encode_suback(&mut hello, version, 1, &[1], None);
            assert!(relay.receive(0, end, &hello).is_ok());
        }
    }
    let mut now_ms = 0;
    while let Some((step, after)) = rest.split_first() {
        let end = if step & 1 == 0 { End::Here } else { End::There };
        let (portion, after) = after.split_at(usize::from(step >> 1).min(after.len()));
        now_ms += 100;
        if relay.receive(now_ms, end, portion).and_then(|()| relay.tick(now_ms, end)).is_err() {
            relay.lost(now_ms, end, Some("broken"));
            relay.connected(now_ms, end);
        }
        let unsent = relay.unsent(end).len();
        relay.advance(end, unsent / 2);
        rest = after;
    }
});
