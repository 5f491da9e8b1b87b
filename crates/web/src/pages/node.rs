//! `/node/{id}`: what a node says of itself, who hears it, and what it sent lately.

use std::cmp::Reverse;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use history::NodeActivity;
use insight::Source;
use maud::{Markup, html};
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use mesh::tree::{self, Entry, Tree, Value};
use query::{Condition, NodeRef, Query, Role, Term};
use record::Reception;

use crate::archive::Unreadable;
use crate::assets::LIVE;
use crate::filter::View;
use crate::gateway_line::gateway_address;
use crate::layout::Section;
use crate::pages::survey_frame::distance;
use crate::pages::watch;
use crate::site::{Visit, read};
use crate::surveys::Surveyed;
use crate::window::Window;
use crate::words::{self, Nodes, count, number};
use crate::{log_row, measured, moment, payload, reading};

/// How far back the page looks.
const SINCE_MS: i64 = 7 * 24 * 3_600_000;
/// How far back names, positions and telemetry are looked for; older ones say little of the node.
const FACTS_SINCE_MS: i64 = 30 * 24 * 3_600_000;
/// Packets listed.
const RECENT_ROWS: usize = 20;
/// Telemetry looked at: for charts of the last days, and since other kinds may stand before the device's own.
const TELEMETRY_LOOKED_AT: usize = 600;

/// What the page shows.
struct About {
    activity: NodeActivity,
    info: Option<Reception>,
    position: Option<Reception>,
    telemetry: Vec<Reception>,
    recent: Vec<Reception>,
}

/// `GET /node/{id}`
pub async fn page(visit: Visit, Path(id): Path<String>) -> Response {
    let Some(node) = NodeNum::parse(&id).filter(|n| n.is_node()) else {
        return visit.trouble(
            StatusCode::BAD_REQUEST,
            "This is not a node's address",
            "It reads /node/! and eight hexadecimal digits in lower case, such as /node/!7c5a0a01.",
        );
    };
    let about = match ask(&visit, node).await {
        Ok(Some(about)) => about,
        Ok(None) => return visit.not_here("node"),
        Err(Unreadable) => return visit.history_failed(),
    };
    let title = visit
        .with_nodes(|n| n.names.of(node.0, n.visitor).map_or(node.to_string(), |n| n.shown().to_owned()));
    // Without the broker's answer the page has the history's part only.
    let doubts = visit.site.about_node(node.0).await;
    // Without a survey the page says nothing of reach.
    let surveyed = visit
        .site
        .surveys
        .of(&visit.site.archive, reach_window(visit.now_ms), &visit.sight, visit.now_ms)
        .await
        .ok();
    let lately =
        about.telemetry.iter().take_while(|reception| visit.now_ms - reception.at_ms < SINCE_MS).count();
    let series = measured::series(&visit, &about.telemetry[..lately]);
    let body = visit.with_nodes(|nodes| {
        html! {
            @if let Some(doubts) = &doubts { (watch::notices(doubts)) }
            (header(&visit, nodes, node, &about))
            @if let Some(doubts) = &doubts {
                (watch::identity(&visit, nodes, node, doubts))
                (watch::gateway(&visit, doubts))
            }
            (reach(&visit, nodes, node, surveyed.as_deref()))
            (measured::charts(&series, visit.now_ms - SINCE_MS, visit.now_ms))
            div.two {
                section { (heard_by(&visit, nodes, &about.activity)) }
                section { (ports(node, &about.activity)) }
            }
            (recent(&visit, nodes, node, &about.recent))
        }
    });
    visit.page(Section::Nodes, &title, &[&LIVE], &body).into_response()
}

async fn ask(visit: &Visit, node: NodeNum) -> Result<Option<About>, Unreadable> {
    let (archive, sight) = (&visit.site.archive, || visit.sight.clone());
    let facts_since = visit.now_ms - FACTS_SINCE_MS;
    let recent = archive.log(Condition::node(node.0), None, sight(), RECENT_ROWS).await?.receptions;
    let activity = archive.node(node.0, visit.now_ms - SINCE_MS, sight()).await?;
    let info =
        archive.latest_from(node.0, PortNum::NODEINFO, facts_since, sight(), 5).await?.into_iter().next();
    // A node that only ever was a destination has said nothing; there is no page about it.
    let has_spoken = activity.is_some() || recent.iter().any(|r| r.packet.is_some_and(|p| p.from == node.0));
    if !has_spoken && info.is_none() {
        return Ok(None);
    }
    Ok(Some(About {
        activity: activity.unwrap_or_default(),
        info,
        position: archive
            .latest_from(node.0, PortNum::POSITION, facts_since, sight(), 5)
            .await?
            .into_iter()
            .next(),
        telemetry: archive
            .latest_from(node.0, PortNum::TELEMETRY, facts_since, sight(), TELEMETRY_LOOKED_AT)
            .await?,
        recent,
    }))
}

