//! `/erasure`: what is held of a node is counted, deleted and kept out; who asked for it, and the receipts. For operators.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use directory::{Erasure, ErasureState, GatewayId};
use maud::{Markup, html};

use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;

/// Erasures on the page; the command line lists all.
const SHOWN_MAX: usize = 100;

/// `GET /erasure`: `node` is whose belongings are counted.
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = form_field(query.unwrap_or_default().as_bytes(), "node").filter(|text| !text.is_empty());
    let Some(text) = asked else { return show(&visit, StatusCode::OK, None, None).await };
    let node: GatewayId = match text.trim().parse() {
        Ok(node) => node,
        Err(wrong) => {
            return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(&format!("{wrong}"))).await;
        }
    };
    match visit.site.held(node).await {
        Ok(lines) => show(&visit, StatusCode::OK, Some((node, lines)), None).await,
        Err(why) => show(&visit, StatusCode::INTERNAL_SERVER_ERROR, None, Some(&why)).await,
    }
}

/// `POST /erasure`: `do` is `order`, `refuse` or `lift`; `node` says whom, `again` repeats it for an order, `number` says
/// what is refused.
pub async fn command(visit: Visit, body: Bytes) -> Response {
    let field = |name| form_field(&body, name).unwrap_or_default();
    let (actor, now_ms) = (visit.who.actor(), visit.now_ms);
    let desk = &visit.site.account;
    let wants = field("do");
    if wants == "refuse" {
        let number = field("number").parse().unwrap_or(0);
        let done = desk.at_the_desk(move |store| store.refuse_erasure(number, &actor, now_ms)).await;
        return answer(&visit, done).await;
    }
    let node: GatewayId = match field("node").trim().parse() {
        Ok(node) => node,
        Err(wrong) => {
            let why = wrong.to_string();
            return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(&why)).await;
        }
    };
    if wants == "lift" {
        let done = desk.at_the_desk(move |store| store.lift_tombstone(node, &actor, now_ms)).await;
        return answer(&visit, done).await;
    }
    if field("again").trim() != node.to_string() {
        let why = "type the node's number once more to delete; nothing was deleted";
        return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(why)).await;
    }
    let done = desk.at_the_desk(move |store| store.order_erasure(node, &actor, now_ms).map(drop)).await;
    answer(&visit, done).await
}

/// `GET /erasure/{number}`: the receipt, as JSON to hand on.
pub async fn receipt(visit: Visit, Path(number): Path<String>) -> Response {
    let number: i64 = number.parse().unwrap_or(0);
    let found = visit.site.account.at_the_desk(move |store| store.erasure(number)).await;
    match found.ok().flatten().and_then(|erasure| erasure.receipt) {
        Some(receipt) => {
            let name = format!("attachment; filename=\"erasure-{number}.json\"");
            let headers =
                [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
            (headers, receipt).into_response()
        }
        None => visit.not_here("receipt"),
    }
}

async fn answer(visit: &Visit, done: Result<(), String>) -> Response {
    match done {
        Ok(()) => Redirect::to("/erasure").into_response(),
        Err(why) => show(visit, StatusCode::CONFLICT, None, Some(&why)).await,
    }
}

type Counted = (GatewayId, Vec<(String, String)>);

async fn show(visit: &Visit, status: StatusCode, counted: Option<Counted>, wrong: Option<&str>) -> Response {
    let Ok(erasures) = visit.site.account.at_the_desk(|store| store.erasures()).await else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The directory cannot be read",
            "Try again; the program's log has the reason.",
        );
    };
    let is_under_way = erasures.iter().any(|one| one.state == ErasureState::Ordered);
    let whose = counted.as_ref().map(|(node, _)| node.to_string()).unwrap_or_default();
    let body = html! {
        h1 { "Erasure" }
        p.lead { "Everything that is held of a node is deleted: the log, sums, texts, names, retained messages, devices of home automation, "
            "what the policy remembers, alerts, and its owner's entries. A tombstone keeps it out afterwards." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        form.card method="get" action="/erasure" {
            div.fields {
                label { "Node" input.mono name="node" required value=(whose) placeholder="!a5000001" pattern="![0-9a-f]{8}" autocapitalize="none" spellcheck="false" autocomplete="off"; }
            }
            div.row { button.button { "Count what is held" } }
            p.soft { "Counting goes through the whole history, and deletes nothing." }
        }
        @if let Some((node, lines)) = &counted { (preview(*node, lines)) }
        @if !erasures.is_empty() {
            h2 { "Asked for and done" }
            @if is_under_way { p role="status" { "One is under way. " a href="/erasure" { "Look again" } } }
            @for erasure in erasures.iter().take(SHOWN_MAX) { (one(visit, erasure)) }
        }
        h2 { "Let a node in again" }
        form.card method="post" action="/erasure" {
            p { "Its number is not kept, so it has to be named. What was deleted stays so." }
            div.fields {
                label { "Node" input.mono name="node" required pattern="![0-9a-f]{8}" autocapitalize="none" spellcheck="false" autocomplete="off"; }
            }
            div.row { button.button.plain name="do" value="lift" { "Lift the tombstone" } }
        }
        p.soft { "Everything that is held, row by row, for the owner: " code { "backhaul disclose '!id' --output FILE" } "." }
    };
    (status, visit.page(Section::None, "Erasure", &[], &body)).into_response()
}

