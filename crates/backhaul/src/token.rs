//! `backhaul token`: tokens of programs that ask the API.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{ApiScope, ApiTokenForm};

use crate::Outcome;
use crate::clock::{unix_ms, utc};
use crate::data_folder::Installation;

/// Who acts, in the audit.
const ACTOR: &str = "command line";
const DAY_MS: i64 = 86_400_000;

/// What to do with tokens.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Make one for a program; its secret is shown once
    New(New),
    /// List them, without secrets
    List(List),
    /// End one at once
    Revoke(Revoke),
}

/// Options of `token new`.
#[derive(Args, Clone)]
pub struct New {
    /// The program that gets it
    #[arg(value_name = "NAME")]
    name: String,
    /// `read` (sees everything, changes nothing) or `operate` (incidents, replays, downlink too)
    #[arg(long, default_value = "read", value_name = "SCOPE")]
    scope: ApiScope,
    /// Days that it works; without it until it is revoked
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    days: Option<u16>,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `token list`.
#[derive(Args, Clone)]
pub struct List {
    #[command(flatten)]
    installation: Installation,
}

/// Options of `token revoke`.
#[derive(Args, Clone)]
pub struct Revoke {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: i64,
    #[command(flatten)]
    installation: Installation,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    let mut out = std::io::stdout().lock();
    match command {
        Command::New(new) => {
            let mut store = new.installation.open_or_make(&new.installation.config()?)?;
            let now_ms = unix_ms();
            let until_ms = new.days.map(|days| now_ms + i64::from(days) * DAY_MS);
            let form = ApiTokenForm { name: new.name, scope: new.scope, until_ms };
            let token = store.make_api_token(form, None, ACTOR, now_ms)?;
            writeln!(out, "It is shown only here. Programs send it as `Authorization: Bearer …`:\n")?;
            writeln!(out, "  {}", token.reveal())?;
        }
        Command::List(list) => {
            let tokens = list.installation.open_present(&list.installation.config()?)?.api_tokens()?;
            for token in &tokens {
                let until =
                    token.until_ms.map_or("until revoked".to_owned(), |at| format!("until {}", utc(at)));
                let used = token.used_ms.map_or("never used".to_owned(), |at| format!("used {}", utc(at)));
                writeln!(
                    out,
                    "{:>4}  {:<24} {:<8} {until}, {used}, by {}",
                    token.number,
                    token.name,
                    token.scope.word(),
                    token.made_by
                )?;
            }
            if tokens.is_empty() {
                writeln!(out, "no program has a token")?;
            }
        }
        Command::Revoke(revoke) => {
            let mut store = revoke.installation.open_present(&revoke.installation.config()?)?;
            store.revoke_api_token(revoke.number, ACTOR, unix_ms())?;
            writeln!(out, "token {} has ended", revoke.number)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