/// The last day, on whole minutes, so that many visitors ask for the same survey.
fn reach_window(now_ms: i64) -> Window {
    const MINUTE_MS: i64 = 60_000;
    let until_ms = (now_ms.div_euclid(MINUTE_MS) + 1) * MINUTE_MS;
    Window { since_ms: until_ms - 24 * 60 * MINUTE_MS, until_ms }
}

/// Who hears it without a hop between, and how far that is at most.
fn reach(visit: &Visit, nodes: Nodes<'_>, node: NodeNum, surveyed: Option<&Surveyed>) -> Markup {
    let Some(survey) = surveyed.map(|surveyed| &surveyed.survey) else { return html! {} };
    let links = survey.links();
    let direct: Vec<_> =
        links.keys().filter(|key| key.from == node.0 && key.source == Source::Direct).collect();
    let farthest = direct
        .iter()
        .filter_map(|key| Some((survey.distance_m(key)?, key.to)))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    html! {
        h2 { "Reach" }
        p {
            @if direct.is_empty() { "No gateway heard it directly within a day." } @else {
                "Heard directly by " (count(direct.len() as u64, "gateway")) " within a day"
                @if let Some((metres, gateway)) = farthest {
                    ", the farthest " (nodes.link(gateway)) " about " (distance(metres)) " away"
                    @if !visit.sight.is_operator() { " as far as cut places tell" }
                }
                "."
            }
        }
    }
}

fn header(visit: &Visit, nodes: Nodes<'_>, node: NodeNum, about: &About) -> Markup {
    let name = nodes.names.of(node.0, nodes.visitor);
    let info = about.info.as_ref().map(|r| entries(visit, r)).unwrap_or_default();
    let is_gateway =
        read(&visit.site.roster).get(node.0, visit.sight.visitor).is_some_and(|seen| seen.is_gateway);
    let last_ms = about.activity.last_ms.or(about.recent.first().map(|r| r.at_ms));
    html! {
        h1 { (nodes.plain(node.0)) }
        div.card { dl.facts {
            dt { "Id" } dd.mono { (node) }
            @if let Some(short) = name.map(|n| &*n.short).filter(|s| !s.is_empty()) { dt { "Short name" } dd { bdi { (short) } } }
            @for (field, label) in [("role", "Role"), ("hw_model", "Hardware")] {
                @if let Some(text) = find(&info, field) { dt { (label) } dd { (text) } }
            }
            @if is_gateway { dt { "Gateway" } dd { a href=(gateway_address(node.0)) { "how it is doing as a gateway" } } }
            @if let Some(last_ms) = last_ms { dt { "Last heard" } dd { (moment::age(last_ms, visit.now_ms)) } }
            @if let Some(position) = about.position.as_ref() { (place(visit, position)) }
            (telemetry(visit, &about.telemetry))
        } }
    }
}

/// Fields of a decoded packet; only of ports without places.
fn entries(visit: &Visit, reception: &Reception) -> Vec<Entry> {
    reading::look(reception, &visit.site.keyring, |facts| {
        let data = facts.data?;
        match tree::read(data.port, data.payload) {
            Tree::Message(_, entries) => Some(entries),
            Tree::Text(_) | Tree::Bytes(_) => None,
        }
    })
    .unwrap_or_default()
}

fn find(entries: &[Entry], name: &str) -> Option<String> {
    let entry = entries.iter().find(|e| e.name == Some(name))?;
    Some(reading::printable(&entry.value.to_text(), 60))
}

fn place(visit: &Visit, reception: &Reception) -> Markup {
    let position = reading::look(reception, &visit.site.keyring, |facts| facts.position);
    let Some(position) = position.map(|p| visit.sight.position(p)) else { return html! {} };
    let (Some(latitude), Some(longitude)) = (position.latitude_i, position.longitude_i) else {
        return html! {};
    };
    html! {
        dt { "Position" }
        dd { (payload::degrees(latitude, longitude, position.precision_bits)) " " (moment::age(reception.at_ms, visit.now_ms)) }
    }
}

