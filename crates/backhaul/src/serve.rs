//! `backhaul serve`: everything, until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Outcome;

/// Options of `serve`. They win over the configuration file.
#[derive(Args, Clone)]
pub struct Arguments {
    /// Folder of all state
    #[arg(long, value_name = "DIR", default_value = "backhaul-data")]
    data: PathBuf,
    /// Where MQTT listens; port 0 picks one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:1883")]
    mqtt_listen: SocketAddr,
    /// Where the pages listen; port 0 picks one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    web_listen: SocketAddr,
    /// Plain broker for conformance suites and comparisons: loopback only, anonymous, no mesh policy, no pages
    #[arg(long)]
    lab: bool,
}

/// Runs the server.
pub fn run(arguments: Arguments) -> Outcome {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let mut keyring = mesh::keyring::Keyring::default();
    if let Some(key) = mesh::key::ChannelKey::from_psk(&[1]) {
        keyring.add("LongFast", key);
    }
    let mut mqtt_listen = arguments.mqtt_listen;
    if arguments.lab {
        mqtt_listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let settings = server::Settings {
        data: arguments.data.clone(),
        mqtt_listen,
        lab: arguments.lab,
        limits: broker::Limits::default(),
        policy: policy::settings::Settings::default(),
        keyring,
        preset: mesh::airtime::ModemPreset::LongFast,
        recorder: history::RecorderOptions::default(),
    };
    let running = server::start(settings, |_| {})?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "Backhaul {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  MQTT   {}", running.mqtt_address)?;
    writeln!(out, "  Pages  http://127.0.0.1:{}/", arguments.web_listen.port())?;
    out.flush()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    signals.forever().next();
    running.stop();
    Ok(ExitCode::SUCCESS)
}