fn preview(node: GatewayId, lines: &[(String, String)]) -> Markup {
    html! {
        section.card aria-label="What would be deleted" {
            h2 { "Held of " span.mono { (node) } }
            dl.facts { @for (place, words) in lines { dt { (place) } dd { (words) } } }
            p { "Deleting cannot be undone. What the node brought as a gateway are packets of others: they go too, since its number is in each." }
            form method="post" action="/erasure" {
                input type="hidden" name="node" value=(node);
                div.fields {
                    label { "Type " span.mono { (node) } " to delete all of it"
                        input.mono name="again" required autocapitalize="none" spellcheck="false" autocomplete="off"; }
                }
                div.row { button.button name="do" value="order" { "Delete everything" } }
            }
        }
    }
}

fn one(visit: &Visit, erasure: &Erasure) -> Markup {
    let number = erasure.number;
    html! {
        section.card aria-label={ "Erasure " (number) } {
            h3 { "Erasure " (number) ": " (state_words(erasure.state)) }
            dl.facts {
                @if let Some(node) = erasure.node { dt { "Node" } dd.mono { (node) } }
                @else { dt { "Tombstone" } dd.mono { (erasure.print) } }
                dt { "Asked for" } dd { (moment::clock(erasure.asked_ms, visit.now_ms)) ", by " (erasure.asked_by) }
                @if let Some(done_ms) = erasure.done_ms { dt { "Done" } dd { (moment::clock(done_ms, visit.now_ms)) } }
                @if let Some(problem) = &erasure.problem { dt { "Waits" } dd { (problem) } }
            }
            @if erasure.receipt.is_some() { p { a href={ "/erasure/" (number) } { "Receipt" } } }
            @if erasure.state == ErasureState::Asked {
                form.row method="post" action="/erasure" {
                    @if let Some(node) = erasure.node { a.button href={ "/erasure?node=" (node) } { "Count and decide" } }
                    input type="hidden" name="number" value=(number);
                    button.button.plain name="do" value="refuse" { "Refuse" }
                }
            }
        }
    }
}

const fn state_words(state: ErasureState) -> &'static str {
    match state {
        ErasureState::Asked => "asked for",
        ErasureState::Ordered => "under way; the node is kept out",
        ErasureState::Done => "done; the node is kept out",
        ErasureState::Refused => "refused",
        ErasureState::Lifted => "done; the node may come in again",
    }
}
