//! Backhaul's measurements, in one run: judging an envelope, storing a reception, and the broker next to mosquitto.
//! Not part of the product. `bench/README.md` says how to read the numbers.

mod allocations;
mod compare;
mod envelope;
mod judge;
mod load;
mod process;
mod statistics;
mod store;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

#[global_allocator]
static ALLOCATOR: allocations::Counted = allocations::Counted;

/// Anything that keeps a measurement from being made.
type Failure = Box<dyn std::error::Error>;

/// Measures Backhaul and prints what it found.
#[derive(Parser)]
struct Arguments {
    /// Under a minute: shorter runs, fewer receptions
    #[arg(long)]
    quick: bool,
    /// Only the end-to-end work whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("no repository root")?;
    // First, so that a missing program is told at once.
    let programs = process::Programs::find(root)?;
    let quick = arguments.quick;
    println!("Machine: {}", process::machine()?);
    println!("Compared with: {}\n", programs.mosquitto_version()?);

    let judged = judge::measure(root, Duration::from_secs(if quick { 1 } else { 4 }))?;
    println!(
        "Observe and judge, {} envelopes of the test vectors, {} passed on:",
        judged.envelopes, judged.passed
    );
    println!("  {:.0} ns per envelope, of which observing {:.0} ns", judged.both_ns, judged.observe_ns);
    println!(
        "  {:.2} heap allocations per envelope; {:.2} per envelope passed on\n",
        judged.allocations, judged.allocations_passed
    );

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

    let durations = compare::Durations {
        warm_up: Duration::from_millis(if quick { 100 } else { 500 }),
        measured: Duration::from_millis(if quick { 400 } else { 3_000 }),
        rounds: 3,
    };
    println!(
        "End to end, {} rounds of {:.1} s, {}-byte payloads, MQTT 3.1.1 on loopback, median (min–max):\n",
        durations.rounds,
        durations.measured.as_secs_f64(),
        load::PAYLOAD_BYTES
    );
    println!("{}", compare::compare(&programs, &durations, &arguments.only)?);
    println!("Took {:.0} s.", started.elapsed().as_secs_f64());
    Ok(())
}