/// The latest telemetry of the device itself.
fn telemetry(visit: &Visit, receptions: &[Reception]) -> Markup {
    let device = receptions.iter().find_map(|reception| {
        let entries = entries(visit, reception);
        let metrics = entries.into_iter().find(|e| e.name == Some("device_metrics"))?;
        match metrics.value {
            Value::Message(metrics) => Some((reception.at_ms, metrics)),
            _ => None,
        }
    });
    let Some((at_ms, metrics)) = device else { return html! {} };
    html! {
        @for entry in &metrics {
            @if let Some(name) = entry.name {
                dt { (label(name)) }
                dd { (measured(entry)) " " (moment::age(at_ms, visit.now_ms)) }
            }
        }
    }
}

/// A field's name for people.
fn label(field: &str) -> String {
    let words = field.trim_end_matches("_seconds").replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A measured value with its unit, without digits that no sensor has.
fn measured(entry: &Entry) -> String {
    let value = match entry.value {
        Value::Uint(seconds) if entry.name == Some("uptime_seconds") => {
            return moment::duration(i64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        }
        Value::Float(v) => format!("{v:.2}"),
        ref other => other.to_text(),
    };
    if entry.unit.is_empty() { value } else { format!("{value} {}", entry.unit) }
}

fn heard_by(visit: &Visit, nodes: Nodes<'_>, activity: &NodeActivity) -> Markup {
    let mut gateways: Vec<_> = activity.heard_by.iter().collect();
    gateways.sort_by_key(|(_, (_, _, last_ms))| Reverse(*last_ms));
    html! {
        h2 { "Heard by" }
        @if gateways.is_empty() { p.soft { "No gateway in the last 7 days." } }
        @else { div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Gateway" } th.n scope="col" { "Receptions, 7 d" } th.n scope="col" { "Best SNR" } th scope="col" { "Last" }
            } }
            tbody { @for (gateway, (receptions, snr, last_ms)) in gateways { tr {
                th scope="row" { (nodes.link(*gateway)) }
                td.n data-label="Receptions, 7 d" { (number(*receptions)) }
                td.n data-label="Best SNR" { @match snr { Some(snr) => (words::db(*snr)), None => span.soft { "own" } } }
                td data-label="Last" { (moment::age(*last_ms, visit.now_ms)) }
            } } }
        } } }
    }
}

fn ports(node: NodeNum, activity: &NodeActivity) -> Markup {
    let mut ports: Vec<_> = activity.by_port.iter().collect();
    ports.sort_by_key(|(port, n)| (Reverse(**n), **port));
    let address = |port: u32| {
        let query = Query::term(as_role(Role::From, node)).and(Query::term(Term::Port(Some(port))));
        View::of(query).address("/log")
    };
    html! {
        h2 { "What it sent" }
        @if ports.is_empty() { p.soft { "Nothing in the last 7 days." } }
        @else { div.scroll { table {
            thead { tr { th scope="col" { "Port" } th.n scope="col" { "Receptions, 7 d" } } }
            tbody { @for (port, n) in ports { tr {
                th scope="row" { @match port {
                    Some(port) => a href=(address(*port)) { (PortNum(*port).word()) },
                    None => span.soft { "encrypted" },
                } }
                td.n { (number(*n)) }
            } } }
        } } }
    }
}

fn recent(visit: &Visit, nodes: Nodes<'_>, node: NodeNum, receptions: &[Reception]) -> Markup {
    let all = View::term(as_role(Role::Node, node)).address("/log");
    let uplinked = View::term(as_role(Role::Gateway, node)).address("/log");
    html! {
        h2 { "Latest receptions" }
        p.soft { "From it or to it: the last " (count(receptions.len() as u64, "reception")) "." }
        div.scroll.stack.log { table {
            (log_row::head())
            tbody { @for reception in receptions {
                (log_row::row(reception, &[], nodes, &visit.site.keyring, visit.now_ms))
            } }
        } }
        div.row {
            a.button.plain href=(all) { "All of it in the log" }
            a.button.plain href=(uplinked) { "What it uplinked as gateway" }
            a.button.plain href=(format!("/links?since=7d&node=%21{:08x}", node.0)) { "Its links" }
            a.button.plain href=(format!("/coverage?since=7d&gateway=%21{:08x}", node.0)) { "Its coverage as gateway" }
        }
    }
}

fn as_role(role: Role, node: NodeNum) -> Term {
    Term::Node(role, NodeRef::Id(node.0))
}
