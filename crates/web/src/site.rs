//! What all pages share, and who is asking: parsed once per request.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use broker::Snapshot;
use maud::Markup;
use mesh::keyring::Keyring;
use query::{Condition, Island, NodeName, Problem, Query, Surroundings};
use record::Record;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::account::Account;
use crate::activity::Activity;
use crate::archive::{Archive, Unreadable};
use crate::assets::Asset;
use crate::backtests::Backtests;
use crate::layout::{self, Frame, Section};
use crate::live::Seats;
use crate::names::Names;
use crate::roster::Roster;
use crate::spoken::Channels;
use crate::surveys::{AloneOfDay, ByGateway, Surveys};
use crate::visibility::{Sight, Visitor};
use crate::who::Who;
use crate::words::Nodes;
use crate::work::Work;
use crate::{Info, WebState, days};

/// How long what the broker said is good for.
const SNAPSHOT_KEPT_MS: i64 = 1_000;

/// How long the sums of ninety days are good for.
const HOURS_KEPT_MS: i64 = 5 * 60_000;

/// Hours with when they begin, Unix ms, and what their receptions amount to; oldest first.
pub type Hours = Vec<(i64, history::Tally)>;

/// What all pages share.
pub struct Site {
    /// What does not change.
    pub info: Info,
    /// Asks how the bridges to other brokers are doing.
    pub bridges: crate::BridgesFn,
    /// Where alerts are shown and tried.
    pub alerts: Option<Arc<dyn crate::AlertDesk>>,
    /// Asks the recorder how it keeps up.
    pub history_health: crate::HealthFn,
    /// The policy in force.
    pub policy: crate::PolicyFn,
    /// Where it is changed.
    pub policy_desk: Option<Arc<dyn crate::PolicyDesk>>,
    /// Backtests that the operator asked for.
    pub backtests: Backtests,
    /// Keys that may open packets.
    pub keyring: Arc<Keyring>,
    /// The past.
    pub archive: Archive,
    /// How often programs may ask.
    pub limits: crate::api::door::Limits,
    /// Work that strangers do.
    pub work: Work,
    /// Turns for exports.
    pub exports: Arc<Semaphore>,
    /// Surveys of coverage and links.
    pub surveys: Surveys,
    alone_of_day: AloneOfDay,
    /// Who signs in.
    pub account: Account,
    /// The last hour, folded.
    pub activity: RwLock<Activity>,
    /// Names of nodes.
    pub names: RwLock<Names>,
    /// What is spoken on.
    pub channels: RwLock<Channels>,
    /// Who was heard lately.
    pub roster: RwLock<Roster>,
    /// The present.
    pub live: broadcast::Sender<Record>,
    /// Places for live streams.
    pub seats: Seats,
    /// Becomes `true` when the server stops: live streams end then.
    pub is_ending: watch::Receiver<bool>,
    /// Islands as they were a few seconds ago.
    pub islands: RwLock<Vec<Island>>,
    ask_snapshot: crate::SnapshotFn,
    ask_about_node: crate::AboutNodeFn,
    ask_board: crate::BoardFn,
    ask_watching: crate::WatchingFn,
    count_held: crate::HeldFn,
    count_due: crate::DueFn,
    counting_held: tokio::sync::Mutex<()>,
    snapshot: tokio::sync::Mutex<Option<(i64, Arc<Snapshot>)>>,
    kept_board: tokio::sync::Mutex<Option<(i64, Arc<broker::Board>)>>,
    all_hours: tokio::sync::Mutex<Option<(i64, Arc<Hours>)>>,
    clock: crate::ClockFn,
    public_channels: Arc<[Box<str>]>,
    /// Where connections of `/mqtt` go.
    pub mqtt: Option<crate::MqttFn>,
}

