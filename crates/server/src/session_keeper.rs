//! Sessions and retained messages across runs: into the broker at the start, and what changes to the keeper's thread.

use std::time::Instant;

use broker::Broker;
use session_store::{Keeper, News, SessionStore};

use crate::clock::Clock;
use crate::core_loop::{ChangeSink, Command};
use crate::start::{DurableBell, Settings, StartError};

/// What survived the last run goes into the broker, and what changes from here on to the keeper's thread.
pub(crate) fn start(
    settings: &Settings,
    broker: &mut Broker,
    clock: Clock,
    bell: DurableBell,
) -> Result<(Option<Keeper>, ChangeSink), StartError> {
    if !settings.persistence {
        return Ok((None, Box::new(drop)));
    }
    let began = Instant::now();
    let store = SessionStore::open(&settings.data).map_err(StartError::Sessions)?;
    let now = clock.now();
    let megabytes = store.bytes() / 1_000_000;
    if megabytes > 20 {
        tracing::info!(megabytes, "reading sessions and retained messages; clients wait until they are back");
    }
    let kept = store.load(now).map_err(StartError::Sessions)?;
    let (sessions, retained) = (kept.sessions.len(), kept.retained.len());
    broker.restore(now, kept);
    broker.catch_up(now);
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(sessions, retained, took_ms, "sessions and retained messages are back");
    let told = move |news: News<'_>| match news {
        News::Kept(change) => bell.tell(Command::Kept(change)),
        News::Stalled(error) => {
            tracing::error!(%error, "sessions and retained messages cannot be kept; acknowledgements wait");
        }
        News::Recovered => tracing::info!("sessions and retained messages are kept again"),
    };
    let keeper = Keeper::start(store, told).map_err(StartError::System)?;
    let changes = Box::new(keeper.sender());
    Ok((Some(keeper), changes))
}
