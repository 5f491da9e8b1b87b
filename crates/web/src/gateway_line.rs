//! Gateways as lists and pages show them: who is connected, who is quiet, what each brought within the hour, and how its
//! island is doing. Built from values; asks nobody.

use std::collections::BTreeMap;

use broker::{Board, ClientSnapshot, Share, Snapshot};
use maud::{Markup, html};
use mesh::node::NodeNum;
use policy::now::Now;

use crate::activity::{self, ByVerdict, GatewayHour};
use crate::site::{Visit, read};
use crate::words::{Nodes, number};
use crate::{moment, picture};

/// A connected gateway from which nothing came for this long is quiet: node information, position and telemetry of
/// several nodes together come more often.
const QUIET_AFTER_MS: i64 = 15 * 60_000;
/// Gateways that went are listed for this long.
const AWAY_FOR_MS: i64 = 86_400_000;

/// The protocol's number of the role for towers and hills.
const ROUTER: u32 = 2;

/// How a gateway is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayState {
    /// It is there and uplinks.
    Connected,
    /// It is there, and nothing comes.
    Quiet,
    /// It is not there.
    Away,
}

/// Whether downlink to a gateway works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downlink {
    /// It wants none.
    Unwanted,
    /// It wants some, and has not proved that it arrives.
    Unproved,
    /// It has proved that it arrives.
    Proved,
}

/// One gateway.
#[derive(Debug, Clone)]
pub struct GatewayLine {
    /// Its node number.
    pub gateway: u32,
    /// How it is doing.
    pub state: GatewayState,
    /// Since when it is connected, or its kept session is without it, Unix ms.
    pub since_ms: Option<i64>,
    /// When its last reception came, Unix ms.
    pub last_ms: Option<i64>,
    /// Receptions of the last hour by verdict.
    pub receptions: ByVerdict,
    /// Whether downlink works.
    pub downlink: Downlink,
    /// The number of its island.
    pub island: Option<u32>,
    /// Utilisation of its island's channel in percent.
    pub utilisation_percent: Option<f32>,
    /// What it transmitted of others within the hour.
    pub transmitted: Option<Share>,
}

