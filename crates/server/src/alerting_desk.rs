//! The thread of the alerts: records come over a bounded queue, rules are asked, letters are kept and sent by a thread for
//! each target. What it cannot keep up with is counted and delays nobody; a target that does not answer delays only itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use alerting::send::Sender as LetterSender;
use alerting::store::{Sent, Store};
use alerting::target::{AlertSettings, Target, Way};
use alerting::wait;
use automation::alert::board::{Board, ShownFiring, ShownHappening, ShownLetter, ShownRule, ShownTarget};
use automation::alert::engine::{Engine, Happening};
use automation::alert::letter::{letter, named, trial};
use automation::alert::outlet::Outlet;
use automation::alert::quiet::Moment;
use automation::alert::rule::{Attribute, Rule, Subject, Trigger};
use automation::alert::sighting::{self, Sighting};
use broker::OwnMessage;
use history::{Filter, Reader};
use jiff::tz::TimeZone;
use mesh::keyring::Keyring;
use record::{Reception, Record};

use crate::alert_samples::{Sampled, Sampler};
use crate::alert_silences::Silences;
use crate::core_loop::{Command, CoreHandle, RecordSink};
use crate::pages::unix_ms;

/// Receptions waiting for the rules.
const QUEUE_MAX: usize = 4_096;
/// Receptions taken in one turn.
const BATCH_MAX: usize = 256;
/// How often time, files, samples and letters are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often the broker is asked how it is doing.
const SAMPLE_EVERY_MS: i64 = 5_000;
/// How often old rows are forgotten.
const FORGET_EVERY_MS: i64 = 3_600_000;
/// The past is looked at so far back at most, to know what fires.
const LOOK_BACK_MAX_MS: i64 = 24 * 3_600_000;
/// Time in the past goes on in steps of this, ms.
const LOOK_BACK_STEP_MS: i64 = 60_000;
/// Receptions of the past looked at.
const LOOK_BACK_ROWS_MAX: usize = 200_000;
/// Names of nodes kept.
const NAMES_MAX: usize = 20_000;
const NAMES_SINCE_MS: i64 = 30 * 86_400_000;
/// What fires, on the page.
const SHOWN_FIRING_MAX: usize = 200;
/// Rows on the page.
const SHOWN: u32 = 50;

/// Turns the alerts' file into settings, or says everything that is wrong with it.
pub type ReadAlerts = Arc<dyn Fn(&str) -> Result<AlertSettings, String> + Send + Sync>;

/// Where the alerts' settings come from.
#[derive(Clone)]
pub struct AlertSource {
    /// The file; it may be missing, which means every default.
    pub file: PathBuf,
    /// Longest file taken, in bytes.
    pub bytes_max: u64,
    /// Understands it.
    pub read: ReadAlerts,
}

impl AlertSource {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it, for people.
    pub fn load(&self) -> Result<AlertSettings, String> {
        use std::io::Read;
        let shown = self.file.display();
        let file = match std::fs::File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (self.read)(""),
            Err(error) => return Err(format!("cannot read `{shown}`: {error}")),
        };
        let mut text = String::new();
        let read = file.take(self.bytes_max + 1).read_to_string(&mut text);
        read.map_err(|error| format!("cannot read `{shown}`: {error}"))?;
        (self.read)(&text)
    }

    fn stamp(&self) -> Option<(SystemTime, u64)> {
        let meta = std::fs::metadata(&self.file).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    }
}

/// What pages may see and ask.
#[derive(Clone)]
pub(crate) struct AlertBoard {
    board: Arc<Mutex<Board>>,
    trials: Sender<Box<str>>,
}

