//! `/airtime`: the board. How much of each island's hour downlink has used up, by class; what waits for gateways; what was
//! withheld and why; for those who may see everything also who is held, and the switch of each island.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use broker::{Board, GatewayBoard, IslandBoard, Share};
use directory::GrantCommand;
use maud::{Markup, html};
use mesh::node::NodeNum;
use policy::downlink::class::Class;
use policy::memory::holds::{Held, Hold};

use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::{Nodes, count, number};

/// `GET /airtime`
pub async fn page(visit: Visit) -> Response {
    show(&visit, StatusCode::OK, None).await
}

/// `POST /airtime`: `release` names a gateway or node that is let go from its hold.
pub async fn command(visit: Visit, body: Bytes) -> Response {
    let named = form_field(&body, "release").and_then(|text| NodeNum::parse(&text));
    let Some(number) = named else {
        let why = "the form names neither a gateway nor a node";
        return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(why)).await;
    };
    let command = GrantCommand::ReleaseHold(number.0);
    match visit.site.account.command_grant(command, &visit.who, visit.now_ms).await {
        Ok(()) => Redirect::to("/airtime").into_response(),
        Err(why) => show(&visit, StatusCode::CONFLICT, Some(&why)).await,
    }
}

async fn show(visit: &Visit, status: StatusCode, wrong: Option<&str>) -> Response {
    let Some(board) = visit.site.board().await else {
        return visit.trouble(
            StatusCode::SERVICE_UNAVAILABLE,
            "The broker does not answer",
            "What downlink has used up is not known at this moment. Try again shortly.",
        );
    };
    let body = visit.with_nodes(|nodes| html! {
        h1 { "Airtime" }
        p.lead { "The channel is shared by everybody. Of each hour, only so much may be used by what comes down from the internet." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        @if board.islands.is_empty() { p.soft { "No gateway has heard anything yet, so no island is known." } }
        @for island in &board.islands { (one_island(visit, nodes, island)) }
        (withheld(&board))
        @if visit.sight.is_operator() { (senders(nodes, &board)) (holds(visit, nodes, &board)) }
    });
    (status, visit.page(Section::Airtime, "Airtime", &[], &body)).into_response()
}

fn one_island(visit: &Visit, nodes: Nodes<'_>, island: &IslandBoard) -> Markup {
    html! {
        section.card {
            h2 {
                "Island " (nodes.plain(island.island)) " "
                @if island.is_stopped { span.chip.bad { "downlink stopped" } }
            }
            p {
                (seconds(island.all.used_us)) " of " (seconds(island.all.limit_us)) " used in the last hour"
                @match island.utilisation_percent {
                    Some(percent) => { "; nodes report the channel " (format!("{percent:.0}")) " % taken." }
                    None => "; no node has reported how much of the channel is taken.",
                }
            }
            (bar(island))
            dl.facts { @for class in Class::ALL {
                @let used = island.by_class[usize::from(class.code())];
                @if used > 0 { dt { (class.word()) } dd { (seconds(used)) } }
            } }
            div.scroll.stack { table {
                thead { tr {
                    th scope="col" { "Gateway" } th scope="col" { "State" } th.n scope="col" { "Transmits of others" }
                    th.n scope="col" { "Waiting" } th scope="col" { "Hears the same as" }
                } }
                tbody { @for gateway in &island.gateways { (one_gateway(nodes, gateway)) } }
            } }
            @if visit.who.may_change() {
                form method="post" action="/downlink" {
                    input type="hidden" name="island" value=(NodeNum(island.island));
                    @if island.is_stopped { button.button.plain name="do" value="start" { "Start downlink on this island" } }
                    @else { button.button.plain name="do" value="stop" { "Stop downlink on this island" } }
                }
            }
        }
    }
}

/// The hour's budget as a bar, a part for each class.
fn bar(island: &IslandBoard) -> Markup {
    let percent = |us: u64| us as f64 / island.all.limit_us.max(1) as f64 * 100.0;
    let parts = Class::ALL.into_iter().scan(0.0, |x, class| {
        let (begin, width) = (*x, percent(island.by_class[usize::from(class.code())]).min(100.0 - *x));
        *x += width;
        Some((class, begin, width))
    });
    html! {
        svg.budget viewBox="0 0 100 4" preserveAspectRatio="none" role="img"
            aria-label=(format!("{:.0} percent of the hour's budget used", percent(island.all.used_us).min(100.0))) {
            rect.ground width="100" height="4" {}
            @for (class, begin, width) in parts {
                @if width > 0.0 {
                    rect class={ "class" (class.code()) } x=(format!("{begin:.2}")) width=(format!("{width:.2}")) height="4" {}
                }
            }
        }
    }
}

fn one_gateway(nodes: Nodes<'_>, gateway: &GatewayBoard) -> Markup {
    let (copies, bytes) = gateway.waiting;
    html! { tr {
        th scope="row" { (nodes.link(gateway.gateway)) }
        td data-label="State" { @if gateway.is_connected { span.chip.good { "connected" } } @else { span.chip.off { "away" } } }
        td.n data-label="Transmits of others" { (of(gateway.share)) }
        td.n data-label="Waiting" { @if copies == 0 { "–" } @else { (count(copies as u64, "copy")) ", " (number(bytes as u64)) " B" } }
        td data-label="Hears the same as" { @match gateway.in_common {
            Some(common) => { (nodes.plain(common.with)) " " span.soft { (format!("{:.0} packets", common.packets)) } }
            None => span.soft { "nobody" },
        } }
    } }
}

fn withheld(board: &Board) -> Markup {
    html! {
        h2 { "Copies withheld since the start" }
        @if board.withheld.is_empty() { p.soft { "None." } }
        @else { div.scroll { table {
            thead { tr { th scope="col" { "Rule" } th.n scope="col" { "Copies" } } }
            tbody { @for (rule, copies) in &board.withheld { tr {
                th scope="row" { a href={ "/policy#" (rule.name()) } { (rule.name()) } }
                td.n { (number(*copies)) }
            } } }
        } } }
    }
}

fn senders(nodes: Nodes<'_>, board: &Board) -> Markup {
    html! {
        h2 { "Senders that use most" }
        @if board.nodes.is_empty() { p.soft { "Nobody's packets went down to other islands within the hour." } }
        @else { div.scroll { table {
            thead { tr { th scope="col" { "Node" } th.n scope="col" { "On other islands" } } }
            tbody { @for (node, share) in &board.nodes { tr { th scope="row" { (nodes.link(*node)) } td.n { (of(*share)) } } } }
        } } }
    }
}

fn holds(visit: &Visit, nodes: Nodes<'_>, board: &Board) -> Markup {
    html! {
        h2 #holds { "Held for sending too much" }
        @if board.held.is_empty() { p.soft { "Nobody." } }
        @else { div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Who" } th scope="col" { "Until" } th scope="col" { "Why" } th scope="col" { span.unseen { "Decide" } }
            } }
            tbody { @for (held, hold) in &board.held { (one_hold(visit, nodes, *held, hold)) } }
        } } }
    }
}

fn one_hold(visit: &Visit, nodes: Nodes<'_>, held: Held, hold: &Hold) -> Markup {
    let (what, number) = match held {
        Held::Gateway(number) => ("gateway", number),
        Held::Node(number) => ("node", number),
    };
    let evidence = hold.evidence;
    html! { tr {
        th scope="row" { (nodes.link(number)) " " span.soft { (what) } }
        td data-label="Until" { "for " (moment::duration(hold.until_ms - visit.now_ms)) ", step " (hold.level) }
        td { span.cell {
            (evidence.objections) " objections of " code { (evidence.rule.name()) } " since " (moment::age(evidence.since_ms, visit.now_ms))
            @for key in evidence.samples.iter().flatten() { " " a.mono href={ "/packet/" (NodeNum(key.from)) "/" (key.id) } { (key.id) } }
        } }
        td { @if visit.who.may_change() { form method="post" action="/airtime" {
            button.button.plain name="release" value=(NodeNum(number)) { "Let go" }
        } } }
    } }
}

fn of(share: Share) -> String {
    format!("{} of {}", seconds(share.used_us), seconds(share.limit_us))
}

fn seconds(us: u64) -> String {
    let seconds = us as f64 / 1e6;
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}
