//! `/coverage`: hexagons from which somebody was heard directly, by best signal or by number of gateways.

use std::collections::BTreeMap;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use insight::CellIndex;
use insight::coverage::{self, Hexagon, Wanted};
use insight::geojson;
use maud::{Markup, html};

use crate::layout::Section;
use crate::moment;
use crate::pages::survey_frame::{Asked, snr};
use crate::site::Visit;
use crate::visibility::Sight;
use crate::words::{Nodes, count, number};

/// Rows of the table at most; the file has all.
const ROWS_MAX: usize = 200;

/// What the hexagons' colour says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Signal,
    Gateways,
}

/// What the address asks for, as the visitor may.
pub fn wanted(asked: &Asked, sight: &Sight) -> Wanted {
    let finest = sight.hexagons_max();
    let resolution = asked.get("size").and_then(|size| size.parse().ok()).unwrap_or(7);
    Wanted {
        resolution: u8::min(resolution, finest),
        gateway: asked.node("gateway"),
        node: asked.node("node"),
    }
}

/// `GET /coverage`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(&visit, query.as_deref());
    let surveyed = match asked.survey(&visit).await {
        Ok(surveyed) => surveyed,
        Err(failed) => return failed,
    };
    let wanted = wanted(&asked, &visit.sight);
    let by = if asked.get("by") == Some("gateways") { By::Gateways } else { By::Signal };
    let found = coverage::hexagons(&surveyed.survey, wanted);
    let single = found.values().filter(|hexagon| hexagon.single().is_some()).count();
    let unplaced =
        surveyed.survey.links().keys().filter(|key| !surveyed.survey.nodes().contains_key(&key.from)).count();
    let body = visit.with_nodes(|nodes| html! {
        (asked.head(&visit, "/coverage", "Coverage", Some(&surveyed)))
        (choices(&asked, by, wanted, nodes, surveyed.survey.gateways(), visit.sight.hexagons_max()))
        @if found.is_empty() {
            p { "Nobody whose place is known was heard directly by a gateway in this time. Choose a longer one, or another gateway." }
        } @else {
            p { strong { (count(found.len() as u64, "hexagon")) } " in which nodes were heard directly, without a hop between. "
                @if wanted.gateway.is_none() && single > 0 { (number(single as u64)) " of them are heard by one gateway only (dashed): without it nobody hears them." }
            }
            figure.chart { (drawing(&found, by)) (legend(by)) }
            p { a.button.plain href=(asked.with("/map", &[("by", if by == By::Gateways { "gateways" } else { "" })])) { "On the map" }
                " " a.button.plain href=(asked.with("/api/v1/coverage", &[])) { "As GeoJSON" } }
            (table(&visit, nodes, &found))
        }
        @if unplaced > 0 { p.soft { (count(unplaced as u64, "link")) " of nodes that have not told where they are cannot be drawn." } }
    });
    visit.page(Section::Map, "Coverage", &[], &body).into_response()
}

fn choices(
    asked: &Asked,
    by: By,
    wanted: Wanted,
    nodes: Nodes<'_>,
    gateways: &BTreeMap<u32, u64>,
    finest: u8,
) -> Markup {
    html! {
        form.card method="get" action="/coverage" {
            (asked.hidden_time())
            div.fields.wide {
                label { "Gateway"
                    select name="gateway" {
                        option value="" { "All gateways" }
                        @for gateway in gateways.keys() {
                            option value=(geojson::id(*gateway)) selected[wanted.gateway == Some(*gateway)] { (nodes.plain(*gateway)) }
                        }
                    }
                }
                label { "Node" input name="node" value=[wanted.node.map(geojson::id)] placeholder="!7c5a0a01, or all"; }
                label { "Colour by"
                    select name="by" {
                        option value="" selected[by == By::Signal] { "Best signal" }
                        option value="gateways" selected[by == By::Gateways] { "Number of gateways" }
                    }
                }
                label { "Hexagons"
                    select name="size" {
                        @for size in coverage::COARSEST..=finest {
                            option value=(size) selected[wanted.resolution == size] { (across(size)) }
                        }
                    }
                }
            }
            div.row { button.button { "Show" } }
        }
    }
}

/// Length of an edge, as H3 has it.
const fn across(resolution: u8) -> &'static str {
    match resolution {
        5 => "10 km edges",
        6 => "3.7 km edges",
        7 => "1.4 km edges",
        8 => "530 m edges",
        _ => "200 m edges",
    }
}

