//! Where the policy in force is changed: by the file, by a signal, by the page. A policy is taken over as a whole, between
//! two packets, or not at all.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use policy::difference::{Difference, differences};
use policy::edit::Edit;
use policy::settings::Settings;
use record::PolicyChange;

use crate::core_loop::{Command, CoreHandle};
use crate::private_file;

/// How often the file is looked at. It is taken over when it has looked the same twice: editors write in steps.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Turns a policy file's text into settings, or says everything that is wrong with it.
pub type ReadPolicy = Arc<dyn Fn(&str) -> Result<Settings, String> + Send + Sync>;

/// A policy file's text with one change; `None` when a person must write that.
pub type EditPolicy = Arc<dyn Fn(&str, Edit) -> Option<String> + Send + Sync>;

/// Where the policy comes from.
#[derive(Clone)]
pub struct PolicySource {
    /// The policy's file; it may be missing, which means every default.
    pub file: PathBuf,
    /// Folder of all state, where a copy of what is in force is kept.
    pub data: PathBuf,
    /// Longest file taken, in bytes.
    pub bytes_max: u64,
    /// Understands it.
    pub read: ReadPolicy,
    /// Makes one change in its text.
    pub edit: EditPolicy,
}

impl PolicySource {
    /// The copy of the text in force: what holds at a start when the file is wrong, and what is shown.
    pub fn copy_in_force(data: &Path) -> PathBuf {
        data.join("policy-in-force.toml")
    }

    /// Where the command line says who applies which text: the name on the first line, then the text.
    pub fn note_of_who(data: &Path) -> PathBuf {
        data.join("policy-applied-by")
    }

    /// The text of the file; empty when it is missing.
    fn text(&self) -> Result<String, String> {
        let shown = self.file.display();
        let file = match std::fs::File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(format!("cannot read `{shown}`: {error}")),
        };
        let mut text = String::new();
        let read = file.take(self.bytes_max + 1).read_to_string(&mut text);
        read.map(|_| text).map_err(|error| format!("cannot read `{shown}`: {error}"))
    }

    /// The policy to start with: that of the file. A file that is wrong changes nothing, so what was in force before
    /// goes on; without that, it is an error.
    ///
    /// # Errors
    /// What is wrong with the file, when no policy was in force before.
    pub fn start(&self) -> Result<Started, String> {
        let before = std::fs::read_to_string(Self::copy_in_force(&self.data)).ok();
        let read = self.text().and_then(|text| (self.read)(&text).map(|settings| (text, settings)));
        let problem = match read {
            Ok((text, settings)) => {
                let old =
                    before.filter(|before| *before != text).and_then(|before| (self.read)(&before).ok());
                let settings = Arc::new(settings);
                return Ok(Started { text, settings, old, problem: None });
            }
            Err(problem) => problem,
        };
        let Some((text, settings)) = before.and_then(|text| (self.read)(&text).ok().map(|s| (text, s)))
        else {
            return Err(problem);
        };
        tracing::error!("the policy file is not taken over; the policy that was in force goes on\n{problem}");
        Ok(Started { text, settings: Arc::new(settings), old: None, problem: Some(problem) })
    }

    fn who(&self, text: &str) -> String {
        let note = std::fs::read_to_string(Self::note_of_who(&self.data)).unwrap_or_default();
        match note.split_once('\n') {
            Some((who, noted)) if noted == text => who.to_owned(),
            _ => format!("the file {} was changed", self.file.display()),
        }
    }
}

/// A policy to start with.
pub struct Started {
    /// Its text.
    pub text: String,
    /// What it says.
    pub settings: Arc<Settings>,
    old: Option<Settings>,
    problem: Option<String>,
}

/// The policy in force, and the one place where it is changed.
pub struct PolicyDesk {
    source: PolicySource,
    core: CoreHandle,
    state: Mutex<State>,
}

struct State {
    text: String,
    settings: Arc<Settings>,
    /// Why the file is not in force; `None` when it is.
    problem: Option<String>,
    /// Rises with every change, across restarts.
    number: u64,
    /// What the file looked like when it was read last.
    read: Stamp,
    /// What it looked like at the last look.
    seen: Stamp,
}

/// What a file looks like from outside: time, size and inode; `None` when it is missing.
type Stamp = Option<(Option<SystemTime>, u64, u64)>;

impl PolicyDesk {
    /// A desk for a policy that the core already has.
    pub(crate) fn new(source: PolicySource, started: Started, core: CoreHandle, now_ms: i64) -> Arc<Self> {
        let Started { text, settings, old, problem } = started;
        let stamp = stamp(&source.file);
        let number = u64::try_from(now_ms).unwrap_or_default();
        let desk = Self {
            core,
            state: Mutex::new(State { text, settings, problem, number, read: stamp, seen: stamp }),
            source,
        };
        let state = desk.state();
        if let Some(old) = old {
            let who = format!("{}, while the broker was stopped", desk.source.who(&state.text));
            desk.tell_core(&state, &differences(&old, &state.settings), &who);
        }
        if state.problem.is_none() {
            desk.keep_copy(&state.text);
        }
        drop(state);
        Arc::new(desk)
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.state().settings.clone()
    }

