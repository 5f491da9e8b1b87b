//! What programs may do, not only ask: mark incidents, put the past back, stop and start downlink. The same as the forms of
//! the pages, by the same code, in JSON.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use directory::{
    DownlinkCommand, GatewayId, IncidentForm, IslandNumber, ReplayCommand, ReplayOrder, parse_speed,
};
use query::Query;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{answer, wrong};
use crate::pages::incident::find;
use crate::pages::incidents::window;
use crate::route::{self, Route};
use crate::site::Visit;
use crate::who::Needs;

/// Bodies of the longest kind.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// One thing that programs may do.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Path below the site; parts in braces are parameters.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Name of the schema of its body.
    pub body: &'static str,
}

/// Every command, in the order of the documentation.
pub const COMMANDS: &[Command] = &[
    Command { path: "/api/v1/incidents", summary: "Marks a stretch of time.", body: "IncidentToMark" },
    Command {
        path: "/api/v1/incidents/{number}",
        summary: "Closes an incident, or opens it again.",
        body: "IncidentCommand",
    },
    Command {
        path: "/api/v1/replays",
        summary: "Puts a stretch of the past back on MQTT.",
        body: "ReplayToOrder",
    },
    Command {
        path: "/api/v1/replays/{number}",
        summary: "Steers a replay that is under way.",
        body: "ReplayCommand",
    },
    Command {
        path: "/api/v1/downlink",
        summary: "Stops or starts downlink, everywhere or on one island.",
        body: "DownlinkCommand",
    },
];

/// Their routes.
pub fn routes() -> Vec<Route> {
    let all = vec![
        route::post("/api/v1/incidents", Needs::Operator, mark_incident),
        route::post("/api/v1/incidents/{number}", Needs::Operator, command_incident),
        route::post("/api/v1/replays", Needs::Operator, order_replay),
        route::post("/api/v1/replays/{number}", Needs::Operator, command_replay),
        route::post("/api/v1/downlink", Needs::Operator, command_downlink),
    ];
    all.into_iter().map(|route| route.up_to(BODY_BYTES_MAX)).collect()
}

/// Reads a body; says what is wrong with it.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not understood: {error}"))
}

fn misunderstood(why: &str) -> Response {
    wrong(StatusCode::BAD_REQUEST, why)
}

fn refused(why: &str) -> Response {
    wrong(StatusCode::UNPROCESSABLE_ENTITY, why)
}

