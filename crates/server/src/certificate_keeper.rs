//! Watches certificate files: a renewed one is used for the next handshake, without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::tls::SharedTls;

/// How often the files are asked whether they changed.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A running keeper; ends when dropped.
#[derive(Debug)]
pub(crate) struct CertificateKeeper {
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl CertificateKeeper {
    /// Starts watching.
    pub fn start(certificates: Vec<SharedTls>) -> std::io::Result<Self> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let ends = is_ending.clone();
        let thread = std::thread::Builder::new().name("certificates".to_owned()).spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                certificates.iter().for_each(SharedTls::look);
                std::thread::park_timeout(ASK_EVERY);
            }
        })?;
        Ok(Self { is_ending, thread: Some(thread) })
    }
}

impl Drop for CertificateKeeper {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
