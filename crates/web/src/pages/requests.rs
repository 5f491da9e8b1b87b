//! `/requests`: who wants to connect a gateway or to send more, what speaks for it, and the operator's decision.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{GatewayId, Request, RequestDecision, RequestSurroundings, Suggestion, suggest};
use maud::{Markup, html};
use policy::memory::movement::Standing;

use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::pages::packet::place_of;
use crate::route_picture::{self, Hearer};
use crate::site::Visit;

/// How far back it is asked who heard a node.
const HEARD_SINCE_MS: i64 = 7 * 24 * 3_600_000;
/// Most open requests that are looked into for one page; each costs a look into the history.
const LOOKED_INTO_MAX: usize = 20;
/// Most gateways on the picture of a request; each costs a look into the history.
const PICTURED_MAX: usize = 8;
/// Most decided requests that are listed.
const DECIDED_MAX: usize = 50;

/// `GET /requests`
pub async fn page(visit: Visit) -> Response {
    show(&visit, StatusCode::OK, None).await
}

/// `POST /requests`: `number`, `do` (a decision's word) and `answer`.
pub async fn decide(visit: Visit, body: Bytes) -> Response {
    let field = |name| form_field(&body, name).unwrap_or_default();
    let (number, decision) = (field("number").parse::<i64>(), RequestDecision::from_word(&field("do")));
    let (Ok(number), Some(decision)) = (number, decision) else {
        return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some("the form does not say what to do"))
            .await;
    };
    let (answer, actor, now_ms) = (field("answer"), visit.who.actor(), visit.now_ms);
    let decide = move |store: &mut directory_store::Store| {
        store.decide_request(number, decision, &answer, &actor, now_ms)
    };
    match visit.site.account.at_the_desk(decide).await {
        Ok(()) => Redirect::to("/requests").into_response(),
        Err(why) => show(&visit, StatusCode::CONFLICT, Some(&why)).await,
    }
}

struct LookedInto {
    around: RequestSurroundings,
    gateways: Vec<u32>,
    suggestion: Suggestion,
    picture: Markup,
}

async fn show(visit: &Visit, status: StatusCode, wrong: Option<&str>) -> Response {
    let (requests, directory) =
        match visit.site.account.at_the_desk(|store| Ok((store.requests()?, store.load()?))).await {
            Ok(found) => found,
            Err(why) => return visit.trouble(StatusCode::INTERNAL_SERVER_ERROR, "Not to be read", &why),
        };
    let (open, decided): (Vec<Request>, Vec<Request>) = requests.into_iter().partition(|r| r.state.is_open());
    let mut looked_into = Vec::new();
    for request in open.iter().take(LOOKED_INTO_MAX) {
        looked_into.push(look_into(visit, &directory, request).await);
    }
    let body = html! {
        h1 { "Requests" }
        p.lead { @match open.len() {
            0 => "Nobody waits for an answer.",
            1 => "One person waits for an answer.",
            n => { (n) " people wait for an answer." }
        } }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        @for (at, request) in open.iter().enumerate() { (one(visit, request, looked_into.get(at))) }
        @if !decided.is_empty() { (list(visit, &decided)) }
        p.soft { "People ask at " a href="/join" { "Connect a gateway" } "." }
    };
    (status, visit.page(Section::Requests, "Requests", &[], &body)).into_response()
}

async fn look_into(visit: &Visit, directory: &directory::Directory, request: &Request) -> LookedInto {
    let node = request.form.node;
    let about = visit.site.about_node(node.0).await;
    let since_ms = visit.now_ms - HEARD_SINCE_MS;
    // A history that cannot be read leaves the suggestion with less to say.
    let heard = visit.site.archive.node(node.0, since_ms, visit.sight.clone()).await.ok().flatten();
    let gateways: Vec<u32> = heard
        .as_ref()
        .map(|heard| heard.heard_by.keys().copied().filter(|gateway| *gateway != node.0).collect())
        .unwrap_or_default();
    let around = RequestSurroundings {
        is_gateway: directory.gateway(node).is_some(),
        is_quarantined: directory.watch().quarantine(node).is_some(),
        heard_ms: heard.and_then(|heard| heard.last_ms),
        heard_by: gateways.len(),
        has_moved: about.as_ref().is_some_and(|about| matches!(about.standing, Standing::Moved(_))),
        marks: about.and_then(|about| about.known).map_or(0, |known| known.evidence().count()),
    };
    let suggestion = suggest(&request.form, &around);
    let picture = picture(visit, node, &gateways).await;
    LookedInto { around, gateways, suggestion, picture }
}

