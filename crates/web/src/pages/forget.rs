//! `/forget`: the owner of a node asks for everything that is held of it to be deleted, and shows to have the node by sending a
//! code from it. A message on a channel can be made up by whoever has its key, so an operator confirms.

use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::GatewayId;
use maud::{Markup, html};
use query::Query;

use crate::layout::Section;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::visibility::Visitor;

const DAY_MS: i64 = 86_400_000;
/// Receptions looked at.
const LOOKED_AT: usize = 5;

/// `GET /forget`: `node` is whose code is shown.
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = form_field(query.unwrap_or_default().as_bytes(), "node").filter(|text| !text.is_empty());
    let Some(text) = asked else { return show(&visit, StatusCode::OK, None, None) };
    match text.trim().parse::<GatewayId>() {
        Ok(node) => match codes(&visit, node).await {
            Ok([today, _]) => show(&visit, StatusCode::OK, Some((node, today)), None),
            Err(why) => show(&visit, StatusCode::INTERNAL_SERVER_ERROR, None, Some(&why)),
        },
        Err(wrong) => show(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(&wrong.to_string())),
    }
}

/// `POST /forget`: the code of `node` was sent.
pub async fn ask(visit: Visit, body: Bytes) -> Response {
    let node: GatewayId = match form_field(&body, "node").unwrap_or_default().trim().parse() {
        Ok(node) => node,
        Err(wrong) => {
            return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(&format!("{wrong}")));
        }
    };
    if let Err(seconds) = visit.site.account.may_ask(visit.address, visit.now_ms) {
        let why = format!("many requests came from where you are; wait {seconds} s");
        let mut response = show(&visit, StatusCode::TOO_MANY_REQUESTS, None, Some(&why));
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return response;
    }
    let codes = match codes(&visit, node).await {
        Ok(codes) => codes,
        Err(why) => return show(&visit, StatusCode::INTERNAL_SERVER_ERROR, None, Some(&why)),
    };
    let heard_on = match sent(&visit, node, &codes).await {
        Ok(Some(channel)) => channel,
        Ok(None) => {
            let why = "no gateway has brought the code from this node yet; wait a moment after sending it, and try again";
            return show(&visit, StatusCode::CONFLICT, Some((node, codes[0].clone())), Some(why));
        }
        Err(why) => return show(&visit, StatusCode::INTERNAL_SERVER_ERROR, None, Some(&why)),
    };
    let (who, now_ms) = (format!("its owner, by a code heard on {heard_on}"), visit.now_ms);
    let desk = &visit.site.account;
    match desk.at_the_desk(move |store| store.ask_erasure(node, &who, now_ms)).await {
        Ok(_) => asked(&visit, node),
        Err(why) => show(&visit, StatusCode::CONFLICT, None, Some(&why)),
    }
}

/// Today's code of a node, and that of the day before.
async fn codes(visit: &Visit, node: GatewayId) -> Result<[String; 2], String> {
    let day = visit.now_ms.div_euclid(DAY_MS);
    let make = move |store: &mut directory_store::Store| {
        let key = store.token_key();
        Ok([key.code_of(node.0, day), key.code_of(node.0, day - 1)])
    };
    visit.site.account.at_the_desk(make).await
}

/// The channel on which a code of the node came from it, whatever its sender agreed to: it was sent to be seen here.
async fn sent(visit: &Visit, node: GatewayId, codes: &[String; 2]) -> Result<Option<String>, String> {
    let unreadable = || "the history cannot be read".to_owned();
    let text = format!("from:{node} (text:\"{}\" or text:\"{}\") last 2d", codes[0], codes[1]);
    let query = Query::parse(&text).map_err(|_| unreadable())?;
    let condition = visit.bind(&query).map_err(|problem| problem.message)?;
    let all = visit.site.sight(Visitor::Operator);
    let found = visit.site.archive.log(condition, None, all, LOOKED_AT).await.map_err(|_| unreadable())?;
    Ok(found.receptions.first().map(|one| one.channel.as_deref().unwrap_or("a channel").to_owned()))
}

fn show(
    visit: &Visit,
    status: StatusCode,
    chosen: Option<(GatewayId, String)>,
    wrong: Option<&str>,
) -> Response {
    let whose = chosen.as_ref().map(|(node, _)| node.to_string()).unwrap_or_default();
    let body = html! {
        h1 { "Forget my node" }
        p.lead { "What is held of your node is deleted: positions, texts, measurements, names, everything in the log. Afterwards nothing of it is recorded." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        @match &chosen {
            None => form.card method="get" action="/forget" {
                div.fields { label { "Node"
                    input.mono name="node" required value=(whose) placeholder="!a5000001" pattern="![0-9a-f]{8}" autocapitalize="none" spellcheck="false" autocomplete="off";
                } }
                div.row { button.button { "Show me what to send" } }
            },
            Some((node, code)) => (steps(*node, code)),
        }
        p.soft { "Packets that others sent through your node as their gateway are theirs. " a href="/retention" { "How long things are kept anyway" } "." }
    };
    (status, visit.page(Section::None, "Forget my node", &[], &body)).into_response()
}

fn steps(node: GatewayId, code: &str) -> Markup {
    html! {
        ol.steps {
            li { "Send this from " span.mono { (node) } ", as a text on a channel that gateways uplink: " strong.mono.code { (code) } }
            li {
                "Wait until somebody has heard it, then ask:"
                form.row method="post" action="/forget" {
                    input type="hidden" name="node" value=(node);
                    button.button { "I have sent it" }
                }
            }
            li { "An operator confirms, because whoever has a channel’s key can write in anybody’s name." }
        }
        p.soft { "The code works today and tomorrow (UTC), for this node only." }
    }
}

fn asked(visit: &Visit, node: GatewayId) -> Response {
    let body = html! {
        h1 { "You asked for " span.mono { (node) } " to be forgotten" }
        p.lead { "The code came from it. An operator confirms, and then everything is deleted." }
        p { "If it was not you who asked, tell an operator." }
    };
    visit.page(Section::None, "Forget my node", &[], &body).into_response()
}
