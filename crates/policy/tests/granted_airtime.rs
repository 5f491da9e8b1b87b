//! An agreement about telemetry is worth an amount of airtime: it is used up by what passes, and then the ordinary applies.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use directory::{GatewayId, Grant, GrantCommand};
use mesh::compose::{Closed, Content, Packet, device_telemetry, envelope};
use mesh::key::ChannelKey;
use mesh::node::NodeNum;
use policy::decision::{Decision, Verdict};
use policy::memory::airtime::Account;
use policy::rule::RuleId;
use policy::settings::Settings;
use town::{FIELD, NORTH, Town};

fn measure(town: &mut Town, id: u32) -> Decision {
    let packet = Packet {
        from: NodeNum(FIELD),
        to: NodeNum::BROADCAST,
        id,
        hop_limit: 2,
        hop_start: 3,
        rx_rssi: -80,
        ..Packet::default()
    };
    let (port, payload) = device_telemetry(1, 90, 4.0, 5.0, 1.0, 60);
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    let key = ChannelKey::from_psk(&[9; 32]).unwrap();
    let payload = envelope(&packet, &content, "Ops", Closed::Encrypted(&key), NodeNum(NORTH));
    town.publish(NORTH, &format!("msh/US/2/e/Ops/!{NORTH:08x}"), &payload)
}

#[test]
fn what_passes_uses_the_agreement_up_and_an_hour_later_it_is_there_again() {
    let mut town = Town::new(Settings::default());
    town.policy.set_settings(Settings::default().into());
    town.add_gateway(NORTH);
    let grant = Grant { telemetry: true, telemetry_ms: Some(1_000), ..Grant::default() };
    let set = GrantCommand::Set(GatewayId(NORTH), grant);
    town.directory = town.directory.apply_grant(set, 1).unwrap().directory;
    let mut passed = 0;
    let refused = loop {
        town.wait_s(30);
        let decision = measure(&mut town, passed + 1);
        if !matches!(decision.verdict, Verdict::Accept | Verdict::Rewrite) {
            break decision;
        }
        passed += 1;
        assert!(passed < 30, "the agreement is never used up");
    };
    assert_eq!((refused.verdict, refused.rule), (Verdict::RecordOnly, Some(RuleId::Interval)));
    assert!(refused.sentence.contains("1 s of airtime an hour that were agreed"), "{}", refused.sentence);
    let used_us = town.policy.memory.uplink.used_us(town.now().mono_ms, Account::Granted(NORTH));
    assert!(passed > 1 && used_us >= 1_000_000, "{passed} passed, {used_us} us");
    town.wait_s(3_700);
    assert_eq!(measure(&mut town, 100).rule.filter(|rule| *rule == RuleId::Interval), None);
    town.wait_s(30);
    assert_ne!(measure(&mut town, 101).verdict, Verdict::RecordOnly, "the agreement is there again");
}
