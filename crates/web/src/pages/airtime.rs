//! `/airtime`: the board. How much of each island's hour downlink has used up, by class; what waits for gateways; what was
//! withheld and why; for those who may see everything also who is held, and the switch of each island.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Redirect, Response};
use broker::{Board, GatewayBoard, IslandBoard, Share, WaitingClass};
use directory::GrantCommand;
use futures_util::stream;
use maud::{Markup, html};
use mesh::node::NodeNum;
use policy::downlink::class::Class;
use policy::downlink::model::Model;
use policy::memory::holds::{Held, Hold};

use crate::assets::LIVE;
use crate::layout::Section;
use crate::live::{Seat, respond, too_many};
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::{Nodes, number};

/// How often an open board is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

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
        div data-live-status="/airtime/live" { (all(visit, nodes, &board)) }
        @if visit.who.may_change() && !board.islands.is_empty() { (choices(visit, nodes, &board)) }
    });
    (status, visit.page(Section::Airtime, "Airtime", &[&LIVE], &body)).into_response()
}

/// `GET /airtime/live`: the board as it changes.
pub async fn stream(visit: Visit) -> Response {
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    respond(stream::unfold((visit, seat), |(visit, mut seat)| async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = seat.ended() => return None,
            }
            let visit = Visit { now_ms: visit.site.now_ms(), ..visit.clone() };
            // A broker that is busy is asked again.
            if let Some(board) = visit.site.board().await {
                let told = visit.with_nodes(|nodes| all(&visit, nodes, &board)).into_string();
                return Some((Ok(Event::default().event("status").data(told)), (visit, seat)));
            }
        }
    }))
}

/// Everything that changes by itself.
fn all(visit: &Visit, nodes: Nodes<'_>, board: &Board) -> Markup {
    html! {
        @if board.islands.is_empty() { p.soft { "No gateway has heard anything yet, so no island is known." } }
        @for island in &board.islands { (one_island(visit, nodes, island)) }
        (withheld(board))
        @if visit.sight.is_operator() { (senders(nodes, board)) (holds(visit, nodes, board)) }
    }
}

/// What the operator decides about islands. Each leads to what it would have done, before anything changes.
fn choices(visit: &Visit, nodes: Nodes<'_>, board: &Board) -> Markup {
    let policy = (visit.site.policy)();
    html! {
        h2 #choices { "What goes where" }
        p { "Choose, and read what it would have done with the traffic of the last day. Nothing changes before you say so." }
        @for island in &board.islands {
            @let chosen = policy.model.islands.get(&island.island);
            form.card method="post" action="/policy/backtest" {
                input type="hidden" name="since" value="24h";
                input type="hidden" name="island" value=(NodeNum(island.island));
                label { "What goes down on island " (nodes.plain(island.island))
                    select name="model" {
                        option value="" selected[chosen.is_none()] { "as everywhere (" (policy.model.default.name) ")" }
                        @for model in Model::ALL {
                            option value=(model.name) selected[chosen == Some(&model)] { (model.name) ": " (model.doc) }
                        }
                    }
                }
                div.row { button.button.plain { "What would it have done?" } }
            }
        }
        form.card method="post" action="/policy/backtest" {
            input type="hidden" name="since" value="24h";
            p { "Which gateways are on one island is read from what they hear. Where you know better, say so." }
            div.fields.wide {
                label { "Gateway" select name="gateway" {
                    @for gateway in board.islands.iter().flat_map(|island| &island.gateways) {
                        @let is_pinned = policy.islands.pinned.contains_key(&gateway.gateway);
                        option value=(NodeNum(gateway.gateway)) { (nodes.text(gateway.gateway)) @if is_pinned { " (said by the operator)" } }
                    }
                } }
                label { "Is on" select name="island" {
                    option value="" { "what it hears decides" }
                    @for island in &board.islands { option value=(NodeNum(island.island)) { "island " (nodes.text(island.island)) } }
                } }
            }
            div.row { button.button.plain { "What would it have done?" } }
        }
    }
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
                    th scope="col" { "Waiting" } th scope="col" { "Hears the same as" }
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
    html! { tr {
        th scope="row" { (nodes.link(gateway.gateway)) }
        td data-label="State" { @if gateway.is_connected { span.chip.good { "connected" } } @else { span.chip.off { "away" } } }
        td.n data-label="Transmits of others" { (of(gateway.share)) }
        td data-label="Waiting" { span.cell { (waiting(gateway)) } }
        td data-label="Hears the same as" { @match gateway.in_common {
            Some(common) => { (nodes.plain(common.with)) " " span.soft { (format!("{:.0} packets", common.packets)) } }
            None => span.soft { "nobody" },
        } }
    } }
}

/// How many copies of which class wait, and how long the oldest of each has.
fn waiting(gateway: &GatewayBoard) -> Markup {
    let mut classes =
        Class::ALL.into_iter().zip(gateway.waiting).filter_map(|(class, w)| Some((class, w?))).peekable();
    html! {
        @if classes.peek().is_none() { "–" }
        @for (class, WaitingClass { copies, oldest_ms }) in classes {
            span.nowrap { (number(copies as u64)) " " (class.word()) " " span.soft { (moment::duration(i64::try_from(oldest_ms).unwrap_or(i64::MAX))) } } " "
        }
    }
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

/// An amount of airtime and its limit, in words.
pub fn of(share: Share) -> String {
    format!("{} of {}", seconds(share.used_us), seconds(share.limit_us))
}

fn seconds(us: u64) -> String {
    let seconds = us as f64 / 1e6;
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}
