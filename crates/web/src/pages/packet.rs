//! `/packet/{from}/{id}`: why a packet did or did not arrive: who heard it, what policy said, who got it, what is in it.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use insight::Place;
use maud::{Markup, html};
use mesh::node::NodeNum;
use mesh::observe::Flags;
use mesh::portnum::PortNum;
use policy::decision::{Decision, Outcome, Verdict};
use policy::downlink::details::{CopyDetails, Why};
use policy::ladder::{Step, ladder};
use policy::rule::{RuleId, Stage};
use record::{PacketSummary, ReceiverKind, Reception, Release, ReleasedCopy};

use crate::assets::BYTES;
use crate::layout::Section;
use crate::reading::look;
use crate::route_picture::{self, Hearer};
use crate::site::Visit;
use crate::words::{self, Nodes, count};
use crate::{log_row, moment, payload, reading};

/// Receptions shown; a packet is rarely heard by more gateways.
const RECEPTIONS_MAX: usize = 64;

type Heard = (Reception, Option<Release>);

/// Gateways on the picture of the packet's way.
const HEARERS_MAX: usize = 12;
/// What the lines of that picture mean.
const WAY: &str = "From the sender to who heard it: a line without a hop between, dashes over others.";
/// Places told earlier are not drawn.
const PLACES_SINCE_MS: i64 = 7 * 86_400_000;

/// `GET /packet/{from}/{id}`
pub async fn page(visit: Visit, Path((from, id)): Path<(String, String)>) -> Response {
    let (Some(from), Some(id)) = (NodeNum::parse(&from), parse_id(&id)) else {
        return visit.trouble(
            StatusCode::BAD_REQUEST,
            "This is not a packet's address",
            "It reads /packet/!sender/id: the sender is ! and eight hexadecimal digits, the id a number.",
        );
    };
    let Ok(mut heard) = visit.site.archive.packet(from.0, id, visit.sight.clone()).await else {
        return visit.history_failed();
    };
    let total = heard.len();
    heard.truncate(RECEPTIONS_MAX);
    let Some((first, _)) = heard.first() else { return visit.not_here("packet") };
    let Some(packet) = first.packet else { return visit.not_here("packet") };
    let asked = first.clone();
    let Ok(deleted_ms) = visit.site.archive.ask(move |reader| reader.bytes_deleted_ms(&asked)).await else {
        return visit.history_failed();
    };
    let way = way(&visit, from.0, &heard).await;
    let title = format!("Packet {id} from {from}");
    let body = visit.with_nodes(|nodes| {
        html! {
            (header(&visit, nodes, first, &packet))
            @if total > heard.len() { p.soft { "The first " (heard.len()) " of " (total) " receptions." } }
            (receptions(&visit, nodes, &heard))
            (way)
            @match deleted_ms { Some(at_ms) => (bytes_deleted(&visit, at_ms)), None => (contents(&visit, nodes, &heard)) }
            (decisions(nodes, &heard, packet))
            (deliveries(&visit, nodes, &heard))
            @if deleted_ms.is_none() { (bytes(&visit, nodes, &heard)) }
        }
    });
    visit.page(Section::Log, &title, &[&BYTES], &body).into_response()
}

/// The packet's way on a picture, as far as places are known to the visitor.
async fn way(visit: &Visit, from: u32, heard: &[Heard]) -> Markup {
    let mut hearers: BTreeMap<u32, bool> = BTreeMap::new();
    for (reception, _) in heard {
        let Some(gateway) = reception.gateway.filter(|gateway| *gateway != from) else { continue };
        let is_direct = reception.packet.is_some_and(|packet| packet.hops_away == Some(0));
        *hearers.entry(gateway).or_default() |= is_direct;
    }
    let Some(place) = place_of(visit, from).await.filter(|_| !hearers.is_empty()) else { return html! {} };
    let mut placed = Vec::new();
    for (gateway, is_direct) in hearers.into_iter().take(HEARERS_MAX) {
        if let Some(place) = place_of(visit, gateway).await {
            let name = visit.with_nodes(|nodes| nodes.short(gateway));
            placed.push(Hearer { name, place, is_dashed: !is_direct });
        }
    }
    route_picture::picture(&visit.with_nodes(|nodes| nodes.short(from)), Some(place), &placed, WAY)
}

