//! What the policy promises, whatever is said and whoever hears it; and each promise seen broken by a planted fault.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod street;

use policy::decision::Outcome;
use policy::rule::RuleId;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use street::{Decided, Fault, Promise, Spoken, walk};

fn spoken() -> impl Strategy<Value = Spoken> {
    let who =
        (0u8..8, 0u8..8, prop_oneof![4 => 1u8..8, 4 => (1u8..8).prop_map(|bits| bits << 3), 1 => 1u8..64]);
    let what = (0u8..8, prop::sample::select(vec![None, Some(0), Some(1)]), any::<bool>());
    let again = prop_oneof![3 => Just(0u8), 1 => 1u8..6];
    (0u64..120_000, who, what, again).prop_map(
        |(pause_ms, (speaker, to, heard_by), (hop_limit, consent, is_text), again)| Spoken {
            pause_ms,
            speaker,
            to,
            heard_by,
            hop_limit,
            consent,
            is_text,
            again,
        },
    )
}

fn conversation() -> impl Strategy<Value = Vec<Spoken>> {
    prop::collection::vec(spoken(), 1..120)
}

/// Walks twice, with another seed of hashing each time: nothing but what was said may count.
fn check(said: &[Spoken], fault: Option<Fault>) -> Result<Decided, TestCaseError> {
    let fail = |(promise, what): (Promise, String)| TestCaseError::fail(format!("{promise:?}: {what}"));
    let first = walk(said, fault, 7).map_err(fail)?;
    let second = walk(said, fault, 8).map_err(fail)?;
    if first != second {
        return Err(fail((Promise::SameDecisions, "the second walk differs".into())));
    }
    Ok(first)
}

fn runner() -> TestRunner {
    let config = Config { cases: 96, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()))
}

proptest! {
    #![proptest_config(Config { cases: 96, ..Config::default() })]

    #[test]
    fn promises_hold_whatever_is_said(said in conversation()) {
        check(&said, None)?;
    }
}

/// Else the promises would hold because nothing ever happens.
#[test]
fn in_these_conversations_copies_are_sent_lowered_and_withheld_for_every_reason_that_is_promised() {
    let mut wanted = vec![
        Outcome::Delivered,
        Outcome::DeliveredWithHopLimit(3),
        Outcome::Withheld(RuleId::OutsideConsent),
        Outcome::Withheld(RuleId::IslandHeard),
        Outcome::Withheld(RuleId::AlreadyHeard),
        Outcome::Withheld(RuleId::AirtimeBudget),
    ];
    let mut runner = runner();
    for _ in 0..96 {
        let said = conversation().new_tree(&mut runner).unwrap().current();
        let decided = walk(&said, None, 7).unwrap();
        let outcomes = decided.iter().flat_map(|(.., outcomes)| outcomes);
        outcomes.for_each(|(outcome, _)| wanted.retain(|other| other != outcome));
    }
    assert!(wanted.is_empty(), "never seen: {wanted:?}");
}

#[test]
fn every_planted_fault_is_noticed_as_what_it_breaks() {
    for (fault, promise) in [
        (Fault::IgnoreConsent, Promise::Consent),
        (Fault::RaiseHopLimit, Promise::HopLimit),
        (Fault::IgnoreBudgets, Promise::Budget),
        (Fault::ForgetWhoHeard, Promise::NotHeardBefore),
        (Fault::GoByChance, Promise::SameDecisions),
    ] {
        let found = runner().run(&conversation(), |said| check(&said, Some(fault)).map(drop));
        let Err(TestError::Fail(reason, _)) = found else { panic!("{fault:?} was not noticed: {found:?}") };
        assert!(reason.message().starts_with(&format!("{promise:?}:")), "{fault:?}: {reason}");
    }
}
