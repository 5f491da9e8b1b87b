//! `/`: how the mesh's backhaul is doing, in one sentence first.

use axum::response::{IntoResponse, Response};
use broker::{Board, ClientSnapshot, DOOR_REASONS, IslandBoard, MALFORMED_REASONS, Snapshot};
use maud::{Markup, html};
use policy::rule::{RULES, RuleState};
use policy::settings::Settings;

use crate::activity::{self, ByVerdict, Minute};
use crate::assets::LIVE;
use crate::gateway_line::{self, GatewayLine, GatewayState, gateway_lines};
use crate::layout::Section;
use crate::pages::incidents;
use crate::site::{Visit, read};
use crate::words::{Nodes, count, number};
use crate::{HistoryHealth, Mode, days, moment, picture};

/// Incidents told there.
const INCIDENTS_SHOWN: usize = 5;

/// `GET /`
pub async fn page(visit: Visit) -> Response {
    let changing = changing_part(&visit).await;
    let body = html! {
        h1 { (visit.site.info.mesh_name) }
        div data-live-status="/live/status" { (changing) }
        (ninety_days(&visit).await)
        (lately_marked(&visit).await)
        (kept(&visit))
    };
    visit.page(Section::Status, "Status", &[&LIVE], &body).into_response()
}

/// What changes while the page is open.
pub async fn changing_part(visit: &Visit) -> Markup {
    let Some(snapshot) = visit.site.snapshot().await else {
        return html! { div.banner.bad { p { "The broker does not answer. Packets may not be carried at this moment." } } };
    };
    let (policy, health) = ((visit.site.policy)(), (visit.site.history_health)());
    let minutes = read(&visit.site.activity).minutes(visit.now_ms);
    let board = visit.site.board_lately().await;
    let gateways = gateway_lines(visit, &snapshot, &board);
    let hour = Hour::of(&minutes);
    html! {
        (banners(visit, &snapshot, &health))
        p.lead { (sentence(&gateways, &policy, &hour, visit.site.info.mode)) }
        div.row {
            a.button href="/log" { "See the log" }
            a.button.plain href="/log?port=text" { "Texts" }
            a.button.plain href="/log?since=1h&group=packet" { "Packets of the last hour" }
            @if visit.site.info.mode != Mode::Lab { a.button.plain href="/policy" { "Policy" } }
            @if visit.sight.is_operator() { a.button.plain href="/downlink" { "Downlink" } }
        }
        (figures(visit, &snapshot, &hour))
        (visit.with_nodes(|nodes| islands(nodes, &board)))
        h2 #gateways { "Gateways" }
        (visit.with_nodes(|nodes| gateway_line::table(visit, nodes, &gateways)))
        (rate(&minutes))
        @if visit.sight.is_operator() { (clients(visit, &snapshot.clients)) (internals(&snapshot, &health)) }
    }
}

/// Each island in a card: how busy its channel is, what downlink used of its hour, what waits.
fn islands(nodes: Nodes<'_>, board: &Board) -> Markup {
    html! {
        @if !board.islands.is_empty() {
            h2 #islands { "Islands" }
            ul.strip { @for island in &board.islands { li.card {
                p.name { a href="/airtime" { (nodes.plain(island.island)) } @if island.is_stopped { " " span.chip.bad { "downlink stopped" } } }
                p { @match island.utilisation_percent {
                    Some(percent) => { span.figure { (format!("{percent:.0} %")) } " of the channel busy" },
                    None => span.soft { "no word yet on how busy the channel is" },
                } }
                p.small.soft {
                    (count(island.gateways.len() as u64, "gateway"))
                    ". Downlink: " (format!("{:.0} of {:.0} s", island.all.used_us as f64 / 1e6, island.all.limit_us as f64 / 1e6)) " this hour"
                    @match delay_ms(island) {
                        Some(ms) => { ", the oldest has waited " (format!("{:.0} s", ms as f64 / 1e3)) },
                        None => ", nothing waits",
                    }
                    "."
                }
            } } }
        }
    }
}

/// How long the oldest copy that waits for the island has waited, ms.
fn delay_ms(island: &IslandBoard) -> Option<u64> {
    let waiting = island.gateways.iter().flat_map(|gateway| gateway.waiting.iter().flatten());
    waiting.map(|waiting| waiting.oldest_ms).max()
}

async fn ninety_days(visit: &Visit) -> Markup {
    if visit.site.info.mode == Mode::Lab {
        return html! {};
    }
    let hours = visit.site.all_hours().await;
    html! {
        h2 #days { "Ninety days" }
        @match hours {
            Ok(hours) => (days::chart(&days::fold(&hours, visit.now_ms), "Receptions of all gateways")),
            Err(_) => p.soft { "The history cannot be read at this moment." },
        }
    }
}