/// Where a node said last that it is, as exactly as the visitor may know.
pub(super) async fn place_of(visit: &Visit, node: u32) -> Option<Place> {
    let since_ms = visit.now_ms - PLACES_SINCE_MS;
    let told = visit.site.archive.latest_from(node, PortNum::POSITION, since_ms, visit.sight.clone(), 1);
    let told = told.await.ok()?.into_iter().next()?;
    let position = look(&told, &visit.site.keyring, |facts| facts.position)?;
    Place::of(&visit.sight.position(position))
}

/// An id as decimal, as in our links, or as hexadecimal with `0x`, as firmware logs it.
pub fn parse_id(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn header(visit: &Visit, nodes: Nodes<'_>, first: &Reception, packet: &PacketSummary) -> Markup {
    let flags: Vec<_> = Flags(first.flags).names().map(|n| n.replace('_', " ")).collect();
    html! {
        h1 { (nodes.plain(packet.from)) " → " (nodes.plain(packet.to)) ": " (log_row::what(first)) }
        @if let Some(said) = reading::said(first, &visit.site.keyring) { p.lead { bdi { "“" (said) "”" } } }
        div.card { dl.facts {
            dt { "From" } dd { (nodes.link(packet.from)) " " span.mono.soft.small { (NodeNum(packet.from)) } }
            dt { "To" } dd { (nodes.link(packet.to)) }
            dt { "First heard" } dd { (moment::clock(first.at_ms, visit.now_ms)) " " (moment::age(first.at_ms, visit.now_ms)) }
            dt { "Packet id" } dd.mono { (packet.id) " " span.soft { (format!("0x{:08x}", packet.id)) } }
            @if let Some(channel) = &first.channel {
                dt { "Channel" } dd { bdi { (reading::printable(channel, 40)) } ", " (words::key_class(first.key_class)) }
            }
            dt { "Consent" } dd { (words::consent(first.consent)) " " span.soft.small { (consent_words(first)) } }
            dt { "Hops" } dd { "started with " (hop_start(packet)) ", asks for "
                @if packet.want_ack { "an acknowledgement" } @else { "no acknowledgement" } }
            @if packet.request_id != 0 {
                dt { "Answers" } dd { a.mono href=(words::packet_address(packet.to, packet.request_id)) { (packet.request_id) } }
            }
            @if let (Some(bytes), Some(airtime)) = (first.frame_bytes, first.airtime_us) {
                dt { "On the air" } dd { (bytes) " bytes, " (format!("{:.0}", f64::from(airtime) / 1000.0)) " ms each time it is sent" }
            }
            @if !flags.is_empty() { dt { "Remarks" } dd { (flags.join(", ")) } }
        } }
    }
}

fn consent_words(reception: &Reception) -> &'static str {
    use record::Consent;
    let is_own = reception.packet.map(|p| p.from) == reception.gateway;
    match reception.consent {
        Consent::Yes if is_own => "the gateway published its own packet",
        Consent::Yes => "the sender's ok-to-MQTT bit is set",
        Consent::No => "the sender's ok-to-MQTT bit is clear",
        Consent::Unknown => "the bit cannot be seen or the firmware has none",
    }
}

fn hop_start(packet: &PacketSummary) -> String {
    if packet.hop_start == 0 && packet.hops_away.is_none() {
        "unknown".to_owned()
    } else {
        packet.hop_start.to_string()
    }
}

