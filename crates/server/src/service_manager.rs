//! systemd: sockets it has opened for us, and what it is told. Without it, nothing here does anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::core_loop::{Command, CoreHandle};
use crate::entrances::InheritedSockets;

/// Sockets opened before this program started, with the names of the listeners they are for.
///
/// # Errors
/// When one of them is no TCP listener.
pub fn inherited_sockets() -> std::io::Result<InheritedSockets> {
    let mut sockets = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut found = InheritedSockets::new();
    for index in 0..sockets.len() {
        let name = names.next().unwrap_or_default().to_owned();
        if let Some(socket) = sockets.take_tcp_listener(index)? {
            found.push((name, socket));
        }
    }
    Ok(found)
}

/// Says that clients can connect, and from then on, as often as is wanted, that the core still answers. Says that the
/// program stops when dropped.
#[derive(Debug)]
pub struct ServiceNotice {
    is_ending: Arc<AtomicBool>,
    watchdog: Option<JoinHandle<()>>,
}

impl ServiceNotice {
    /// Tells the service manager, if there is one.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn ready(core: CoreHandle) -> std::io::Result<Self> {
        tell(&[NotifyState::Ready]);
        let is_ending = Arc::new(AtomicBool::new(false));
        let watchdog = match sd_notify::watchdog_enabled() {
            Some(patience) => {
                let ends = is_ending.clone();
                let watch = move || watch(&core, patience / 2, &ends);
                Some(std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?)
            }
            None => None,
        };
        Ok(Self { is_ending, watchdog })
    }
}

impl Drop for ServiceNotice {
    fn drop(&mut self) {
        tell(&[NotifyState::Stopping]);
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.watchdog.take() {
            thread.thread().unpark();
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// A core that does not answer is not vouched for, and the service manager restarts the program.
fn watch(core: &CoreHandle, every: Duration, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        let (reply, answer) = mpsc::channel();
        core.send(Command::Ping(reply));
        if answer.recv_timeout(every).is_ok() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the core does not answer");
        }
        std::thread::park_timeout(every);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
