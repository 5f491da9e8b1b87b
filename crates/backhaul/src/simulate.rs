//! `backhaul simulate`, and the city inside `serve --demo`: the simulation on a virtual clock, or on the real one with
//! a real MQTT connection for each gateway.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use city::plan::Plan;
use city::simulation::{City, Report};
use clap::Args;
use directory::{Command, GatewayId, Owner, Token, Username};
use directory_store::{Store, random_token};
use mesh::node::NodeNum;
use serde_json::json;

use crate::simulated_gateway::{self, Login, Publication};
use crate::{Outcome, clock};

/// Options of `simulate`.
#[derive(Args)]
pub struct Arguments {
    /// Broker to connect the gateways to
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    broker: String,
    /// Data folder of that broker: the gateways get credentials there; without it they connect as guests
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// No broker: live on a virtual clock, print what gateways would publish as JSON lines
    #[arg(long, conflicts_with_all = ["broker", "data", "speed"])]
    offline: bool,
    /// The same seed gives the same city
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Radio islands
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=8))]
    islands: u16,
    /// Nodes, gateways included
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=4000))]
    nodes: u16,
    /// Nodes with internet
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=500))]
    gateways: u16,
    /// Text messages in the city per hour
    #[arg(long, default_value_t = 40)]
    texts: u32,
    /// Hours of the city's life; without it until interrupted, offline one hour
    #[arg(long)]
    hours: Option<u32>,
    /// How much faster than life; 0 is as fast as the broker takes it
    #[arg(long, default_value_t = 1)]
    speed: u32,
    /// MQTT root topic
    #[arg(long, default_value = "msh/US/MO/KC")]
    root: String,
}

