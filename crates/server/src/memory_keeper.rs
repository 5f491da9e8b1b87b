//! Keeps what policy remembers: reads it at the start, and writes it every half minute and at the end. What a crash loses
//! is the last half minute.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use policy::memory::keep::{Damaged, written_at};

use crate::core_loop::{Command, CoreHandle};
use crate::private_file;

/// Name of the file in the data folder.
pub const MEMORY_FILE: &str = "policy-memory.bin";
/// How often it is written.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// Longest wait for the core to say what policy remembers.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Memory is bounded in the tens of megabytes; more is not ours.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// What an earlier run remembered, as it was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The bytes; `None` on a first start, or where they are of no use.
    pub bytes: Option<Vec<u8>>,
    /// What the core's clock stood at; 0 where nothing is known.
    pub mono_ms: u64,
}

/// Reads what an earlier run remembered. A damaged file is set aside, so that nothing is lost and the start is not held up:
/// without memory, policy is only a little more cautious for a while.
pub(crate) fn read(data: &Path) -> Found {
    let path = data.join(MEMORY_FILE);
    let bytes = match read_bounded(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::default(),
        Err(error) => {
            tracing::error!(%error, file = %path.display(), "what policy remembered cannot be read; it begins anew");
            return Found::default();
        }
    };
    match written_at(&bytes) {
        Ok(written) => Found { bytes: Some(bytes), mono_ms: written.mono_ms },
        Err(damage) => {
            set_aside(&path, damage);
            Found::default()
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other("the file is too large to be a policy's memory"));
    }
    std::fs::read(path)
}

/// Renames what cannot be used, so that somebody may look at it. An older one that was set aside goes.
pub(crate) fn set_aside(path: &Path, damage: Damaged) {
    let aside = path.with_extension("damaged");
    match std::fs::rename(path, &aside) {
        Ok(()) => tracing::error!(
            file = %path.display(), aside = %aside.display(),
            "what policy remembered is damaged: {damage}; it was set aside, and policy begins anew"
        ),
        Err(error) => tracing::error!(
            %error, file = %path.display(), "what policy remembered is damaged: {damage}; policy begins anew"
        ),
    }
}

/// A running keeper. Dropping it writes once more, and so has to come before the core's end.
#[derive(Debug)]
pub(crate) struct MemoryKeeper {
    asks: Sender<Ask>,
    thread: Option<JoinHandle<()>>,
}

/// What the keeper is asked for between its times.
#[derive(Debug)]
enum Ask {
    /// Write now, and say when it is done.
    Write(Sender<()>),
    /// Write once more, and end.
    End,
}

/// Has what policy remembers written at once.
#[derive(Debug, Clone)]
pub(crate) struct MemoryWriter(Sender<Ask>);

impl MemoryWriter {
    /// Writes now. Returns false when that cannot be done.
    pub fn write(&self) -> bool {
        let (done, is_done) = channel();
        self.0.send(Ask::Write(done)).is_ok() && is_done.recv_timeout(ANSWER_WITHIN).is_ok()
    }
}

impl MemoryKeeper {
    /// For having it written at once.
    pub fn writer(&self) -> MemoryWriter {
        MemoryWriter(self.asks.clone())
    }

    pub fn start(data: &Path, core: CoreHandle) -> std::io::Result<Self> {
        let (asks, asked) = channel();
        let path = data.join(MEMORY_FILE);
        let thread = std::thread::Builder::new()
            .name("memory".to_owned())
            .spawn(move || Writing { path, core, asked, is_failing: false }.run())?;
        Ok(Self { asks, thread: Some(thread) })
    }
}

impl Drop for MemoryKeeper {
    fn drop(&mut self) {
        // An error means that the thread has ended already.
        let _ = self.asks.send(Ask::End);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Writing {
    path: PathBuf,
    core: CoreHandle,
    asked: Receiver<Ask>,
    is_failing: bool,
}

impl Writing {
    fn run(mut self) {
        loop {
            let asked = self.asked.recv_timeout(WRITE_EVERY);
            let (reply, answer) = channel();
            self.core.send(Command::Remembered(reply));
            if let Ok(bytes) = answer.recv_timeout(ANSWER_WITHIN) {
                self.write(&bytes);
            }
            match asked {
                Err(RecvTimeoutError::Timeout) => {}
                // Who asked may have stopped waiting.
                Ok(Ask::Write(done)) if !self.is_failing => drop(done.send(())),
                Ok(Ask::Write(_)) => {}
                Ok(Ask::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let written = private_file::write(&self.path, bytes, 0o600).and_then(|()| self.sync_folder());
        match &written {
            Ok(()) if self.is_failing => tracing::info!("what policy remembers is kept again"),
            Ok(()) => {}
            // Once, and not every half minute while the disk is full.
            Err(error) if !self.is_failing => {
                tracing::error!(%error, file = %self.path.display(), "what policy remembers cannot be kept");
            }
            Err(_) => {}
        }
        self.is_failing = written.is_err();
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use policy::memory::{Memory, MemoryLimits};
    use policy::now::Now;

    use super::*;

    #[test]
    fn a_damaged_file_is_set_aside_and_a_good_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).bytes.is_none());
        let memory = Memory::new(&policy::settings::Settings::default(), MemoryLimits::default(), 0);
        let bytes = memory.to_bytes(Now { mono_ms: 77, unix_ms: 5 });
        let path = folder.path().join(MEMORY_FILE);
        std::fs::write(&path, &bytes).unwrap();
        let found = read(folder.path());
        assert_eq!((found.bytes.as_ref(), found.mono_ms), (Some(&bytes), 77));
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read(folder.path()).bytes.is_none());
        assert!(!path.exists() && path.with_extension("damaged").exists());
    }
}
