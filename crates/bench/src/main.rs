//! What an envelope and a reception cost: judging one, storing one. `bench/README.md` says how to read the numbers;
//! `versus` compares the whole broker with others.

mod allocations;
mod judge;
mod replay;
mod store;

use std::process::ExitCode;
use std::time::Instant;

use bench::{Failure, machine};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: allocations::Counted = allocations::Counted;

/// Measures Backhaul and prints what it found.
#[derive(Parser)]
struct Arguments {
    /// A few seconds: shorter runs, fewer receptions
    #[arg(long)]
    quick: bool,
    /// Measure only this
    #[arg(long, value_name = "WHAT")]
    only: Option<What>,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Observing and judging envelopes, deciding on copies.
    Judge,
    /// Storing receptions.
    History,
    /// Judging the past again.
    Backtest,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let quick = arguments.quick;
    println!("Machine: {}\n", machine::describe()?);

    let wanted = |what| arguments.only.is_none_or(|only| only == what);
    if wanted(What::Judge) {
        print_judge(quick)?;
    }
    if wanted(What::History) {
        print_history(quick)?;
    }
    if wanted(What::Backtest) {
        print_backtest(quick)?;
    }
    println!("Took {:.0} s.", started.elapsed().as_secs_f64());
    Ok(())
}

fn print_judge(quick: bool) -> Result<(), Failure> {
    let judged = judge::measure(if quick { 1 } else { 4 })?;
    println!(
        "Observe and judge, {} envelopes of a simulated city, {} passed on, every rule on:",
        judged.envelopes, judged.passed
    );
    println!("  {:.0} ns per envelope, of which observing {:.0} ns", judged.both_ns, judged.observe_ns);
    println!(
        "  {:.3} heap allocations per envelope passed on; {:.2} per envelope that is not",
        judged.allocations_passed, judged.allocations_held
    );
    println!("  {:.1} µs for the copies of a packet to {} gateways\n", judged.release_us, judged.gateways);

    Ok(())
}

fn print_history(quick: bool) -> Result<(), Failure> {
    let stored = store::measure(if quick { 40_000 } else { 300_000 })?;
    println!(
        "History, {} receptions, {} of each packet, {} in a transaction:",
        stored.receptions,
        store::COPIES,
        store::BATCH
    );
    println!(
        "  {:.0} receptions/s, {:.2} CPU s ({:.1} µs each), {:.0} bytes on disk each ({:.0} bytes of payload each)\n",
        stored.per_second,
        stored.cpu_s,
        stored.cpu_s / stored.receptions as f64 * 1e6,
        stored.bytes_each,
        stored.payload_bytes_each
    );

    Ok(())
}

fn print_backtest(quick: bool) -> Result<(), Failure> {
    let replayed = replay::measure(if quick { 40_000 } else { 300_000 })?;
    let (total, reading) = (replayed.cpu.as_secs_f64(), replayed.read_cpu.as_secs_f64());
    println!(
        "Backtest, {} receptions with 12 receivers each, two policies, one thread:",
        replayed.receptions
    );
    println!(
        "  {:.0} receptions/s of CPU time ({:.2} µs each, of which reading {:.2} µs), {} copies decided, {} receptions differ\n",
        replayed.receptions as f64 / total,
        total / replayed.receptions as f64 * 1e6,
        reading / replayed.receptions as f64 * 1e6,
        replayed.copies,
        replayed.changed
    );
    Ok(())
}
