//! `backhaul channel`: a strong channel, made here, with the link and the commands that set it up.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use preflight::make_link::{ChannelToShare, link_to_add, psk_text};

use crate::Outcome;

/// What to do with channels.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Make a channel with a random 256-bit key; prints its link and key once
    New(New),
}

/// Options of `channel new`.
#[derive(Args, Clone)]
pub struct New {
    /// Its name, up to 11 bytes
    #[arg(value_name = "NAME")]
    name: String,
    /// Let nodes pass to MQTT what they hear on it
    #[arg(long)]
    uplink: bool,
    /// Let nodes transmit on it what comes from MQTT
    #[arg(long)]
    downlink: bool,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    let Command::New(New { name, uplink, downlink }) = command;
    let mut psk = [0_u8; 32];
    getrandom::fill(&mut psk).map_err(|error| format!("operating system gave no random bytes: {error}"))?;
    let link =
        link_to_add(&ChannelToShare { name: &name, psk: &psk, uplink, downlink, precision_bits: None })?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Channel {name}, with a key of 256 random bits. Both lines hold the key; it is kept nowhere.\n"
    )?;
    writeln!(out, "  link  {link}")?;
    writeln!(out, "  key   {}", psk_text(&psk))?;
    writeln!(
        out,
        "\nWhoever has the link can read the channel: hand it on by a way that nobody else reads."
    )?;
    writeln!(out, "For the broker to open its packets, name it under [[channels]] of the configuration.")?;
    Ok(ExitCode::SUCCESS)
}
