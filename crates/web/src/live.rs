//! `/live` and `/live/status`: finished HTML as server-sent events. Each stream is filtered for its visitor; one that
//! reads too slowly is told how much it missed and goes on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use query::{Condition, Evidence};
use record::{Reception, Record};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::filter::View;
use crate::log_row;
use crate::pages::status;
use crate::site::{Site, Visit};

/// Live streams open at the same time; each costs a task and a connection.
const STREAMS_MAX: usize = 256;
/// Of these, for one address: a household, not everybody.
const STREAMS_PER_ADDRESS_MAX: usize = 32;
/// How often an open status page is told.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// Comments keep proxies from closing a silent stream, and show us readers that are gone.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A stream ends after this long, and the browser opens it again: so a sign-in that has ended does not go on seeing.
const STREAM_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// `GET /live`: rows of the log as they come, for the filter of the address.
pub async fn log_stream(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let (view, problems) = View::parse(query.as_deref().unwrap_or_default());
    let bound = match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => visit.bind(&view.query),
    };
    let condition = match bound {
        Ok(condition) => condition,
        Err(problem) => {
            let what_to_do = problem.to_string();
            return visit.trouble(StatusCode::BAD_REQUEST, "This filter is not understood", &what_to_do);
        }
    };
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    let records = visit.site.live.subscribe();
    respond(stream::unfold(
        (visit, condition, records, seat),
        |(visit, condition, mut records, mut seat)| async move {
            let event = next_row(&visit, &condition, &mut records, &mut seat).await?;
            Some((Ok(event), (visit, condition, records, seat)))
        },
    ))
}

/// `GET /live/status`: the changing part of the status page.
pub async fn status_stream(visit: Visit) -> Response {
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    let mut ticks = interval_at(tokio::time::Instant::now() + STATUS_INTERVAL, STATUS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    respond(stream::unfold((visit, ticks, seat), |(visit, mut ticks, mut seat)| async move {
        let event = next_status(&visit, &mut ticks, &mut seat).await?;
        Some((Ok(event), (visit, ticks, seat)))
    }))
}

async fn next_row(
    visit: &Visit,
    condition: &Condition,
    records: &mut broadcast::Receiver<Record>,
    seat: &mut Seat,
) -> Option<Event> {
    loop {
        let record = tokio::select! {
            record = records.recv() => record,
            () = seat.ended() => return None,
        };
        match record {
            Ok(Record::Reception(reception)) => {
                if let Some(row) = row_for(visit, condition, &reception) {
                    return Some(Event::default().event("row").data(row));
                }
            }
            Ok(Record::Release(_) | Record::Connection(_) | Record::PolicyChange(_) | Record::Erased(_)) => {}
            // How many of these the visitor would have seen is not known; all of them are counted.
            Err(RecvError::Lagged(missed)) => {
                return Some(Event::default().event("missed").data(missed.to_string()));
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

/// The row of a reception, when the visitor may see it and wants it.
fn row_for(visit: &Visit, condition: &Condition, reception: &Arc<Reception>) -> Option<String> {
    let keyring = &visit.site.keyring;
    if !visit.sight.allows(reception) {
        return None;
    }
    let said = if condition.needs().said { history::said(reception, keyring) } else { None };
    // What becomes of the copies is not known yet; the page offers no live rows for filters that ask for it.
    if !condition.holds(&Evidence { reception, said: said.as_deref(), release: None }) {
        return None;
    }
    let now_ms = visit.site.now_ms();
    Some(visit.with_nodes(|nodes| log_row::row(reception, &[], nodes, keyring, now_ms)).into_string())
}

async fn next_status(visit: &Visit, ticks: &mut Interval, seat: &mut Seat) -> Option<Event> {
    tokio::select! {
        _ = ticks.tick() => {}
        () = seat.ended() => return None,
    }
    let visit = Visit { now_ms: visit.site.now_ms(), ..visit.clone() };
    Some(Event::default().event("status").data(status::changing_part(&visit).await.into_string()))
}

pub(crate) fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL)).into_response()
}

pub(crate) fn too_many(visit: &Visit) -> Response {
    visit.trouble(
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many live pages are open",
        "The page works without live updates; reload it to see what came since.",
    )
}

/// Places for live streams.
#[derive(Debug, Default)]
pub struct Seats {
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Seats {
    /// Takes a place for an address, unless it or everybody together have too many.
    fn take(&self, address: IpAddr) -> bool {
        let mut taken = self.lock();
        let of_address = taken.get(&address).copied().unwrap_or(0);
        if of_address >= STREAMS_PER_ADDRESS_MAX || taken.values().sum::<usize>() >= STREAMS_MAX {
            return false;
        }
        taken.insert(address, of_address + 1);
        true
    }

    fn leave(&self, address: IpAddr) {
        let mut taken = self.lock();
        if let Some(of_address) = taken.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.remove(&address);
            }
        }
    }

    /// A panic while it was held cannot have left a count half written.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A place among the open streams, until the server or the stream's time ends.
pub(crate) struct Seat {
    site: Arc<Site>,
    address: IpAddr,
    is_ending: watch::Receiver<bool>,
    until: tokio::time::Instant,
}

impl Seat {
    pub fn take(visit: &Visit) -> Option<Self> {
        let (site, address) = (visit.site.clone(), visit.address);
        let is_ending = site.is_ending.clone();
        let until = tokio::time::Instant::now() + STREAM_LIFETIME;
        if !site.seats.take(address) {
            return None;
        }
        Some(Self { site, address, is_ending, until })
    }

    pub async fn ended(&mut self) {
        tokio::select! {
            // An error means that the server's side is gone, which ends the stream too.
            _ = self.is_ending.wait_for(|ending| *ending) => {}
            () = tokio::time::sleep_until(self.until) => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.site.seats.leave(self.address);
    }
}
