//! `backhaul serve`: everything, until it is told to stop.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use config::Config;
use config::keys::LogLevel;
use directory_store::Store;
use history::RecorderOptions;
use server::{PagesSettings, Running, ServiceNotice};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::broker_address::broker_address;
use crate::data_folder::{policy_source, read_config};
use crate::{Outcome, alert_settings, clock, settings, simulate};

/// Options of `serve`. They win over the configuration file.
#[derive(Args, Clone)]
pub struct Arguments {
    /// Configuration file; without one, every key has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of all state
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where MQTT listens; port 0 picks one
    #[arg(long, value_name = "ADDRESS:PORT")]
    mqtt_listen: Option<SocketAddr>,
    /// Where the pages listen; port 0 picks one
    #[arg(long, value_name = "ADDRESS:PORT")]
    web_listen: Option<SocketAddr>,
    /// Plain broker for conformance suites and comparisons: loopback only, anonymous, no mesh policy, no pages
    #[arg(long, conflicts_with = "demo")]
    lab: bool,
    /// Run a simulated city inside, on a data folder that is thrown away
    #[arg(long, conflicts_with = "data")]
    demo: bool,
    /// How much faster than life the simulated city runs
    #[arg(long, value_name = "TIMES", default_value_t = 20, requires = "demo")]
    demo_speed: u32,
}

/// Runs the server.
pub fn run(arguments: Arguments) -> Outcome {
    let config = match &arguments.config {
        Some(file) => read_config(file)?,
        None => Config::default(),
    };
    log_to_stderr(config.log.level);
    // Dropped, and so deleted, when this function returns.
    let demo_folder = if arguments.demo { Some(tempfile::tempdir()?) } else { None };
    let data = match &demo_folder {
        Some(folder) => folder.path().to_owned(),
        None => arguments.data.clone().unwrap_or_else(|| config.top.data.clone()),
    };
    // Before the server opens its port: whoever interrupts it early still gets an orderly end.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let demo = if arguments.demo { Some(simulate::Demo::prepare(&data)?) } else { None };
    let settings = server::Settings {
        inherited: server::inherited_sockets()?,
        ..server_settings(&arguments, &config, &data)
    };
    // The plain-broker profile allows more than anybody has, so it asks for what there is.
    server::raise_limit(if arguments.lab { 0 } else { settings.limits.connections_max });
    let running = server::start(settings)?;
    greet(&arguments, &config, &running, &data)?;
    let plain = running.listeners.iter().find(|listener| listener.is_plain).map(|listener| listener.address);
    let city = demo.zip(plain).map(|(demo, address)| demo.run(address, arguments.demo_speed)).transpose()?;
    let notice = ServiceNotice::ready(running.core.clone())?;
    while signals.forever().next() == Some(SIGHUP) {
        running.reload_policy();
    }
    tracing::info!("stopping; a second signal ends the program at once");
    std::thread::spawn(move || {
        while signals.forever().next() == Some(SIGHUP) {}
        tracing::warn!("ended without a goodbye");
        std::process::exit(1);
    });
    drop(notice);
    drop(city);
    running.stop();
    Ok(ExitCode::SUCCESS)
}

/// A server that opens no port and tells nobody: for work that needs what a server remembers while none runs.
pub fn quiet_settings(config: &Config, data: &Path) -> server::Settings {
    let arguments = Arguments {
        config: None,
        data: None,
        mqtt_listen: None,
        web_listen: None,
        lab: false,
        demo: false,
        demo_speed: 1,
    };
    server::Settings {
        listeners: Vec::new(),
        stop_grace: Duration::ZERO,
        automation: Default::default(),
        alerts: None,
        bridges: Vec::new(),
        // Nothing happens that would have to be recorded.
        recorder: None,
        pages: None,
        ..server_settings(&arguments, config, data)
    }
}

