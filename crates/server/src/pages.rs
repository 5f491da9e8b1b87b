//! The pages on a thread of their own: what they are given, and how they end.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use broker::Origin;
use directory_store::Store;
use history::Health;
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;
use policy::edit::Edit;
use policy::memory::MemoryLimits;
use record::Record;
use tokio::sync::{broadcast, watch};

use crate::alerting_desk::AlertBoard;
use crate::bridging::BridgeBoard;
use crate::core_loop::{Arrival, Command, CoreHandle};
use crate::listener::unmapped;
use crate::policy_desk::PolicyDesk;
use crate::start::{Settings, StartError};
use crate::tls::{SharedTls, TlsSettings};
use crate::transport::Transport;
use crate::{erasing, retention_keeper};

/// What the pages are started with.
#[derive(Debug, Clone)]
pub struct PagesSettings {
    /// Where they listen; port 0 picks one.
    pub listen: SocketAddr,
    /// TLS for them; `None` for none.
    pub tls: Option<TlsSettings>,
    /// Name of the mesh.
    pub mesh_name: String,
    /// Their address from outside.
    pub public_url: Option<String>,
    /// Whether a simulated city runs inside.
    pub is_demo: bool,
    /// Networks from which anyone may read the metrics.
    pub metrics_from: Vec<ipnet::IpNet>,
    /// Questions to the API a minute: from one address without a sign-in, and of one person or program.
    pub api_per_minute: (u32, u32),
    /// Channels the operator has declared public.
    pub public_channels: Vec<Box<str>>,
    /// How gateways reach the broker: `host` or `host:port`, and whether they speak TLS there.
    pub way_in: (String, bool),
    /// Where background pictures of the map come from.
    pub map_tiles: Option<web::MapTiles>,
    /// What the mesh wants of a node that becomes its gateway.
    pub expected: preflight::expected::Expected,
    /// What is configured, for the operator.
    pub told: Vec<web::Setting>,
}

/// Records on their way to open pages. A page that is slow misses some and is told.
#[derive(Debug, Clone)]
pub(crate) struct Live(broadcast::Sender<Record>);

/// Records kept for a slow page.
const BACKLOG: usize = 1_024;

