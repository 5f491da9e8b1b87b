//! `/live` and `/live/status`: finished HTML as server-sent events. Each stream is filtered for its visitor; one that
//! reads too slowly is told how much it missed and goes on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use record::{Reception, Record};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::filter::Filter;
use crate::pages::status;
use crate::site::Visit;
use crate::{log_row, reading};

/// How often an open status page is told.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// Comments keep proxies from closing a silent stream, and show us readers that are gone.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A stream ends after this long, and the browser opens it again: so a sign-in that has ended does not go on seeing.
const STREAM_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// `GET /live`: rows of the log as they come, for the filter of the address.
pub async fn log_stream(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let (filter, problems) = Filter::parse(query.as_deref().unwrap_or_default(), visit.now_ms);
    if let Some(problem) = problems.first() {
        return visit.trouble(StatusCode::BAD_REQUEST, "This filter is not understood", &problem.message);
    }
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    let records = visit.site.live.subscribe();
    respond(stream::unfold(
        (visit, filter, records, seat),
        |(visit, filter, mut records, mut seat)| async move {
            let event = next_row(&visit, &filter, &mut records, &mut seat).await?;
            Some((Ok(event), (visit, filter, records, seat)))
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
    filter: &Filter,
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
                if let Some(row) = row_for(visit, filter, &reception) {
                    return Some(Event::default().event("row").data(row));
                }
            }
            Ok(Record::Release(_) | Record::Connection(_)) => {}
            // How many of these the visitor would have seen is not known; all of them are counted.
            Err(RecvError::Lagged(missed)) => {
                return Some(Event::default().event("missed").data(missed.to_string()));
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

/// The row of a reception, when the visitor may see it and wants it.
fn row_for(visit: &Visit, filter: &Filter, reception: &Arc<Reception>) -> Option<String> {
    let keyring = &visit.site.keyring;
    if !visit.sight.allows(reception) || !filter.takes(reception) {
        return None;
    }
    if filter.text.is_some() && !filter.takes_text(reading::said(reception, keyring).as_deref()) {
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

fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL)).into_response()
}

fn too_many(visit: &Visit) -> Response {
    visit.trouble(
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many live pages are open",
        "The page works without live updates; reload it to see what came since.",
    )
}

/// A place among the open streams, until the server or the stream's time ends.
struct Seat {
    _place: OwnedSemaphorePermit,
    is_ending: watch::Receiver<bool>,
    until: tokio::time::Instant,
}

impl Seat {
    fn take(visit: &Visit) -> Option<Self> {
        let place = visit.site.streams.clone().try_acquire_owned().ok()?;
        let until = tokio::time::Instant::now() + STREAM_LIFETIME;
        Some(Self { _place: place, is_ending: visit.site.is_ending.clone(), until })
    }

    async fn ended(&mut self) {
        tokio::select! {
            // An error means that the server's side is gone, which ends the stream too.
            _ = self.is_ending.wait_for(|ending| *ending) => {}
            () = tokio::time::sleep_until(self.until) => {}
        }
    }
}