/// Gateways that are connected or were heard within the last day, the connected first.
pub fn gateway_lines(visit: &Visit, snapshot: &Snapshot, board: &Board) -> Vec<GatewayLine> {
    let hours = read(&visit.site.activity).gateways(visit.now_ms);
    let mut lines = lines(&snapshot.clients, &hours, visit.now_ms);
    let (now, settings) = (Now { mono_ms: 0, unix_ms: visit.now_ms }, (visit.site.policy)().proof.clone());
    for line in lines.values_mut() {
        let mut proofs = snapshot.proofs.iter().filter(|(gateway, _)| *gateway == line.gateway);
        if proofs.any(|(_, proof)| proof.is_valid(now, &settings)) {
            line.downlink = Downlink::Proved;
        }
        let has =
            |island: &&broker::IslandBoard| island.gateways.iter().any(|one| one.gateway == line.gateway);
        if let Some(island) = board.islands.iter().find(has) {
            line.island = Some(island.island);
            line.utilisation_percent = island.utilisation_percent;
            let own = island.gateways.iter().find(|one| one.gateway == line.gateway);
            line.transmitted = own.map(|one| one.share);
        }
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    // What the broker's own node sends comes from no gateway.
    lines.retain(|l| l.gateway != snapshot.own_node);
    lines.retain(|l| {
        l.state != GatewayState::Away || l.last_ms.is_some_and(|at| visit.now_ms - at < AWAY_FOR_MS)
    });
    // Routers first, then by name: an order that stays while the page is open.
    visit.with_nodes(|nodes| {
        let roster = read(&visit.site.roster);
        let role = |gateway| roster.get(gateway, visit.sight.visitor).and_then(|seen| seen.role);
        lines.sort_by_cached_key(|l| (l.state, role(l.gateway) != Some(ROUTER), nodes.text(l.gateway)));
    });
    lines
}

fn lines(clients: &[ClientSnapshot], hours: &[GatewayHour], now_ms: i64) -> BTreeMap<u32, GatewayLine> {
    let mut lines: BTreeMap<u32, GatewayLine> = BTreeMap::new();
    let away = |gateway| GatewayLine {
        gateway,
        state: GatewayState::Away,
        since_ms: None,
        last_ms: None,
        receptions: [0; 4],
        downlink: Downlink::Unwanted,
        island: None,
        utilisation_percent: None,
        transmitted: None,
    };
    for hour in hours {
        let GatewayHour { gateway, last_ms, receptions } = *hour;
        lines.insert(gateway, GatewayLine { last_ms: Some(last_ms), receptions, ..away(gateway) });
    }
    for client in clients {
        let Some(gateway) = client.gateway else { continue };
        let line = lines.entry(gateway).or_insert_with(|| away(gateway));
        line.since_ms = Some(client.since_ms);
        if !client.subscriptions.is_empty() {
            line.downlink = Downlink::Unproved;
        }
        if client.is_connected {
            let silent_since = line.last_ms.unwrap_or(0).max(client.since_ms);
            let is_quiet = now_ms - silent_since > QUIET_AFTER_MS;
            line.state = if is_quiet { GatewayState::Quiet } else { GatewayState::Connected };
        }
    }
    lines
}

/// The address of a gateway's page.
pub fn gateway_address(gateway: u32) -> String {
    format!("/gateway/{}", NodeNum(gateway))
}

/// A state as a word with a colour.
pub fn state(state: GatewayState) -> Markup {
    html! { @match state {
        GatewayState::Connected => span.chip.good { "connected" },
        GatewayState::Quiet => span.chip.note { "quiet" },
        GatewayState::Away => span.chip.off { "not connected" },
    } }
}

/// Whether downlink works, as a word with a colour.
pub fn downlink(downlink: Downlink) -> Markup {
    html! { @match downlink {
        Downlink::Unwanted => span.soft { "none" },
        Downlink::Unproved => span.chip.note { "not proved" },
        Downlink::Proved => span.chip.good { "proved" },
    } }
}

/// The table of gateways.
pub fn table(visit: &Visit, nodes: Nodes<'_>, lines: &[GatewayLine]) -> Markup {
    html! {
        @if lines.is_empty() {
            div.empty {
                p { "No gateway has connected yet." }
                p.soft { "The operator adds one with " code { "backhaul gateway add" } ", which prints the settings to paste." }
            }
        } @else {
            div.scroll.stack { table {
                thead { tr {
                    th scope="col" { "Gateway" } th scope="col" { "State" } th scope="col" { "Last reception" }
                    th.n scope="col" { "Receptions, 1 h" } th scope="col" { "Passed on · recorded only · refused" }
                    th scope="col" { "Downlink" } th scope="col" { "Island" }
                } }
                tbody { @for line in lines { (row(visit, nodes, line)) } }
            } }
        }
    }
}

fn row(visit: &Visit, nodes: Nodes<'_>, line: &GatewayLine) -> Markup {
    let parts = activity::passed_recorded_refused(line.receptions);
    let [passed, recorded, refused] = parts;
    let id = NodeNum(line.gateway).to_string();
    let is_named = nodes.names.of(line.gateway, nodes.visitor).is_some();
    html! {
        tr {
            th scope="row" {
                span { a href=(gateway_address(line.gateway)) { (nodes.plain(line.gateway)) }
                    @if is_named { " " span.mono.soft.small { (id) } } }
            }
            td.inline data-label="State" { span.cell { (state(line.state)) } }
            td data-label="Last reception" { span.cell { @match line.last_ms {
                Some(at) => (moment::age(at, visit.now_ms)),
                None => span.soft { "none yet" },
            } } }
            td.n data-label="Receptions, 1 h" { span.cell {
                a href={ "/log?gateway=" (id.replace('!', "%21")) } { (number(u64::from(passed + recorded + refused))) }
            } }
            td data-label="Verdicts" { span.cell.nowrap {
                (picture::mix(parts)) span.small { (passed) " · " (recorded) " · " (refused) }
            } }
            td.inline data-label="Downlink" { span.cell { (downlink(line.downlink)) } }
            td.blank[line.island.is_none()] data-label="Island" { span.cell {
                @if let Some(island) = line.island { (nodes.plain(island)) }
                @if let Some(percent) = line.utilisation_percent { " " span.soft.small.nowrap { (format!("{percent:.0} % busy")) } }
            } }
        }
    }
}
