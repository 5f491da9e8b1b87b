//! `/gateway/{id}`: how a gateway is doing. Everybody sees how reliable it is and what only it hears; its owner and those
//! who see everything also see why it lost its connection, what was not passed on, and how its clock goes.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use directory::GatewayId;
use history::{Came, ConnectionChange, Thing};
use insight::alone::Brought;
use maud::{Markup, html};
use mesh::enums::{HARDWARE, ROLE, name_of};
use mesh::node::NodeNum;
use policy::decision::Verdict;
use query::{Condition, Test};
use record::Reception;

use crate::activity;
use crate::archive::Unreadable;
use crate::assets::LIVE;
use crate::days;
use crate::gateway_line::{self, GatewayLine, gateway_lines};
use crate::layout::Section;
use crate::pages::airtime::of;
use crate::roster::Seen;
use crate::site::{Visit, read};
use crate::visibility::Visitor;
use crate::words::{Nodes, count, node_address, number};
use crate::{Mode, moment, picture};

const DAY_MS: i64 = 86_400_000;
/// How far back connections are told.
const CONNECTIONS_SINCE_MS: i64 = 30 * DAY_MS;
/// Changes of the connection listed; more are only counted up to here.
const CONNECTIONS_MAX: usize = 200;
/// Of these, in the list.
const CONNECTIONS_LISTED: usize = 25;
/// Receptions that are looked at for rules and clock.
const LOOKED_AT: usize = 500;

/// What the page is made of.
struct About {
    line: Option<GatewayLine>,
    seen: Option<Seen>,
    days: Vec<days::DayOf>,
    connections: Vec<ConnectionChange>,
    brought: Option<Brought>,
    /// What its owner may see; `None` for others.
    inside: Option<Inside>,
}

/// What is not for everybody.
struct Inside {
    looked_at: usize,
    by_rule: BTreeMap<&'static str, (u64, Verdict, String)>,
    skew_s: Option<i64>,
    firmware: Option<String>,
}

/// `GET /gateway/{id}`
pub async fn page(visit: Visit, Path(id): Path<String>) -> Response {
    let Ok(gateway) = id.parse::<GatewayId>() else {
        return visit.trouble(
            StatusCode::BAD_REQUEST,
            "This is not a gateway's address",
            "It reads /gateway/! and eight hexadecimal digits in lower case, such as /gateway/!7c5a0a01.",
        );
    };
    let Ok(about) = ask(&visit, gateway).await else { return visit.history_failed() };
    // A node that never uplinked anything has no such page.
    if about.line.is_none() && about.days.iter().all(|day| day.receptions == 0) {
        return visit.not_here("gateway");
    }
    let title = visit.with_nodes(|nodes| nodes.text(gateway.0));
    let body = visit.with_nodes(|nodes| show(&visit, nodes, gateway, &about));
    visit.page(Section::Gateways, &title, &[&LIVE], &body).into_response()
}

async fn ask(visit: &Visit, gateway: GatewayId) -> Result<About, Unreadable> {
    let site = &visit.site;
    let number = gateway.0;
    let hours =
        site.archive.hours(Thing::Gateway(number), days::since_ms(visit.now_ms), visit.now_ms + 1).await?;
    let (since_ms, until_ms) = (visit.now_ms - CONNECTIONS_SINCE_MS, visit.now_ms + 1);
    let connections = site
        .archive
        .ask(move |reader| reader.connections_of(number, since_ms, until_ms, CONNECTIONS_MAX))
        .await?;
    let brought = site.alone(&visit.sight).await?.get(&number).copied();
    let line = match site.snapshot().await {
        Some(snapshot) => {
            let board = site.board().await.unwrap_or_default();
            gateway_lines(visit, &snapshot, &board).into_iter().find(|line| line.gateway == number)
        }
        None => None,
    };
    let seen = read(&site.roster).get(number, visit.sight.visitor).cloned();
    let inside =
        if visit.who.may_see_gateway(gateway) { Some(look_inside(visit, number).await?) } else { None };
    Ok(About { line, seen, days: days::fold(&hours, visit.now_ms), connections, brought, inside })
}