/// The class of a hexagon's colour, from 1 to 4, better being higher.
fn grade(hexagon: &Hexagon, by: By) -> usize {
    match by {
        By::Gateways => hexagon.gateways.len().clamp(1, 4),
        By::Signal => match hexagon.best_snr() {
            Some(snr) if snr >= 5.0 => 4,
            Some(snr) if snr >= -2.5 => 3,
            Some(snr) if snr >= -10.0 => 2,
            _ => 1,
        },
    }
}

fn legend(by: By) -> Markup {
    let texts = match by {
        By::Gateways => ["1 gateway", "2", "3", "4 and more"],
        By::Signal => ["below −10 dB", "to −2.5 dB", "to 5 dB", "5 dB and more"],
    };
    html! {
        figcaption.legend { @for (at, text) in texts.iter().enumerate() {
            span { svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" { rect class=(format!("grade{}", at + 1)) width="12" height="12" {} } " " (text) }
        } }
    }
}

/// The hexagons side by side, north up.
fn drawing(found: &BTreeMap<CellIndex, Hexagon>, by: By) -> Markup {
    let rings: Vec<(Vec<(f64, f64)>, &Hexagon)> =
        found.iter().map(|(cell, hexagon)| (geojson::corners(*cell), hexagon)).collect();
    let all = || rings.iter().flat_map(|(ring, _)| ring);
    let (south, north) = ends(all().map(|corner| corner.0));
    let (west, east) = ends(all().map(|corner| corner.1));
    let squeeze = ((south + north) / 2.0).to_radians().cos();
    let scale = 1000.0 / ((east - west) * squeeze).max((north - south) * 1.6).max(1e-6);
    let (width, height) = ((east - west) * squeeze * scale, (north - south) * scale);
    let points = |ring: &[(f64, f64)]| {
        let point = |(lat, lon): &(f64, f64)| {
            format!("{:.1},{:.1}", (lon - west) * squeeze * scale, (north - lat) * scale)
        };
        ring.iter().map(point).collect::<Vec<_>>().join(" ")
    };
    html! {
        svg.hexagons viewBox=(format!("-4 -4 {:.0} {:.0}", width + 8.0, height + 8.0)) role="img" aria-label="Hexagons of coverage; the table below says the same" {
            @for (ring, hexagon) in &rings {
                polygon class=(format!("grade{}", grade(hexagon, by))) points=(points(ring)) stroke-dasharray=[hexagon.single().map(|_| "5 4")] {
                    title { (snr(hexagon.best_snr())) ", " (count(hexagon.gateways.len() as u64, "gateway")) ", " (count(hexagon.nodes.len() as u64, "node")) }
                }
            }
        }
    }
}

/// The least and the greatest of some values.
pub fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

fn table(visit: &Visit, nodes: Nodes<'_>, found: &BTreeMap<CellIndex, Hexagon>) -> Markup {
    let mut rows: Vec<_> = found.iter().collect();
    rows.sort_by_key(|(cell, hexagon)| (hexagon.gateways.len(), hexagon.best_quarters, **cell));
    html! {
        h2 { "Weakest first" }
        @if rows.len() > ROWS_MAX { p.soft { "The weakest " (ROWS_MAX) "; the file has all." } }
        div.scroll.stack { table {
            thead { tr { th scope="col" { "Middle" } th.n scope="col" { "Best SNR" } th scope="col" { "Gateways" } th scope="col" { "Nodes" } th.n scope="col" { "Receptions" } th scope="col" { "Last" } } }
            tbody { @for (cell, hexagon) in rows.iter().take(ROWS_MAX) {
                @let (latitude, longitude) = geojson::middle(**cell);
                tr {
                    th scope="row" { (format!("{latitude:.3}, {longitude:.3}").replace('-', "−")) }
                    td.n data-label="Best SNR" { (snr(hexagon.best_snr())) }
                    td data-label="Gateways" {
                        (some(nodes, hexagon.gateways.iter()))
                        @if hexagon.single().is_some() { " " span.chip.note { "only one" } }
                    }
                    td data-label="Nodes" { (some(nodes, hexagon.nodes.iter())) }
                    td.n data-label="Receptions" { (number(hexagon.count)) }
                    td data-label="Last" { (moment::age(hexagon.last_ms, visit.now_ms)) }
                }
            } }
        } }
    }
}

fn some<'a>(nodes: Nodes<'_>, all: impl ExactSizeIterator<Item = &'a u32>) -> Markup {
    let rest = all.len().saturating_sub(3);
    html! {
        @for (at, node) in all.take(3).enumerate() { @if at > 0 { ", " } (nodes.link(*node)) }
        @if rest > 0 { " and " (rest) " more" }
    }
}