    /// The text in force with its number, which rises with every change.
    pub fn text(&self) -> (String, u64) {
        let state = self.state();
        (state.text.clone(), state.number)
    }

    /// Why the file is not in force; `None` when it is.
    pub fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// Understands a text, or says everything that is wrong with it. Changes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with the text, for people.
    pub fn read(&self, text: &str) -> Result<Settings, String> {
        (self.source.read)(text)
    }

    /// A text with one change; `None` when a person must write that.
    pub fn edited(&self, text: &str, edit: Edit) -> Option<String> {
        (self.source.edit)(text, edit)
    }

    /// Writes a text to the file and puts it in force, if it is right and `number` is still that of the one in force.
    ///
    /// # Errors
    /// What is wrong with it, for people; nothing has changed then.
    pub fn apply(&self, text: &str, number: u64, who: &str) -> Result<(), String> {
        let settings = self.read(text)?;
        let mut state = self.state();
        if state.number != number {
            return Err("the policy was changed by somebody else meanwhile; look at what is in force first"
                .to_owned());
        }
        private_file::write(&self.source.file, text.as_bytes(), 0o644)
            .map_err(|error| format!("cannot write `{}`: {error}", self.source.file.display()))?;
        state.seen = stamp(&self.source.file);
        state.read = state.seen;
        self.put_in_force(&mut state, text.to_owned(), settings, who);
        Ok(())
    }

    /// Reads the file if it has changed since it was read last; at once, or when it has looked the same twice.
    pub fn look(&self, at_once: bool) {
        let mut state = self.state();
        let stamp = stamp(&self.source.file);
        let is_settled = std::mem::replace(&mut state.seen, stamp) == stamp;
        if !(at_once || is_settled && stamp != state.read) {
            return;
        }
        state.read = stamp;
        let read = self.source.text().and_then(|text| self.read(&text).map(|settings| (text, settings)));
        match read {
            Ok((text, settings)) => {
                let was_wrong = state.problem.take().is_some();
                if text != state.text {
                    let who = self.source.who(&text);
                    self.put_in_force(&mut state, text, settings, &who);
                } else if was_wrong {
                    tracing::info!("the policy file is what is in force");
                }
            }
            Err(problem) => {
                tracing::error!("the policy file is not taken over; the policy in force stays\n{problem}");
                state.problem = Some(problem);
            }
        }
    }

    fn put_in_force(&self, state: &mut State, text: String, settings: Settings, who: &str) {
        let old = std::mem::replace(&mut state.settings, Arc::new(settings));
        state.text = text;
        state.problem = None;
        state.number += 1;
        let differences = differences(&old, &state.settings);
        self.tell_core(state, &differences, who);
        self.keep_copy(&state.text);
        for difference in &differences {
            tracing::info!("policy: {}", difference.public_words());
        }
        tracing::info!(who, changes = differences.len(), "another policy is in force");
    }

    fn tell_core(&self, state: &State, differences: &[Difference], who: &str) {
        let change = PolicyChange {
            // The core knows when it came into force.
            at_ms: 0,
            who: who.into(),
            changes: differences.iter().map(Difference::public_words).collect(),
            private_changes: differences.iter().map(ToString::to_string).collect(),
            text: state.text.as_str().into(),
        };
        self.core.send(Command::SetPolicy(state.settings.clone(), Box::new(change)));
    }

    fn keep_copy(&self, text: &str) {
        let copy = PolicySource::copy_in_force(&self.source.data);
        if let Err(error) = private_file::write(&copy, text.as_bytes(), 0o600) {
            tracing::error!(%error, "the copy of the policy in force could not be written");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held cannot have left it half changed: the text is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(file: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(file).ok()?;
    Some((about.modified().ok(), about.len(), about.ino()))
}

/// Looks at the policy file again and again; ends when dropped.
#[derive(Debug)]
pub(crate) struct PolicyKeeper {
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PolicyKeeper {
    pub fn start(desk: Arc<PolicyDesk>) -> std::io::Result<Self> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let ends = is_ending.clone();
        let thread = std::thread::Builder::new().name("policy".to_owned()).spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                std::thread::park_timeout(LOOK_EVERY);
                desk.look(false);
            }
        })?;
        Ok(Self { is_ending, thread: Some(thread) })
    }
}

impl Drop for PolicyKeeper {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
