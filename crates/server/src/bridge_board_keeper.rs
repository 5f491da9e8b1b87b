//! Writes how the bridges are doing to a file, for the command line.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use bridge::Status;
use serde_json::{Value as Json, json};

use crate::bridging::BridgeBoard;
use crate::pages::unix_ms;
use crate::private_file;

/// Name of the file in the data folder.
pub const BRIDGES_FILE: &str = "bridges.json";
/// How often it is written, if anything has changed.
const EVERY: Duration = Duration::from_secs(2);

/// A running keeper; ends when dropped.
#[derive(Debug)]
pub(crate) struct BridgeBoardKeeper {
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl BridgeBoardKeeper {
    /// Starts writing.
    pub fn start(data: &Path, board: BridgeBoard) -> std::io::Result<Self> {
        let (ending, ends) = mpsc::channel::<()>();
        let file = data.join(BRIDGES_FILE);
        let thread = std::thread::Builder::new().name("bridge-board".to_owned()).spawn(move || {
            let mut told: Option<Vec<Status>> = None;
            loop {
                let all = board.read();
                if told.as_ref() != Some(&all) {
                    let bridges: Vec<Json> = all.iter().map(Status::to_json).collect();
                    let text = json!({ "v": 1, "at_ms": unix_ms(), "bridges": bridges }).to_string();
                    match private_file::write(&file, text.as_bytes(), 0o600) {
                        Ok(()) => told = Some(all),
                        Err(error) => {
                            tracing::error!(%error, file = %file.display(), "how bridges are doing cannot be written");
                        }
                    }
                }
                if !matches!(ends.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        })?;
        Ok(Self { ending: Some(ending), thread: Some(thread) })
    }
}

impl Drop for BridgeBoardKeeper {
    fn drop(&mut self) {
        self.ending = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
