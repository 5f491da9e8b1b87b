//! A short life of the city: what the policy promises holds at every step, the same seed gives the same decisions, and each
//! promise can be seen broken.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use trial::{Fault, Figures, Outcome, Plan, Way, run};

/// A smaller city for an hour, half of which counts.
fn plan(seed: u64, way: Way) -> Plan {
    Plan {
        duration_ms: 3_600_000,
        abuse_ms: Some(2_400_000..2_410_000),
        nodes: 120,
        texts_per_hour: 30,
        ..Plan::of_hours(seed, 1, way)
    }
}

fn kept(plan: &Plan) -> Outcome {
    let outcome = run(plan);
    assert!(outcome.broken.is_none(), "seed {}: {:?}", plan.seed, outcome.broken);
    outcome
}

/// How many arrive in a whole city is measured (`bench/README.md`). This one is so small and quiet that plain forwarding nearly
/// always works, and within its first hour gateways have yet to prove themselves.
#[test]
fn promises_are_kept_texts_arrive_and_downlink_costs_a_tenth_of_plain_forwarding() {
    let (plain, phones) = (kept(&plan(1, Way::Plain)), kept(&plan(1, Way::ZeroHop)));
    let policy = kept(&plan(1, Way::Policy));
    let (plain, phones, policy) = (&plain.figures, &phones.figures, &policy.figures);
    let arrived = |figures: &Figures| figures.texts_across.ratio();
    assert!(policy.texts_across.due > 500, "nobody spoke");
    assert!(
        arrived(policy) >= 0.85 * arrived(plain) && arrived(policy) > 1.5 * arrived(phones),
        "{:.3} of the texts arrive, {:.3} with plain forwarding, {:.3} without any hop",
        arrived(policy),
        arrived(plain),
        arrived(phones)
    );
    assert!(
        policy.downlink_airtime_s() * 10.0 <= plain.downlink_airtime_s(),
        "{:.0} s of airtime, and {:.0} s without a policy",
        policy.downlink_airtime_s(),
        plain.downlink_airtime_s(),
    );
}

#[test]
fn the_same_seed_gives_the_same_decisions() {
    let digest = |seed| run(&plan(seed, Way::Policy)).digest;
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

#[test]
fn every_planted_fault_is_noticed_as_what_it_breaks() {
    for fault in Fault::ALL {
        let planted = Plan { fault: Some(fault), ..plan(1, Way::Policy) };
        let broken = run(&planted).broken;
        assert_eq!(broken.as_ref().map(|b| b.promise), Some(fault.breaks()), "{fault:?}: {broken:?}");
    }
}
