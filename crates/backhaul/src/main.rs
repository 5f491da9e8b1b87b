//! Backhaul: the controlled MQTT backhaul of a community LoRa mesh. One file per subcommand.

mod clock;
mod decode;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The controlled MQTT backhaul of a community LoRa mesh: broker, policy, history and pages in one program.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Backhaul {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Run the broker and its pages (the default).
    Serve(serve::Arguments),
    /// Say what publishes hold: one JSON line for each line of input.
    Decode(decode::Arguments),
}

fn main() -> ExitCode {
    let backhaul = Backhaul::parse();
    let done = match backhaul.command.unwrap_or(Command::Serve(backhaul.serve)) {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Decode(arguments) => decode::run(arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("backhaul: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// What a subcommand gives back: its exit code, or an error to print.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;
