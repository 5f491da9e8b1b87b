//! Backhaul: the controlled MQTT backhaul of a community LoRa mesh. One file per subcommand.

mod alert_settings;
mod retention;
mod serve;
mod settings;

mod simulate;
mod simulated_gateway;

mod archive;
mod decode;
mod explain;
mod export;
mod incident;
mod log;
mod replay;

mod airtime;
mod alerts;
mod bridge;
mod channel;
mod check;
mod consent;
mod coverage;
mod downlink;
mod gateway;
mod grant;
mod node;
mod observer;
mod people;
mod requests;
mod service;
mod token;

mod backup;
mod config_file;
mod policy_file;
mod policy_test;

mod broker_address;
mod credential_edit;
mod credential_list;
mod data_folder;
mod erase;
mod existing_client;

mod clock;

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
    /// Run a simulated city against a broker, or on paper.
    Simulate(simulate::Arguments),
    /// Decode packets from files and pipes, for debugging
    Decode(decode::Arguments),
    /// Show what was received and what was decided
    Log(log::Arguments),
    /// Tell one packet's story: receptions, rules, copies
    Explain(explain::Arguments),
    /// Write receptions to a file for other programs
    Export(export::Arguments),
    /// Make an archive of a capture or of what another Backhaul exported
    Import(archive::Import),
    /// See and delete archives.
    #[command(subcommand)]
    Archive(archive::Command),
    /// Mark windows of time to come back to, and hand them on.
    #[command(subcommand)]
    Incident(incident::Command),
    /// Put the past back on topics of its own, at any speed.
    #[command(subcommand)]
    Replay(replay::Command),
    /// Show from where nodes are heard directly, in hexagons
    Coverage(coverage::CoverageArguments),
    /// Show who hears whom, how well and how far, the longest first
    Links(coverage::LinksArguments),
    /// Compare two gateways, or a time with the time before
    Compare(coverage::CompareArguments),
    /// Check a node's configuration before it becomes a gateway
    Check(check::Arguments),
    /// Stop and start what goes down to gateways, and see which have proved that it reaches them.
    #[command(subcommand)]
    Downlink(downlink::Command),
    /// Copy everything that is kept to a folder, also while the server runs
    Backup(backup::BackupArguments),
    /// Make a data folder of a backup
    Restore(backup::RestoreArguments),
    /// Show which gateways hear each other, and why
    Islands(airtime::Arguments),
    /// Show what of the hour's airtime downlink has used up, and what is left
    Airtime(airtime::Arguments),
    /// Say what single gateways are allowed beyond the ordinary.
    #[command(subcommand)]
    Grant(grant::Command),
    /// See who is held for sending too much, and let them go.
    #[command(subcommand)]
    Hold(grant::HoldCommand),
    /// Say which gateways may connect.
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Say which nodes are in quarantine, and show doubtful ones.
    #[command(subcommand)]
    Node(node::Command),
    /// Say which clients may read.
    #[command(subcommand)]
    Observer(observer::Command),
    /// Decide on who wants to connect a gateway or to send more.
    #[command(subcommand)]
    Requests(requests::Command),
    /// Make channels that only those who are told can read.
    #[command(subcommand)]
    Channel(channel::Command),
    /// Say who may sign in to the pages.
    #[command(subcommand)]
    People(people::Command),
    /// Tokens of programs that ask the API
    #[command(subcommand)]
    Token(token::Command),
    /// Say which clients have topics of their own, such as Home Assistant.
    #[command(subcommand)]
    Service(service::Command),
    /// Say how long what is recorded is kept, and delete what is due.
    #[command(subcommand)]
    Retention(retention::Command),
    /// Delete everything that is held of a node, and keep it out
    Erase(erase::EraseArguments),
    /// See who asked to be erased and what was done.
    #[command(subcommand)]
    Erasures(erase::Command),
    /// Write everything that is held of a node to a file, for its owner
    Disclose(erase::DiscloseArguments),
    /// Say which other brokers may exchange packets.
    #[command(subcommand)]
    Bridge(bridge::Command),
    /// Say what to watch for and who is told, and try it out.
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Say what left the community with whose agreement.
    #[command(subcommand)]
    Consent(consent::Command),
    /// Say what is asked of every packet.
    #[command(subcommand)]
    Policy(policy_file::Command),
    /// Check the configuration file and describe its keys.
    #[command(subcommand)]
    Config(config_file::Command),
}

fn main() -> ExitCode {
    let backhaul = Backhaul::parse();
    let done = match backhaul.command.unwrap_or(Command::Serve(backhaul.serve)) {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
        Command::Decode(arguments) => decode::run(arguments),
        Command::Log(arguments) => log::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Coverage(arguments) => coverage::coverage(&arguments),
        Command::Links(arguments) => coverage::links(&arguments),
        Command::Compare(arguments) => coverage::compare(&arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Import(arguments) => archive::import(&arguments),
        Command::Archive(command) => archive::run(command),
        Command::Incident(command) => incident::run(command),
        Command::Replay(command) => replay::run(command),
        Command::Check(arguments) => check::run(arguments),
        Command::Downlink(command) => downlink::run(command),
        Command::Backup(arguments) => backup::back_up(arguments),
        Command::Restore(arguments) => backup::restore(arguments),
        Command::Islands(arguments) => airtime::islands(&arguments),
        Command::Airtime(arguments) => airtime::airtime(&arguments),
        Command::Grant(command) => grant::run(command),
        Command::Hold(command) => grant::run_hold(command),
        Command::Gateway(command) => gateway::run(command),
        Command::Node(command) => node::run(command),
        Command::Observer(command) => observer::run(command),
        Command::Requests(command) => requests::run(command),
        Command::Channel(command) => channel::run(command),
        Command::People(command) => people::run(command),
        Command::Token(command) => token::run(command),
        Command::Service(command) => service::run(command),
        Command::Alerts(command) => alerts::run(command),
        Command::Retention(command) => retention::run(command),
        Command::Erase(arguments) => erase::erase(&arguments),
        Command::Erasures(command) => erase::run(command),
        Command::Disclose(arguments) => erase::disclose(&arguments),
        Command::Bridge(command) => bridge::run(command),
        Command::Consent(command) => consent::run(command),
        Command::Policy(command) => policy_file::run(command),
        Command::Config(command) => config_file::run(command),
    };
    match done {
        Ok(code) => code,
        // Whoever reads our output has read enough: `backhaul log | head` is no failure.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
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

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