impl AlertBoard {
    pub fn read(&self) -> Board {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a letter to a target that only shows that letters arrive.
    pub fn try_target(&self, target: &str) {
        // An error means that the server is stopping.
        let _ = self.trials.send(target.into());
    }
}

/// What must be made before the core runs.
pub(crate) struct Prepared {
    records: Receiver<News>,
    lost: Arc<AtomicU64>,
}

/// What the desk is told.
enum News {
    Reception(Arc<Reception>),
    /// A node was erased.
    Erased(u32),
}

/// Puts the queue before the sink.
pub(crate) fn prepare(mut sink: RecordSink) -> (Prepared, RecordSink) {
    let (feed, records) = sync_channel::<News>(QUEUE_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let counter = lost.clone();
    let sink: RecordSink = Box::new(move |record| {
        let news = match &record {
            Record::Reception(reception) => Some(News::Reception(reception.clone())),
            Record::Erased(erased) => Some(News::Erased(erased.node)),
            Record::Release(_) | Record::Connection(_) | Record::PolicyChange(_) => None,
        };
        if let Some(news) = news
            && let Err(TrySendError::Full(_)) = feed.try_send(news)
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        sink(record);
    });
    (Prepared { records, lost }, sink)
}

/// What the desk works with.
pub(crate) struct Means {
    pub data: PathBuf,
    pub mesh_name: String,
    pub keyring: Keyring,
    pub allowed: automation::settings::Settings,
    pub core: CoreHandle,
    pub sampler: Sampler,
}

/// The running thread; it ends when the core has let go of the sink, and dropping this waits for it.
pub(crate) struct Alerting {
    thread: Option<JoinHandle<()>>,
    pub board: AlertBoard,
}

impl Drop for Alerting {
    fn drop(&mut self) {
        // A panic there has been reported by the thread itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Prepared {
    /// Starts the thread. A file that is wrong leaves the packaged rules in force, and shows on the page.
    pub fn start(self, source: AlertSource, means: Means) -> Result<Alerting, std::io::Error> {
        let board: Arc<Mutex<Board>> = Arc::default();
        let (trials, asked) = channel();
        let shown = AlertBoard { board: board.clone(), trials };
        let run = move || match Desk::open(self, source, means, board, asked) {
            Ok(desk) => desk.run(),
            Err(why) => tracing::error!("alerts do not run: {why}"),
        };
        let thread = std::thread::Builder::new().name("alerts".to_owned()).spawn(run)?;
        Ok(Alerting { thread: Some(thread), board: shown })
    }
}

/// What became of an attempt.
struct Attempted {
    letter: Sent,
    result: Result<(), String>,
}

struct Desk {
    records: Receiver<News>,
    lost: Arc<AtomicU64>,
    asked: Receiver<Box<str>>,
    source: AlertSource,
    seen_stamp: Option<(SystemTime, u64)>,
    read_stamp: Option<(SystemTime, u64)>,
    means: Means,
    store: Store,
    engine: Engine,
    outlet: Outlet,
    zone: TimeZone,
    targets: Vec<(Target, Option<SyncSender<Sent>>)>,
    attempted: (Sender<Attempted>, Receiver<Attempted>),
    in_flight: BTreeSet<Box<str>>,
    health: BTreeMap<Box<str>, (Option<i64>, Option<String>)>,
    names: BTreeMap<u32, String>,
    happened: Vec<(Happening, bool)>,
    silences: Silences,
    problem: Option<String>,
    store_problem: Option<String>,
    board: Arc<Mutex<Board>>,
}

impl Desk {
    fn open(
        prepared: Prepared,
        source: AlertSource,
        means: Means,
        board: Arc<Mutex<Board>>,
        asked: Receiver<Box<str>>,
    ) -> Result<Self, String> {
        let now_ms = unix_ms();
        let store = Store::open(&means.data).map_err(|error| error.to_string())?;
        let silences = Silences::open(&means.data, now_ms)?;
        let stamp = source.stamp();
        let (settings, problem) = match source.load() {
            Ok(settings) => (settings, None),
            Err(problem) => {
                tracing::error!("the alerts' file is not taken over; the packaged rules hold\n{problem}");
                let packaged = (source.read)("").map_err(|error| format!("the packaged rules: {error}"))?;
                (packaged, Some(problem))
            }
        };
        let mut desk = Self {
            records: prepared.records,
            lost: prepared.lost,
            asked,
            seen_stamp: stamp,
            read_stamp: stamp,
            engine: Engine::new([], now_ms),
            outlet: Outlet::new(settings.outlet),
            zone: TimeZone::UTC,
            targets: Vec::new(),
            attempted: channel(),
            in_flight: BTreeSet::new(),
            health: BTreeMap::new(),
            names: BTreeMap::new(),
            happened: Vec::new(),
            silences,
            problem,
            store_problem: None,
            source,
            means,
            store,
            board,
        };
        desk.take_over(settings, now_ms)?;
        Ok(desk)
    }

    /// Puts settings in force: what fires goes on, and the past says what fires by rules that are new.
    fn take_over(&mut self, settings: AlertSettings, now_ms: i64) -> Result<(), String> {
        let AlertSettings { rules, targets, outlet, time_zone } = settings;
        self.zone = TimeZone::get(&time_zone).unwrap_or(TimeZone::UTC);
        self.outlet.set(outlet);
        let told = |error: alerting::store::StoreError| error.to_string();
        let since_ms = self.store.know_rules(rules.iter().map(|rule| &*rule.name), now_ms).map_err(told)?;
        let firing = self.store.firing().map_err(told)?;
        let learned = self.store.learned().map_err(told)?;
        let look_back_ms = rules.iter().map(look_back_of).max().unwrap_or(0).min(LOOK_BACK_MAX_MS);
        let mut engine = Engine::new(rules, now_ms - look_back_ms);
        engine.restore(learned, &since_ms, now_ms);
        let begun = self.look_back(&mut engine, now_ms - look_back_ms);
        let told_keys = firing.iter().filter(|(_, told)| *told);
        self.outlet.resume(told_keys.map(|(firing, _)| (firing.rule.clone(), firing.subject.clone())));
        let is_known = |h: &Happening| {
            firing.iter().any(|(firing, _)| firing.rule == h.rule.name && firing.subject == h.subject)
        };
        let fresh: Vec<_> = begun.into_iter().filter(|h| !is_known(h)).collect();
        engine.resume(firing.iter().map(|(firing, _)| firing.clone()));
        engine.begin_present(now_ms);
        for rule in engine.rules() {
            let Trigger::Threshold { measure, .. } = &rule.trigger else { continue };
            let of_rule = firing.iter().filter(|(firing, _)| firing.rule == rule.name);
            let nodes = of_rule.filter_map(|(firing, _)| firing.subject.node());
            nodes.for_each(|node| self.means.sampler.watch(measure, node));
        }
        self.engine = engine;
        self.note(fresh);
        self.targets = targets.into_iter().map(|target| self.with_thread(target)).collect();
        Ok(())
    }

    /// Feeds the past to the rules. Returns the beginnings of what fires at its end.
    fn look_back(&mut self, engine: &mut Engine, since_ms: i64) -> Vec<Happening> {
        let reader = match Reader::open(&self.means.data.join("history")) {
            Ok(reader) => reader.with_keyring(Arc::new(self.means.keyring.clone())),
            Err(error) => {
                tracing::warn!(%error, "alerts begin without the past");
                return Vec::new();
            }
        };
        for name in reader.names(unix_ms() - NAMES_SINCE_MS).unwrap_or_default() {
            if self.names.len() < NAMES_MAX && !name.long.is_empty() {
                self.names.insert(name.node, name.long);
            }
        }
        let mut begun: BTreeMap<(Box<str>, Subject), Happening> = BTreeMap::new();
        let mut note = |happened: Vec<Happening>| {
            for happening in happened {
                let key = (happening.rule.name.clone(), happening.subject.clone());
                if happening.is_end {
                    begun.remove(&key);
                } else {
                    begun.insert(key, happening);
                }
            }
        };
        let (mut after, mut looked_at, mut ticked_ms) = (0, 0, since_ms);
        while looked_at < LOOK_BACK_ROWS_MAX {
            let filter = Filter {
                since_ms: Some(since_ms),
                after_seq: Some(after),
                limit: 2_000,
                ..Filter::default()
            };
            let page = reader.log(&filter).unwrap_or_default();
            let Some(last) = page.last() else { break };
            after = last.seq;
            looked_at += page.len();
            for reception in &page {
                let sighting = sighting::open(reception, &self.means.keyring, &self.means.allowed);
                if reception.at_ms - ticked_ms >= LOOK_BACK_STEP_MS {
                    ticked_ms = reception.at_ms;
                    note(engine.tick(ticked_ms));
                }
                note(engine.take(reception, &sighting));
            }
        }
        begun.into_values().collect()
    }

    /// A target with the thread that sends to it; what goes to our own clients needs none.
    fn with_thread(&self, target: Target) -> (Target, Option<SyncSender<Sent>>) {
        if matches!(target.way, Way::Mqtt { .. }) {
            return (target, None);
        }
        let (letters, to_send) = sync_channel::<Sent>(1);
        let (way, done) = (target.way.clone(), self.attempted.0.clone());
        let run = move || {
            let sender = LetterSender::default();
            for letter in to_send {
                let result = sender.send(&way, &letter.letter, unix_ms());
                if done.send(Attempted { letter, result }).is_err() {
                    return;
                }
            }
        };
        let name = format!("alert-{}", target.name);
        match std::thread::Builder::new().name(name).spawn(run) {
            // Nobody waits for it at a stop: an attempt may take long, and is made again after the next start.
            Ok(_) => (target, Some(letters)),
            Err(error) => {
                tracing::error!(%error, "a target has no thread and is not told");
                (target, None)
            }
        }
    }

    fn run(mut self) {
        let mut next_tick = Instant::now();
        let (mut next_sample_ms, mut next_forget_ms) = (0, 0);
        loop {
            match self.records.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(news) => {
                    self.take(news);
                    for _ in 1..BATCH_MAX {
                        let Ok(news) = self.records.try_recv() else { break };
                        self.take(news);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.keep(unix_ms(), &[]),
            }
            if Instant::now() < next_tick {
                continue;
            }
            next_tick = Instant::now() + TICK;
            let now_ms = unix_ms();
            let happened = self.engine.tick(now_ms);
            self.note(happened);
            if now_ms >= next_sample_ms {
                next_sample_ms = now_ms + SAMPLE_EVERY_MS;
                self.sample(now_ms);
            }
            if now_ms >= next_forget_ms {
                next_forget_ms = now_ms + FORGET_EVERY_MS;
                self.forget(now_ms);
            }
            self.look_at_file(now_ms);
            for happening in self.silences.look(now_ms) {
                self.outlet.take(&happening);
            }
            let letters = self.write_letters(now_ms);
            self.keep(now_ms, &letters);
            self.send(now_ms);
            self.show();
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Reception(reception) => self.take_reception(&reception),
            News::Erased(node) => self.forget_node(node),
        }
    }

    /// What is stored of it is deleted by whoever erases it.
    fn forget_node(&mut self, node: u32) {
        self.names.remove(&node);
        self.engine.forget_node(node);
        self.outlet.forget_node(node);
        self.silences.forget_node(node);
        self.happened.retain(|(happening, _)| happening.subject.node() != Some(node));
    }

    fn take_reception(&mut self, reception: &Reception) {
        let sighting = sighting::open(reception, &self.means.keyring, &self.means.allowed);
        self.learn_name(reception, &sighting);
        let happened = self.engine.take(reception, &sighting);
        self.note(happened);
    }

    fn learn_name(&mut self, reception: &Reception, sighting: &Sighting) {
        let name = sighting.user.iter().find(|(attribute, _)| *attribute == Attribute::Name);
        if let (Some((_, name)), Some(packet)) = (name, reception.packet)
            && (self.names.len() < NAMES_MAX || self.names.contains_key(&packet.from))
        {
            let name = String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).collect();
            self.names.insert(packet.from, name);
        }
    }

    fn note(&mut self, happened: Vec<Happening>) {
        for happening in happened {
            let told = !self.silences.hush(&happening) && self.outlet.take(&happening);
            self.happened.push((happening, told));
        }
    }

    fn sample(&mut self, now_ms: i64) {
        for Sampled { name, subject, value } in self.means.sampler.look(&self.means.core, now_ms) {
            let happened = self.engine.sample(name, &subject, value, now_ms);
            self.note(happened);
        }
    }

    fn forget(&mut self, now_ms: i64) {
        let rules: Vec<_> = self.engine.rules().map(|rule| &*rule.name).collect();
        let done = self.store.forget(&rules, now_ms);
        self.told(done);
    }

    /// Takes over a file that has changed, when it looks the same twice.
    fn look_at_file(&mut self, now_ms: i64) {
        let stamp = self.source.stamp();
        if stamp == self.read_stamp {
            return;
        }
        if stamp != self.seen_stamp {
            self.seen_stamp = stamp;
            return;
        }
        self.read_stamp = stamp;
        let taken = self.source.load().and_then(|settings| self.take_over(settings, now_ms));
        match taken {
            Ok(()) => {
                tracing::info!("the alerts' file has been taken over");
                self.problem = None;
                self.forget(now_ms);
            }
            Err(problem) => {
                tracing::error!("the alerts' file is not taken over\n{problem}");
                self.problem = Some(problem);
            }
        }
    }

    fn write_letters(&mut self, now_ms: i64) -> Vec<(Box<str>, automation::alert::letter::Letter)> {
        let at = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let moment = Moment { now_ms, ahead_s: self.zone.to_offset(at).seconds() };
        let (mesh, names) = (&self.means.mesh_name, &self.names);
        let name_of = |node: u32| names.get(&node).cloned();
        let gathered = self.outlet.due(moment);
        let mut letters: Vec<_> = gathered
            .iter()
            .map(|gathered| (gathered.target.clone(), letter(mesh, gathered, &name_of)))
            .collect();
        let asked: Vec<_> = self.asked.try_iter().collect();
        let known =
            asked.into_iter().filter(|name| self.targets.iter().any(|(target, _)| target.name == *name));
        letters.extend(known.map(|name| (name, trial(mesh))));
        letters
    }

    fn keep(&mut self, now_ms: i64, letters: &[(Box<str>, automation::alert::letter::Letter)]) {
        let learned = self.engine.take_learned();
        if learned.is_empty() && self.happened.is_empty() && letters.is_empty() {
            return;
        }
        let happened = std::mem::take(&mut self.happened);
        let done = self.store.keep(&learned, &happened, letters, now_ms);
        self.told(done);
    }

    /// Hands due letters to the threads of their targets, and takes in what became of others.
    fn send(&mut self, now_ms: i64) {
        while let Ok(Attempted { letter, result }) = self.attempted.1.try_recv() {
            self.in_flight.remove(&*letter.target);
            self.attempted(&letter, result, now_ms);
        }
        let mut of_own = Vec::new();
        for (target, thread) in &self.targets {
            if self.in_flight.contains(&target.name) {
                continue;
            }
            let due = match self.store.due(&target.name, now_ms) {
                Ok(Some(due)) => due,
                Ok(None) => continue,
                Err(error) => {
                    self.store_problem = Some(error.to_string());
                    continue;
                }
            };
            match (&target.way, thread) {
                (Way::Mqtt { topic }, _) => of_own.push((topic.clone(), due)),
                (_, Some(thread)) if thread.try_send(due).is_ok() => {
                    self.in_flight.insert(target.name.clone());
                }
                (_, _) => {}
            }
        }
        for (topic, letter) in of_own {
            let payload = letter.letter.json.clone().into_bytes();
            let message = OwnMessage { topic: (*topic).into(), payload: payload.into(), retain: false };
            let (done, is_done) = channel();
            self.means.core.send(Command::Tell(vec![message], None, done));
            let told = is_done.recv_timeout(Duration::from_secs(1));
            self.attempted(&letter, told.map_err(|_| "the broker is stopping".to_owned()), now_ms);
        }
    }

    fn attempted(&mut self, letter: &Sent, result: Result<(), String>, now_ms: i64) {
        let health = self.health.entry((*letter.target).into()).or_default();
        let problem = result.err();
        if problem.is_none() {
            health.0 = Some(now_ms);
        }
        health.1.clone_from(&problem);
        let next_ms =
            problem.as_ref().and_then(|_| wait::next_ms(letter.written_ms, letter.attempts + 1, now_ms));
        if let Some(problem) = &problem {
            tracing::warn!(target = "alerts", "`{}` was not told: {problem}", letter.target);
        }
        let done = self.store.attempted(letter.id, problem.as_deref(), next_ms, now_ms);
        self.told(done);
    }

    fn told(&mut self, done: Result<(), alerting::store::StoreError>) {
        if let Err(error) = &done {
            tracing::error!(%error, "alerts are not stored");
        }
        self.store_problem = done.err().map(|error| error.to_string());
    }

    fn show(&self) {
        let name_of = |node: u32| self.names.get(&node).cloned();
        let letters = self.store.letters(SHOWN).unwrap_or_default();
        let rule_of = |name: &str| self.engine.rules().find(|rule| *rule.name == *name);
        let firing = self.engine.firing().into_iter().filter_map(|firing| {
            let rule = rule_of(&firing.rule)?;
            Some(ShownFiring {
                severity: rule.severity,
                about: rule.about.clone(),
                subject: named(&firing.subject, &name_of),
                node: firing.subject.node(),
                since_ms: firing.since_ms,
                rule: firing.rule,
            })
        });
        let mut firing: Vec<_> = firing.collect();
        firing.sort_by_key(|firing| (std::cmp::Reverse(firing.severity), firing.since_ms));
        let firing_count = firing.len();
        firing.truncate(SHOWN_FIRING_MAX);
        let recent = self.store.happened(SHOWN).unwrap_or_default().into_iter().map(|noted| ShownHappening {
            at_ms: noted.at_ms,
            rule: noted.rule.into(),
            severity: noted.severity,
            subject: named(&noted.subject, &name_of),
            node: noted.subject.node(),
            is_end: noted.is_end,
            detail: noted.detail,
            told: noted.told,
        });
        let shown = |rule: &Arc<Rule>| ShownRule {
            name: rule.name.clone(),
            about: rule.about.clone(),
            severity: rule.severity,
            targets: rule.targets.clone(),
        };
        let target = |target: &Target| {
            let (sent_ms, problem) = self.health.get(&target.name).cloned().unwrap_or_default();
            let waiting = letters.iter().filter(|l| *l.target == *target.name && l.next_ms.is_some()).count();
            ShownTarget { name: target.name.clone(), kind: target.way.word(), waiting, sent_ms, problem }
        };
        let board = Board {
            rules: self.engine.rules().map(shown).collect(),
            firing,
            firing_count,
            recent: recent.collect(),
            targets: self.targets.iter().map(|(t, _)| target(t)).collect(),
            left_out: self.outlet.left_out(),
            lost: self.lost.load(Ordering::Relaxed),
            unwatched: self.engine.unwatched(),
            problem: self.problem.clone().or_else(|| self.store_problem.clone()),
            letters: letters
                .into_iter()
                .map(|sent| ShownLetter {
                    target: sent.target.into(),
                    title: sent.letter.title,
                    written_ms: sent.written_ms,
                    attempts: sent.attempts,
                    next_ms: sent.next_ms,
                    sent_ms: sent.sent_ms,
                    problem: sent.problem,
                })
                .collect(),
        };
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = board;
    }
}

/// How much of the past a rule needs.
fn look_back_of(rule: &Rule) -> i64 {
    match &rule.trigger {
        Trigger::Match { within_ms, .. } => within_ms.saturating_add(rule.over_after_ms),
        Trigger::Absence { for_ms } => for_ms.saturating_mul(3),
        // The state that a node told last: telemetry comes every hour at the latest, mostly.
        Trigger::Threshold { for_ms, .. } => for_ms.saturating_add(2 * 3_600_000),
        Trigger::Change(_) | Trigger::Crossing { .. } => rule.over_after_ms,
    }
}

/// Whether a folder's disk is known, and how much of it is free, in percent.
pub(crate) fn free_percent(folder: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    (disk.f_blocks > 0).then(|| disk.f_bavail as f64 * 100.0 / disk.f_blocks as f64)
}
