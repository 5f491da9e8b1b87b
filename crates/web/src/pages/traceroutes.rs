//! `/traceroutes`: who asked for whom, and over whom the way went.

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use insight::survey::Traced;
use insight::traceroute::Hop;
use maud::{Markup, html};

use crate::layout::Section;
use crate::moment;
use crate::pages::survey_frame::{Asked, snr};
use crate::site::Visit;
use crate::words::{Nodes, count};

/// Rows at most.
const ROWS_MAX: usize = 200;

/// `GET /traceroutes`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(&visit, query.as_deref());
    let surveyed = match asked.survey(&visit).await {
        Ok(surveyed) => surveyed,
        Err(failed) => return failed,
    };
    let node = asked.node("node");
    let passes = |traced: &&Traced| {
        let hops = traced.route.there.iter().chain(&traced.route.back);
        node.is_none_or(|node| {
            traced.asked == node
                || traced.wanted == node
                || hops.into_iter().any(|hop| hop.from == node || hop.to == node)
        })
    };
    let rows: Vec<&Traced> = surveyed.survey.routes().into_iter().filter(passes).collect();
    let body = visit.with_nodes(|nodes| html! {
        (asked.head(&visit, "/traceroutes", "Traceroutes", Some(&surveyed)))
        form.card method="get" action="/traceroutes" {
            (asked.hidden_time())
            label { "Node on the way" input name="node" value=[asked.get("node")] placeholder="!7c5a0a01, or all"; }
            div.row { button.button { "Show" } }
        }
        @if rows.is_empty() { p { "No traceroutes in this time." } }
        @else {
            p { strong { (count(rows.len() as u64, "traceroute")) } ". A dash between nodes is a hop that no radio measured, such as one over MQTT."
                @if rows.len() > ROWS_MAX { " The newest " (ROWS_MAX) " are shown." } }
            div.scroll.stack { table {
                thead { tr { th scope="col" { "When" } th scope="col" { "Asked" } th scope="col" { "For" } th scope="col" { "There" } th scope="col" { "Back" } } }
                tbody { @for traced in rows.iter().take(ROWS_MAX) { tr {
                    td data-label="When" { (moment::age(traced.at_ms, visit.now_ms)) }
                    th scope="row" { (nodes.link(traced.asked)) }
                    td data-label="For" { (nodes.link(traced.wanted)) }
                    td data-label="There" { (way(nodes, &traced.route.there)) @if !traced.is_answer { " " span.chip.note { "on its way" } } }
                    td data-label="Back" { (way(nodes, &traced.route.back)) }
                } } }
            } }
        }
    });
    visit.page(Section::Map, "Traceroutes", &[], &body).into_response()
}

fn way(nodes: Nodes<'_>, hops: &[Hop]) -> Markup {
    html! {
        @match hops.first() {
            None => span.soft { "–" },
            Some(first) => {
                (name(nodes, first.from))
                @for hop in hops {
                    @let measured = hop.snr_quarters.map(|quarters| f64::from(quarters) / 4.0);
                    " " span.soft { "→ " (snr(measured)) " →" } " " (name(nodes, hop.to))
                }
            }
        }
    }
}

fn name(nodes: Nodes<'_>, node: u32) -> Markup {
    if node == u32::MAX {
        html! { span.soft { "unknown" } }
    } else {
        nodes.link(node)
    }
}
