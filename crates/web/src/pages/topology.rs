//! `/topology`: nodes and their links as a graph: gateways in a ring, each node near those that hear it.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use insight::{Link, LinkKey};
use maud::{Markup, html};

use crate::layout::Section;
use crate::pages::coverage::ends;
use crate::pages::links::chosen;
use crate::pages::survey_frame::{Asked, snr};
use crate::site::Visit;
use crate::words::{Nodes, count, node_address, number};

/// Nodes that are drawn at most: those with most links.
const NODES_MAX: usize = 150;
/// Rounds in which nodes settle.
const ROUNDS: usize = 120;
/// Size of the drawing, and room at its edges for names.
const SIDE: f64 = 1000.0;
const HEIGHT: f64 = 640.0;
const MARGIN: f64 = 40.0;

/// `GET /topology`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(&visit, query.as_deref());
    let surveyed = match asked.survey(&visit).await {
        Ok(surveyed) => surveyed,
        Err(failed) => return failed,
    };
    let links = chosen(&asked, &surveyed.survey);
    let mut degrees: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for key in links.keys() {
        degrees.entry(key.from).or_default().0 += 1;
        degrees.entry(key.to).or_default().1 += 1;
    }
    let mut order: Vec<(u32, (u64, u64))> = degrees.into_iter().collect();
    order.sort_by_key(|(node, (heard, hears))| (std::cmp::Reverse(heard + hears), *node));
    let all = order.len();
    order.truncate(NODES_MAX);
    let gateways: BTreeSet<u32> = surveyed.survey.gateways().keys().copied().collect();
    let drawn: BTreeSet<u32> = order.iter().map(|(node, _)| *node).collect();
    let edges: BTreeMap<(u32, u32), Option<i32>> = edges(&links, &drawn);
    let places = settle(&drawn, &edges, &gateways);
    let body = visit.with_nodes(|nodes| html! {
        (asked.head(&visit, "/topology", "Topology", Some(&surveyed)))
        @if drawn.is_empty() { p { "No links in this time." } }
        @else {
            p { (count(all as u64, "node")) " and " (count(edges.len() as u64, "link")) "; filled nodes are gateways. Distances on the drawing mean nothing."
                @if all > NODES_MAX { " The " (NODES_MAX) " nodes with most links are drawn." } }
            figure.chart { (drawing(nodes, &places, &edges, &gateways)) }
            h2 { "Nodes by links" }
            div.scroll.stack { table {
                thead { tr { th scope="col" { "Node" } th.n scope="col" { "Heard by" } th.n scope="col" { "Hears" } } }
                tbody { @for (node, (heard, hears)) in &order { tr {
                    th scope="row" { (nodes.link(*node)) }
                    td.n data-label="Heard by" { (number(*heard)) }
                    td.n data-label="Hears" { (number(*hears)) }
                } } }
            } }
        }
    });
    visit.page(Section::Map, "Topology", &[], &body).into_response()
}

/// Pairs of nodes with the best signal in either direction.
fn edges(links: &BTreeMap<LinkKey, Link>, drawn: &BTreeSet<u32>) -> BTreeMap<(u32, u32), Option<i32>> {
    let mut edges: BTreeMap<(u32, u32), Option<i32>> = BTreeMap::new();
    for (key, link) in links.iter().filter(|(key, _)| drawn.contains(&key.from) && drawn.contains(&key.to)) {
        let best = edges.entry((key.from.min(key.to), key.from.max(key.to))).or_default();
        *best = (*best).max(link.best_quarters);
    }
    edges
}