/// Where the node says it is and where those are that heard it, as exactly as the visitor may know.
async fn picture(visit: &Visit, node: GatewayId, gateways: &[u32]) -> Markup {
    let Some(place) = place_of(visit, node.0).await else { return html! {} };
    let mut hearers = Vec::new();
    for gateway in gateways.iter().take(PICTURED_MAX) {
        if let Some(place) = place_of(visit, *gateway).await {
            let name = visit.with_nodes(|nodes| nodes.short(*gateway));
            hearers.push(Hearer { name, place, is_dashed: false });
        }
    }
    let name = visit.with_nodes(|nodes| nodes.short(node.0));
    let caption = "The node and gateways that heard it, over any number of hops.";
    route_picture::picture(&name, Some(place), &hearers, caption)
}

fn one(visit: &Visit, request: &Request, looked_into: Option<&LookedInto>) -> Markup {
    let form = &request.form;
    let said = |text: &str| html! { @if text.is_empty() { span.soft { "not said" } } @else { (text) } };
    html! {
        section.card id={ "request-" (request.number) } {
            h3 { "Request " (request.number) ": " (visit.with_nodes(|nodes| nodes.link(form.node.0))) ", " (form.kind.word()) }
            p.soft { (moment::age(request.asked_ms, visit.now_ms)) " · " (request.state.word()) }
            dl.facts {
                dt { "Owner" } dd { (form.owner) }
                @if visit.who.may_change() { dt { "Contact" } dd { (form.contact) } }
                dt { "Place" } dd { (form.place) @if form.is_fixed { ", stays there" } @else { ", does not say that it stays" } }
                dt { "Power" } dd { (said(&form.power)) }
                dt { "Height" } dd { (said(&form.height)) }
                dt { "Internet" } dd { (said(&form.internet)) }
                dt { "Channels" } dd { (said(&form.channels.join(", "))) }
                dt { "Wants" } dd {
                    @match (form.wants_downlink, form.wants_telemetry) {
                        (false, false) => "nothing more", (true, false) => "downlink",
                        (false, true) => "more telemetry", (true, true) => "downlink, more telemetry",
                    }
                }
                @if !form.reason.is_empty() { dt { "Says" } dd.asked { (form.reason) } }
            }
            @if let Some(looked_into) = looked_into { (suggested(visit, request.form.node, looked_into)) }
            @if visit.who.may_change() {
                form method="post" action="/requests" {
                    input type="hidden" name="number" value=(request.number);
                    label { "To the person who asked" textarea.words name="answer" maxlength="1000" {} }
                    div.row { @for decision in RequestDecision::ALL {
                        @let is_suggested = looked_into.is_some_and(|l| l.suggestion.decision == decision);
                        button class=(if is_suggested { "button" } else { "button plain" }) name="do" value=(decision.word()) {
                            (label_of(decision))
                        }
                    } }
                }
            }
        }
    }
}

fn suggested(visit: &Visit, node: GatewayId, looked_into: &LookedInto) -> Markup {
    html! {
        p { "Suggested: " strong { (label_of(looked_into.suggestion.decision)) } }
        ul { @for reason in &looked_into.suggestion.reasons { li { (reason) } } }
        @if let Some(heard_ms) = looked_into.around.heard_ms {
            p { "Heard " (moment::age(heard_ms, visit.now_ms))
                @for (at, gateway) in looked_into.gateways.iter().take(8).enumerate() {
                    @if at == 0 { " by " } @else { ", " } (visit.with_nodes(|nodes| nodes.link(*gateway)))
                } ". " a href=(format!("/map?node={node}&since=7d")) { "On the map, with who hears it" } }
        }
        (looked_into.picture)
    }
}

const fn label_of(decision: RequestDecision) -> &'static str {
    match decision {
        RequestDecision::Approve => "Approve",
        RequestDecision::AskBack => "Ask back",
        RequestDecision::Refuse => "Refuse",
    }
}

fn list(visit: &Visit, decided: &[Request]) -> Markup {
    html! {
        h2 { "Decided" }
        div.scroll.stack { table {
            thead { tr { th scope="col" { "Request" } th scope="col" { "Node" } th scope="col" { "State" } th scope="col" { "By" } th scope="col" { "When" } } }
            tbody { @for request in decided.iter().take(DECIDED_MAX) { tr {
                th scope="row" { (request.number) }
                td data-label="Node" { (visit.with_nodes(|nodes| nodes.link(request.form.node.0))) }
                td data-label="State" { (request.state.word()) }
                td data-label="By" { (request.decided_by) }
                td data-label="When" { (moment::age(request.decided_ms.unwrap_or(request.asked_ms), visit.now_ms)) }
            } } }
        } }
    }
}
