//! `/watch`: what wants the operator's eye, and the parts of a node's page that say why: marks with their evidence,
//! quarantine, and what a gateway says of itself and whether it has moved.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use broker::{NodeAbout, Watching};
use directory::{GatewayId, WatchCommand};
use maud::{Markup, html};
use mesh::enums::{self, name_of};
use mesh::node::NodeNum;
use policy::memory::mark::Evidence;
use policy::memory::movement::{Moved, Standing, Why};
use policy::memory::nodes::KeySeen;

use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::{self, Nodes, number};

/// A decision reaches the broker within this; the page that follows should show it.
const OBEYED_WITHIN: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_millis(25);

/// `GET /watch`
pub async fn page(visit: Visit) -> Response {
    if !visit.sight.is_operator() {
        return Redirect::to("/login").into_response();
    }
    let Some(watching) = visit.site.watching().await else {
        return visit.trouble(
            StatusCode::SERVICE_UNAVAILABLE,
            "The broker does not answer",
            "What it knows of nodes is not here at the moment. Try again shortly.",
        );
    };
    let body = visit.with_nodes(|nodes| overview(&visit, nodes, &watching));
    visit.page(Section::Watch, "Watch", &[], &body).into_response()
}

fn overview(visit: &Visit, nodes: Nodes<'_>, watching: &Watching) -> Markup {
    html! {
        h1 { "Watch" }
        p.lead { "Gateways that are not where they were, and nodes that may not be who they say." }
        h2 #moved { "Moved gateways" }
        @if watching.moved.is_empty() { p.soft { "Every gateway that tells its place is where it was." } }
        @else {
            p.soft { "They get no downlink until you say that they are where they belong. They may go on uplinking." }
            div.scroll.stack { table {
                thead { tr { th scope="col" { "Gateway" } th scope="col" { "What tells it" } th scope="col" { "Since" } th scope="col" { span.unseen { "Decide" } } } }
                tbody { @for (gateway, moved) in &watching.moved { tr {
                    th scope="row" { (nodes.link(*gateway)) }
                    td { span.cell { (moved.why.sentence()) } }
                    td data-label="Since" { (moment::age(moved.at_ms, visit.now_ms)) }
                    td { (button(*gateway, "review", "It belongs there")) }
                } } }
            } }
        }
        h2 #marked { "Marked nodes" }
        @if watching.marked.is_empty() { p.soft { "No packet gave a reason to doubt its sender." } }
        @else {
            p.soft { "A marked packet is passed on unless the rule is enforced. A node's page shows all that was found." }
            div.scroll.stack { table {
                thead { tr { th scope="col" { "Node" } th scope="col" { "Latest finding" } th.n scope="col" { "Packets" } th scope="col" { "Last" } } }
                tbody { @for (node, evidence) in &watching.marked { @if let Some(latest) = latest(evidence) { tr {
                    th scope="row" { (nodes.link(*node)) }
                    td { span.cell {
                        span.row.tight { @for one in evidence { span.chip.note { (one.finding.mark().rule().name()) } } }
                        (latest.finding.sentence())
                    } }
                    td.n data-label="Packets" { (number(evidence.iter().map(|e| u64::from(e.times)).sum())) }
                    td data-label="Last" { (moment::age(latest.last_ms, visit.now_ms)) }
                } } } }
            } }
        }
        h2 #quarantined { "In quarantine" }
        @if watching.quarantined.is_empty() { p.soft { "No node. A node's page has the button." } }
        @else { div.scroll.stack { table {
            thead { tr { th scope="col" { "Node" } th scope="col" { "Reason" } th scope="col" { "Since" } th scope="col" { span.unseen { "Decide" } } } }
            tbody { @for (node, kept) in &watching.quarantined { tr {
                th scope="row" { (nodes.link(*node)) }
                td { span.cell { @if kept.reason.is_empty() { span.soft { "no reason given" } } @else { (kept.reason) } } }
                td data-label="Since" { (moment::age(kept.since_ms, visit.now_ms)) }
                td { (button(*node, "release", "Release")) }
            } } }
        } } }
    }
}

fn latest(evidence: &[Evidence]) -> Option<&Evidence> {
    evidence.iter().max_by_key(|one| one.last_ms)
}

