//! Starting and stopping everything, in order.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use broker::{Broker, Limits, ListenerRules, Options};
use directory::{Directory, TokenKey};
use directory_store::{Store, StoreError};
use history::{Recorder, RecorderOptions};
use record::Record;
use session_store::Keeper;

use crate::acme::{AcmeKeeper, AcmeSettings};
use crate::alert_samples::Sampler;
use crate::alerting_desk::{self, AlertSource, Alerting, Means};
use crate::bridge_board_keeper::BridgeBoardKeeper;
use crate::bridging::{BridgeBoard, BridgeSettings, Bridging};
use crate::certificate_keeper::CertificateKeeper;
use crate::clock::Clock;
use crate::consent_keeper::ConsentKeeper;
use crate::core_loop::{ChangeSink, Command, CoreHandle, CoreLoop, RecordSink};
use crate::directory_keeper::DirectoryKeeper;
use crate::doorman::{Doorman, DoormanHandle, Errand};
use crate::entrances::{Entrances, InheritedSockets, OpenListener};
use crate::erasing;
use crate::erasing::Erasing;
use crate::folder_lock::FolderLock;
use crate::listener::ListenerSettings;
use crate::memory_keeper::{self, MemoryKeeper};
use crate::pages::{Live, Pages, PagesSettings, Sources, unix_ms};
use crate::policy_desk::{PolicyDesk, PolicyKeeper, PolicySource};
use crate::redecode_keeper::RedecodeKeeper;
use crate::replaying::{self, Replaying};
use crate::retention_keeper::RetentionKeeper;
use crate::session_keeper;
use crate::telling::{self, Telling};
use crate::tls::TlsError;

