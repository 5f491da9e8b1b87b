//! A packet's content for people: the decoded tree with units, and the exact bytes. Shows only what `Sight` allows.

use maud::{Markup, html};
use mesh::observe::{Facts, PayloadState};
use mesh::position::{PositionFacts, error_max_m};
use mesh::tree::{self, Entry, Tree, Value};

use crate::moment;
use crate::reading::printable;
use crate::visibility::Sight;
use crate::words::Nodes;

/// Bytes of a hex dump shown; MQTT payloads from firmware are below 1 KB.
const DUMPED_BYTES_MAX: usize = 4096;
/// Bytes of an opened payload shown one by one.
const PAIRED_BYTES_MAX: usize = 1024;
/// Characters of one value.
const VALUE_CHARS_MAX: usize = 600;

/// What the packet says, as far as the visitor may know.
pub fn content(facts: &Facts<'_>, sight: &Sight, nodes: Nodes<'_>) -> Markup {
    let Some(data) = facts.data else {
        return match facts.payload {
            PayloadState::None => {
                html! { p.soft { "There is no packet in it, or a packet without payload." } }
            }
            _ => {
                html! { p.soft { "It is encrypted with a key that is not here. Only its header can be read." } }
            }
        };
    };
    if !sight.allows_bytes(Some(data.port), data.payload) {
        return withheld(facts.position, sight);
    }
    html! {
        (place(facts.position, sight))
        @match tree::read(data.port, data.payload) {
            Tree::Text(text) => p { bdi { (printable(&text, VALUE_CHARS_MAX)) } },
            Tree::Message(name, entries) => {
                p.small.soft { "Message " code { (name) } ". Point at a field to see its bytes, and at a byte to see its field." }
                @if entries.is_empty() { p.soft { "It is empty." } }
                div.pair data-pair {
                    (entries_list(&entries, nodes, "tree"))
                    (bytes_in_pairs(data.payload))
                }
            },
            Tree::Bytes(bytes) => p { (bytes.len()) " bytes that no table here describes." },
        }
    }
}

fn withheld(position: Option<PositionFacts>, sight: &Sight) -> Markup {
    html! {
        (place(position, sight))
        p.soft { "This kind of packet can tell an exact place, so its fields and bytes are shown to the operator only." }
    }
}

fn place(position: Option<PositionFacts>, sight: &Sight) -> Markup {
    let place = position.map(|p| sight.position(p));
    html! {
        @if let Some((latitude, longitude)) = place.and_then(|p| Some((p.latitude_i?, p.longitude_i?))) {
            p { (degrees(latitude, longitude, place.map_or(0, |p| p.precision_bits))) }
        }
    }
}

/// A place in degrees with how far it may be off.
pub fn degrees(latitude_i: i32, longitude_i: i32, precision_bits: u32) -> Markup {
    let as_degrees = |v: i32| f64::from(v) * 1e-7;
    let is_cut = (1..32).contains(&precision_bits);
    // More digits than the precision has would be made up.
    let digits = match error_max_m(precision_bits) {
        m if !is_cut || m < 10.0 => 5,
        m if m < 1000.0 => 3,
        _ => 2,
    };
    html! {
        span.nowrap { (format!("{:.digits$}, {:.digits$}", as_degrees(latitude_i), as_degrees(longitude_i))) }
        @if is_cut { " " span.soft.small { "within " (distance(error_max_m(precision_bits))) " (" (precision_bits) " bits)" } }
    }
}

fn distance(metres: f64) -> String {
    if metres < 1000.0 { format!("{metres:.0} m") } else { format!("{:.1} km", metres / 1000.0) }
}

fn entries_list(entries: &[Entry], nodes: Nodes<'_>, class: &str) -> Markup {
    html! { ul class=(class) { @for entry in entries { (entry_item(entry, nodes)) } } }
}

