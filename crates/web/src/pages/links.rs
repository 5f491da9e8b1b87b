//! `/links`: who hears whom, how well, how far: the longest, the newest, the busiest, those that were lost.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use insight::{Link, LinkKey, Source, Survey, compare};
use maud::{Markup, html};

use crate::layout::Section;
use crate::moment;
use crate::pages::survey_frame::{Asked, distance, snr};
use crate::site::Visit;
use crate::words::{Nodes, count, number};

/// Rows at most; the file has all.
const ROWS_MAX: usize = 200;

/// The orders to choose from.
const ORDERS: [(&str, &str); 5] = [
    ("longest", "Longest"),
    ("newest", "Newest"),
    ("busiest", "Busiest"),
    ("weakest", "Weakest"),
    ("lost", "Lost since the time before"),
];

/// The links that an address asks for.
pub fn chosen(asked: &Asked, survey: &Survey) -> BTreeMap<LinkKey, Link> {
    let source = asked.get("source").and_then(Source::from_word);
    let node = asked.node("node").or_else(|| asked.node("gateway"));
    let mut links = survey.links();
    links.retain(|key, _| {
        source.is_none_or(|source| key.source == source)
            && node.is_none_or(|node| key.from == node || key.to == node)
    });
    links
}

/// `GET /links`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(&visit, query.as_deref());
    let surveyed = match asked.survey(&visit).await {
        Ok(surveyed) => surveyed,
        Err(failed) => return failed,
    };
    let order =
        asked.get("order").filter(|order| ORDERS.iter().any(|(word, _)| word == order)).unwrap_or("longest");
    let (mut shown_of, mut links) = (surveyed.clone(), chosen(&asked, &surveyed.survey));
    if order == "lost" {
        let earlier = asked.before();
        let before = match earlier.survey(&visit).await {
            Ok(before) => before,
            Err(failed) => return failed,
        };
        let lost = compare::windows(&before.survey, &surveyed.survey).lost;
        links = chosen(&asked, &before.survey);
        links.retain(|key, _| lost.binary_search(key).is_ok());
        shown_of = before;
    }
    let mut rows: Vec<(LinkKey, Link, Option<f64>)> =
        links.iter().map(|(key, link)| (*key, *link, shown_of.survey.distance_m(key))).collect();
    match order {
        "newest" => rows.sort_by_key(|(key, link, _)| (Reverse(link.first_ms), *key)),
        "busiest" => rows.sort_by_key(|(key, link, _)| (Reverse(link.count), *key)),
        "weakest" => rows.sort_by_key(|(key, link, _)| (link.best_quarters.unwrap_or(i32::MAX), *key)),
        "lost" => rows.sort_by_key(|(key, link, _)| (Reverse(link.last_ms), *key)),
        _ => rows.sort_by(|a, b| b.2.unwrap_or(-1.0).total_cmp(&a.2.unwrap_or(-1.0)).then(a.0.cmp(&b.0))),
    }
    let body = visit.with_nodes(|nodes| html! {
        (asked.head(&visit, "/links", "Links", Some(&surveyed)))
        form.card method="get" action="/links" {
            (asked.hidden_time())
            div.fields.wide {
                label { "Order" select name="order" {
                    @for (word, text) in ORDERS { option value=(word) selected[word == order] { (text) } }
                } }
                label { "Known by" select name="source" {
                    option value="" { "Anything" }
                    @for source in Source::ALL { option value=(source.word()) selected[asked.get("source") == Some(source.word())] { (known_by(source)) } }
                } }
                label { "Node or gateway" input name="node" value=[asked.get("node")] placeholder="!7c5a0a01, or all"; }
            }
            div.row { button.button { "Show" } }
        }
        @if rows.is_empty() { p { "No links in this time." } }
        @else {
            p { strong { (count(rows.len() as u64, "link")) } ", each in one direction: the second node hears the first."
                @if rows.len() > ROWS_MAX { " The first " (ROWS_MAX) " are shown; the file has all." } }
            p { a.button.plain href=(asked.with("/api/v1/links", &[("order", "")])) { "As GeoJSON" } }
            (table(&visit, nodes, &rows[..rows.len().min(ROWS_MAX)]))
        }
    });
    visit.page(Section::Map, "Links", &[], &body).into_response()
}

/// How a link is known, for people.
pub const fn known_by(source: Source) -> &'static str {
    match source {
        Source::Direct => "Direct reception",
        Source::Traceroute => "Traceroute",
        Source::Neighbour => "Neighbour info",
    }
}

fn table(visit: &Visit, nodes: Nodes<'_>, rows: &[(LinkKey, Link, Option<f64>)]) -> Markup {
    html! {
        div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Heard" } th scope="col" { "By" } th.n scope="col" { "Distance" } th.n scope="col" { "Best SNR" }
                th.n scope="col" { "Mean SNR" } th.n scope="col" { "Times" } th scope="col" { "Known by" } th scope="col" { "First" } th scope="col" { "Last" }
            } }
            tbody { @for (key, link, metres) in rows { tr {
                th scope="row" { (nodes.link(key.from)) }
                td data-label="By" { (nodes.link(key.to)) }
                td.n data-label="Distance" { (metres.map_or_else(|| "–".to_owned(), distance)) }
                td.n data-label="Best SNR" { (snr(link.best_snr())) }
                td.n data-label="Mean SNR" { (snr(link.mean_snr())) }
                td.n data-label="Times" { (number(link.count)) }
                td data-label="Known by" { (known_by(key.source)) }
                td data-label="First" { (moment::age(link.first_ms, visit.now_ms)) }
                td data-label="Last" { (moment::age(link.last_ms, visit.now_ms)) }
            } } }
        } }
    }
}
