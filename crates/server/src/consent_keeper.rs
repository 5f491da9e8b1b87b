//! Writes the statement of consent of every day that is over, once, into `statements` of the data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use history::statement::{self, Day, Statement};
use history::{Error, Reader};

use crate::policy_desk::PolicyDesk;

/// How often it is asked whether a day is over.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long after midnight a day is counted: what is queued is stored by then, and no clock correction reaches back.
const SETTLED_AFTER_MS: i64 = 40 * 60_000;
/// Days back for which a statement is made up for when the server did not run.
const DAYS_BACK: Day = 14;

/// A running keeper; ends when dropped.
#[derive(Debug)]
pub struct ConsentKeeper {
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ConsentKeeper {
    /// Starts writing statements about the history of a data folder.
    pub fn start(data: &Path, policy: Arc<PolicyDesk>) -> std::io::Result<Self> {
        let (ending, ends) = mpsc::channel();
        let (history, statements) = (data.join("history"), data.join("statements"));
        let thread = std::thread::Builder::new().name("consent".to_owned()).spawn(move || {
            loop {
                if let Err(error) = write_missing(&history, &statements, unix_ms(), &policy.settings().outside.receivers) {
                    tracing::error!(%error, "the statement of consent could not be written; it is tried again");
                }
                match ends.recv_timeout(ASK_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { ending: Some(ending), thread: Some(thread) })
    }
}

impl Drop for ConsentKeeper {
    fn drop(&mut self) {
        self.ending = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Writes the statements that are missing of the last days that are over and kept.
fn write_missing(
    history: &Path,
    statements: &Path,
    now_ms: i64,
    outside: &[Box<str>],
) -> Result<Vec<PathBuf>, Error> {
    let today = statement::day_of(now_ms - SETTLED_AFTER_MS);
    let reader = Reader::open(history)?;
    let mut written = Vec::new();
    for day in reader.kept_days()?.into_iter().filter(|day| (today - DAYS_BACK..today).contains(day)) {
        if statement::path_of(statements, day).exists() {
            continue;
        }
        let statement = Statement::of(&reader, day, outside)?;
        let counts = statement.outside_counts();
        written.push(statement.write(statements)?);
        if statement.holds() {
            tracing::info!(
                day = statement::date(day),
                copies = counts.delivered,
                "nothing left without consent"
            );
        } else {
            let copies = counts.without_consent;
            tracing::error!(day = statement::date(day), copies, "copies left the community without consent");
        }
    }
    Ok(written)
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    /// A history with a file for each of three days, without records.
    fn three_days(folder: &Path) -> [Day; 3] {
        let history = folder.join("history");
        std::fs::create_dir_all(&history).unwrap();
        let days = [20_000, 20_001, 20_002];
        for day in days {
            // What a writer leaves that was stopped before its first record.
            std::fs::write(history.join(format!("{}.db", statement::date(day))), []).unwrap();
        }
        days
    }

    #[test]
    fn every_day_that_is_over_gets_one_statement() {
        let folder = tempfile::tempdir().unwrap();
        let days = three_days(folder.path());
        let statements = folder.path().join("statements");
        let write = |at_ms| write_missing(&folder.path().join("history"), &statements, at_ms, &[]).unwrap();
        let midnight = days[2] * DAY_MS;
        let path = |day| statement::path_of(&statements, day);
        assert_eq!(write(midnight + SETTLED_AFTER_MS - 1), [path(days[0])]);
        assert_eq!(write(midnight + SETTLED_AFTER_MS), [path(days[1])]);
        assert_eq!(write(midnight + SETTLED_AFTER_MS + 60_000), Vec::<PathBuf>::new());
        assert!(!path(days[2]).exists(), "the third day goes on");
    }

    #[test]
    fn days_long_gone_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let days = three_days(folder.path());
        let statements = folder.path().join("statements");
        let later_ms = (days[1] + DAYS_BACK) * DAY_MS + SETTLED_AFTER_MS;
        let written = write_missing(&folder.path().join("history"), &statements, later_ms, &[]).unwrap();
        assert_eq!(written, [days[1], days[2]].map(|day| statement::path_of(&statements, day)));
    }
}