fn receptions(visit: &Visit, nodes: Nodes<'_>, heard: &[Heard]) -> Markup {
    let first_ms = heard.first().map_or(0, |(r, _)| r.at_ms);
    html! {
        h2 { "Receptions" }
        p.soft { "Heard by " (count(heard.len() as u64, "gateway")) ", in the order in which their copies arrived." }
        div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Gateway" } th.n scope="col" { "Delay" } th scope="col" { "Hops" } th.n scope="col" { "RSSI" }
                th.n scope="col" { "SNR" } th scope="col" { "Relay" } th scope="col" { "Verdict" }
                @if visit.sight.is_operator() { th scope="col" { "Client" } }
            } }
            tbody { @for (reception, _) in heard { (reception_row(visit, nodes, reception, first_ms)) } }
        } }
    }
}

fn reception_row(visit: &Visit, nodes: Nodes<'_>, reception: &Reception, first_ms: i64) -> Markup {
    let packet = reception.packet.unwrap_or_default();
    html! {
        tr {
            th scope="row" { @match reception.gateway {
                Some(gateway) => (nodes.link(gateway)),
                None => span.soft { "no gateway id" },
            } }
            td.n data-label="Delay" { span.cell { "+" (reception.at_ms - first_ms) " ms" } }
            td data-label="Hops" { span.cell { (log_row::hops(&packet)) ", " (packet.hop_limit) " left" } }
            td.n.blank[packet.rx_rssi.is_none()] data-label="RSSI" { span.cell { @if let Some(v) = packet.rx_rssi { (words::dbm(v)) } } }
            td.n.blank[packet.rx_snr.is_none()] data-label="SNR" { span.cell { @if let Some(v) = packet.rx_snr { (words::db(v)) } } }
            td data-label="Relay" { span.cell.mono { @match packet.relay_node {
                0 => span.soft { "unknown" },
                byte => { "…" (format!("{byte:02x}")) },
            } } }
            td.inline data-label="Verdict" { span.cell { (words::verdict(reception.decision.verdict)) } }
            @if visit.sight.is_operator() {
                td data-label="Client" { span.cell { bdi.mono.small { (reading::printable(&reception.client_id, 64)) }
                    @if let Some(name) = &reception.username { " " span.soft.small { "as " bdi { (name) } } } } }
            }
        }
    }
}

/// The rules as a ladder for each reception, the first one open.
fn decisions(nodes: Nodes<'_>, heard: &[Heard], packet: PacketSummary) -> Markup {
    html! {
        h2 { "Decisions" }
        div.card.steps { @for (i, (reception, _)) in heard.iter().enumerate() {
            details open[i == 0] {
                summary {
                    (words::verdict(reception.decision.verdict))
                    span { @match reception.gateway { Some(g) => (nodes.plain(g)), None => "no gateway id" } }
                    span.soft.small { (reception.decision.sentence) }
                }
                (rungs(&reception.decision, packet))
            }
        } }
    }
}

/// What became of each uplink rule; at the end the rule that decided after them, or that none objected.
fn rungs(decision: &Decision, packet: PacketSummary) -> Markup {
    let later = decision.rule.filter(|rule| rule.info().stage == Stage::Release);
    // What did nothing is many rules, and in the way of those that did.
    let (told, silent): (Vec<_>, Vec<_>) =
        ladder(decision).partition(|(_, step)| matches!(step, Step::Decided | Step::WouldHave));
    html! {
        @if !silent.is_empty() {
            details {
                summary.small { span.soft { (silence(&silent)) } }
                ol.ladder { @for (rule, step) in silent { (rung(rule, step, decision)) } }
            }
        }
        ol.ladder {
            @for (rule, step) in told { (rung(rule, step, decision)) }
            @if let Some(rule) = later { (rung(rule, Step::Decided, decision)) }
            @if decision.rule.is_none() {
                li.decided {
                    span { (words::verdict(decision.verdict)) }
                    span { "No rule objected." }
                    p { (decision.sentence) }
                }
            }
        }
        @if later == Some(RuleId::HopLimit) {
            p.soft.small { "It came with hop limit " (packet.hop_limit) "." }
        }
    }
}

