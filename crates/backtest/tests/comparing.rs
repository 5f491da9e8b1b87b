//! Two policies beside each other: the same gives no difference, another tells what and whom, twice the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::sync::Arc;

use backtest::{Backtest, Heard, Options, Report, sentences};
use directory::{Command, Directory, GatewayId, Token, TokenKey};
use mesh::keyring::Keyring;
use policy::memory::MemoryLimits;
use policy::rule::{RULES, RuleId, RuleState};
use policy::settings::Settings;
use proptest::prelude::*;
use record::ReceiverKind;

const GATEWAYS: [u32; 2] = [0x7c5a_0a01, 0x7c5a_0a02];
const START_MS: i64 = 1_795_000_000_000;

fn directory() -> Arc<Directory> {
    let key = TokenKey::new([7; 32]);
    let mut directory = Directory::default();
    for gateway in GATEWAYS {
        let token = Token::from_random([9; 17]);
        let command = Command::AddGateway { id: GatewayId(gateway), owner: None, note: String::new(), token };
        directory = directory.apply(command, &key, 0).unwrap().directory;
    }
    Arc::new(directory)
}

/// Receptions of two packets, one without consent, by either gateway, in this order and distance.
fn run(proposed: Settings, order: &[(usize, usize, i64)]) -> Report {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/packets/");
    let packets = ["text.bin", "text_without_consent.bin"]
        .map(|name| std::fs::read(format!("{folder}{name}")).unwrap());
    let mut backtest = Backtest::new(Options {
        current: Arc::default(),
        proposed: Arc::new(proposed),
        directory: directory(),
        keyring: Keyring::default(),
        preset: mesh::airtime::ModemPreset::LongFast,
        limits: MemoryLimits::default(),
        count_from_ms: START_MS,
    });
    let receivers: Vec<(Arc<str>, ReceiverKind)> =
        GATEWAYS.iter().map(|g| (format!("!{g:08x}").into(), ReceiverKind::Gateway)).collect();
    let channel: Arc<str> = "LongFast".into();
    let mut at_ms = START_MS;
    for (index, (packet, gateway, later_ms)) in order.iter().enumerate() {
        at_ms += later_ms;
        let id = format!("!{:08x}", GATEWAYS[*gateway]);
        let username: Arc<str> = format!("gw-{}", &id[1..]).into();
        backtest.take(&Heard {
            seq: index as u64 + 1,
            at_ms,
            client_id: &id.as_str().into(),
            username: Some(&username),
            topic: &format!("msh/US/2/e/LongFast/{id}").into(),
            channel: Some(&channel),
            payload: &packets[*packet],
            receivers: &receivers,
        });
    }
    backtest.finish()
}

#[test]
fn a_rule_that_only_observes_lets_through_what_it_stopped() {
    let mut proposed = Settings::default();
    proposed.set_state(RuleId::Consent, RuleState::Observe);
    let report = run(proposed, &[(0, 0, 0), (1, 0, 1_000)]);
    assert_eq!((report.receptions, report.gained, report.lost), (2, 1, 0), "{report:?}");
    assert_eq!(report.rules[&RuleId::Consent].decided, [1, 0]);
    assert_eq!(report.rules[&RuleId::Consent].observed, [0, 1]);
    assert_eq!((report.gateways_hit, report.samples.is_empty()), (1, false));
    assert!(
        sentences(&report).iter().any(|s| s.text.contains("would have been passed on that")),
        "{report:?}"
    );
}

#[test]
fn senders_without_a_credential_are_left_out_and_counted() {
    let mut order = vec![(0, 0, 0)];
    order.push((0, 1, 1));
    assert_eq!(run(Settings::default(), &order).senders_gone, 0);
    let report = Backtest::new(Options {
        current: Arc::default(),
        proposed: Arc::default(),
        directory: Arc::default(),
        keyring: Keyring::default(),
        preset: mesh::airtime::ModemPreset::LongFast,
        limits: MemoryLimits::default(),
        count_from_ms: 0,
    });
    let mut report = report;
    report.take(&Heard {
        seq: 1,
        at_ms: 1,
        client_id: &"!7c5a0a01".into(),
        username: Some(&"gw-7c5a0a01".into()),
        topic: &"msh/US/2/e/LongFast/!7c5a0a01".into(),
        channel: None,
        payload: &[],
        receivers: &[],
    });
    let report = report.finish();
    assert_eq!((report.senders_gone, report.receptions), (1, 0));
}

proptest! {
    // Each case makes whole ledgers three times.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_same_policy_differs_in_nothing_and_the_same_input_gives_the_same_report(
        order in proptest::collection::vec((0usize..2, 0usize..2, 0i64..20_000), 0..30),
        rule in 0..RULES.len(),
    ) {
        let same = run(Settings::default(), &order);
        prop_assert_eq!((same.changed, same.receptions), (0, order.len() as u64));
        prop_assert_eq!(same.sides[0], same.sides[1]);
        let other = || {
            let mut settings = Settings::default();
            settings.set_state(RULES[rule].id, RuleState::Off);
            settings
        };
        let (first, second) = (run(other(), &order), run(other(), &order));
        prop_assert_eq!(format!("{:?}", first), format!("{:?}", second));
        prop_assert_eq!(first.sides[0], same.sides[0], "what is proposed does not touch what is in force");
    }
}