/// What a server is started with.
pub struct Settings {
    /// Folder of all state; made when it does not exist. Not used by the plain-broker profile.
    pub data: PathBuf,
    /// The ways in for MQTT, at least one and at most 250; the pages' `/mqtt` is a further one.
    pub listeners: Vec<ListenerSettings>,
    /// Sockets that the service manager has opened.
    pub inherited: InheritedSockets,
    /// Time that clients get at a stop to take what is on its way to them.
    pub stop_grace: Duration,
    /// Plain-broker profile.
    pub lab: bool,
    /// The broker's limits.
    pub limits: Limits,
    /// Where the policy comes from; not used by the plain-broker profile.
    pub policy: PolicySource,
    /// Keys of channels that may be opened.
    pub keyring: mesh::keyring::Keyring,
    /// Name of the broker's own node.
    pub node_name: String,
    /// Modem preset assumed where a channel's name does not tell.
    pub preset: mesh::airtime::ModemPreset,
    /// What home automation is told.
    pub automation: automation::settings::Settings,
    /// Where alert rules and their targets come from; `None` for no alerts.
    pub alerts: Option<AlertSource>,
    /// Name of the mesh, for alerts.
    pub mesh_name: String,
    /// Bridges to other brokers. What this broker calls itself in their trails is put in at the start.
    pub bridges: Vec<BridgeSettings>,
    /// How long what is recorded is kept.
    pub keep: history::retention::Keep,
    /// How the recorder batches; `None` keeps no history.
    pub recorder: Option<RecorderOptions>,
    /// Whether sessions, what waits for them, Wills and retained messages survive a restart.
    pub persistence: bool,
    /// The pages; `None` for none.
    pub pages: Option<PagesSettings>,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The port cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// More listeners than there are numbers for.
    TooManyListeners,
    /// The service manager opened a socket for a listener that does not exist.
    UnknownSocket(String),
    /// A certificate cannot be used.
    Tls(TlsError),
    /// Another server works on the data folder.
    FolderInUse(PathBuf),
    /// The directory cannot be opened.
    Directory(StoreError),
    /// The history cannot be opened.
    History(history::Error),
    /// The kept sessions cannot be opened.
    Sessions(session_store::Error),
    /// The policy file is wrong, and no policy was in force before.
    Policy(String),
    /// The operating system gives no thread, poll instance or random bytes.
    System(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) if error.kind() == std::io::ErrorKind::AddrInUse => write!(
                f,
                "another program listens on {address}; stop it (a Debian mosquitto starts by itself) or choose \
                 another port with --mqtt-listen or --web-listen"
            ),
            Self::Listen(address, error) => write!(f, "{address} cannot be listened on: {error}"),
            Self::TooManyListeners => f.write_str("there may be 250 listeners at most"),
            Self::UnknownSocket(name) => write!(
                f,
                "the service manager opened a socket named `{name}`, but no listener has this name; set \
                 `FileDescriptorName=` of the socket unit to `mqtt`, `web` or the name of a `[[listener]]`"
            ),
            Self::Tls(error) => write!(f, "{error}"),
            Self::FolderInUse(folder) => write!(
                f,
                "another backhaul serves from `{}`; stop it, or choose another folder with --data",
                folder.display()
            ),
            Self::Directory(error) => write!(f, "{error}"),
            Self::History(error) => write!(f, "{error}"),
            Self::Sessions(error) => write!(f, "{error}"),
            Self::Policy(problem) => f.write_str(problem),
            Self::System(error) => write!(f, "the operating system refuses: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A running server. `stop` ends it in order; dropping it does the same.
pub struct Running {
    /// The ways in for MQTT, in the order asked for.
    pub listeners: Vec<OpenListener>,
    /// Where the pages listen.
    pub web_address: Option<SocketAddr>,
    /// For asking and telling the core.
    pub core: CoreHandle,
    core_thread: Option<JoinHandle<std::io::Result<()>>>,
    doorman: DoormanHandle,
    doorman_thread: Option<JoinHandle<std::io::Result<()>>>,
    certificates: Option<CertificateKeeper>,
    acme: Vec<AcmeKeeper>,
    recorder: Option<Recorder>,
    sessions: Option<Keeper>,
    keeper: Option<DirectoryKeeper>,
    consent: Option<ConsentKeeper>,
    redecode: Option<RedecodeKeeper>,
    retention: Option<RetentionKeeper>,
    memory: Option<MemoryKeeper>,
    policy: Option<(Arc<PolicyDesk>, PolicyKeeper)>,
    pages: Option<Pages>,
    telling: Option<Telling>,
    alerting: Option<Alerting>,
    bridging: Option<Bridging>,
    bridge_board: Option<BridgeBoardKeeper>,
    replaying: Option<Replaying>,
    erasing: Option<Erasing>,
    /// Last, so that another server may start when everything is stored.
    lock: Option<FolderLock>,
}

/// Starts recorder, core, doorman, keepers and pages.
///
/// # Errors
/// When something cannot be opened; nothing is left running then.
pub fn start(mut settings: Settings) -> Result<Running, StartError> {
    let mut entrances = Entrances::open(&settings.listeners, std::mem::take(&mut settings.inherited))?;
    if settings.lab {
        entrances.check_inherited()?;
        let options = options(&settings, Arc::default(), Arc::default(), TokenKey::new([0; 32]), 0)?;
        let broker = Broker::new(options).with_listeners(settings.rules());
        let clock = Clock::not_before(0);
        let (running, _) = run(&settings, entrances, broker, clock, Box::new(drop), Box::new(drop))?;
        return Ok(running);
    }
    let web = settings.pages.as_ref().map(|pages| {
        let tls = pages.tls.as_ref().map(|tls| entrances.tls(tls)).transpose()?;
        Ok((entrances.socket("web", pages.listen)?, tls))
    });
    let web = web.transpose()?;
    entrances.check_inherited()?;
    let store = Store::open(&settings.data).map_err(StartError::Directory)?;
    let lock = FolderLock::take(&settings.data).map_err(StartError::System)?;
    let lock = lock.ok_or_else(|| StartError::FolderInUse(settings.data.clone()))?;
    let policy = settings.policy.start().map_err(StartError::Policy)?;
    // The version comes first: a change in between is then seen as one.
    let version = store.data_version().map_err(StartError::Directory)?;
    let directory = Arc::new(store.load().map_err(StartError::Directory)?);
    let token_key = store.token_key().clone();

    let live = Live::default();
    let bell = DurableBell::default();
    let recorder = start_recorder(&settings, bell.clone(), live.clone())?;
    let last_seq = recorder.as_ref().map_or(0, Recorder::last_seq);
    let options = options(&settings, policy.settings.clone(), directory, token_key, last_seq)?;
    let sink = sink(recorder.as_ref(), bell.clone(), live.clone());
    let own_node = own_node(&options.token_key, &settings.node_name);
    let mut broker = Broker::new(options).with_listeners(settings.rules());
    let clock = remember(&settings.data, &mut broker);
    broker.set_own_node(own_node);
    let board = BridgeBoard::default();
    let (sessions, changes) = session_keeper::start(&settings, &mut broker, clock, bell.clone())?;
    let (telling, sink) = telling::prepare(&settings, &broker, sink);
    let alerts = settings.alerts.take();
    let (alerting, sink) = match alerts {
        Some(source) => {
            let (prepared, sink) = alerting_desk::prepare(sink);
            (Some((source, prepared)), sink)
        }
        None => (None, sink),
    };
    let (mut running, handle) = run(&settings, entrances, broker, clock, sink, changes)?;
    bell.connect(handle.clone());
    running.telling = telling.start(handle.clone()).map_err(StartError::System)?;
    let health = recorder.as_ref().map(Recorder::health);
    running.lock = Some(lock);
    running.recorder = recorder;
    running.sessions = sessions;
    let memory = MemoryKeeper::start(&settings.data, handle.clone());
    let memory = memory.map_err(StartError::System)?;
    let erasing = Erasing::start(erasing::Means {
        data: settings.data.clone(),
        keyring: settings.keyring.clone(),
        core: handle.clone(),
        memory: memory.writer(),
        health: health.clone(),
    });
    running.erasing = Some(erasing.map_err(StartError::Directory)?);
    running.memory = Some(memory);
    let keeper = DirectoryKeeper::start(settings.data.clone(), version, store, handle.clone());
    running.keeper = Some(keeper.map_err(StartError::System)?);
    let desk = PolicyDesk::new(settings.policy.clone(), policy, handle.clone(), unix_ms());
    let policy_keeper = PolicyKeeper::start(desk.clone()).map_err(StartError::System)?;
    running.policy = Some((desk.clone(), policy_keeper));
    if running.recorder.is_some() {
        let consent = ConsentKeeper::start(&settings.data, desk.clone());
        running.consent = Some(consent.map_err(StartError::System)?);
        let retention = RetentionKeeper::start(&settings.data, settings.keep);
        running.retention = Some(retention.map_err(StartError::System)?);
        let redecode = RedecodeKeeper::start(&settings.data, settings.keyring.clone());
        running.redecode = Some(redecode.map_err(StartError::System)?);
    }
    if running.recorder.is_some() {
        let replaying = Replaying::start(replaying::Means {
            data: settings.data.clone(),
            keyring: settings.keyring.clone(),
            automation: settings.automation.clone(),
            core: handle.clone(),
        });
        running.replaying = Some(replaying.map_err(StartError::Directory)?);
    }
    let mut bridges = std::mem::take(&mut settings.bridges);
    bridges.iter_mut().for_each(|bridge| bridge.introduce_as(own_node));
    let bridging = Bridging::start(bridges, &handle, &board).map_err(StartError::System)?;
    running.bridging = Some(bridging);
    let keeper = BridgeBoardKeeper::start(&settings.data, board.clone()).map_err(StartError::System)?;
    running.bridge_board = Some(keeper);
    if let Some((source, prepared)) = alerting {
        let means = Means {
            data: settings.data.clone(),
            mesh_name: settings.mesh_name.clone(),
            keyring: settings.keyring.clone(),
            allowed: settings.automation.clone(),
            core: handle.clone(),
            sampler: Sampler::new(settings.data.clone(), health.clone(), board.clone()),
        };
        running.alerting = Some(prepared.start(source, means).map_err(StartError::System)?);
    }
    if let Some((listener, tls)) = web {
        running.web_address = Some(listener.local_addr().map_err(StartError::System)?);
        let alerts = running.alerting.as_ref().map(|alerting| alerting.board.clone());
        let sources = Sources { core: handle, health, live, desk, bridges: board, alerts };
        running.pages = Some(Pages::start(&settings, listener, tls, sources)?);
    }
    Ok(running)
}

/// Starts core, doorman and certificate keeper.
fn run(
    settings: &Settings,
    entrances: Entrances,
    broker: Broker,
    clock: Clock,
    records: RecordSink,
    changes: ChangeSink,
) -> Result<(Running, CoreHandle), StartError> {
    let certificates = entrances.certificates();
    let Entrances { open, plain, doors, .. } = entrances;
    let (mut core, handle) = CoreLoop::new(plain, broker, clock, records, changes, settings.stop_grace)
        .map_err(StartError::System)?;
    let (doorman, doorman_handle) = Doorman::new(doors, handle.clone()).map_err(StartError::System)?;
    core.set_doorman(doorman_handle.clone());
    let mut running = Running {
        listeners: open,
        web_address: None,
        core: handle.clone(),
        core_thread: Some(spawn("core", move || core.run())?),
        doorman: doorman_handle,
        doorman_thread: None,
        certificates: None,
        acme: Vec::new(),
        recorder: None,
        sessions: None,
        keeper: None,
        consent: None,
        redecode: None,
        retention: None,
        memory: None,
        policy: None,
        pages: None,
        telling: None,
        alerting: None,
        bridging: None,
        bridge_board: None,
        replaying: None,
        erasing: None,
        lock: None,
    };
    running.doorman_thread = Some(spawn("doorman", move || doorman.run())?);
    // Listeners that ask for client certificates have TLS of their own, but the certificate is the same: one obtains
    // it, and the others read it when it is there. Only the one that asks nothing of clients can show proofs.
    let mut obtained: Vec<&AcmeSettings> = Vec::new();
    for tls in certificates.iter().filter(|tls| tls.asks_nothing()).chain(&certificates) {
        if let Some(acme) = tls.acme().filter(|acme| !obtained.contains(acme)) {
            obtained.push(acme);
            let keeper = AcmeKeeper::start(acme.clone(), tls.clone());
            running.acme.push(keeper.map_err(StartError::System)?);
        }
    }
    if !certificates.is_empty() {
        let keeper = CertificateKeeper::start(certificates);
        running.certificates = Some(keeper.map_err(StartError::System)?);
    }
    Ok((running, handle))
}

/// What an earlier run remembered goes into the broker; its clock goes on from there.
fn remember(data: &Path, broker: &mut Broker) -> Clock {
    let found = memory_keeper::read(data);
    if let Some(bytes) = &found.bytes {
        match broker.remember(bytes) {
            Ok(restored) if restored.left_out.is_empty() => {}
            Ok(restored) => tracing::warn!(
                ledgers = restored.left_out.join(", "),
                "what policy remembered in these is of another version; they begin anew"
            ),
            Err(damage) => memory_keeper::set_aside(&data.join(memory_keeper::MEMORY_FILE), damage),
        }
    }
    Clock::not_before(found.mono_ms)
}

/// The node number of the broker's own node: nobody else's, the same after every start, and not to be guessed.
pub fn own_node(key: &TokenKey, name: &str) -> u32 {
    let hash = key.hash_credential("own node", name.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    // The lowest numbers and the highest are reserved.
    u32::from_be_bytes([a, b, c, d]).clamp(0x1000, u32::MAX - 1)
}

/// The recorder: what it has stored, the core may acknowledge and the pages may show.
fn start_recorder(
    settings: &Settings,
    bell: DurableBell,
    live: Live,
) -> Result<Option<Recorder>, StartError> {
    let Some(options) = settings.recorder.clone() else { return Ok(None) };
    let durable = move |batch: Vec<Record>| {
        let receptions = batch.iter().filter_map(|r| match r {
            Record::Reception(reception) => Some(reception.seq),
            Record::Release(_) | Record::Connection(_) | Record::PolicyChange(_) | Record::Erased(_) => None,
        });
        if let Some(seq) = receptions.max() {
            bell.tell(Command::Durable(seq));
        }
        batch.into_iter().for_each(|record| live.show(record));
    };
    Recorder::start(&settings.data.join("history"), options, durable).map(Some).map_err(StartError::History)
}

/// Where the core's records go. Never blocks.
fn sink(recorder: Option<&Recorder>, bell: DurableBell, live: Live) -> RecordSink {
    let Some(recorder) = recorder else { return Box::new(move |record| live.show(record)) };
    let mut give = recorder.sender();
    Box::new(move |record| {
        let reception = match &record {
            Record::Reception(reception) => Some(reception.seq),
            Record::Release(_) | Record::Connection(_) | Record::PolicyChange(_) | Record::Erased(_) => None,
        };
        // What finds the queue full is counted by the recorder; an acknowledgement that waits for it must know.
        if let (false, Some(seq)) = (give(record), reception) {
            bell.tell(Command::Lost(seq));
        }
    })
}

fn options(
    settings: &Settings,
    policy: Arc<policy::settings::Settings>,
    directory: Arc<Directory>,
    token_key: TokenKey,
    last_seq: u64,
) -> Result<Options, StartError> {
    let seed = getrandom::u64().map_err(|e| StartError::System(std::io::Error::other(e.to_string())))?;
    Ok(Options {
        lab: settings.lab,
        limits: settings.limits.clone(),
        policy,
        keyring: settings.keyring.clone(),
        preset: settings.preset,
        directory,
        token_key,
        last_seq,
        acknowledge_when_durable: !settings.lab && settings.recorder.is_some(),
        seed,
    })
}

impl Settings {
    /// What each listener allows, by number; the last is the pages'.
    fn rules(&self) -> Vec<ListenerRules> {
        let pages = ListenerRules { allows_guests: false, ..ListenerRules::of(&self.limits, "web") };
        self.listeners.iter().map(|listener| listener.rules.clone()).chain([pages]).collect()
    }
}

fn spawn(
    name: &str,
    run: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<JoinHandle<std::io::Result<()>>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(StartError::System)
}

/// Tells the core what is durable. Recorder and keeper start before the core exists, so the line is connected later;
/// they are given nothing before that.
#[derive(Clone, Default)]
pub(crate) struct DurableBell(Arc<OnceLock<CoreHandle>>);

impl DurableBell {
    fn connect(&self, core: CoreHandle) {
        // Connected once, by `start`.
        let _ = self.0.set(core);
    }

    pub fn tell(&self, command: Command) {
        if let Some(core) = self.0.get() {
            core.send(command);
        }
    }
}

impl Running {
    /// Looks at the policy file at once; nothing happens when it has not changed, or is wrong.
    pub fn reload_policy(&self) {
        if let Some((desk, _)) = &self.policy {
            desk.look(true);
        }
    }

    /// Says goodbye to clients, stores what is queued, ends the threads.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody comes in any more, by any way; then those who are in are told.
        self.doorman.send(Errand::CloseDoors);
        self.pages = None;
        self.keeper = None;
        self.policy = None;
        self.bridge_board = None;
        self.bridging = None;
        self.replaying = None;
        self.erasing = None;
        self.consent = None;
        self.redecode = None;
        self.retention = None;
        self.certificates = None;
        self.acme.clear();
        self.memory = None;
        self.core.send(Command::Stop);
        finish("core", self.core_thread.take());
        self.telling = None;
        self.alerting = None;
        self.doorman.send(Errand::Stop(Instant::now() + LAST_WORDS));
        finish("doorman", self.doorman_thread.take());
        // After the core, so that its last records and changes are stored.
        self.recorder = None;
        self.sessions = None;
        self.lock = None;
    }
}

/// Time that clients get to read what they were told last, once everything has been written.
const LAST_WORDS: Duration = Duration::from_secs(1);

fn finish(name: &str, thread: Option<JoinHandle<std::io::Result<()>>>) {
    match thread.map(JoinHandle::join) {
        None | Some(Ok(Ok(()))) => {}
        Some(Ok(Err(error))) => tracing::error!(%error, "the {name} ended with an error"),
        Some(Err(_)) => tracing::error!("the {name} panicked; its report stands above"),
    }
}