impl Default for Live {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Live {
    pub fn show(&self, record: Record) {
        // Nobody looking is no failure.
        let _ = self.0.send(record);
    }
}

/// Whom the pages ask.
pub(crate) struct Sources {
    pub core: CoreHandle,
    /// How the recorder keeps up, where there is one.
    pub health: Option<Arc<Health>>,
    pub live: Live,
    pub desk: Arc<PolicyDesk>,
    pub bridges: BridgeBoard,
    pub alerts: Option<AlertBoard>,
}

/// The running pages; dropping them ends live streams and the thread.
pub(crate) struct Pages {
    ending: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Pages {
    pub fn start(
        settings: &Settings,
        listener: TcpListener,
        tls: Option<SharedTls>,
        sources: Sources,
    ) -> Result<Self, StartError> {
        let Sources { core, health, live, desk, bridges, alerts } = sources;
        let Some(pages) = settings.pages.clone() else {
            return Err(StartError::System(std::io::Error::other("no pages")));
        };
        let history = history::Reader::open(&settings.data.join("history")).map_err(StartError::History)?;
        let directory = Store::open(&settings.data).map_err(StartError::Directory)?;
        let mode = if pages.is_demo { web::Mode::Demo } else { web::Mode::Normal };
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| StartError::System(std::io::Error::other(error)))?;
        let state = web::WebState {
            secret,
            info: web::Info {
                mesh_name: pages.mesh_name,
                public_url: pages.public_url,
                is_tls: tls.is_some(),
                started_ms: unix_ms(),
                mode,
                metrics_from: pages.metrics_from,
                way_in: pages.way_in,
                preset: Some(settings.preset),
                api_per_minute: pages.api_per_minute,
                map_tiles: pages.map_tiles,
                expected: pages.expected,
                settings: pages.told,
                keep: settings.keep,
                data: settings.data.clone(),
            },
            snapshot: Arc::new({
                let core = core.clone();
                move || core.snapshot()
            }),
            about_node: Arc::new({
                let core = core.clone();
                move |node| core.about_node(node)
            }),
            board: Arc::new({
                let core = core.clone();
                move || core.board()
            }),
            watching: Arc::new({
                let core = core.clone();
                move || core.watching()
            }),
            due: Arc::new({
                let data = settings.data.clone();
                move |keep| {
                    retention_keeper::due(&data, keep, unix_ms()).map_err(|error| {
                        tracing::error!(%error, "what would be due cannot be counted");
                        "it cannot be counted; the program's log has the reason".to_owned()
                    })
                }
            }),
            held: Arc::new({
                let (data, keyring) = (settings.data.clone(), settings.keyring.clone());
                move |node| {
                    let store = Store::open(&data).map_err(|error| error.to_string())?;
                    let found = erasing::find(&data, &store, node, &keyring);
                    found.map(|found| found.lines()).map_err(|error| {
                        tracing::error!(%error, "what is held of a node cannot be counted");
                        "it cannot be counted; the program's log has the reason".to_owned()
                    })
                }
            }),
            history_health: Arc::new(move || {
                health.as_deref().map_or_else(web::HistoryHealth::default, web::HistoryHealth::of)
            }),
            bridges: Arc::new(move || bridges.read()),
            alerts: alerts.map(|board| -> Arc<dyn web::AlertDesk> { Arc::new(PagesAlerts(board)) }),
            policy: Arc::new({
                let desk = desk.clone();
                move || desk.settings()
            }),
            policy_desk: Some(Arc::new(PagesDesk {
                desk,
                data: settings.data.clone(),
                keyring: settings.keyring.clone(),
                preset: settings.preset,
                limits: MemoryLimits {
                    seen_packets_max: settings.limits.seen_packets_max,
                    ..MemoryLimits::default()
                },
            })),
            clock: Arc::new(unix_ms),
            history,
            directory,
            live: live.0,
            keyring: settings.keyring.clone(),
            public_channels: pages.public_channels,
            mqtt: Some(to_core(core, settings.listeners.len())),
        };
        let tls = tls.map(|tls| -> web::TlsFn { Arc::new(move || tls.config()) });
        let (ending, ends) = watch::channel(false);
        let run = move || {
            if let Err(error) = web::serve(listener, tls, state, ends) {
                tracing::error!(%error, "the pages ended with an error");
            }
        };
        let thread =
            std::thread::Builder::new().name("pages".to_owned()).spawn(run).map_err(StartError::System)?;
        Ok(Self { ending, thread: Some(thread) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // An error means that the pages ended before.
        let _ = self.ending.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// The policy's desk as the pages see it, with what a backtest needs beside it.
struct PagesDesk {
    desk: Arc<PolicyDesk>,
    data: PathBuf,
    keyring: Keyring,
    preset: ModemPreset,
    limits: MemoryLimits,
}

impl web::PolicyDesk for PagesDesk {
    fn text(&self) -> (String, u64) {
        self.desk.text()
    }

    fn problem(&self) -> Option<String> {
        self.desk.problem()
    }

    fn read(&self, text: &str) -> Result<policy::settings::Settings, String> {
        self.desk.read(text)
    }

    fn edited(&self, text: &str, edit: Edit) -> Option<String> {
        self.desk.edited(text, edit)
    }

    fn backtest(
        &self,
        proposed: Arc<policy::settings::Settings>,
        count_from_ms: i64,
    ) -> Result<backtest::Options, String> {
        let directory = Store::open(&self.data).and_then(|store| store.load()).map_err(|e| e.to_string())?;
        Ok(backtest::Options {
            current: self.desk.settings(),
            proposed,
            directory: Arc::new(directory),
            keyring: self.keyring.clone(),
            preset: self.preset,
            limits: self.limits,
            count_from_ms,
        })
    }

    fn apply(&self, text: &str, number: u64, who: &str) -> Result<(), String> {
        self.desk.apply(text, number, who)
    }
}

/// The alerts as the pages see them.
struct PagesAlerts(AlertBoard);

impl web::AlertDesk for PagesAlerts {
    fn board(&self) -> automation::alert::board::Board {
        self.0.read()
    }

    fn try_target(&self, target: &str) {
        self.0.try_target(target);
    }
}

/// What upgrades at `/mqtt` enters the core through the listener after those that were asked for.
fn to_core(core: CoreHandle, number: usize) -> web::MqttFn {
    let listener = u8::try_from(number).expect("listeners were counted when they were opened");
    Arc::new(move |connection| {
        let web::MqttConnection { stream, tls, ahead, address } = connection;
        let stream = mio::net::TcpStream::from_std(stream);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let mut transport = Transport::Tcp(stream);
        if let Some(session) = tls {
            transport = transport.with_tls(session);
        }
        let origin = Origin { address: unmapped(address), listener, certificate_name: None, bridge: None };
        let arrival = Arrival { transport: transport.into_websocket(ahead), origin };
        core.send(Command::Enter(Box::new(arrival)));
    })
}

pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
