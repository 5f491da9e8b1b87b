//! Pages, live stream and login. Learns what happened from records and the history; never looks into sessions, and never
//! touches the publish path.
//!
//! Reading order: the site map, who asks and what they may see, the pages, the pieces that pages are made of.

mod account;
mod activity;
mod advice;
mod api;
mod archive;
mod assets;
mod backtests;
mod challenge;
mod checklist;
mod days;
mod filter;
mod gateway_line;
mod habits;
mod layout;
mod listen;
mod live;
mod log_row;
mod measured;
mod moment;
mod mqtt_upgrade;
mod names;
mod navigation;
mod pages;
mod payload;
mod picture;
mod prometheus;
mod qr;
mod reading;
mod roster;
mod route;
mod route_picture;
mod routes;
mod search;
mod security;
mod site;
mod spoken;
mod surveys;
mod throttle;
mod timeline;
mod visibility;
mod who;
mod window;
mod words;
mod work;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use record::Record;
use tokio::sync::{broadcast, watch};
use tokio_rustls::rustls::ServerConfig;

use crate::site::Site;

pub use challenge::{ChallengeAnswers, serve_challenges};
pub use mqtt_upgrade::MqttConnection;
pub use pages::map::MapTiles;

/// Asks the broker what is going on; `None` when it does not answer in time.
pub type SnapshotFn = Arc<dyn Fn() -> Option<broker::Snapshot> + Send + Sync>;
/// Asks the broker what is known of a node; `None` when it does not answer in time.
pub type AboutNodeFn = Arc<dyn Fn(u32) -> Option<broker::NodeAbout> + Send + Sync>;
/// Asks the broker what downlink has used up; `None` when it does not answer.
pub type BoardFn = Arc<dyn Fn() -> Option<broker::Board> + Send + Sync>;
/// Asks the broker what wants the operator's eye; `None` when it does not answer in time.
pub type WatchingFn = Arc<dyn Fn() -> Option<broker::Watching> + Send + Sync>;
/// Asks how the bridges to other brokers are doing, in the order of the configuration.
pub type BridgesFn = Arc<dyn Fn() -> Vec<bridge::Status> + Send + Sync>;
/// Where alerts are shown and tried.
pub trait AlertDesk: Send + Sync {
    /// How they are doing.
    fn board(&self) -> automation::alert::board::Board;
    /// Asks for a letter to a target that only shows that letters arrive.
    fn try_target(&self, target: &str);
}

/// Asks how the recorder keeps up.
pub type HealthFn = Arc<dyn Fn() -> HistoryHealth + Send + Sync>;
/// Asks for the policy in force.
pub type PolicyFn = Arc<dyn Fn() -> Arc<policy::settings::Settings> + Send + Sync>;
/// Where the policy in force is changed.
pub trait PolicyDesk: Send + Sync {
    /// The text in force with its number, which rises with every change.
    fn text(&self) -> (String, u64);
    /// Why the policy file is not in force; `None` when it is.
    fn problem(&self) -> Option<String>;
    /// Understands a text, or says everything that is wrong with it.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn read(&self, text: &str) -> Result<policy::settings::Settings, String>;
    /// A text with one change; `None` when a person must write that.
    fn edited(&self, text: &str, edit: policy::edit::Edit) -> Option<String>;
    /// What a backtest of a proposed policy against the one in force is made of. May wait for the disk.
    ///
    /// # Errors
    /// Why not, for people.
    fn backtest(
        &self,
        proposed: Arc<policy::settings::Settings>,
        count_from_ms: i64,
    ) -> Result<backtest::Options, String>;
    /// Puts a text in force, if it is right and the number is still that of the one in force. May wait for the disk.
    ///
    /// # Errors
    /// What is wrong, for people; nothing has changed then.
    fn apply(&self, text: &str, number: u64, who: &str) -> Result<(), String>;
}
/// Counts everything that is held of a node: each place with what is there, for people. Takes as long as going through the
/// history takes. The error says why not.
pub type HeldFn = Arc<dyn Fn(directory::GatewayId) -> Result<Vec<(String, String)>, String> + Send + Sync>;
/// Counts what other times of retention would delete. Takes as long as going through the due files takes. The error says
/// why not.
pub type DueFn =
    Arc<dyn Fn(history::retention::Keep) -> Result<history::retention::Purged, String> + Send + Sync>;
