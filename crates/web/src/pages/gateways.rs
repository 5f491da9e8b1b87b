//! `/gateways`: who uplinks, how it is doing, and what only it hears.

use std::time::Duration;

use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use broker::Snapshot;
use futures_util::stream;
use maud::{Markup, html};

use crate::assets::LIVE;
use crate::gateway_line::{self, GatewayState, gateway_lines};
use crate::layout::Section;
use crate::live::{Seat, respond, too_many};
use crate::site::Visit;
use crate::words::{count, number};

/// How often an open table is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// `GET /gateways`
pub async fn page(visit: Visit) -> Response {
    let Some(snapshot) = visit.site.snapshot().await else {
        return visit.trouble(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "The broker does not answer",
            "Which gateways are connected is not known at this moment. Try again shortly.",
        );
    };
    let alone = alone(&visit).await;
    let body = html! {
        h1 { "Gateways" }
        div data-live-status="/gateways/live" { (changing_part(&visit, &snapshot).await) }
        (alone)
        div.row {
            a.button.plain href="/compare" { "Compare two" }
            a.button.plain href="/coverage?by=gateways" { "Where only one hears" }
            a.button.plain href="/join" { "Connect a gateway" }
        }
    };
    visit.page(Section::Gateways, "Gateways", &[&LIVE], &body).into_response()
}

/// `GET /gateways/live`: the table as it changes.
pub async fn stream(visit: Visit) -> Response {
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    respond(stream::unfold((visit, seat), |(visit, mut seat)| async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = seat.ended() => return None,
            }
            let visit = Visit { now_ms: visit.site.now_ms(), ..visit.clone() };
            // A broker that is busy is asked again.
            if let Some(snapshot) = visit.site.snapshot().await {
                let told = changing_part(&visit, &snapshot).await.into_string();
                return Some((Ok(Event::default().event("status").data(told)), (visit, seat)));
            }
        }
    }))
}

async fn changing_part(visit: &Visit, snapshot: &Snapshot) -> Markup {
    let board = visit.site.board_lately().await;
    let lines = gateway_lines(visit, snapshot, &board);
    let of = |state| lines.iter().filter(|line| line.state == state).count() as u64;
    let (connected, quiet, away) =
        (of(GatewayState::Connected), of(GatewayState::Quiet), of(GatewayState::Away));
    html! {
        p.lead {
            (count(connected + quiet, "gateway")) " connected" @if quiet > 0 { ", " (quiet) " of them quiet" }
            @if away > 0 { "; " (away) " went within a day" } "."
        }
        (visit.with_nodes(|nodes| gateway_line::table(visit, nodes, &lines)))
    }
}

/// What only one gateway heard within a day: who would be missed.
async fn alone(visit: &Visit) -> Markup {
    let Ok(surveyed) = visit.site.alone(&visit.sight).await else { return html! {} };
    let mut brought: Vec<_> = surveyed.iter().filter(|(_, brought)| brought.receptions > 0).collect();
    brought.sort_by_key(|(gateway, brought)| (std::cmp::Reverse(brought.alone), **gateway));
    html! {
        @if brought.len() > 1 {
            h2 #alone { "Heard by one alone" }
            p.soft { "Packets of others within a day that no other gateway brought. A gateway with many would be missed." }
            div.scroll.stack { table {
                thead { tr { th scope="col" { "Gateway" } th.n scope="col" { "Alone" } th.n scope="col" { "Of its receptions" } th.n scope="col" { "Share" } } }
                tbody { @for (gateway, brought) in brought { tr {
                    th scope="row" { a href=(gateway_line::gateway_address(*gateway)) { (visit.with_nodes(|nodes| nodes.plain(*gateway))) } }
                    td.n data-label="Alone" { (number(brought.alone)) }
                    td.n data-label="Of its receptions" { (number(brought.receptions)) }
                    td.n data-label="Share" { (format!("{:.0} %", brought.alone as f64 * 100.0 / brought.receptions as f64)) }
                } } }
            } }
        }
    }
}