/// How many rules passed it, are off, or were not reached.
fn silence(silent: &[(RuleId, Step)]) -> String {
    let of = |wanted: Step| silent.iter().filter(|(_, step)| *step == wanted).count() as u64;
    let parts =
        [(of(Step::Passed), "passed it"), (of(Step::NotReached), "not reached"), (of(Step::Off), "off")];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", count(*n, "rule")));
    parts.collect::<Vec<_>>().join(", ")
}

fn rung(rule: RuleId, step: Step, decision: &Decision) -> Markup {
    let (class, chip, word) = match step {
        Step::Passed => ("passed", "chip good", "passed"),
        Step::Decided => ("decided", decided_chip(decision.verdict), "decided"),
        Step::WouldHave => ("would", "chip note", "would have"),
        Step::Off => ("skipped", "chip off", "off"),
        Step::NotReached => ("skipped", "chip off", "not reached"),
    };
    html! {
        li class=(class) {
            span { span class=(chip) { (word) } }
            span.rule { (rule.name()) }
            p { @match step {
                Step::Decided => (decision.sentence),
                Step::WouldHave => { "Only observed, so it did not decide: " (rule.info().doc) },
                Step::Passed | Step::Off | Step::NotReached => (rule.info().doc),
            } }
        }
    }
}

const fn decided_chip(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept | Verdict::Rewrite => "chip good",
        Verdict::RecordOnly => "chip note",
        Verdict::Refuse => "chip bad",
    }
}

fn deliveries(visit: &Visit, nodes: Nodes<'_>, heard: &[Heard]) -> Markup {
    let copies: Vec<_> = heard
        .iter()
        .filter_map(|(reception, release)| release.as_ref().map(|release| (reception, release)))
        .flat_map(|(reception, release)| release.copies.iter().map(move |copy| (reception, copy)))
        .collect();
    // Who reads along is for the operator; gateways are named on the status page anyway.
    let is_shown = |copy: &ReleasedCopy| visit.sight.is_operator() || copy.kind == ReceiverKind::Gateway;
    let hidden = copies.iter().filter(|(_, copy)| !is_shown(copy)).count() as u64;
    let shown: Vec<_> = copies.into_iter().filter(|(_, copy)| is_shown(copy)).collect();
    html! {
        h2 { "Deliveries" }
        @if shown.is_empty() {
            p.soft { "No copy went to a gateway, and none was withheld from one." }
        } @else {
            div.scroll.stack { table {
                thead { tr {
                    th scope="col" { "Receiver" } th scope="col" { "Kind" } th scope="col" { "Copy of" }
                    th scope="col" { "Outcome" } th scope="col" { "Why" }
                } }
                tbody { @for (reception, copy) in &shown { (delivery_row(nodes, reception, copy)) } }
            } }
        }
        @if hidden > 0 { p.soft { "Deliveries to observers and services, not listed here: " (hidden) "." } }
    }
}

fn delivery_row(nodes: Nodes<'_>, reception: &Reception, copy: &ReleasedCopy) -> Markup {
    let observed: Vec<_> = copy.observed.iter().map(RuleId::name).collect();
    html! {
        tr {
            th scope="row" { @match NodeNum::parse(&copy.receiver).filter(|_| copy.kind == ReceiverKind::Gateway) {
                Some(node) => (nodes.link(node.0)),
                None => bdi { (reading::printable(&copy.receiver, 64)) },
            } }
            td data-label="Kind" { span.cell { (copy.kind.word()) } }
            td data-label="Copy of" { span.cell { @match reception.gateway { Some(g) => (nodes.plain(g)), None => "–" } } }
            td.inline data-label="Outcome" { span.cell { @match copy.outcome {
                Outcome::Delivered => span.chip.good { "delivered" },
                Outcome::DeliveredWithHopLimit(limit) => { span.chip.good { "delivered" } " " span.nowrap { "hop limit " (limit) } },
                Outcome::Withheld(_) => span.chip.note { "withheld" },
                Outcome::Dropped => span.chip.bad { "dropped" },
            } } }
            td data-label="Why" { span.cell.small {
                @match copy.outcome {
                    Outcome::Delivered => span.soft { "as it came" },
                    Outcome::DeliveredWithHopLimit(_) => { span.mono { "hop-limit" } ": " (RuleId::HopLimit.info().doc) },
                    Outcome::Withheld(rule) => { span.mono { (rule.name()) } ": " (rule.info().doc) },
                    Outcome::Dropped => "The receiver reads too slowly and its queue is full.",
                }
                @if let Some(behind) = behind(nodes, &copy.details) { div.soft { (behind) } }
                @if !observed.is_empty() { div.soft { "observed: " (observed.join(", ")) } }
            } }
        }
    }
}

