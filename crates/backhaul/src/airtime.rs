//! `backhaul islands` and `backhaul airtime`: which gateways hear each other, and what of the hour is used up. Both read
//! what the running broker remembered within the last half minute.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use directory::GatewayId;
use policy::downlink::class::Class;
use policy::memory::Memory;
use policy::memory::airtime::Account;
use policy::now::Now;
use query::Island;
use serde_json::json;

use crate::Outcome;
use crate::data_folder::Installation;
use crate::downlink::remembered_at;
use crate::policy_file::in_force;

/// Options of both.
#[derive(Args, Clone)]
pub struct Arguments {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Runs `backhaul islands`.
pub fn islands(arguments: &Arguments) -> Outcome {
    let (memory, now) = with_islands(&arguments.installation)?;
    let islands = drawn(&memory);
    let mut out = std::io::stdout().lock();
    for Island { number, gateways } in &islands {
        let island = GatewayId(*number);
        let names: Vec<GatewayId> = gateways.iter().map(|gateway| GatewayId(*gateway)).collect();
        if arguments.json {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            writeln!(out, "{}", json!({ "island": island.to_string(), "gateways": names }))?;
            continue;
        }
        writeln!(out, "island {island}")?;
        for gateway in names {
            let common = memory.islands.in_common(now.mono_ms, gateway.0);
            let best =
                common.iter().find(|c| c.is_joined).map_or("hears nothing in common".to_owned(), |c| {
                    format!("{:.0} packets in common with {}", c.packets, GatewayId(c.with))
                });
            writeln!(out, "  {gateway}  {best}")?;
        }
    }
    if islands.is_empty() && !arguments.json {
        writeln!(out, "no gateway has heard anything yet")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The islands of the present, for a filter.
pub fn present_islands(installation: &Installation) -> Result<Vec<Island>, Box<dyn std::error::Error>> {
    with_islands(installation).map(|(memory, _)| drawn(&memory))
}

/// What policy remembers, with islands as the policy in force pins them.
fn with_islands(installation: &Installation) -> Result<(Memory, Now), Box<dyn std::error::Error>> {
    let config = installation.config()?;
    let (mut memory, now) = remembered_at(installation.folder(&config))?;
    memory.islands.set_settings(in_force(installation)?.islands);
    Ok((memory, now))
}

fn drawn(memory: &Memory) -> Vec<Island> {
    let mut islands: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    memory.islands.members().for_each(|(gateway, island)| islands.entry(island).or_default().push(gateway));
    let island = |(number, mut gateways): (u32, Vec<u32>)| {
        gateways.sort_unstable();
        Island { number, gateways }
    };
    islands.into_iter().map(island).collect()
}

/// Runs `backhaul airtime`.
pub fn airtime(arguments: &Arguments) -> Outcome {
    let config = arguments.installation.config()?;
    let (memory, now) = remembered_at(arguments.installation.folder(&config))?;
    let budget = in_force(&arguments.installation)?.budget;
    let mut out = std::io::stdout().lock();
    let accounts = memory.airtime.accounts(now.mono_ms);
    for (account, used_us) in &accounts {
        let limit_us = Some(budget.limit_us(*account, None)).filter(|limit| *limit < u64::MAX);
        let (kind, of) = in_words(*account);
        if arguments.json {
            let line = json!({ "account": kind, "of": of, "used_ms": used_us / 1000, "limit_ms": limit_us.map(|l| l / 1000) });
            writeln!(out, "{line}")?;
            continue;
        }
        let limit = limit_us.map_or(String::new(), |limit| format!(" of {:.1} s", limit as f64 / 1e6));
        writeln!(out, "{kind:<10} {of:<22} {:>8.1} s{limit}", *used_us as f64 / 1e6)?;
    }
    if accounts.is_empty() && !arguments.json {
        writeln!(out, "nothing was on the air within the last hour")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(account: Account) -> (&'static str, String) {
    let id = |number: u32| GatewayId(number).to_string();
    match account {
        Account::Class(island, 0) => ("island", id(island)),
        Account::Class(island, class) => {
            let word = Class::from_code(class).map_or("other", Class::word);
            ("class", format!("{} {word} and less", id(island)))
        }
        Account::Gateway(gateway) => ("gateway", id(gateway)),
        Account::Channel(island, channel) => ("channel", format!("{} {channel:08x}", id(island))),
        Account::Node(node) => ("node", id(node)),
        Account::Granted(gateway) => ("granted", id(gateway)),
        Account::Heard(island) => ("on the air", id(island)),
    }
}