fn button(node: u32, action: &str, text: &str) -> Markup {
    html! { form method="post" action={ (words::node_address(node)) "/" (action) } { button.button.plain { (text) } } }
}

/// What stands on a node's page above everything else: that it is in quarantine, or held back.
pub fn notices(about: &NodeAbout) -> Markup {
    html! {
        @if about.quarantine.is_some() { div.banner.bad { p {
            strong { "In quarantine. " } "The operator has decided that what this node sends is recorded and not passed on."
        } } }
        @if let Standing::Moved(moved) = about.standing { div.banner { p {
            strong { "No downlink. " } (in_public(moved.why))
            " Until the operator has looked at it, nothing is sent to this gateway; what it uplinks is passed on as before."
        } } }
    }
}

/// Why it is held back, without how far away it is.
const fn in_public(why: Why) -> &'static str {
    match why {
        Why::Position { .. } => "This gateway's positions are elsewhere than before.",
        Why::Role(_) => "This gateway has the role of a node that is carried about.",
        Why::Hearing { .. } => "This gateway hears other nodes than before.",
    }
}

/// What a gateway says of itself; public, since gateways serve everybody.
pub fn gateway(visit: &Visit, about: &NodeAbout) -> Markup {
    if !about.is_gateway {
        return html! {};
    }
    let profile = about.profile.clone().unwrap_or_default();
    let named = |names, number: Option<u8>| number.and_then(|n| name_of(names, u32::from(n)));
    let is_operator = visit.sight.is_operator();
    html! {
        section #gateway {
            h2 { "As a gateway" }
            div.card {
                dl.facts.flush {
                    dt { "Place" } dd { (standing(about.standing, is_operator)) }
                    @if let Some(preset) = profile.preset() { dt { "Preset" } dd { (preset.name()) } }
                    @if let Some(region) = named(enums::REGION, profile.region) { dt { "Region" } dd { (region) } }
                    @if let Some(role) = named(enums::ROLE, profile.role) { dt { "Role" } dd { (role) } }
                    @if let Some(hops) = profile.hop_limit { dt { "Hop limit" } dd { (hops) } }
                    @if let Some(firmware) = profile.firmware() { dt { "Firmware" } dd { (firmware) } }
                    @if let Some((channel, own, at_ms)) = profile.utilisation {
                        dt { "Channel busy" } dd { (format!("{channel:.1} %")) " " (moment::age(at_ms, visit.now_ms)) }
                        dt { "Own airtime" } dd { (format!("{own:.1} %")) }
                    }
                    @if let Some(reviewed_ms) = about.reviewed_ms.filter(|_| is_operator) {
                        dt { "Looked at" } dd { (moment::age(reviewed_ms, visit.now_ms)) }
                    }
                }
                @if about.profile.is_none() { p.soft { "It has said nothing of itself yet." } }
            }
        }
    }
}

fn standing(standing: Standing, is_operator: bool) -> Markup {
    match standing {
        Standing::Unknown => html! { span.chip.off { "not known for long enough" } },
        Standing::Stationary => html! { span.chip.good { "stays where it is" } },
        Standing::Moved(Moved { why, .. }) => html! {
            span.chip.bad { "has moved" }
            @if is_operator { p { (why.sentence()) } }
        },
    }
}

/// What is known against a node, and what can be done; for the operator.
pub fn identity(visit: &Visit, nodes: Nodes<'_>, node: NodeNum, about: &NodeAbout) -> Markup {
    if !visit.sight.is_operator() {
        return html! {};
    }
    let evidence: Vec<&Evidence> = about.known.iter().flat_map(|known| known.evidence()).collect();
    html! {
        section #identity {
            h2 { "Identity" }
            @if let Some(known) = &about.known { (keys(visit, nodes, known.key, known.other_key)) }
            @if evidence.is_empty() { p.soft { "No packet gave a reason to doubt that it is who it says." } }
            @else { div.scroll.stack { table {
                thead { tr { th scope="col" { "Mark" } th scope="col" { "What was found" } th.n scope="col" { "Packets" } th scope="col" { "Last" } } }
                tbody { @for one in evidence { tr {
                    th scope="row" { span.chip.note { (one.finding.mark().rule().name()) } }
                    td { span.cell { (one.finding.sentence()) } }
                    td.n data-label="Packets" { (number(u64::from(one.times))) }
                    td data-label="Last" { span.cell {
                        @if one.packet_id == 0 { (moment::age(one.last_ms, visit.now_ms)) }
                        @else { a href=(words::packet_address(node.0, one.packet_id)) { (moment::age(one.last_ms, visit.now_ms)) } }
                        " by " (nodes.link(one.gateway))
                    } }
                } } }
            } } }
            @if visit.who.may_change() { (decide(visit, node, about)) }
        }
    }
}