async fn look_inside(visit: &Visit, gateway: u32) -> Result<Inside, Unreadable> {
    let condition = Condition::All(vec![
        Condition::Is(Test::Gateway(vec![gateway])),
        Condition::Is(Test::Since(visit.now_ms - DAY_MS)),
    ]);
    // Everything it uplinked counts, whoever asks: only counts come out.
    let all = visit.site.sight(Visitor::Operator);
    let receptions = visit.site.archive.log(condition, None, all, LOOKED_AT).await?.receptions;
    let mut by_rule = BTreeMap::new();
    for decision in receptions.iter().map(|reception| &reception.decision) {
        let Some(rule) = decision.rule else { continue };
        let entry = by_rule
            .entry(rule.name())
            .or_insert_with(|| (0, decision.verdict, decision.sentence.to_string()));
        entry.0 += 1;
    }
    let about = visit.site.about_node(gateway).await;
    let firmware = about.and_then(|about| about.profile?.firmware()).map(|firmware| firmware.to_string());
    // A simulated city has a time of its own, which runs ahead.
    let skew_s = if visit.site.info.mode == Mode::Demo { None } else { skew_s(&receptions) };
    Ok(Inside { looked_at: receptions.len(), by_rule, skew_s, firmware })
}

/// How far the gateway's clock is behind ours, s: the middle of what its receptions say, so that a few that came late do
/// not count.
fn skew_s(receptions: &[Reception]) -> Option<i64> {
    let told = receptions.iter().filter_map(|reception| {
        let time = reception.packet?.rx_time;
        (time > 0).then(|| reception.at_ms.div_euclid(1000) - i64::from(time))
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told.get(told.len() / 2).copied()
}

fn show(visit: &Visit, nodes: Nodes<'_>, gateway: GatewayId, about: &About) -> Markup {
    let id = NodeNum(gateway.0);
    html! {
        h1 { (nodes.plain(gateway.0)) }
        p.lead { (sentence(about, visit.now_ms)) }
        div.card { (facts(nodes, id, about)) }
        div.row {
            a.button.plain href=(node_address(gateway.0)) { "The node" }
            a.button.plain href={ "/log?gateway=%21" (format!("{:08x}", gateway.0)) } { "What it uplinked" }
            a.button.plain href=(format!("/coverage?since=7d&gateway=%21{:08x}", gateway.0)) { "Coverage" }
            a.button.plain href=(format!("/links?since=7d&gateway=%21{:08x}", gateway.0)) { "Links" }
            a.button.plain href=(format!("/compare?a=%21{:08x}", gateway.0)) { "Compare" }
            @if about.inside.is_some() { a.button.plain href={ "/gateway/" (gateway) "/checklist" } { "Checklist" } }
        }
        h2 { "Ninety days" }
        (days::chart(&about.days, "Receptions of this gateway"))
        @if let Some(inside) = &about.inside { (rules(inside)) }
        (connections(visit, about))
    }
}

fn sentence(about: &About, now_ms: i64) -> String {
    let week: Vec<_> = about.days.iter().rev().take(7).collect();
    let (hours, hours_of) = week.iter().fold((0, 0), |(a, b), day| (a + day.hours, b + day.hours_of));
    let reliable = match (hours * 100).checked_div(hours_of) {
        Some(percent) => {
            format!("Something came from it in {percent} % of the hours of the last seven days.")
        }
        None => "Nothing came from it within seven days.".to_owned(),
    };
    let state = match about.line.as_ref().map(|line| (line.state, line.since_ms)) {
        Some((gateway_line::GatewayState::Away, _)) | None => "Not connected.".to_owned(),
        Some((state, since_ms)) => {
            let word =
                if state == gateway_line::GatewayState::Quiet { "Connected and quiet" } else { "Connected" };
            match since_ms {
                Some(since_ms) => format!("{word} for {}.", moment::duration(now_ms - since_ms)),
                None => format!("{word}."),
            }
        }
    };
    format!("{state} {reliable}")
}

fn facts(nodes: Nodes<'_>, id: NodeNum, about: &About) -> Markup {
    html! { dl.facts.flush {
        dt { "Id" } dd.mono { (id) }
        @if let Some(line) = &about.line {
            @let parts = activity::passed_recorded_refused(line.receptions);
            dt { "State" } dd { (gateway_line::state(line.state)) }
            dt { "Last hour" } dd {
                (count(parts.iter().copied().map(u64::from).sum(), "reception")) " " (picture::mix(parts))
                span.small.soft { (parts[0]) " passed on, " (parts[1]) " recorded only, " (parts[2]) " refused" }
            }
            dt { "Downlink" } dd { (gateway_line::downlink(line.downlink))
                @if let Some(share) = line.transmitted { " " span.small.soft { "transmitted of others: " (of(share)) } } }
            @if let Some(island) = line.island {
                dt { "Island" } dd { a href="/airtime" { (nodes.plain(island)) }
                    @if let Some(percent) = line.utilisation_percent { ", channel " (format!("{percent:.0} %")) " busy" } }
            }
        }
        @if let Some(seen) = &about.seen {
            @if let Some(role) = seen.role.and_then(|role| name_of(ROLE, role)) { dt { "Role" } dd { (role) } }
            @if let Some(model) = seen.hardware.and_then(|model| name_of(HARDWARE, model)) { dt { "Hardware" } dd { (model) } }
            @if let Some(percent) = seen.battery_percent { dt { "Power" } dd { @if percent > 100 { "mains" } @else { "battery, " (percent) " %" } } }
        }
        @if let Some(inside) = &about.inside {
            @if let Some(firmware) = &inside.firmware { dt { "Firmware" } dd { (firmware) } }
            @if let Some(skew_s) = inside.skew_s { dt { "Clock" } dd { (clock(skew_s)) } }
        }
        @if let Some(brought) = about.brought {
            dt { "Heard by it alone" } dd { (count(brought.alone, "packet")) " of others within a day, of " (count(brought.receptions, "reception")) }
        }
    } }
}

/// What a difference of clocks means.
fn clock(skew_s: i64) -> Markup {
    /// A packet takes some seconds; more than this is the clock.
    const RIGHT_WITHIN_S: i64 = 30;
    html! {
        @match skew_s {
            s if s.abs() <= RIGHT_WITHIN_S => span.chip.good { "right" },
            s if s > 0 => { span.chip.bad { "slow" } " by " (moment::duration(s * 1000)) },
            s => { span.chip.bad { "fast" } " by " (moment::duration(-s * 1000)) },
        }
    }
}

fn rules(inside: &Inside) -> Markup {
    html! {
        h2 { "Rules that decided" }
        p.soft { "Of its last " (count(inside.looked_at as u64, "reception")) " within a day." }
        @if inside.by_rule.is_empty() { p { "No rule objected to any of them." } } @else {
            div.scroll.stack { table {
                thead { tr { th scope="col" { "Rule" } th scope="col" { "Verdict" } th.n scope="col" { "Receptions" } th scope="col" { "Why" } } }
                tbody { @for (rule, (n, verdict, why)) in &inside.by_rule { tr {
                    th scope="row" { a.mono href={ "/policy#" (rule) } { (rule) } }
                    td.inline data-label="Verdict" { span.cell { (crate::words::verdict(*verdict)) } }
                    td.n data-label="Receptions" { span.cell { (number(*n)) } }
                    td data-label="Why" { span.cell { (why) } }
                } } }
            } }
        }
    }
}

fn connections(visit: &Visit, about: &About) -> Markup {
    let lost = |since_ms: i64| {
        let lost =
            about.connections.iter().filter(|one| one.came == Came::Out && one.at_ms >= since_ms).count();
        count(lost as u64, "time")
    };
    html! {
        h2 { "Connection" }
        p { "It went " (lost(visit.now_ms - DAY_MS)) " within a day, " (lost(visit.now_ms - 7 * DAY_MS)) " within seven days"
            @if about.connections.len() == CONNECTIONS_MAX { " or more" } "." }
        @if about.inside.is_some() && !about.connections.is_empty() {
            div.scroll.stack { table {
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Detail" } } }
                tbody { @for one in about.connections.iter().take(CONNECTIONS_LISTED) { tr {
                    th scope="row" { (moment::clock(one.at_ms, visit.now_ms)) " " (moment::age(one.at_ms, visit.now_ms)) }
                    td.inline data-label="What" { span.cell { @match one.came {
                        Came::In => span.chip.good { "came" },
                        Came::Out => span.chip.off { "went" },
                        Came::Refused => span.chip.bad { "refused" },
                        Came::Moved => span.chip.note { "moved" },
                    } } }
                    td data-label="Detail" { span.cell { @if one.came == Came::In { "MQTT " } (crate::reading::printable(&one.detail, 120)) } }
                } } }
            } }
        }
    }
}