/// Incidents of the last ninety days, if there are any.
async fn lately_marked(visit: &Visit) -> Markup {
    let since_ms = days::since_ms(visit.now_ms);
    // Without the directory the page is still right.
    let mut found = incidents::seen_by(visit).await.unwrap_or_default();
    found.retain(|incident| incident.form.until_ms > since_ms);
    html! {
        @if !found.is_empty() {
            h2 #incidents { "Incidents" }
            ul.incidents { @for incident in found.iter().take(INCIDENTS_SHOWN) { li.card { (incidents::line(visit, incident)) } } }
            @if found.len() > INCIDENTS_SHOWN { p { a href="/incidents" { "All incidents" } } }
        }
    }
}

fn kept(visit: &Visit) -> Markup {
    html! {
        @if visit.site.info.mode != Mode::Lab {
            p.small.soft {
                @match visit.site.info.keep.days {
                    Some(days) => { "Packets are kept for " (count(days.into(), "day")) ", then deleted. " }
                    None => "Packets are kept for as long as the server runs. ",
                }
                a href="/retention" { "What is kept, and for how long" } "."
            }
        }
    }
}

struct Hour {
    packets: u64,
    receptions: ByVerdict,
}

impl Hour {
    fn of(minutes: &[Minute]) -> Self {
        let receptions = minutes.iter().fold([0; 4], |sum, m| activity::add(sum, m.receptions));
        Self { packets: minutes.iter().map(|m| u64::from(m.packets)).sum(), receptions }
    }
}

fn banners(visit: &Visit, snapshot: &Snapshot, health: &HistoryHealth) -> Markup {
    html! {
        @match visit.site.info.mode {
            Mode::Demo => div.banner { p { "Demonstration: a simulated city runs inside. Its nodes and messages are made up." } },
            Mode::Lab => div.banner { p { "Plain-broker profile for tests: anyone on this machine may connect, no mesh policy decides, and nothing is kept." } },
            Mode::Normal => {}
        }
        @if snapshot.is_open_to_loopback {
            div.banner {
                p { "No credential exists yet: programs on the broker's own machine may connect without one. Nobody else can." }
                p { "This ends with the first credential: " code { "backhaul gateway add '!7c5a0a01' --owner NAME" } }
            }
        }
        @if snapshot.downlink.is_stopped_anywhere() && visit.sight.is_operator() {
            div.banner.bad role="alert" {
                p {
                    @match snapshot.downlink.stopped_ms {
                        Some(_) => "All downlink is stopped: no packet goes down to any gateway.",
                        None => {
                            "Downlink is stopped on "
                            (count(snapshot.downlink.stopped_islands.len() as u64, "island")) "."
                        }
                    }
                    " " a href="/downlink" { "Downlink" }
                }
            }
        }
        @if health.is_stalled() {
            div.banner.bad role="alert" {
                p { "The history cannot store. Packets are still judged and passed on; "
                    (count(health.queued, "record")) " waiting, " (number(health.shed)) " lost." }
                @if let Some(why) = health.stalled.as_ref().filter(|_| visit.sight.is_operator()) { p.mono { (why) } }
            }
        }
    }
}

/// The state of everything in one sentence.
fn sentence(gateways: &[GatewayLine], policy: &Settings, hour: &Hour, mode: Mode) -> String {
    let connected = gateways.iter().filter(|g| g.state != GatewayState::Away).count() as u64;
    let quiet = gateways.iter().filter(|g| g.state == GatewayState::Quiet).count() as u64;
    let quiet = if quiet > 0 { format!(", {quiet} quiet") } else { String::new() };
    let gateways = match connected {
        0 => "No gateway connected.".to_owned(),
        n => format!("{} connected{quiet}.", count(n, "gateway")),
    };
    let rules_in = |state| RULES.iter().filter(|r| policy.state(r.id) == state).count() as u64;
    let (enforced, observed) = (rules_in(RuleState::Enforce), rules_in(RuleState::Observe));
    let observing = if observed > 0 { format!(", observing {observed}") } else { String::new() };
    let policy = match mode {
        Mode::Lab => "No policy.".to_owned(),
        Mode::Normal | Mode::Demo => format!("Policy: enforcing {}{observing}.", count(enforced, "rule")),
    };
    format!("{gateways} {policy} {} in the last hour.", count(hour.packets, "packet"))
}

fn figures(visit: &Visit, snapshot: &Snapshot, hour: &Hour) -> Markup {
    let [passed, recorded, refused] = activity::passed_recorded_refused(hour.receptions).map(u64::from);
    let clients = snapshot.clients.iter().filter(|c| c.is_connected).count() as u64;
    html! {
        dl.figures aria-label="Figures" {
            div { dt { "Receptions, 1 h" } dd { (number(passed + recorded + refused)) } }
            div { dt { "Passed on, 1 h" } dd { (number(passed)) } }
            div { dt { "Recorded only, 1 h" } dd { (number(recorded)) } }
            div { dt { "Refused, 1 h" } dd { (number(refused)) } }
            div { dt { "Clients connected" } dd { (number(clients)) } }
            div { dt { "Running for" } dd { (moment::duration(visit.now_ms - visit.site.info.started_ms)) } }
        }
    }
}