impl Site {
    /// Puts the parts together.
    pub fn new(state: WebState, is_ending: watch::Receiver<bool>) -> Self {
        let is_https =
            state.info.is_tls || state.info.public_url.as_deref().is_some_and(|u| u.starts_with("https://"));
        let keyring = Arc::new(state.keyring);
        Self {
            ask_snapshot: state.snapshot,
            ask_about_node: state.about_node,
            ask_board: state.board,
            ask_watching: state.watching,
            count_held: state.held,
            count_due: state.due,
            counting_held: tokio::sync::Mutex::default(),
            snapshot: tokio::sync::Mutex::default(),
            kept_board: tokio::sync::Mutex::default(),
            all_hours: tokio::sync::Mutex::default(),
            history_health: state.history_health,
            bridges: state.bridges,
            alerts: state.alerts,
            policy: state.policy,
            policy_desk: state.policy_desk,
            backtests: Backtests::default(),
            archive: Archive::new(state.history.with_keyring(keyring.clone())),
            keyring,
            limits: crate::api::door::Limits::new(state.info.api_per_minute.0, state.info.api_per_minute.1),
            work: Work::new(state.secret),
            exports: crate::pages::export::turns(),
            surveys: Surveys::default(),
            alone_of_day: AloneOfDay::default(),
            account: Account::new(state.directory, is_https),
            activity: RwLock::default(),
            names: RwLock::default(),
            channels: RwLock::default(),
            roster: RwLock::default(),
            islands: RwLock::default(),
            live: state.live,
            seats: Seats::default(),
            is_ending,
            clock: state.clock,
            public_channels: state.public_channels.into(),
            mqtt: state.mqtt,
            info: state.info,
        }
    }