/// The numbers behind a copy toward a gateway.
fn behind(nodes: Nodes<'_>, details: &CopyDetails) -> Option<Markup> {
    if *details == CopyDetails::default() {
        return None;
    }
    Some(html! {
        @if details.airtime_us > 0 { (format!("{:.0} ms on the air. ", f64::from(details.airtime_us) / 1e3)) }
        @if details.wanted_us > 0 { (format!("It would have been {:.0} ms on the air. ", f64::from(details.wanted_us) / 1e3)) }
        @if let Some(left) = details.budget_left_us {
            (format!("{:.1} s of the {}budget left. ", left as f64 / 1e6, details.budget_of.map_or(String::new(), |of| format!("{}’s ", of.word()))))
        }
        @if let Some(island) = details.island { "Island " (nodes.plain(island)) ". " }
        @match (details.waited_ms, details.why) {
            (0, Why::None) => {}
            (0, why) => { (why.words()) ". " }
            (ms, Why::None) => (format!("Waited {:.1} s. ", f64::from(ms) / 1e3)),
            (ms, why) => (format!("Waited {:.1} s: {}. ", f64::from(ms) / 1e3, why.words())),
        }
    })
}

fn bytes_deleted(visit: &Visit, at_ms: i64) -> Markup {
    html! {
        h2 { "Content" }
        div.card {
            p { "The bytes of this packet were deleted on " (moment::clock(at_ms, visit.now_ms)) ", as "
                a href="/retention" { "the retention" } " says. What its header said and what was decided is kept." }
        }
    }
}

fn contents(visit: &Visit, nodes: Nodes<'_>, heard: &[Heard]) -> Markup {
    let (site, sight) = (&visit.site, &visit.sight);
    let Some((first, _)) = heard.first() else { return html! {} };
    let content = reading::look(first, &site.keyring, |facts| payload::content(facts, sight, nodes));
    html! {
        h2 { "Content" }
        div.card {
            @if let Some(port) = first.port {
                p.small.soft { "Port " (PortNum(port).name().unwrap_or("unknown")) " (" (port) ")" }
            }
            (content)
        }
    }
}

/// Every reception as it was published.
fn bytes(visit: &Visit, nodes: Nodes<'_>, heard: &[Heard]) -> Markup {
    let (site, sight) = (&visit.site, &visit.sight);
    let may_see_bytes = |reception: &Reception| {
        reading::look(reception, &site.keyring, |facts| {
            let payload = facts.data.map_or(&[][..], |d| d.payload);
            sight.allows_bytes(facts.data.map(|d| d.port), payload)
        })
    };
    html! {
        h2 { "Bytes" }
        @if heard.iter().all(|(r, _)| may_see_bytes(r)) {
            div.card.steps { @for (reception, _) in heard {
                details {
                    summary {
                        span { "As " @match reception.gateway { Some(g) => (nodes.plain(g)), None => "the client" } " published it" }
                        span.soft.small { (reception.payload.len()) " bytes on " bdi.mono { (reading::printable(&reception.topic, 120)) } }
                    }
                    (payload::hex_dump(&reception.payload))
                    p {}
                }
            } }
        } @else {
            p.soft { "Shown to the operator only." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_links_and_logs_write_them() {
        assert_eq!(parse_id("305419896"), Some(0x1234_5678));
        assert_eq!(parse_id("0x12345678"), Some(0x1234_5678));
        assert_eq!(parse_id("12345678901"), None);
        assert_eq!(parse_id("bob"), None);
    }
}
