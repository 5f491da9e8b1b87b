//! What a node measured, over time: one small chart for each quantity, drawn by the server, with its numbers in words.
//! Folded from telemetry that the visitor may see.

use std::collections::{BTreeMap, HashSet};

use maud::{Markup, html};
use mesh::portnum::PortNum;
use mesh::tree::{self, Entry, Tree, Value};
use record::Reception;

use crate::moment;
use crate::reading;
use crate::site::Visit;
use crate::words::count;

/// Quantities charted at most: a node with many sensors has more than anybody looks at.
const QUANTITIES_MAX: usize = 16;
/// Points of one line; more cannot be told apart.
const POINTS_MAX: usize = 300;

/// What is charted, with its name for people; what counts up or is constant tells nothing as a line.
const QUANTITIES: [(&str, &str); 19] = [
    ("battery_level", "Battery"),
    ("voltage", "Voltage"),
    ("channel_utilization", "Channel busy"),
    ("air_util_tx", "Transmitting"),
    ("temperature", "Temperature"),
    ("relative_humidity", "Humidity"),
    ("barometric_pressure", "Pressure"),
    ("lux", "Light"),
    ("wind_speed", "Wind"),
    ("iaq", "Air quality index"),
    ("ch1_voltage", "Voltage 1"),
    ("ch1_current", "Current 1"),
    ("ch2_voltage", "Voltage 2"),
    ("ch2_current", "Current 2"),
    ("ch3_voltage", "Voltage 3"),
    ("ch3_current", "Current 3"),
    ("pm25_standard", "Fine dust"),
    ("co2", "Carbon dioxide"),
    ("current", "Current"),
];

/// One quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    name: &'static str,
    unit: &'static str,
    /// Unix ms and value, oldest first.
    points: Vec<(i64, f64)>,
}

/// Every quantity of these telemetry receptions with at least two values, in the order of the table.
pub fn series(visit: &Visit, receptions: &[Reception]) -> Vec<Series> {
    let mut packets = HashSet::new();
    let mut found: BTreeMap<usize, Series> = BTreeMap::new();
    for reception in receptions {
        if !reception.packet.is_some_and(|packet| packets.insert(packet.id)) {
            continue;
        }
        let entries = reading::look(reception, &visit.site.keyring, |facts| {
            let data = facts.data.filter(|data| data.port == PortNum::TELEMETRY)?;
            match tree::read(data.port, data.payload) {
                Tree::Message(_, entries) => Some(entries),
                Tree::Text(_) | Tree::Bytes(_) => None,
            }
        });
        for entry in entries.unwrap_or_default() {
            if let Value::Message(metrics) = &entry.value {
                metrics.iter().for_each(|metric| take(&mut found, reception.at_ms, metric));
            }
        }
    }
    let mut series: Vec<_> = found.into_values().collect();
    for one in &mut series {
        one.points.sort_by_key(|(at_ms, _)| *at_ms);
        thin(&mut one.points);
    }
    series.retain(|one| one.points.len() > 1);
    series.truncate(QUANTITIES_MAX);
    series
}

fn take(found: &mut BTreeMap<usize, Series>, at_ms: i64, metric: &Entry) {
    let value = match metric.value {
        Value::Float(value) => f64::from(value),
        Value::Uint(value) => value as f64,
        Value::Int(value) => value as f64,
        _ => return,
    };
    let Some(index) = QUANTITIES.iter().position(|(field, _)| metric.name == Some(field)) else { return };
    if !value.is_finite() {
        return;
    }
    // Over 100 the battery level says that there is mains.
    let value = if QUANTITIES[index].0 == "battery_level" { value.min(100.0) } else { value };
    let new = || Series { name: QUANTITIES[index].1, unit: metric.unit, points: Vec::new() };
    found.entry(index).or_insert_with(new).points.push((at_ms, value));
}