fn rate(minutes: &[Minute]) -> Markup {
    let values: Vec<u32> = minutes.iter().map(|m| m.receptions.iter().sum()).collect();
    let highest = values.iter().copied().max().unwrap_or(0);
    let label = format!("Receptions by minute over the last hour; the highest minute had {highest}.");
    html! {
        h2 { "Receptions by minute" }
        div.card {
            (picture::bars(&values, &label))
            p.ends { span { "an hour ago" } span { "highest: " (highest) } span { "now" } }
        }
    }
}

/// Who is connected: for the operator only.
fn clients(visit: &Visit, clients: &[ClientSnapshot]) -> Markup {
    html! {
        h2 #clients { "Clients" }
        @if clients.is_empty() { div.empty { p { "No client is connected and no session is kept." } } }
        @else { div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Client" } th scope="col" { "Signed in as" } th scope="col" { "Kind" } th scope="col" { "State" }
                th scope="col" { "Address" } th.n scope="col" { "In" } th.n scope="col" { "Out" }
                th.n scope="col" { "Waiting" } th.n scope="col" { "Dropped" }
            } }
            tbody { @for client in clients { tr {
                th scope="row" { bdi.mono { (crate::reading::printable(&client.client_id, 64)) } }
                td data-label="Signed in as" { span.cell { @match &client.username {
                    Some(name) => bdi { (name) },
                    None => span.soft { "nobody" },
                } } }
                td data-label="Kind" { span.cell { (client.kind.word()) } }
                td data-label="State" { span.cell {
                    @if client.is_connected { "MQTT " (client.version.unwrap_or("?")) ", since " } @else { "gone, session kept since " }
                    (moment::clock(client.since_ms, visit.now_ms))
                } }
                td.blank[client.address.is_none()] data-label="Address" { span.cell.mono {
                    @if let Some(address) = client.address { (address) }
                } }
                td.n data-label="In" { span.cell { (number(client.messages_in)) } }
                td.n data-label="Out" { span.cell { (number(client.messages_out)) } }
                td.n data-label="Waiting" { span.cell { (number(client.queued as u64)) } }
                td.n data-label="Dropped" { span.cell { (number(client.dropped)) } }
            } } }
        } } }
    }
}

/// Counters: for the operator only.
fn internals(snapshot: &Snapshot, health: &HistoryHealth) -> Markup {
    let counters = &snapshot.counters;
    let malformed = MALFORMED_REASONS.iter().zip(counters.malformed);
    html! {
        h2 { "Counters since the start" }
        dl.figures {
            div { dt { "Messages in" } dd { (number(counters.messages_in)) } }
            div { dt { "Messages out" } dd { (number(counters.messages_out)) } }
            div { dt { "Dropped, slow readers" } dd { (number(counters.dropped)) } }
            div { dt { "Waiting for the disk" } dd { (number(snapshot.unkept_changes)) } }
            div { dt { "Refused, disk behind" } dd { (number(counters.unkept)) } }
            div { dt { "Sign-ins refused" } dd { (number(counters.authentication_failed)) } }
            div { dt { "Connections refused" } dd { (number(counters.connections_refused)) } }
            @for (reason, n) in DOOR_REASONS.iter().zip(counters.doors).filter(|(_, n)| *n > 0) {
                div { dt { "At the door: " (reason) } dd { (number(n)) } }
            }
            @for listener in &snapshot.listeners {
                div { dt { "Connected through " (listener.name) } dd { (number(listener.connections as u64)) } }
                @if listener.refused > 0 {
                    div { dt { "Refused by " (listener.name) } dd { (number(listener.refused)) } }
                }
            }
            @for (limit, n) in counters.reached.iter().filter(|(_, n)| *n > 0) {
                div { dt { "Limit: " (limit) } dd { (number(n)) } }
            }
            div { dt { "Timed out" } dd { (number(counters.timed_out)) } }
            @for (reason, n) in malformed { div { dt { "Closed: " (reason) } dd { (number(n)) } } }
            div { dt { "Records stored" } dd { (number(health.stored)) } }
            div { dt { "Records waiting" } dd { (number(health.queued)) } }
            div { dt { "Records lost" } dd { (number(health.shed)) } }
            div { dt { "Retained messages" } dd { (number(snapshot.retained as u64)) } }
            div { dt { "Subscriptions" } dd { (number(snapshot.subscriptions as u64)) } }
        }
    }
}