fn server_settings(arguments: &Arguments, config: &Config, data: &Path) -> server::Settings {
    let limits = if arguments.lab { settings::lab_limits() } else { settings::limits(config) };
    let mut config = config.clone();
    config.mqtt.listen = arguments.mqtt_listen.or(config.mqtt.listen);
    let mut listeners = settings::listeners(&config, &limits, data);
    if arguments.lab {
        // The plain-broker profile has no sign-in, so nobody else may reach it.
        listeners.iter_mut().for_each(|listener| listener.address.set_ip(Ipv4Addr::LOCALHOST.into()));
    }
    let public_channels =
        config.channels.iter().filter(|c| c.public).map(|c| c.name.as_str().into()).collect();
    server::Settings {
        data: data.to_owned(),
        listeners,
        inherited: Vec::new(),
        stop_grace: Duration::from_secs(u64::from(config.mqtt.stop_grace_s)),
        lab: arguments.lab,
        limits,
        policy: policy_source(&config, data),
        keyring: settings::keyring(&config),
        automation: if arguments.lab { Default::default() } else { settings::automation(&config) },
        preset: settings::preset(&config),
        keep: settings::keep(&config),
        alerts: (!arguments.lab).then(|| alert_settings::source(&config, data)),
        mesh_name: config.mesh.name.clone(),
        bridges: if arguments.lab { Vec::new() } else { settings::bridges(&config) },
        node_name: config.mesh.node_name.clone(),
        recorder: config.history.enabled.then(|| RecorderOptions {
            queue_max: config.history.queue_max as usize,
            batch_max: config.history.batch_max as usize,
            commit_interval: Duration::from_millis(u64::from(config.history.commit_interval_ms)),
            keyring: settings::keyring(&config),
            ..RecorderOptions::default()
        }),
        persistence: config.mqtt.persistence && !arguments.lab,
        pages: Some(PagesSettings {
            listen: arguments.web_listen.unwrap_or(config.web.listen),
            tls: config.web.tls.then(|| settings::tls(&config, data)),
            mesh_name: config.mesh.name.clone(),
            public_url: config.web.public_url.clone(),
            is_demo: arguments.demo,
            metrics_from: config.web.metrics_from.clone(),
            api_per_minute: (config.web.api_per_minute, config.web.api_per_minute_signed_in),
            public_channels,
            way_in: way_in(&config),
            map_tiles: config
                .web
                .map_tiles
                .clone()
                .map(|url| server::MapTiles { url, attribution: config.web.map_attribution.clone() }),
            expected: settings::expected(&config),
            told: settings::told(&config),
        }),
    }
}

/// How gateways reach this broker: the pages' host if it is known, else this machine's name.
fn way_in(config: &Config) -> (String, bool) {
    let (port, is_tls) = settings::way_in_for_gateways(config);
    let host = config.web.public_url.as_deref().and_then(|url| {
        let host = url.split("://").nth(1)?.split('/').next()?;
        Some(host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned())
    });
    let given = host.map(|host| match (port, is_tls) {
        (1883, false) | (8883, true) => host,
        _ => format!("{host}:{port}"),
    });
    let address = broker_address(given.as_deref(), (port, is_tls));
    (address.unwrap_or_else(|_| "ADDRESS-OF-THE-BROKER".to_owned()), is_tls)
}

/// Says where to look, and once how to become the operator.
fn greet(arguments: &Arguments, config: &Config, running: &Running, data: &Path) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Backhaul {}", env!("CARGO_PKG_VERSION"))?;
    for listener in &running.listeners {
        if listener.is_plain {
            writeln!(out, "  MQTT   {}", listener.address)?;
        } else {
            writeln!(out, "  {}   {} ({})", listener.kind, listener.address, listener.name)?;
        }
    }
    if arguments.lab {
        writeln!(out, "  plain-broker profile: this machine only, no sign-in, no mesh policy, nothing kept")?;
        return Ok(ExitCode::SUCCESS);
    }
    let pages = running.web_address.map_or(String::new(), |address| {
        let host =
            if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let scheme = if config.web.tls { "https" } else { "http" };
        format!("{scheme}://{host}:{}", address.port())
    });
    writeln!(out, "  Pages  {pages}/")?;
    writeln!(out, "  Data   {}", data.display())?;
    let mut store = Store::open(data)?;
    if !store.has_password()? {
        let now_ms = u64::try_from(clock::unix_ms()).unwrap_or_default();
        let token = store.create_setup_token(now_ms)?;
        writeln!(
            out,
            "\nSet the operator's password here, once, within 24 hours:\n  {pages}/setup#{}",
            token.reveal()
        )?;
    }
    if !store.load()?.has_credentials() {
        writeln!(
            out,
            "\nNo client has a credential yet: programs on this machine may connect without one, nobody else may."
        )?;
        writeln!(
            out,
            "Add the first gateway with\n  backhaul gateway add '!7c5a0a01' --owner NAME --data {}",
            data.display()
        )?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
}