fn entry_item(entry: &Entry, nodes: Nodes<'_>) -> Markup {
    html! {
        li data-from=(entry.bytes.0) data-to=(entry.bytes.1) {
            span.key {
                @match entry.name {
                    Some(name) => (name),
                    None => { "unknown field " (entry.number) },
                }
            }
            (value(entry, nodes))
            " " span.where { (place_of(entry)) }
        }
    }
}

/// Where a field stands in the payload, for those who see no light.
fn place_of(entry: &Entry) -> String {
    let (from, to) = entry.bytes;
    if to == from + 1 { format!("byte {from}") } else { format!("bytes {from}–{}", to.saturating_sub(1)) }
}

/// The opened payload, each byte by itself. A packet on the radio has at most 256 bytes.
fn bytes_in_pairs(payload: &[u8]) -> Markup {
    let shown = &payload[..payload.len().min(PAIRED_BYTES_MAX)];
    html! {
        @if !shown.is_empty() {
            div.bytes role="group" aria-label="Bytes of the opened payload" {
                @for (at, byte) in shown.iter().enumerate() { span data-at=(at) { (format!("{byte:02x}")) } " " }
            }
        }
    }
}

fn value(entry: &Entry, nodes: Nodes<'_>) -> Markup {
    match &entry.value {
        Value::Message(inner) => entries_list(inner, nodes, ""),
        Value::Node(node) => nodes.link(node.0),
        Value::Time(0) => html! { span.soft { "not set" } },
        Value::Time(s) => html! { time { (moment::iso(i64::from(*s) * 1000)) } },
        Value::Int(v) if entry.unit == "1e-7°" => html! { (format!("{:.7}", *v as f64 * 1e-7)) "°" },
        Value::Bytes(_) => html! { span.mono { (printable(&entry.value.to_text(), VALUE_CHARS_MAX)) } },
        other => html! {
            bdi { (printable(&other.to_text(), VALUE_CHARS_MAX)) }
            @if !entry.unit.is_empty() { " " (entry.unit) }
        },
    }
}

/// Bytes as hexadecimal and ASCII, sixteen in a line.
pub fn hex_dump(bytes: &[u8]) -> Markup {
    let shown = &bytes[..bytes.len().min(DUMPED_BYTES_MAX)];
    html! {
        div.scroll tabindex="0" role="group" aria-label="Bytes" {
            pre.hex { @for (i, line) in shown.chunks(16).enumerate() {
                span.at { (format!("{:04x}", i * 16)) } (format!("  {}\n", hex_line(line)))
            } }
        }
        @if shown.len() < bytes.len() { p.soft { "The first " (shown.len()) " of " (bytes.len()) " bytes." } }
    }
}

fn hex_line(line: &[u8]) -> String {
    let mut text = String::with_capacity(68);
    for i in 0..16 {
        text.push_str(&line.get(i).map_or("   ".to_owned(), |b| format!("{b:02x} ")));
        if i == 7 {
            text.push(' ');
        }
    }
    text.push(' ');
    text.extend(line.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '·' }));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_dump_line_up() {
        let short = hex_line(b"\x00Az~\x7f\xff");
        assert!(short.starts_with("00 41 7a 7e 7f ff  ") && short.ends_with("  ·Az~··"), "{short}");
        assert_eq!(short.find('·'), Some(50));
        let full: Vec<u8> = (0x30..0x40).collect();
        assert_eq!(hex_line(&full), "30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  0123456789:;<=>?");
        assert_eq!(hex_line(&full).rfind('0'), Some(50));
    }

    #[test]
    fn a_place_has_no_more_digits_than_it_is_precise() {
        let text = |bits| degrees(392_468_123, -944_191_457, bits).into_string();
        assert!(
            text(13).contains("39.25, -94.42<") && text(13).contains("within 2.9 km (13 bits)"),
            "{}",
            text(13)
        );
        assert!(text(32).contains("39.24681, -94.41915<"), "{}", text(32));
    }
}
