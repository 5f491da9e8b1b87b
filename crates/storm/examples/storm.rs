//! Runs storms until told otherwise: `storm [--seeds N | --minutes N] [--seed X] [--steps N] [--show N]`. Prints the first seed
//! that breaks a promise, with the last steps before it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use storm::{Plan, run};

const USAGE: &str = "usage: storm [--seeds N | --minutes N] [--seed X] [--steps N] [--show N]";

struct Wanted {
    seeds: u64,
    until: Option<Instant>,
    first: u64,
    steps: u32,
    show: usize,
}

fn main() -> ExitCode {
    let Some(wanted) = read_arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let (mut seed, mut done, mut steps, mut deliveries) = (wanted.first, 0_u64, 0_u64, 0_u64);
    let mut digest = 0_u64;
    loop {
        let is_over = match wanted.until {
            Some(end) => Instant::now() >= end,
            None => done >= wanted.seeds,
        };
        if is_over {
            println!(
                "{done} storms, {steps} steps, {deliveries} deliveries, digest {digest:016x}: every promise kept"
            );
            return ExitCode::SUCCESS;
        }
        let report = run(Plan { seed, steps: wanted.steps, fault: None, steps_shown: wanted.show });
        if let Some(failure) = report.failure {
            println!("seed {seed} after {} steps, digest {:016x}\n{failure}", report.steps, report.digest);
            println!("again: cargo xtask storm --seed {seed} --seeds 1 --steps {}", wanted.steps);
            return ExitCode::FAILURE;
        }
        digest = digest.rotate_left(1) ^ report.digest;
        (done, steps, deliveries) = (done + 1, steps + report.steps, deliveries + report.deliveries);
        seed += 1;
    }
}

fn read_arguments() -> Option<Wanted> {
    let mut wanted = Wanted { seeds: 1_000, until: None, first: 1, steps: 1_500, show: 60 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value: u64 = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--seeds" => wanted.seeds = value,
            "--minutes" => wanted.until = Instant::now().checked_add(Duration::from_secs(value * 60)),
            "--seed" => wanted.first = value,
            "--steps" => wanted.steps = u32::try_from(value).ok()?,
            "--show" => wanted.show = usize::try_from(value).ok()?,
            _ => return None,
        }
    }
    Some(wanted)
}
