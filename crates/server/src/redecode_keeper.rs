//! Reads the history again after channel keys changed, a little at a time, beside everything else.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use history::Error;
use history::redecode::Redecode;
use mesh::keyring::Keyring;

/// How long after the start: what else a start does comes first.
const FIRST: Duration = Duration::from_secs(2);
/// Rest after each step, for those who read and write meanwhile.
const REST: Duration = Duration::from_millis(5);
/// Rest after a failure, such as a full disk.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// A running keeper; ends when dropped, and goes on at the next start.
#[derive(Debug)]
pub struct RedecodeKeeper {
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RedecodeKeeper {
    /// Starts reading what these keys open or close.
    ///
    /// # Errors
    /// When there is no randomness or no thread.
    pub fn start(data: &Path, keyring: Keyring) -> std::io::Result<Self> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(std::io::Error::other)?;
        let (ending, ends) = mpsc::channel::<()>();
        let folder = data.join("history");
        let thread = std::thread::Builder::new().name("redecode".to_owned()).spawn(move || {
            let mut reading = None;
            let mut wait = FIRST;
            while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(wait) {
                match read_on(&mut reading, &folder, &keyring, salt) {
                    Ok(true) => wait = REST,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(%error, "the history cannot be read again with the present keys; it is tried again");
                        wait = AFTER_FAILURE;
                    }
                }
            }
        })?;
        Ok(Self { ending: Some(ending), thread: Some(thread) })
    }
}

/// One step; `false` when everything is read.
fn read_on(
    reading: &mut Option<Redecode>,
    folder: &Path,
    keyring: &Keyring,
    salt: [u8; 16],
) -> Result<bool, Error> {
    let Some(under_way) = reading else {
        let begun = Redecode::begin(folder, keyring, salt)?;
        if !begun.is_done() {
            tracing::info!(
                days = begun.days_left(),
                "the history is read with the channel keys that are configured now"
            );
        }
        let is_more = !begun.is_done();
        *reading = Some(begun);
        return Ok(is_more);
    };
    let is_more = under_way.step()?;
    if !is_more {
        let came_to = under_way.came_to();
        tracing::info!(
            looked_at = came_to.looked_at,
            opened = came_to.opened,
            closed = came_to.closed,
            "the history is read with the present keys"
        );
    }
    Ok(is_more)
}

impl Drop for RedecodeKeeper {
    fn drop(&mut self) {
        self.ending = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