/// Places on the drawing: nodes push each other away, links pull. Always the same for the same links.
fn settle(
    drawn: &BTreeSet<u32>,
    edges: &BTreeMap<(u32, u32), Option<i32>>,
    gateways: &BTreeSet<u32>,
) -> BTreeMap<u32, (f64, f64)> {
    let ids: Vec<u32> = drawn.iter().copied().collect();
    let index: BTreeMap<u32, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let wanted = SIDE / (ids.len() as f64).sqrt().max(2.0);
    let mut at: Vec<(f64, f64)> = (ids.iter().enumerate())
        .map(|(order, id)| {
            // The golden angle spreads them evenly; gateways begin in the middle.
            let angle = order as f64 * 2.399_963;
            let radius = if gateways.contains(id) { SIDE * 0.2 } else { SIDE * 0.4 };
            (SIDE / 2.0 + radius * angle.cos(), SIDE / 2.0 + radius * angle.sin())
        })
        .collect();
    for round in 0..ROUNDS {
        let mut force = vec![(0.0, 0.0); ids.len()];
        for a in 0..ids.len() {
            for b in 0..a {
                let (dx, dy) = (at[a].0 - at[b].0, at[a].1 - at[b].1);
                let square = (dx * dx + dy * dy).max(1.0);
                let push = wanted * wanted / square;
                force[a] = (force[a].0 + dx * push, force[a].1 + dy * push);
                force[b] = (force[b].0 - dx * push, force[b].1 - dy * push);
            }
        }
        for (a, b) in edges.keys() {
            let (Some(&a), Some(&b)) = (index.get(a), index.get(b)) else { continue };
            let (dx, dy) = (at[a].0 - at[b].0, at[a].1 - at[b].1);
            let pull = (dx * dx + dy * dy).sqrt() / wanted * 0.25;
            force[a] = (force[a].0 - dx * pull, force[a].1 - dy * pull);
            force[b] = (force[b].0 + dx * pull, force[b].1 + dy * pull);
        }
        let step = SIDE / 12.0 * (1.0 - round as f64 / ROUNDS as f64);
        for (place, (fx, fy)) in at.iter_mut().zip(force) {
            let length = (fx * fx + fy * fy).sqrt().max(1e-9);
            let moved = length.min(step) / length;
            // A pull to the middle keeps islands in sight of each other.
            let homeward = |v: f64| (SIDE / 2.0 - v) * 0.06;
            *place = (place.0 + fx * moved + homeward(place.0), place.1 + fy * moved + homeward(place.1));
        }
    }
    let fitted = |values: Vec<f64>, side: f64| {
        let (low, high) = ends(values.iter().copied());
        let scale = (side - 2.0 * MARGIN) / (high - low).max(1.0);
        values.into_iter().map(move |v| MARGIN + (v - low) * scale).collect::<Vec<f64>>()
    };
    let across = fitted(at.iter().map(|place| place.0).collect(), SIDE);
    let down = fitted(at.iter().map(|place| place.1).collect(), HEIGHT);
    ids.into_iter().zip(across.into_iter().zip(down)).collect()
}

fn drawing(
    nodes: Nodes<'_>,
    places: &BTreeMap<u32, (f64, f64)>,
    edges: &BTreeMap<(u32, u32), Option<i32>>,
    gateways: &BTreeSet<u32>,
) -> Markup {
    let short = |value: f64| format!("{value:.1}");
    html! {
        svg.graph viewBox=(format!("0 0 {SIDE} {HEIGHT}")) role="group" aria-label="Graph of links; the table below lists the nodes" {
            @for ((a, b), best) in edges {
                @if let (Some(from), Some(to)) = (places.get(a), places.get(b)) {
                    line x1=(short(from.0)) y1=(short(from.1)) x2=(short(to.0)) y2=(short(to.1)) {
                        title { (snr(best.map(|quarters| f64::from(quarters) / 4.0))) }
                    }
                }
            }
            @for (node, (x, y)) in places {
                @let is_gateway = gateways.contains(node);
                a href=(node_address(*node)) class=[is_gateway.then_some("gateway")] {
                    circle cx=(short(*x)) cy=(short(*y)) r=(if is_gateway { 8 } else { 5 }) { title { (nodes.plain(*node)) } }
                    @if is_gateway || places.len() <= 40 {
                        text x=(short(*x)) y=(short(y - 12.0)) text-anchor="middle" { (nodes.short(*node)) }
                    }
                }
            }
        }
    }
}