fn keys(visit: &Visit, nodes: Nodes<'_>, key: Option<KeySeen>, other: Option<KeySeen>) -> Markup {
    let line = |name: &str, key: &KeySeen| {
        html! {
            dt { (name) }
            dd { span.mono { (fingerprint(key)) } " " span.soft { "last by " (nodes.link(key.gateway)) ", " (moment::age(key.last_ms, visit.now_ms)) } }
        }
    };
    html! { @if let Some(key) = &key {
        dl.facts {
            (line("Public key", key))
            @if let Some(other) = &other { (line("Another key", other)) }
        }
    } }
}

/// Enough of a key to tell two apart.
fn fingerprint(key: &KeySeen) -> String {
    key.key[..6].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn decide(visit: &Visit, node: NodeNum, about: &NodeAbout) -> Markup {
    let action = |word: &str| format!("{}/{word}", words::node_address(node.0));
    html! {
        @match &about.quarantine {
            Some(kept) => {
                p { "In quarantine " (moment::age(kept.since_ms, visit.now_ms)) @if !kept.reason.is_empty() { ": " (kept.reason) } "." }
                form.row method="post" action=(action("release")) { button.button { "Release from quarantine" } }
            },
            None => details.card.fold {
                summary { "Put into quarantine" }
                form method="post" action=(action("quarantine")) {
                    p.soft { "What it sends is recorded and passed on to nobody, whichever gateway hears it, until you release it." }
                    label { "Reason" input name="reason" maxlength="200" autocomplete="off"; }
                    div.row { button.button { "Put into quarantine" } }
                }
            },
        }
        @if let Standing::Moved(_) = about.standing {
            form.row method="post" action=(action("review")) {
                button.button { "This gateway is where it belongs" }
                span.soft { "Gives it downlink again." }
            }
        }
    }
}

/// `POST /node/{id}/{action}`: the operator decides.
pub async fn decided(visit: Visit, Path((id, action)): Path<(String, String)>, body: Bytes) -> Response {
    let Some(node) = NodeNum::parse(&id).filter(|node| node.is_node()) else { return visit.not_here("node") };
    let gateway = GatewayId(node.0);
    let command = match action.as_str() {
        "quarantine" => {
            let reason = form_field(&body, "reason").unwrap_or_default().trim().to_owned();
            WatchCommand::Quarantine { node: gateway, reason }
        }
        "release" => WatchCommand::Release(gateway),
        "review" => WatchCommand::Review(gateway),
        _ => return visit.not_here("page"),
    };
    if let Err(why) = visit.site.account.decide(command.clone(), &visit.who, visit.now_ms).await {
        return visit.trouble(StatusCode::CONFLICT, "Nothing was changed", &why);
    }
    wait_until_obeyed(&visit, node, &command).await;
    Redirect::to(&format!("{}#identity", words::node_address(node.0))).into_response()
}

async fn wait_until_obeyed(visit: &Visit, node: NodeNum, command: &WatchCommand) {
    let deadline = tokio::time::Instant::now() + OBEYED_WITHIN;
    while tokio::time::Instant::now() < deadline {
        let Some(about) = visit.site.about_node(node.0).await else { return };
        let is_obeyed = match command {
            WatchCommand::Quarantine { .. } => about.quarantine.is_some(),
            WatchCommand::Release(_) => about.quarantine.is_none(),
            WatchCommand::Review(_) => !matches!(about.standing, Standing::Moved(_)),
        };
        if is_obeyed {
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
