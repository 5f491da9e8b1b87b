//! `/compare`: two gateways side by side, and this time against the time before.

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use insight::compare::{self, Change, Gateways, Sides};
use insight::{LinkKey, geojson};
use maud::{Markup, html};

use crate::layout::Section;
use crate::moment;
use crate::pages::links::known_by;
use crate::pages::survey_frame::{Asked, snr};
use crate::site::Visit;
use crate::surveys;
use crate::words::{Nodes, count, number};

/// Rows of one list at most.
const ROWS_MAX: usize = 100;

/// `GET /compare`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(&visit, query.as_deref());
    let earlier = asked.before();
    let (surveyed, before) = match (asked.survey(&visit).await, earlier.survey(&visit).await) {
        (Ok(surveyed), Ok(before)) => (surveyed, before),
        (Err(failed), _) | (_, Err(failed)) => return failed,
    };
    let pair = asked.node("a").zip(asked.node("b")).filter(|(a, b)| a != b);
    let mut compared = None;
    if let Some(pair) = pair {
        match surveys::gateways(&visit.site.archive, pair, asked.window, &visit.sight).await {
            Ok((gateways, _)) => compared = Some((pair, gateways)),
            Err(_) => return visit.history_failed(),
        }
    }
    let change = compare::windows(&before.survey, &surveyed.survey);
    let body = visit.with_nodes(|nodes| html! {
        (asked.head(&visit, "/compare", "Compare", Some(&surveyed)))
        h2 { "Two gateways" }
        form.card method="get" action="/compare" {
            (asked.hidden_time())
            div.fields.wide {
                @for (name, text) in [("a", "First"), ("b", "Second")] {
                    label { (text) select name=(name) {
                        option value="" { "Choose a gateway" }
                        @for gateway in surveyed.survey.gateways().keys() {
                            option value=(geojson::id(*gateway)) selected[asked.node(name) == Some(*gateway)] { (nodes.plain(*gateway)) }
                        }
                    } }
                }
            }
            div.row { button.button { "Compare" } }
        }
        @if let Some((pair, gateways)) = &compared { (side_by_side(nodes, *pair, gateways)) }
        h2 { "This time and the time before" }
        p.soft { "Before: " (moment::clock(earlier.window.since_ms, visit.now_ms)) " to " (moment::clock(earlier.window.until_ms, visit.now_ms)) " UTC." 
            @if before.walked.is_cut_short { " That was too much for one page; what is lost may be incomplete." } }
        (changes(nodes, &change))
    });
    visit.page(Section::Map, "Compare", &[], &body).into_response()
}

fn side_by_side(nodes: Nodes<'_>, (a, b): (u32, u32), gateways: &Gateways) -> Markup {
    let (all, by_node) = gateways.sums();
    let mut rows: Vec<_> = by_node.iter().collect();
    rows.sort_by_key(|(node, sides)| (std::cmp::Reverse(sides.all()), **node));
    let better = |sides: &Sides| match sides.difference_db() {
        None => html! { "–" },
        Some(by) => html! { (snr(Some(by.abs()))) " " @if by >= 0.0 { "first" } @else { "second" } },
    };
    html! {
        dl.figures {
            div { dt { "Heard by both" } dd { (number(all.both)) } }
            div { dt { "Only by " (nodes.plain(a)) } dd { (number(all.only_a)) } }
            div { dt { "Only by " (nodes.plain(b)) } dd { (number(all.only_b)) } }
            div { dt { "Better signal" } dd { (better(&all)) } }
        }
        p.soft { "Packets of other nodes, each counted once. The signal is that of transmissions that both heard directly: "
            (count(all.measured, "packet")) "." @if gateways.beyond() > 0 { " " (count(gateways.beyond(), "reception")) " beyond the limits of a page left out." } }
        @if !rows.is_empty() { div.scroll.stack { table {
            thead { tr { th scope="col" { "Sender" } th.n scope="col" { "Both" } th.n scope="col" { "Only first" } th.n scope="col" { "Only second" } th.n scope="col" { "Better signal" } } }
            tbody { @for (node, sides) in rows.iter().take(ROWS_MAX) { tr {
                th scope="row" { (nodes.link(**node)) }
                td.n data-label="Both" { (number(sides.both)) }
                td.n data-label="Only first" { (number(sides.only_a)) }
                td.n data-label="Only second" { (number(sides.only_b)) }
                td.n data-label="Better signal" { (better(sides)) }
            } } }
        } } }
    }
}

fn changes(nodes: Nodes<'_>, change: &Change) -> Markup {
    let keys = |keys: &[LinkKey]| {
        html! {
            @if keys.is_empty() { p.soft { "None." } }
            @else { ul { @for key in keys.iter().take(ROWS_MAX) {
                li { (nodes.link(key.from)) " heard by " (nodes.link(key.to)) " " span.soft { "(" (known_by(key.source)) ")" } }
            } @if keys.len() > ROWS_MAX { li.soft { "and " (keys.len() - ROWS_MAX) " more" } } } }
        }
    };
    html! {
        @if !change.orphaned.is_empty() { div.banner.bad { p {
            strong { (count(change.orphaned.len() as u64, "node")) } " heard directly before and by no gateway now: "
            @for (at, node) in change.orphaned.iter().take(ROWS_MAX).enumerate() { @if at > 0 { ", " } (nodes.link(*node)) }
        } } }
        div.two {
            section { h3 { "Links gained: " (change.gained.len()) } (keys(&change.gained)) }
            section { h3 { "Links lost: " (change.lost.len()) } (keys(&change.lost)) }
        }
        h3 { "Signal changed: " (change.margin.len()) }
        @if change.margin.is_empty() { p.soft { "None by more than 1.5 dB." } }
        @else { div.scroll.stack { table {
            thead { tr { th scope="col" { "Heard" } th scope="col" { "By" } th.n scope="col" { "Mean SNR" } } }
            tbody { @for (key, by) in change.margin.iter().take(ROWS_MAX) { tr {
                th scope="row" { (nodes.link(key.from)) }
                td data-label="By" { (nodes.link(key.to)) }
                td.n data-label="Mean SNR" { @if *by > 0.0 { "+" } (snr(Some(*by))) }
            } } }
        } } }
    }
}