    /// The present, Unix ms.
    pub fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// What is going on at the broker; `None` when it does not answer. However many pages are open, it is asked at most
    /// once in a while, and on a thread that may wait.
    pub async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let mut kept = self.snapshot.lock().await;
        let now_ms = self.now_ms();
        if let Some((at_ms, snapshot)) = &*kept
            && (0..SNAPSHOT_KEPT_MS).contains(&(now_ms - at_ms))
        {
            return Some(snapshot.clone());
        }
        let ask = self.ask_snapshot.clone();
        let snapshot = tokio::task::spawn_blocking(move || ask()).await.ok().flatten().map(Arc::new)?;
        *kept = Some((now_ms, snapshot.clone()));
        Some(snapshot)
    }

    /// The same, at most so old that a page which is open everywhere costs the broker one question in a while. Empty when
    /// it does not answer.
    pub async fn board_lately(&self) -> Arc<broker::Board> {
        let mut kept = self.kept_board.lock().await;
        let now_ms = self.now_ms();
        if let Some((at_ms, board)) = &*kept
            && (0..SNAPSHOT_KEPT_MS).contains(&(now_ms - at_ms))
        {
            return board.clone();
        }
        let board = Arc::new(self.board().await.unwrap_or_default());
        *kept = Some((now_ms, board.clone()));
        board
    }

    /// What all receptions of the last ninety days amount to, hour by hour. However many pages are open, the history is
    /// asked at most once in a while.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn all_hours(&self) -> Result<Arc<Hours>, Unreadable> {
        let mut kept = self.all_hours.lock().await;
        let now_ms = self.now_ms();
        if let Some((at_ms, hours)) = &*kept
            && (0..HOURS_KEPT_MS).contains(&(now_ms - at_ms))
        {
            return Ok(hours.clone());
        }
        let hours =
            Arc::new(self.archive.hours(history::Thing::All, days::since_ms(now_ms), now_ms + 1).await?);
        *kept = Some((now_ms, hours.clone()));
        Ok(hours)
    }

    /// What each gateway alone heard of the last day, as the visitor may know it.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn alone(&self, sight: &Sight) -> Result<Arc<ByGateway>, Unreadable> {
        self.alone_of_day.of(&self.archive, sight, self.now_ms()).await
    }

    /// What is known of a node; `None` when the broker does not answer.
    pub async fn about_node(&self, node: u32) -> Option<broker::NodeAbout> {
        let ask = self.ask_about_node.clone();
        tokio::task::spawn_blocking(move || ask(node)).await.ok().flatten()
    }

    /// What downlink has used up; `None` when the broker does not answer.
    pub async fn board(&self) -> Option<broker::Board> {
        let ask = self.ask_board.clone();
        tokio::task::spawn_blocking(move || ask()).await.ok().flatten()
    }

    /// Learns which islands there are. What it knew stays when the broker does not answer.
    pub async fn learn_islands(&self) {
        let Some(board) = self.board().await else { return };
        let island = |board: broker::IslandBoard| Island {
            number: board.island,
            gateways: board.gateways.iter().map(|gateway| gateway.gateway).collect(),
        };
        *write(&self.islands) = board.islands.into_iter().map(island).collect();
    }

    /// What wants the operator's eye; `None` when the broker does not answer.
    pub async fn watching(&self) -> Option<broker::Watching> {
        let ask = self.ask_watching.clone();
        tokio::task::spawn_blocking(move || ask()).await.ok().flatten()
    }

    /// Everything that is held of a node, place by place; one question at a time, since each goes through the whole history.
    ///
    /// # Errors
    /// Why it cannot be counted, for people.
    pub async fn held(&self, node: directory::GatewayId) -> Result<Vec<(String, String)>, String> {
        let _turn = self.counting_held.lock().await;
        let count = self.count_held.clone();
        let counted = tokio::task::spawn_blocking(move || count(node)).await;
        counted.unwrap_or_else(|_| Err("counting failed; the program's log has the reason".to_owned()))
    }

    /// What other times of retention would delete; one question at a time.
    ///
    /// # Errors
    /// Why it cannot be counted, for people.
    pub async fn due(&self, keep: history::retention::Keep) -> Result<history::retention::Purged, String> {
        let _turn = self.counting_held.lock().await;
        let count = self.count_due.clone();
        let counted = tokio::task::spawn_blocking(move || count(keep)).await;
        counted.unwrap_or_else(|_| Err("counting failed; the program's log has the reason".to_owned()))
    }

    /// What a visitor may see.
    pub fn sight(&self, visitor: Visitor) -> Sight {
        Sight { visitor, public_channels: self.public_channels.clone() }
    }

    /// Learns from a record: rates and names.
    pub fn take(&self, record: &Record) {
        if let Record::Erased(erased) = record {
            self.forget_node(erased.node);
        }
        let Record::Reception(reception) = record else { return };
        write(&self.activity).take(reception);
        write(&self.names).take_channel(reception, &self.sight(Visitor::Public));
        self.learn_name(reception);
        self.take_into_roster(reception);
    }

    /// Forgets a node that was erased, and answers in which it may be.
    pub fn forget_node(&self, node: u32) {
        write(&self.activity).forget_node(node);
        write(&self.names).forget_node(node);
        write(&self.channels).forget_node(node);
        write(&self.roster).forget_node(node);
        self.surveys.forget();
        self.backtests.forget();
    }

    /// Learns what a reception says of its node and of the gateway that brought it.
    pub fn take_into_roster(&self, reception: &record::Reception) {
        write(&self.channels).take(reception, &self.sight(Visitor::Public));
        write(&self.roster).take(reception, &self.keyring, &self.sight(Visitor::Public));
    }

    /// Forgets nodes that were not heard for long.
    pub fn forget_nodes(&self) {
        write(&self.roster).forget(self.now_ms());
    }

    /// Learns a node's name, when the reception is node information.
    pub fn learn_name(&self, reception: &record::Reception) {
        write(&self.names).take(reception, &self.keyring, &self.sight(Visitor::Public));
    }
}

/// One request: who asks, when, and of which site.
#[derive(Clone)]
pub struct Visit {
    /// The site.
    pub site: Arc<Site>,
    /// Who asks.
    pub who: Who,
    /// What they may see.
    pub sight: Sight,
    /// When they ask, Unix ms.
    pub now_ms: i64,
    /// From where, for the throttle only.
    pub address: IpAddr,
}

