//! Compares MQTT brokers on this machine: the same counted work for each in turn, in rounds. Not part of the product;
//! `bench/README.md` says how to read it.
//!
//! Reading order: cases, run, load, target, report.

mod case;
mod client;
mod crowd;
mod load;
mod mark;
mod report;
mod run;
mod sink;
mod target;
mod tls;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use bench::{Failure, machine};
use clap::Parser;

use crate::report::Entry;
use crate::run::Durations;
use crate::target::{Kind, Stage};

/// Compares MQTT brokers on this machine; ratios are against mosquitto, or the first broker there is.
#[derive(Parser)]
struct Arguments {
    /// Only the cases whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Say which cases there are
    #[arg(long)]
    list: bool,
    /// Short runs in one round: to see that it works
    #[arg(long)]
    quick: bool,
    /// Rounds; in each, every broker does all the work
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds measured in each run
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// A running broker: NAME=127.0.0.1:PORT,pid=PID; may be repeated
    #[arg(long = "target", value_name = "NAME=HOST:PORT,pid=PID", value_parser = target::parse_running)]
    running: Vec<Kind>,
    /// FlashMQ's program
    #[arg(long, value_name = "PROGRAM")]
    flashmq: Option<PathBuf>,
    /// Measure a loop without protocol as well: what sockets and the generator cost alone
    #[arg(long)]
    with_bare_loop: bool,
    /// Leave Backhaul out
    #[arg(long)]
    without_backhaul: bool,
    /// Cores of the brokers; the generator has the last core of the machine
    #[arg(long, value_name = "LIST", default_value = "0")]
    broker_cores: String,
    /// Write every run as a line of JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Backhaul's program; its release build by default
    #[arg(long, value_name = "PROGRAM")]
    backhaul: Option<PathBuf>,
    /// Be the loop without protocol
    #[arg(long, hide = true)]
    sink: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.sink { sink::run() } else { compare(&arguments) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<(), Failure> {
    let cases: Vec<_> = case::all().into_iter().filter(|case| arguments.wants(&case.name)).collect();
    if arguments.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(());
    }
    let stage = arguments.stage()?;
    let kinds = arguments.kinds()?;
    let brokers: Vec<String> = kinds.iter().map(|kind| kind.word().to_owned()).collect();
    let started = Instant::now();
    println!("Machine: {}", machine::describe()?);
    stand_aside()?;
    allow_many_files()?;
    println!("{}", target::mosquitto_version().unwrap_or_default());
    let durations = match arguments.quick {
        true => Durations { warm_up: Duration::from_millis(100), measured: Duration::from_millis(400) },
        false => Durations {
            warm_up: Duration::from_millis(500),
            measured: Duration::from_secs_f64(arguments.seconds),
        },
    };
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    println!("{rounds} rounds of {:.1} s; MQTT 3.1.1 on loopback\n", durations.measured.as_secs_f64());
    let mut json = arguments.json.as_ref().map(std::fs::File::create).transpose()?;
    let mut entries = Vec::new();
    for round in 0..rounds {
        for (number, case) in cases.iter().enumerate() {
            // Who goes first changes, so that nobody always meets the machine in the same mood.
            for turn in 0..kinds.len() {
                let broker = (turn + round) % kinds.len();
                if case.leaves_out(&kinds[broker]).is_some() {
                    continue;
                }
                eprintln!("round {} of {rounds}: {}, {}", round + 1, case.name, brokers[broker]);
                match run::run(&stage, durations, case, &kinds[broker]) {
                    Ok(run) => {
                        let entry = Entry { round, case: number, broker, run };
                        if let Some(file) = &mut json {
                            writeln!(file, "{}", report::json(&entry, &cases, &brokers))?;
                        }
                        entries.push(entry);
                    }
                    // One broker that fails at one case must not cost the others' numbers.
                    Err(error) => println!("{} failed at {}: {error}\n", brokers[broker], case.name),
                }
            }
        }
    }
    println!("{}", report::tables(&entries, &cases, &brokers));
    println!("Took {:.0} s.", started.elapsed().as_secs_f64());
    Ok(())
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text.as_str()))
    }

    fn stage(&self) -> Result<Stage, Failure> {
        let beside = std::env::current_exe()?.with_file_name("backhaul");
        let backhaul = self.backhaul.clone().unwrap_or(beside);
        if !self.without_backhaul && !backhaul.exists() {
            let text = format!("`{}` is missing: cargo build --release -p backhaul", backhaul.display());
            return Err(text.into());
        }
        let broker_cores = self.broker_cores.clone();
        let counted = Command::new("taskset").args(["-c", &broker_cores, "nproc"]).output()?;
        let broker_core_count = String::from_utf8_lossy(&counted.stdout)
            .trim()
            .parse()
            .map_err(|_| format!("`--broker-cores {broker_cores}` names no cores of this machine"))?;
        Ok(Stage { backhaul, broker_cores, broker_core_count })
    }

    fn kinds(&self) -> Result<Vec<Kind>, Failure> {
        let mut kinds = Vec::new();
        match target::mosquitto() {
            Some(_) => kinds.push(Kind::Mosquitto),
            None => println!("mosquitto is left out: it is not installed (apt install mosquitto)"),
        }
        if !self.without_backhaul {
            kinds.extend([Kind::Lab, Kind::Full]);
        }
        kinds.extend(self.flashmq.clone().map(Kind::FlashMq));
        kinds.extend(self.running.clone());
        kinds.extend(self.with_bare_loop.then_some(Kind::Sink));
        if kinds.is_empty() {
            return Err("there is no broker to measure".into());
        }
        Ok(kinds)
    }
}

/// Takes the last core, so that brokers have theirs to themselves.
fn stand_aside() -> Result<(), Failure> {
    let last = std::thread::available_parallelism()?.get() - 1;
    let own = std::process::id().to_string();
    let done = Command::new("taskset").args(["-cp", &last.to_string(), &own]).output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned().into()),
    }
}

/// Ten thousand connections and what else is open, here and, as it is inherited, in the brokers.
fn allow_many_files() -> Result<(), Failure> {
    const WANTED: u64 = 11_000;
    let allowed = rlimit::increase_nofile_limit(u64::MAX)?;
    if allowed < WANTED {
        println!("Only {allowed} files may be open: cases of 10,000 connections will fail (ulimit -Hn).");
    }
    Ok(())
}
