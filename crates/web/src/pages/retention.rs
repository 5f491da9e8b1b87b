//! `/retention` and `/.well-known/backhaul-retention.json`: what is kept for how long, with proof: the oldest day, and what
//! the last purge took away. For everybody.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use history::retention::{self, LastPurge, Purged};
use maud::{Markup, html};
use serde_json::json;

use crate::layout::Section;
use crate::moment;
use crate::site::Visit;
use crate::words::{count, number};

/// `GET /retention`
pub async fn page(visit: Visit) -> Response {
    let Ok(found) = find(&visit).await else { return visit.history_failed() };
    let keep = visit.site.info.keep;
    let days = |days: Option<u32>| {
        days.map_or("For as long as the server runs".to_owned(), |d| count(d.into(), "day"))
    };
    let body = html! {
        h1 { "What is kept, and for how long" }
        p.lead { "Every packet that a gateway uplinks is recorded, so that coverage can be looked at and decisions explained. Then it is deleted." }
        div.card { dl.facts {
            dt { "Packets, with what was decided" } dd { (days(keep.days)) }
            dt { "Who connected from where" } dd { (days(keep.connection_days.or(keep.days))) }
            dt { "Oldest day that is kept" } dd { (found.oldest.as_deref().unwrap_or("none yet")) }
            dt { "Last look for what is due" } dd { @match &found.last {
                Some(last) => { (moment::age(last.at_ms, visit.now_ms)) "; " (taken(&last.purged)) }
                None => "none yet; the first comes soon after a start",
            } }
            @if let Some((at_ms, purged)) = found.last.as_ref().and_then(|last| last.latest_loss.as_ref()) {
                dt { "Last deletion" } dd { (moment::age(*at_ms, visit.now_ms)) "; " (taken(purged)) }
            }
        } }
        p { "What everybody may see of it: packets whose senders agreed to MQTT, on channels that anyone can read, with places cut to about 1.5 km. "
            "Private keys and passwords are never recorded." }
        p { "For programs: " a href="/.well-known/backhaul-retention.json" { "backhaul-retention.json" } "." }
        (super::wiki::link("/retention.md"))
    };
    visit.page(Section::None, "Retention", &[], &body).into_response()
}

/// `GET /.well-known/backhaul-retention.json`
pub async fn json(visit: Visit) -> Response {
    let Ok(told) = told(&visit).await else { return visit.history_failed() };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, format!("{told:#}\n")).into_response()
}

/// What programs are told of it.
///
/// # Errors
/// When the history cannot be read.
pub async fn told(visit: &Visit) -> Result<serde_json::Value, crate::archive::Unreadable> {
    let found = find(visit).await?;
    let keep = visit.site.info.keep;
    Ok(json!({
        "v": 1,
        "keep_days": keep.days,
        "keep_connections_days": keep.connection_days.or(keep.days),
        "oldest_day": found.oldest,
        "last_purge": found.last.as_ref().map(|last| json!({ "at_ms": last.at_ms, "purged": last.purged })),
        "last_deletion": found.last.as_ref().and_then(|last| last.latest_loss.as_ref())
            .map(|(at_ms, purged)| json!({ "at_ms": at_ms, "purged": purged })),
    }))
}

struct Found {
    oldest: Option<String>,
    last: Option<LastPurge>,
}

async fn find(visit: &Visit) -> Result<Found, crate::archive::Unreadable> {
    let days = visit.site.archive.kept_days().await?;
    let data = visit.site.info.data.clone();
    let last = tokio::task::spawn_blocking(move || retention::last_purge(&data)).await.ok().flatten();
    Ok(Found { oldest: days.first().map(|day| history::statement::date(*day)), last })
}

fn taken(purged: &Purged) -> Markup {
    html! {
        @if *purged == Purged::default() { "nothing was due" }
        @else {
            (count(purged.days, "day")) " with " (count(purged.receptions, "reception")) ", "
            (number(purged.connections)) " connection events"
        }
    }
}