impl FromRequestParts<Arc<Site>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Infallible> {
        if let Some(visit) = parts.extensions.get::<Self>() {
            return Ok(visit.clone());
        }
        let now_ms = site.now_ms();
        let who = site.account.who(&parts.headers, now_ms).await;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
        let address = client_address(peer, parts);
        let sight = site.sight(who.visitor());
        Ok(Self { site: site.clone(), who, sight, now_ms, address })
    }
}

/// Who connects: behind a proxy on this machine, whom the proxy names last.
fn client_address(peer: Option<IpAddr>, parts: &Parts) -> IpAddr {
    let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let forwarded = || {
        let chain = parts.headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        chain.rsplit(',').next()?.trim().parse().ok()
    };
    if peer.to_canonical().is_loopback() { forwarded().unwrap_or(peer) } else { peer }
}

impl Visit {
    /// A page of the site.
    pub fn page(&self, section: Section, title: &str, scripts: &[&Asset], body: &Markup) -> Markup {
        let mesh_name = &self.site.info.mesh_name;
        layout::document(
            &Frame { title, mesh_name, who: &self.who, section, scripts, now_ms: Some(self.now_ms) },
            body,
        )
    }

    /// A page that says what went wrong and what to do.
    pub fn trouble(&self, status: StatusCode, title: &str, what_to_do: &str) -> Response {
        let body = crate::pages::trouble::body(title, what_to_do, &self.who);
        (status, self.page(Section::None, title, &[], &body)).into_response()
    }

    /// The answer for what does not exist or is not for this visitor: the same words for both, so that nobody learns
    /// which.
    pub fn not_here(&self, thing: &str) -> Response {
        let (title, text) = match self.sight.visitor {
            Visitor::Public => (
                "Not public",
                format!(
                    "There is no public {thing} here. It may not exist, may be older than what is kept, or its sender \
                     has not agreed to be shown. The operator can sign in to see more."
                ),
            ),
            Visitor::Operator => (
                "Not found",
                format!(
                    "There is no such {thing} in the history. Check the address, or look for it in the log."
                ),
            ),
        };
        self.trouble(StatusCode::NOT_FOUND, title, &text)
    }

    /// The answer when the history cannot be read.
    pub fn history_failed(&self) -> Response {
        self.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The history cannot be read",
            "Try again in a moment. If it stays so, the operator finds the reason in the program's log.",
        )
    }

    /// The condition that a query is for this visitor, who may ask only by what they may know.
    pub fn bind(&self, query: &Query) -> Result<Condition, Problem> {
        if let (false, Some((field, place))) = (self.sight.is_operator(), query.operators_field()) {
            let message = format!("only the operator may ask for `{field}`; sign in first");
            return Err(Problem { span: place.unwrap_or_default(), message, instead: Vec::new() });
        }
        if query.is_empty() {
            return Ok(Condition::ALWAYS);
        }
        let names = self.node_names();
        let islands = read(&self.site.islands);
        query.bind(&Surroundings { now_ms: self.now_ms, names: &names, islands: &islands })
    }

    /// Gateways and channels of the last hours that this visitor may know.
    pub fn heard(&self) -> (Vec<u32>, Vec<String>) {
        let gateways = read(&self.site.activity).gateways(self.now_ms);
        let channels = read(&self.site.names).channels(self.sight.visitor);
        (gateways.into_iter().map(|gateway| gateway.gateway).collect(), channels)
    }

    /// Nodes with the names that this visitor may know.
    pub fn node_names(&self) -> Vec<NodeName> {
        read(&self.site.names).all(self.sight.visitor)
    }

    /// Nodes by name as this visitor may know them, for the time of one page.
    pub fn with_nodes<T>(&self, then: impl FnOnce(Nodes<'_>) -> T) -> T {
        let names = read(&self.site.names);
        then(Nodes { names: &names, visitor: self.sight.visitor })
    }
}

/// Reads a fold. A panic while it was written can only have lost a count.
pub fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
