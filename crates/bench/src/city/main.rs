//! The policy on trial in a simulated city: the same seeded hours three times, plainly forwarded, without hops, and by
//! Backhaul's policy, side by side. `bench/README.md` says how to read it.

mod table;

use std::io::Write;
use std::process::ExitCode;

use bench::Failure;
use clap::Parser;
use policy::downlink::model::Model;
use trial::{Figures, Misfit, Plan, Way};

/// Lets a simulated city of 300 nodes live and prints what became of its air and its texts.
#[derive(Parser)]
struct Arguments {
    /// First seed; the same seed gives the same city and traffic
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seeds, from the first on; the table shows median and spread
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Hours of the city's life; the first half hour is not counted
    #[arg(long, default_value_t = 3)]
    hours: u64,
    /// Misfits that behave like everybody else: bridge, mobile, spoofer
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Text messages in the whole city per hour, outside the rush
    #[arg(long, default_value_t = 20)]
    texts: u32,
    /// The policy's model of how far copies go
    #[arg(long, default_value = "texts-keep-hops")]
    model: String,
    /// Budgets of island, gateway, channel and sender, in thousandths of an hour
    #[arg(long, value_delimiter = ',', num_args = 4)]
    budget: Option<Vec<u32>>,
    /// Prints every run as a line of JSON
    #[arg(long)]
    json: bool,
}

/// One of the runs that are compared.
#[derive(Clone)]
struct Run {
    way: Way,
    is_abused: bool,
    figures: Vec<Figures>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("city: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (mut out, mut broken) = (std::io::stdout().lock(), Vec::new());
    let mut runs = Vec::new();
    for is_abused in [true, false] {
        runs.extend(Way::ALL.map(|way| Run { way, is_abused, figures: Vec::new() }));
    }
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        for run in &mut runs {
            let mut plan = Plan::of_hours(seed, arguments.hours, run.way);
            let is_tamed = |m: &Misfit| arguments.without.iter().any(|word| word == m.word());
            plan.tamed = Misfit::ALL.into_iter().filter(is_tamed).collect();
            plan.texts_per_hour = arguments.texts;
            plan.model = Model::from_name(&arguments.model).ok_or("there is no such model")?;
            if let Some([island, gateway, channel, node]) = arguments.budget.as_deref() {
                (plan.budget.island, plan.budget.gateway) = (*island, *gateway);
                (plan.budget.channel, plan.budget.node) = (*channel, *node);
            }
            if !run.is_abused {
                plan.abuse_ms = None;
            }
            let outcome = trial::run(&plan);
            broken
                .extend(outcome.broken.as_ref().map(|b| format!("seed {seed}, {:?}: {}", b.promise, b.what)));
            if arguments.json {
                writeln!(out, "{}", table::json(seed, arguments.hours, run, &outcome))?;
            }
            run.figures.push(outcome.figures);
        }
    }
    if !arguments.json {
        write!(out, "{}", table::table(&runs))?;
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(format!("promises were broken:\n{}", broken.join("\n")).into())
    }
}