/// Every so many of too many points; the last stays.
fn thin(points: &mut Vec<(i64, f64)>) {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let last = points.len().saturating_sub(1);
    let mut index = 0;
    points.retain(|_| {
        let is_kept = index % step == 0 || index == last;
        index += 1;
        is_kept
    });
}

/// The charts, between two moments.
pub fn charts(series: &[Series], since_ms: i64, now_ms: i64) -> Markup {
    html! {
        @if !series.is_empty() {
            h2 #measured { "Measured" }
            div.measured { @for one in series { (chart(one, since_ms, now_ms)) } }
        }
    }
}

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

fn chart(series: &Series, since_ms: i64, now_ms: i64) -> Markup {
    let values = || series.points.iter().map(|(_, value)| *value);
    let (lowest, highest) =
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let latest = values().next_back().unwrap_or_default();
    // A line that hardly moves must not look like a storm.
    let room = ((highest - lowest) * 0.1).max(highest.abs() * 0.02).max(0.05);
    let (bottom, top) = (lowest - room, highest + room);
    let span_ms = (now_ms - since_ms).max(1) as f64;
    let x = |at_ms: i64| ((at_ms - since_ms) as f64 / span_ms * WIDTH).clamp(0.0, WIDTH);
    let y = |value: f64| HEIGHT - (value - bottom) / (top - bottom) * HEIGHT;
    let text = |value: f64| with_unit(value, series.unit);
    let label = format!(
        "{}: {} values between {} and {}, the latest {}.",
        series.name,
        series.points.len(),
        text(lowest),
        text(highest),
        text(latest)
    );
    html! {
        figure.card {
            figcaption { (series.name) " " strong { (text(latest)) } }
            svg.line-chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(label) {
                @for line in lines(&series.points) {
                    polyline fill="none" stroke="currentColor" stroke-width="2" vector-effect="non-scaling-stroke"
                        points=(line.iter().map(|(at_ms, value)| format!("{:.1},{:.1}", x(*at_ms), y(*value))).collect::<Vec<_>>().join(" ")) {}
                }
            }
            p.ends { span { (moment::short(since_ms)) } span { (text(lowest)) " – " (text(highest)) } span { "now" } }
            details {
                summary.small { (count(series.points.len() as u64, "value")) }
                div.scroll tabindex="0" role="group" aria-label="Values" { table { tbody { @for (at_ms, value) in series.points.iter().rev().take(50) { tr {
                    th scope="row" { (moment::clock(*at_ms, now_ms)) } td.n { (text(*value)) }
                } } } } }
            }
        }
    }
}

/// Pieces of a line without a hole: over a silence nothing is drawn.
fn lines(points: &[(i64, f64)]) -> Vec<&[(i64, f64)]> {
    const SILENCE_MS: i64 = 12 * 3_600_000;
    points.chunk_by(|(a, _), (b, _)| b - a <= SILENCE_MS).collect()
}

fn with_unit(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let number = format!("{value:.digits$}").replace('-', "−");
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_says_its_numbers_and_breaks_over_silence() {
        let hour = 3_600_000;
        let points = vec![(0, 3.9), (hour, 4.1), (30 * hour, 3.7)];
        assert_eq!(lines(&points).len(), 2);
        let series = Series { name: "Voltage", unit: "V", points };
        let text = chart(&series, 0, 48 * hour).into_string();
        assert!(
            text.contains("between 3.70 V and 4.10 V, the latest 3.70 V")
                && text.matches("<polyline").count() == 2
        );
        assert_eq!(with_unit(-12.34, "°C"), "−12.3 °C");
    }

    #[test]
    fn many_points_are_thinned_and_the_latest_stays() {
        let mut points: Vec<_> = (0..1_001).map(|n| (n, 1.0)).collect();
        thin(&mut points);
        assert!(points.len() <= POINTS_MAX + 1 && points.last().is_some_and(|(at, _)| *at == 1_000));
    }
}