/// Asks for the time, Unix ms.
pub type ClockFn = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Takes a connection that became MQTT over WebSocket. Must not block.
pub type MqttFn = Arc<dyn Fn(MqttConnection) + Send + Sync>;
/// Gives the TLS settings in force, certificate included.
pub type TlsFn = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// Everything the pages need.
pub struct WebState {
    /// Something random.
    pub secret: [u8; 32],
    /// What does not change.
    pub info: Info,
    /// Asks the broker what is going on.
    pub snapshot: SnapshotFn,
    /// Asks the broker what is known of a node.
    pub about_node: AboutNodeFn,
    /// Asks the broker what downlink has used up.
    pub board: BoardFn,
    /// Asks the broker what wants the operator's eye.
    pub watching: WatchingFn,
    /// Counts what is held of a node.
    pub held: HeldFn,
    /// Counts what other times of retention would delete.
    pub due: DueFn,
    /// Asks how the bridges to other brokers are doing.
    pub bridges: BridgesFn,
    /// Where alerts are shown and tried; `None` where there are none.
    pub alerts: Option<Arc<dyn AlertDesk>>,
    /// Asks how the recorder keeps up.
    pub history_health: HealthFn,
    /// Asks for the policy in force.
    pub policy: PolicyFn,
    /// Where it is changed; `None` where it cannot be.
    pub policy_desk: Option<Arc<dyn PolicyDesk>>,
    /// Asks for the time.
    pub clock: ClockFn,
    /// What was received.
    pub history: history::Reader,
    /// A connection of the pages' own to the directory: operator's password, setup code, sign-ins.
    pub directory: directory_store::Store,
    /// Records as they happen.
    pub live: broadcast::Sender<Record>,
    /// Keys that may open packets.
    pub keyring: mesh::keyring::Keyring,
    /// Names of channels whose traffic the operator has declared public although their key is not.
    pub public_channels: Vec<Box<str>>,
    /// Where connections of `/mqtt` go; `None` when it is not served.
    pub mqtt: Option<MqttFn>,
}

/// What does not change while the program runs.
#[derive(Debug, Clone)]
pub struct Info {
    /// Name of the mesh.
    pub mesh_name: String,
    /// Address of these pages from outside; with `https://` cookies are marked secure.
    pub public_url: Option<String>,
    /// Whether they are served over TLS themselves, which marks cookies secure too.
    pub is_tls: bool,
    /// When the program started, Unix ms.
    pub started_ms: i64,
    /// How it runs.
    pub mode: Mode,
    /// Networks from which anyone may read `/metrics`.
    pub metrics_from: Vec<ipnet::IpNet>,
    /// How gateways reach the broker: `host` or `host:port`, and whether they speak TLS there.
    pub way_in: (String, bool),
    /// How long what is recorded is kept.
    pub keep: history::retention::Keep,
    /// The data folder, which says what the last purge did.
    pub data: std::path::PathBuf,
    /// Questions to the API a minute: from one address without a sign-in, and of one person or program.
    pub api_per_minute: (u32, u32),
    /// How the mesh’s radios are set, for captures.
    pub preset: Option<mesh::airtime::ModemPreset>,
    /// Where background pictures of the map come from; outlines are always there.
    pub map_tiles: Option<MapTiles>,
    /// What the mesh wants of a node that becomes its gateway.
    pub expected: preflight::expected::Expected,
    /// What is configured.
    pub settings: Vec<Setting>,
}

/// One key of the configuration with its value, for the operator. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name of its table; empty for the keys before the first one.
    pub table: &'static str,
    /// Name of the key.
    pub key: &'static str,
    /// Its value as one would write it.
    pub value: String,
    /// Whether nobody chose it.
    pub is_default: bool,
    /// What the key does.
    pub doc: &'static str,
}

/// How the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For real.
    Normal,
    /// As a plain broker without mesh policy.
    Lab,
    /// With a simulated city inside.
    Demo,
}

