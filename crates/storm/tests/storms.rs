//! A bounded number of storms keep every promise, the same seed gives the same storm, and every promise can be seen
//! broken.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::BTreeSet;

use storm::{Fault, Plan, Promise, run};

const fn plan(seed: u64) -> Plan {
    Plan { seed, steps: 800, fault: None, steps_shown: 60 }
}

fn check_seeds(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let report = run(plan(seed));
        if let Some(failure) = report.failure {
            panic!("cargo xtask storm --seed {seed} --seeds 1 --steps 800\n{failure}");
        }
        assert!(report.connections > 3, "seed {seed}: nothing happened");
    }
}

#[test]
fn promises_are_kept_in_the_first_storms() {
    check_seeds(0..60);
}

#[test]
fn promises_are_kept_in_the_next_storms() {
    check_seeds(60..120);
}

#[test]
fn the_same_seed_gives_the_same_storm() {
    for seed in [1, 2, 3] {
        let (one, again) = (run(plan(seed)), run(plan(seed)));
        assert_eq!((one.digest, one.steps, one.deliveries), (again.digest, again.steps, again.deliveries));
    }
    assert_ne!(run(plan(1)).digest, run(plan(2)).digest);
}

#[test]
fn every_planted_fault_is_noticed_as_what_it_breaks() {
    let mut seen = BTreeSet::new();
    for fault in Fault::ALL {
        let noticed = (0..60).find_map(|seed| {
            let failure = run(Plan { fault: Some(fault), ..plan(seed) }).failure?;
            fault.breaks().contains(&failure.promise).then_some(failure.promise)
        });
        let Some(promise) = noticed else { panic!("{fault:?} was not noticed as {:?}", fault.breaks()) };
        seen.insert(promise);
    }
    let expected: BTreeSet<Promise> = Fault::ALL.iter().map(|f| f.breaks()[0]).collect();
    assert!(seen.is_superset(&expected), "{expected:?} {seen:?}");
}
