//! One row of the log, the same on the page and in the live stream.

use maud::{Markup, html};
use mesh::keyring::Keyring;
use mesh::portnum::PortNum;
use record::{Consent, PacketSummary, Reception};

use crate::words::{self, Nodes};
use crate::{moment, reading};

/// The columns, for the head of a table.
pub fn head() -> Markup {
    html! {
        thead { tr {
            th scope="col" { "Time" }
            th scope="col" { "From → to" }
            th scope="col" { "What" }
            th scope="col" { "Channel" }
            th scope="col" { "Heard by" }
            th scope="col" { "Radio" }
            th scope="col" { "Verdict" }
        } }
    }
}

/// A row for a reception that the visitor may see. `others` are the gateways of further receptions that share the row.
pub fn row(
    reception: &Reception,
    others: &[u32],
    nodes: Nodes<'_>,
    keyring: &Keyring,
    now_ms: i64,
) -> Markup {
    let said = reading::said(reception, keyring);
    let packet = reception.packet;
    html! {
        tr data-seq=(reception.seq) {
            td.when data-label="Time" { span.cell { (time_link(reception, packet, now_ms)) } }
            td data-label="From → to" { span.cell { (route(packet, nodes)) } }
            td.what data-label="What" { span.cell {
                (what(reception))
                @if let Some(said) = said { bdi.said { (said) } }
            } }
            td.blank[reception.channel.is_none()] data-label="Channel" { span.cell {
                @if let Some(channel) = &reception.channel { bdi { (reading::printable(channel, 40)) } }
            } }
            td.blank[reception.gateway.is_none()] data-label="Heard by" { span.cell {
                @if let Some(gateway) = reception.gateway { (nodes.link(gateway)) }
                @if !others.is_empty() {
                    " " span.soft.nowrap { "and " (words::count(others.len() as u64, "other")) }
                }
            } }
            td.blank[packet.is_none()].small data-label="Radio" { span.cell { @if let Some(p) = packet { (radio(&p)) } } }
            td.inline data-label="Verdict" { span.cell {
                (words::verdict(reception.decision.verdict))
                @if let Some(rule) = reception.decision.rule { " " span.mono.small.soft.nowrap { (rule.name()) } }
                @if reception.consent != Consent::Yes && packet.is_some() {
                    div.small.soft { "consent: " (reception.consent.word()) }
                }
            } }
        }
    }
}

fn time_link(reception: &Reception, packet: Option<PacketSummary>, now_ms: i64) -> Markup {
    let time = moment::clock(reception.at_ms, now_ms);
    match packet {
        Some(p) if p.id != 0 => html! { a href=(words::packet_address(p.from, p.id)) { (time) } },
        _ => time,
    }
}

fn route(packet: Option<PacketSummary>, nodes: Nodes<'_>) -> Markup {
    match packet {
        Some(p) => html! { (nodes.link(p.from)) " " span.nowrap { "→ " (nodes.link(p.to)) } },
        None => html! { span.soft { "no packet" } },
    }
}

/// What a reception is, in a word.
pub fn what(reception: &Reception) -> Markup {
    match (reception.port, reception.packet) {
        (Some(port), _) => html! { (PortNum(port).word()) },
        (None, Some(_)) => html! { span.soft { "encrypted" } },
        (None, None) => html! { span.soft { "not an envelope" } },
    }
}

/// How it was heard: hops, then signal strength and signal-to-noise ratio.
pub fn radio(packet: &PacketSummary) -> Markup {
    let signal: Vec<_> =
        [packet.rx_rssi.map(words::dbm), packet.rx_snr.map(words::db)].into_iter().flatten().collect();
    html! {
        span.nowrap { (hops(packet)) }
        @if !signal.is_empty() { " " span.signal { (signal.join(" · ")) } }
    }
}

/// Hops travelled, in words.
pub fn hops(packet: &PacketSummary) -> String {
    match (packet.hops_away, packet.rx_rssi) {
        (Some(0), None) => "own".to_owned(),
        (Some(0), Some(_)) => "direct".to_owned(),
        (Some(n), _) => words::count(u64::from(n), "hop"),
        (None, _) => "hops unknown".to_owned(),
    }
}