/// How the recorder keeps up.
#[derive(Debug, Clone, Default)]
pub struct HistoryHealth {
    /// Records waiting to be stored.
    pub queued: u64,
    /// Records stored since the start.
    pub stored: u64,
    /// Records lost since the start because the queue was full.
    pub shed: u64,
    /// Why the last attempt to store failed; `None` when it did not. Shown to the operator only.
    pub stalled: Option<String>,
}

impl HistoryHealth {
    /// Reads a recorder's counters.
    pub fn of(health: &history::Health) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        Self {
            queued: health.queued.load(Relaxed),
            stored: health.stored.load(Relaxed),
            shed: health.shed.load(Relaxed),
            stalled: health.last_error(),
        }
    }

    /// Whether nothing is being stored.
    pub const fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }
}

/// Serves the pages, over TLS if there is any, on the calling thread until `shutdown` is `true` or its sender is gone; then open requests are
/// finished, live streams ended, and this returns.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(
    listener: TcpListener,
    tls: Option<TlsFn>,
    state: WebState,
    shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let site = Arc::new(Site::new(state, shutdown.clone()));
        let learning = tokio::spawn(learn(site.clone(), site.live.subscribe()));
        let islands = tokio::spawn(keep_learning_islands(site.clone()));
        listen::serve(listener, tls, routes::router(site), shutdown).await;
        learning.abort();
        islands.abort();
        Ok(())
    })
}

/// The pages as a service without a listener, for tests: the answer to a request depends on its bytes only.
pub fn service(state: WebState, shutdown: watch::Receiver<bool>) -> Pages {
    let site = Arc::new(Site::new(state, shutdown));
    Pages { router: routes::router(site.clone()), site }
}

/// The site map: method, path and role of every address, in the order of the table.
pub fn site_map() -> Vec<(String, &'static str, &'static str)> {
    let line = |route: route::Route| (route.method.to_string(), route.path, route.needs.word());
    routes::site_map().into_iter().map(line).collect()
}

/// Pages without a listener.
pub struct Pages {
    /// Answers requests.
    pub router: axum::Router,
    site: Arc<Site>,
}

impl Pages {
    /// Learns what the history knows of the last days, as `serve` does when it starts.
    pub async fn learn_the_past(&self) {
        learn_the_past(&self.site).await;
    }

    /// Learns from a record and hands it to the live streams, as the running program does.
    pub fn take(&self, record: Record) {
        self.site.take(&record);
        // Nobody listening is no failure.
        let _ = self.site.live.send(record);
    }
}

/// How often the broker is asked which islands there are.
const ISLANDS_EVERY: Duration = Duration::from_secs(15);

async fn keep_learning_islands(site: Arc<Site>) {
    loop {
        tokio::time::sleep(ISLANDS_EVERY).await;
        site.learn_islands().await;
        site.forget_nodes();
    }
}

/// Names come from node information, which nodes send every few hours to few days.
const NAMES_SINCE_MS: i64 = 14 * 24 * 3_600_000;
/// Places and measurements come several times a day.
const DESCRIPTIONS_SINCE_MS: i64 = 2 * 24 * 3_600_000;
/// Rates are shown for the last hour.
const RATES_SINCE_MS: i64 = 3_600_000;

async fn learn_the_past(site: &Site) {
    site.learn_islands().await;
    let now_ms = site.now_ms();
    // A history that cannot be read shows on every page that asks for it; the folds begin empty then.
    let infos = site.archive.node_infos(now_ms - NAMES_SINCE_MS).await.unwrap_or_default();
    for reception in infos {
        site.learn_name(&reception);
        site.take_into_roster(&reception);
    }
    for reception in site.archive.self_descriptions(now_ms - DESCRIPTIONS_SINCE_MS).await.unwrap_or_default()
    {
        site.take_into_roster(&reception);
    }
    for reception in site.archive.since(now_ms - RATES_SINCE_MS).await.unwrap_or_default() {
        site.take(&Record::Reception(Arc::new(reception)));
    }
}

/// Keeps rates and names up to date. What it misses while it is slow is missing from the rates of that hour only.
async fn learn(site: Arc<Site>, mut records: broadcast::Receiver<Record>) {
    learn_the_past(&site).await;
    loop {
        match records.recv().await {
            Ok(record) => site.take(&record),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
