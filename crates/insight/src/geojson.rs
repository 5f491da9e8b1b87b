//! Hexagons, links and nodes as GeoJSON (RFC 7946), for maps of ours and of others.

use std::collections::BTreeMap;

use h3o::{CellIndex, LatLng};
use serde_json::{Value as Json, json};

use crate::coverage::Hexagon;
use crate::link::{Link, LinkKey};
use crate::survey::Survey;

/// Decimals of a coordinate: a metre or so.
const DECIMALS: f64 = 1e5;

/// A node as programs write it.
pub fn id(node: u32) -> String {
    mesh::node::NodeNum(node).to_string()
}

/// A list of features as one document.
pub fn collection(features: Vec<Json>) -> Json {
    json!({ "type": "FeatureCollection", "features": features })
}

/// Hexagons as polygons.
pub fn hexagons(found: &BTreeMap<CellIndex, Hexagon>) -> Vec<Json> {
    let feature = |(cell, hexagon): (&CellIndex, &Hexagon)| {
        let mut ring: Vec<Json> =
            cell.boundary().iter().map(|corner| point(corner.lat(), corner.lng())).collect();
        ring.extend(ring.first().cloned());
        json!({
            "type": "Feature",
            "id": cell.to_string(),
            "geometry": { "type": "Polygon", "coordinates": [ring] },
            "properties": {
                "cell": cell.to_string(),
                "best_snr_db": hexagon.best_snr(),
                "gateways": hexagon.gateways.len(),
                "gateway_ids": hexagon.gateways.iter().copied().map(id).collect::<Vec<_>>(),
                "nodes": hexagon.nodes.len(),
                "receptions": hexagon.count,
                "single_gateway": hexagon.single().map(id),
                "last_heard_ms": hexagon.last_ms,
            },
        })
    };
    found.iter().map(feature).collect()
}

/// The middle of a hexagon, degrees north and east.
pub fn middle(cell: CellIndex) -> (f64, f64) {
    let middle = LatLng::from(cell);
    (middle.lat(), middle.lng())
}

/// The corners of a hexagon, degrees north and east.
pub fn corners(cell: CellIndex) -> Vec<(f64, f64)> {
    cell.boundary().iter().map(|corner| (corner.lat(), corner.lng())).collect()
}

/// One link for programs, without its geometry.
pub fn link(survey: &Survey, key: &LinkKey, link: &Link) -> Json {
    json!({
        "from": id(key.from),
        "to": id(key.to),
        "source": key.source.word(),
        "count": link.count,
        "best_snr_db": link.best_snr(),
        "mean_snr_db": link.mean_snr().map(|snr| (snr * 100.0).round() / 100.0),
        "first_heard_ms": link.first_ms,
        "last_heard_ms": link.last_ms,
        "distance_m": survey.distance_m(key).map(f64::round),
    })
}

/// Links whose two ends have known places, as lines.
pub fn links(survey: &Survey, found: &BTreeMap<LinkKey, Link>) -> Vec<Json> {
    let feature = |(key, known): (&LinkKey, &Link)| {
        let (from, to) = (survey.nodes().get(&key.from)?.place, survey.nodes().get(&key.to)?.place);
        let line = [point(from.latitude, from.longitude), point(to.latitude, to.longitude)];
        Some(json!({
            "type": "Feature",
            "geometry": { "type": "LineString", "coordinates": line },
            "properties": link(survey, key, known),
        }))
    };
    found.iter().filter_map(feature).collect()
}

/// Nodes whose places are known, as points with how far they may be off.
pub fn nodes(survey: &Survey, name: &dyn Fn(u32) -> Option<String>) -> Vec<Json> {
    let feature = |(node, known): (&u32, &crate::survey::Whereabouts)| {
        json!({
            "type": "Feature",
            "geometry": { "type": "Point", "coordinates": point(known.place.latitude, known.place.longitude) },
            "properties": {
                "id": id(*node),
                "name": name(*node),
                "is_gateway": survey.gateways().contains_key(node),
                "error_m": known.place.error_m.round(),
                "told_ms": known.at_ms,
            },
        })
    };
    survey.nodes().iter().map(feature).collect()
}

fn point(latitude: f64, longitude: f64) -> Json {
    let short = |degrees: f64| (degrees * DECIMALS).round() / DECIMALS;
    json!([short(longitude), short(latitude)])
}