fn done(status: StatusCode, number: i64) -> Response {
    answer(&HeaderMap::new(), status, &json!({ "v": 1, "number": number }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentToMark {
    title: String,
    when: String,
    #[serde(default)]
    notes: String,
    #[serde(default = "yes")]
    is_pinned: bool,
    #[serde(default)]
    is_public: bool,
}

const fn yes() -> bool {
    true
}

async fn mark_incident(visit: Visit, body: Bytes) -> Response {
    let asked: IncidentToMark = match read(&body) {
        Ok(asked) => asked,
        Err(why) => return misunderstood(&why),
    };
    let (since_ms, until_ms) = match window(&visit, &asked.when) {
        Ok(window) => window,
        Err(why) => return refused(&why),
    };
    let IncidentToMark { title, notes, is_pinned, is_public, .. } = asked;
    let form = IncidentForm { title, notes, since_ms, until_ms, is_pinned, is_public };
    let (actor, now_ms) = (visit.who.actor(), visit.now_ms);
    let desk = &visit.site.account;
    match desk.at_the_desk(move |store| store.mark_incident(form, None, &actor, now_ms)).await {
        Ok(number) => done(StatusCode::CREATED, number),
        Err(why) => refused(&why),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentCommand {
    is_closed: bool,
}

async fn command_incident(visit: Visit, Path(number): Path<String>, body: Bytes) -> Response {
    let asked: IncidentCommand = match read(&body) {
        Ok(asked) => asked,
        Err(why) => return misunderstood(&why),
    };
    let Some(found) = find(&visit, &number).await else {
        return wrong(StatusCode::NOT_FOUND, "there is no such incident");
    };
    let (actor, now_ms, number) = (visit.who.actor(), visit.now_ms, found.number);
    let close = move |store: &mut directory_store::Store| {
        store.close_incident(number, asked.is_closed, &actor, now_ms)
    };
    match visit.site.account.at_the_desk(close).await {
        Ok(()) => done(StatusCode::OK, number),
        Err(why) => refused(&why),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayToOrder {
    #[serde(default)]
    q: String,
    incident: Option<i64>,
    #[serde(default = "life")]
    speed: f64,
    #[serde(default)]
    has_json: bool,
    #[serde(default)]
    is_paused: bool,
}

const fn life() -> f64 {
    1.0
}

async fn order_replay(visit: Visit, body: Bytes) -> Response {
    let asked: ReplayToOrder = match read(&body) {
        Ok(asked) => asked,
        Err(why) => return misunderstood(&why),
    };
    let understood = Query::parse(&asked.q)
        .map_err(|problems| problems.first().map_or(String::new(), |problem| problem.message.clone()))
        .and_then(|query| visit.bind(&query).map_err(|problem| problem.message));
    if let Err(why) = understood {
        return refused(&why);
    }
    let when = match asked.incident {
        None => window(&visit, &asked.q).map(|(since_ms, until_ms)| (since_ms, until_ms, None)),
        Some(number) => match find(&visit, &number.to_string()).await {
            Some(found) => Ok((found.form.since_ms, found.form.until_ms, found.archive)),
            None => Err(format!("there is no incident {number}")),
        },
    };
    let ((since_ms, until_ms, archive), speed) = match (when, parse_speed(&asked.speed.to_string())) {
        (Ok(when), Ok(speed)) => (when, speed),
        (Err(why), _) => return refused(&why),
        (_, Err(why)) => return refused(&why.to_string()),
    };
    let (filter, with_json, is_paused) = (asked.q, asked.has_json, asked.is_paused);
    let order = ReplayOrder { since_ms, until_ms, filter, archive, speed, with_json, is_paused };
    let (actor, now_ms) = (visit.who.actor(), visit.now_ms);
    let desk = &visit.site.account;
    match desk.at_the_desk(move |store| store.order_replay(&order, &actor, now_ms)).await {
        Ok(number) => done(StatusCode::CREATED, number),
        Err(why) => refused(&why),
    }
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum ReplaySteered {
    Pause,
    Resume,
    Step { count: u16 },
    Speed { speed: f64 },
    Stop,
}

async fn command_replay(visit: Visit, Path(number): Path<String>, body: Bytes) -> Response {
    let asked: ReplaySteered = match read(&body) {
        Ok(asked) => asked,
        Err(why) => return misunderstood(&why),
    };
    let command = match asked {
        ReplaySteered::Pause => ReplayCommand::Pause,
        ReplaySteered::Resume => ReplayCommand::Resume,
        ReplaySteered::Step { count } => ReplayCommand::Step(count),
        ReplaySteered::Speed { speed } => match parse_speed(&speed.to_string()) {
            Ok(speed) => ReplayCommand::Speed(speed),
            Err(why) => return refused(&why.to_string()),
        },
        ReplaySteered::Stop => ReplayCommand::Stop,
    };
    let Ok(number) = number.parse::<i64>() else {
        return wrong(StatusCode::NOT_FOUND, "there is no such replay");
    };
    match visit.site.account.at_the_desk(move |store| store.command_replay(number, command)).await {
        Ok(_) => done(StatusCode::OK, number),
        Err(why) => wrong(StatusCode::CONFLICT, &why),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DownlinkAsked {
    is_stopped: bool,
    island: Option<String>,
}

async fn command_downlink(visit: Visit, body: Bytes) -> Response {
    let asked: DownlinkAsked = match read(&body) {
        Ok(asked) => asked,
        Err(why) => return misunderstood(&why),
    };
    let island = match asked.island.as_deref().map(str::parse::<GatewayId>).transpose() {
        Ok(island) => island.map(|id| IslandNumber(id.0)),
        Err(why) => return refused(&why.to_string()),
    };
    let command =
        if asked.is_stopped { DownlinkCommand::Stop(island) } else { DownlinkCommand::Start(island) };
    match visit.site.account.command_downlink(command, &visit.who, visit.now_ms).await {
        Ok(()) => {
            answer(&HeaderMap::new(), StatusCode::OK, &json!({ "v": 1, "is_stopped": asked.is_stopped }))
        }
        Err(why) => wrong(StatusCode::CONFLICT, &why),
    }
}
