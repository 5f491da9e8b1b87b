//! Receptions as they come, for programs: server-sent events or a WebSocket, filtered, and resumed where a program left
//! off. What a slow reader misses is read again from the history, so nothing is lost that is still kept.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::RawQuery;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use query::{Condition, Evidence};
use record::{Reception, Record};
use serde_json::Value as Json;
use tokio::sync::broadcast::{self, error::RecvError};

use super::receptions::reception_to_json;
use super::{parameter, refused, wrong};
use crate::filter::View;
use crate::live::{Seat, respond};
use crate::site::Visit;

/// Receptions fetched from the history at a time.
const PAGE: usize = 500;

/// `GET /api/v1/stream?q=FILTER&after=SEQ`
pub async fn events(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let resumed = asked.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let follower = match Follower::new(visit, query.as_deref(), resumed) {
        Ok(follower) => follower,
        Err(response) => return *response,
    };
    respond(stream::unfold(follower, |mut follower| async move {
        let (seq, line) = follower.next().await?;
        let event = Event::default().event("reception").id(seq.to_string()).data(line.to_string());
        Some((Ok(event), follower))
    }))
}

/// `GET /api/v1/socket?q=FILTER&after=SEQ`
pub async fn socket(visit: Visit, upgrade: WebSocketUpgrade, RawQuery(query): RawQuery) -> Response {
    match Follower::new(visit, query.as_deref(), None) {
        Ok(follower) => upgrade.on_upgrade(|socket| pump(socket, follower)).into_response(),
        Err(response) => *response,
    }
}

async fn pump(mut socket: WebSocket, mut follower: Follower) {
    loop {
        tokio::select! {
            next = follower.next() => {
                let Some((_, line)) = next else { break };
                if socket.send(Message::Text(line.to_string().into())).await.is_err() {
                    return;
                }
            }
            // Whoever reads has nothing to say; pings are answered below us.
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    // The peer may be gone already.
    let _ = socket.send(Message::Close(None)).await;
}

/// One reader of the stream.
struct Follower {
    visit: Visit,
    condition: Condition,
    records: broadcast::Receiver<Record>,
    seat: Seat,
    /// Number of the last reception looked at; `None` before the first, when only what comes is wanted.
    after: Option<u64>,
    /// Whether something before the next live record may have been missed.
    has_gap: bool,
    found: VecDeque<Reception>,
}

impl Follower {
    fn new(visit: Visit, query: Option<&str>, resumed: Option<u64>) -> Result<Self, Box<Response>> {
        let (view, problems) = View::parse(query.unwrap_or_default());
        if !problems.is_empty() {
            return Err(refused(&problems).into());
        }
        let condition = visit.bind(&view.query).map_err(|problem| Box::new(refused(&[problem])))?;
        if condition.needs().release {
            let what = "what became of copies is not known yet when a packet comes; ask for it at /api/v1/receptions";
            return Err(wrong(StatusCode::BAD_REQUEST, what).into());
        }
        let after = resumed.or_else(|| parameter(query, "after")?.parse().ok());
        let Some(seat) = Seat::take(&visit) else {
            let what = "too many live streams are open; try again later";
            return Err(wrong(StatusCode::SERVICE_UNAVAILABLE, what).into());
        };
        let records = visit.site.live.subscribe();
        Ok(Self { visit, condition, records, seat, has_gap: after.is_some(), after, found: VecDeque::new() })
    }

    /// The next reception that fulfils the filter and that the visitor may see; `None` when the stream ends.
    async fn next(&mut self) -> Option<(u64, Json)> {
        loop {
            if let Some(reception) = self.found.pop_front() {
                return Some((reception.seq, reception_to_json(&self.visit, &reception)));
            }
            if self.has_gap {
                self.fill_gap().await?;
                continue;
            }
            let record = tokio::select! {
                record = self.records.recv() => record,
                () = self.seat.ended() => return None,
            };
            match record {
                Ok(Record::Reception(reception)) => {
                    // Seen already while a gap was filled.
                    if self.after.is_some_and(|after| reception.seq <= after) {
                        continue;
                    }
                    self.after = Some(reception.seq);
                    if self.wants(&reception) {
                        return Some((reception.seq, reception_to_json(&self.visit, &reception)));
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.has_gap = self.after.is_some(),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Reads what came after the last reception that is known.
    async fn fill_gap(&mut self) -> Option<()> {
        let after = self.after.unwrap_or(0);
        let page = self
            .visit
            .site
            .archive
            .after(self.condition.clone(), after, self.visit.sight.clone(), PAGE)
            .await
            .ok()?;
        self.has_gap = page.is_full;
        self.after = Some(page.last_seq.unwrap_or(after));
        self.found = page.receptions.into();
        Some(())
    }

    fn wants(&self, reception: &Arc<Reception>) -> bool {
        if !self.visit.sight.allows(reception) {
            return false;
        }
        let keyring = &self.visit.site.keyring;
        let said = if self.condition.needs().said { history::said(reception, keyring) } else { None };
        self.condition.holds(&Evidence { reception, said: said.as_deref(), release: None })
    }
}