/// Longest time between two looks at the clock.
const STEP: Duration = Duration::from_millis(20);
/// A city that runs as fast as it can lives so long between two looks at what came down.
const FAST_STEP_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// Runs the simulation.
pub fn run(arguments: Arguments) -> Outcome {
    let plan = Plan {
        seed: arguments.seed,
        islands: usize::from(arguments.islands),
        nodes: usize::from(arguments.nodes.max(arguments.gateways)),
        gateways: usize::from(arguments.gateways),
        texts_per_hour: arguments.texts,
        root: arguments.root.clone(),
        start_unix_ms: clock::unix_ms(),
        ..Plan::default()
    };
    let until_ms = arguments.hours.map(|hours| u64::from(hours) * HOUR_MS);
    if arguments.offline {
        return live_on_paper(City::new(plan), until_ms.unwrap_or(HOUR_MS));
    }
    let broker =
        arguments.broker.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()).ok_or_else(
            || format!("`{}` is not a host and port, such as 127.0.0.1:1883", arguments.broker),
        )?;
    let city = City::new(plan);
    let logins = match &arguments.data {
        Some(data) => give_credentials(&city, data)?,
        None => BTreeMap::new(),
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let is_ending = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, is_ending.clone())?;
    }
    let report = drive(city, broker, &logins, arguments.speed, until_ms, &is_ending)?;
    writeln!(std::io::stdout(), "{}", report_to_json(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn live_on_paper(mut city: City, until_ms: u64) -> Outcome {
    let mut out = std::io::stdout().lock();
    for uplink in city.live_until(until_ms) {
        let line = json!({
            "at_ms": uplink.at_ms, "gateway": uplink.gateway.to_string(), "topic": uplink.topic,
            "envelope_hex": mesh::tree::to_hex(&uplink.payload),
        });
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{}", report_to_json(city.report()))?;
    Ok(ExitCode::SUCCESS)
}

fn report_to_json(report: &Report) -> serde_json::Value {
    json!({ "report": {
        "packets": report.packets,
        "transmissions": report.transmissions,
        "airtime_ms": report.airtime_ms,
        "uplinks": report.uplinks,
        "downlinks": report.downlinks,
        "downlinks_used": report.downlinks_used,
        "downlink_transmissions": report.downlink_transmissions,
        "downlink_airtime_ms": report.downlink_airtime_ms,
        "texts": report.texts,
        "texts_crossed": report.texts_crossed,
    }})
}

type Logins = BTreeMap<u32, (String, String)>;

/// Adds the city's gateways to a broker's directory, or gives them new passwords when they are in it.
fn give_credentials(city: &City, data: &Path) -> Result<Logins, Box<dyn std::error::Error>> {
    let mut store = Store::open(data)?;
    let mut logins = BTreeMap::new();
    for resident in city.gateways() {
        let id = GatewayId(resident.num.0);
        let username = Username::of_gateway(id).as_str().to_owned();
        let token: Token = random_token()?;
        let now_ms = u64::try_from(clock::unix_ms()).unwrap_or_default();
        let command = if store.load()?.gateway(id).is_some() {
            Command::Rotate { username: username.clone(), token: token.clone() }
        } else {
            let owner = Some(Owner { name: format!("simulated: {}", resident.long_name), contact: None });
            Command::AddGateway { id, owner, note: "simulated".to_owned(), token: token.clone() }
        };
        store.apply(command, "simulation", now_ms)?;
        logins.insert(resident.num.0, (username, token.reveal().to_owned()));
    }
    Ok(logins)
}

/// Lives on the real clock, `speed` times faster than life, until told to end or the time is over.
fn drive(
    mut city: City,
    broker: SocketAddr,
    logins: &Logins,
    speed: u32,
    until_ms: Option<u64>,
    is_ending: &AtomicBool,
) -> std::io::Result<Report> {
    let (came_down, downlinks) = channel();
    let mut gateways: BTreeMap<NodeNum, Sender<Publication>> = BTreeMap::new();
    for resident in city.gateways() {
        let login = Login {
            credential: logins.get(&resident.num.0).cloned(),
            filters: vec![city.filter("LongFast"), city.filter("PKI")],
        };
        let publish = simulated_gateway::start(broker, resident.num, login, came_down.clone())?;
        gateways.insert(resident.num, publish);
    }
    let began = Instant::now();
    let mut lived_ms = 0;
    while !is_ending.load(Ordering::Relaxed) && until_ms.is_none_or(|until| lived_ms < until) {
        lived_ms = match speed {
            0 => lived_ms + FAST_STEP_MS,
            _ => {
                std::thread::sleep(STEP);
                u64::try_from(began.elapsed().as_millis())
                    .unwrap_or(u64::MAX)
                    .saturating_mul(u64::from(speed))
            }
        };
        for uplink in city.live_until(lived_ms) {
            if let Some(publish) = gateways.get(&uplink.gateway) {
                // A gateway's thread ends only after this loop.
                let _ = publish.send(Publication { topic: uplink.topic, payload: uplink.payload });
            }
        }
        while let Ok(downlink) = downlinks.try_recv() {
            city.downlink(downlink.gateway, &downlink.payload);
        }
    }
    Ok(city.report().clone())
}

/// The city inside `serve --demo`.
pub struct Demo {
    city: City,
    logins: Logins,
}

/// A running demo; ends when dropped.
pub struct RunningDemo {
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Demo {
    /// Settles the city and gives its gateways credentials in the data folder.
    pub fn prepare(data: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let city = City::new(Plan { start_unix_ms: clock::unix_ms(), texts_per_hour: 90, ..Plan::default() });
        let logins = give_credentials(&city, data)?;
        Ok(Self { city, logins })
    }

    /// Lets it live against the broker.
    pub fn run(self, broker: SocketAddr, speed: u32) -> std::io::Result<RunningDemo> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let ends = is_ending.clone();
        let broker = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), broker.port());
        let thread = std::thread::Builder::new().name("city".to_owned()).spawn(move || {
            if let Err(error) = drive(self.city, broker, &self.logins, speed.max(1), None, &ends) {
                tracing::error!(%error, "the simulated city ended");
            }
        })?;
        Ok(RunningDemo { is_ending, thread: Some(thread) })
    }
}

impl Drop for RunningDemo {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
