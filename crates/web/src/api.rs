//! `/api/v1`: what the pages show, for programs and for the same eyes. One table gives the routes, their documentation
//! (`openapi.rs`) and what tests hold both against.

pub mod commands;
mod compared;
mod complete;
mod coverage;
pub mod door;
mod network;
pub mod openapi;
mod past;
mod receptions;
mod running;
mod stream;

use std::hash::{BuildHasher, Hasher};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use query::Problem;
use serde_json::{Value as Json, json};

use crate::route::{self, Route};
use crate::who::Needs;

/// One question that programs can ask.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Path below the site; parts in braces are parameters.
    pub path: &'static str,
    /// What it answers, in a few words.
    pub summary: &'static str,
    /// Parameters.
    pub parameters: &'static [Parameter],
    /// Name of the schema of its answer; none where it is a stream of events.
    pub schema: Option<&'static str>,
}

/// One parameter of a question.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// JSON Schema type: `string` or `integer`.
    pub kind: &'static str,
    /// What it is, with its default.
    pub doc: &'static str,
    /// A value that works.
    pub example: &'static str,
}

const fn parameter_of(
    name: &'static str,
    kind: &'static str,
    doc: &'static str,
    example: &'static str,
) -> Parameter {
    Parameter { name, kind, doc, example }
}

const Q: Parameter = parameter_of(
    "q",
    "string",
    "A filter as in the log's search field; everything if not said.",
    "port:text last 24h",
);
const NODE: Parameter =
    parameter_of("id", "string", "A node: `!` and eight hexadecimal digits.", "!7c5a0a01");

const SINCE: Parameter = parameter_of(
    "since",
    "string",
    "From when, as in a filter: an age or a moment; 24 hours if not said.",
    "24h",
);
const UNTIL: Parameter = parameter_of("until", "string", "Until when; now if not said.", "");
const GATEWAY: Parameter = parameter_of("gateway", "string", "Only what this gateway heard.", "");
const SENDER: Parameter = parameter_of("node", "string", "Only what concerns this node.", "");

macro_rules! endpoints {
    ($($path:literal => $handler:path, $schema:expr, [$($parameter:expr),*], $summary:literal;)*) => {
        /// Every question, in the order of the documentation.
        pub const ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            path: $path, summary: $summary, parameters: &[$($parameter),*], schema: $schema,
        },)*];

        /// The routes: what the answer holds depends on who asks.
        pub fn routes() -> Vec<Route> {
            vec![$(route::get($path, Needs::Nothing, $handler)),*]
        }
    };
}

endpoints! {
    "/api/v1/openapi.json" => openapi::document, None, [],
        "This description, as OpenAPI 3.1.";
    "/api/v1/status" => network::status, Some("Status"), [],
        "How the backhaul is doing.";
    "/api/v1/gateways" => network::gateways, Some("Gateways"), [],
        "The gateways, with what each heard within the last hour.";
    "/api/v1/nodes" => network::nodes, Some("Nodes"), [],
        "Nodes that have told their names.";
    "/api/v1/nodes/{id}" => network::node, Some("Node"), [NODE],
        "One node: when it was heard, by whom, and what it sent within seven days.";
    "/api/v1/channels" => network::channels, Some("Channels"), [],
        "Channels in use.";
    "/api/v1/activity" => network::activity, Some("Activity"), [],
        "Receptions and packets by minute, for the last hour.";
    "/api/v1/rules" => network::rules, Some("Rules"), [],
        "The rules of the policy in the order in which they are asked, with their states.";
    "/api/v1/bridges" => network::bridges, Some("Bridges"), [],
        "Bridges to other brokers; for the operator.";
    "/api/v1/alerts" => network::alerts, Some("Alerts"), [],
        "What fires, who is told and whether it arrives; for the operator.";
    "/api/v1/receptions" => receptions::receptions, Some("Receptions"), [
        Q,
        parameter_of("limit", "integer", "Receptions in one answer, up to 1000; 100 if not said.", "100"),
        parameter_of("cursor", "string", "`cursor` of the answer before, for what follows it.", "")
    ],
        "Receptions, newest first, a page at a time.";
    "/api/v1/packet/{from}/{id}" => receptions::packet, Some("Packet"), [
        parameter_of("from", "string", "Its sender: `!` and eight hexadecimal digits.", "!7c5a0a01"),
        parameter_of("id", "string", "Its id, decimal or hexadecimal with `0x`.", "305419896")
    ],
        "One packet's story: receptions, every rule, every copy.";
    "/api/v1/incidents" => past::incidents, Some("Incidents"), [],
        "Stretches of time that somebody wants to come back to; those that are public, or all for the operator.";
    "/api/v1/incidents/{number}" => past::incident, Some("Incident"), [
        parameter_of("number", "integer", "Its number.", "1")
    ],
        "One of them, with what it amounts to beside the time before and after.";
    "/api/v1/replays" => past::replays, Some("Replays"), [],
        "What is put back on MQTT, and how far; for the operator.";
    "/api/v1/coverage" => coverage::hexagons, Some("FeatureCollection"), [
        SINCE, UNTIL, GATEWAY, SENDER,
        parameter_of("size", "integer", "Resolution of H3, 5 to 9; the public gets 7 at most, which is also the usual.", "7")
    ],
        "Hexagons from which somebody was heard directly, as GeoJSON.";
    "/api/v1/links" => coverage::links, Some("FeatureCollection"), [
        SINCE, UNTIL, SENDER,
        parameter_of("source", "string", "How they are known: direct, traceroute or neighbour; all if not said.", "direct")
    ],
        "Links between nodes whose places are known, each in one direction, as GeoJSON.";
    "/api/v1/places" => coverage::places, Some("FeatureCollection"), [SINCE, UNTIL],
        "Where nodes say they are, as GeoJSON.";
    "/api/v1/traceroutes" => compared::traceroutes, Some("Traceroutes"), [SINCE, UNTIL],
        "Traceroutes: who asked for whom, and over whom the way went.";
    "/api/v1/compare" => compared::windows, Some("Comparison"), [
        SINCE, UNTIL,
        parameter_of("a", "string", "A gateway, to be compared with `b`.", ""),
        parameter_of("b", "string", "Another gateway.", "")
    ],
        "What changed since the time before, and what sets two gateways apart.";
    "/api/v1/islands" => running::islands, Some("Islands"), [],
        "Islands with their gateways, the airtime of downlink in this hour, what waits and what was withheld.";
    "/api/v1/grants" => running::grants, Some("Grants"), [],
        "What single gateways are allowed beyond the ordinary; for the operator.";
    "/api/v1/holds" => running::holds, Some("Holds"), [],
        "Who is held for sending too much; for the operator.";
    "/api/v1/watch" => running::watch, Some("Watch"), [],
        "Gateways that moved, nodes with doubts about them, nodes in quarantine; for the operator.";
    "/api/v1/requests" => running::requests, Some("Requests"), [],
        "Who wants to connect a gateway or to send more, without how to reach them; for the operator.";
    "/api/v1/retention" => running::retention, Some("Retention"), [],
        "What is kept for how long, and what was deleted last.";
    "/api/v1/complete" => complete::completions, Some("Completions"), [
        Q,
        parameter_of("at", "integer", "The cursor's place in UTF-16 units; the end if not said.", "4")
    ],
        "What may stand at the cursor of a filter.";
    "/api/v1/stream" => stream::events, None, [
        Q,
        parameter_of("after", "integer", "`seq` of the last reception that is known: what came since is told first.", "0")
    ],
        "Receptions as they come, as server-sent events; `Last-Event-ID` resumes.";
    "/api/v1/socket" => stream::socket, None, [
        Q,
        parameter_of("after", "integer", "`seq` of the last reception that is known: what came since is told first.", "0")
    ],
        "The same over WebSocket, one JSON text for each.";
}

fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

fn refused(problems: &[Problem]) -> Response {
    let problems: Vec<Json> = (problems.iter())
        .map(|p| json!({ "start": p.span.start, "end": p.span.end, "message": p.message, "instead": p.instead }))
        .collect();
    answer(&HeaderMap::new(), StatusCode::BAD_REQUEST, &json!({ "v": 1, "problems": problems }))
}

/// A refusal in the words of the API.
pub fn wrong(status: StatusCode, text: &str) -> Response {
    answer(&HeaderMap::new(), status, &json!({ "v": 1, "error": text }))
}

fn unreadable() -> Response {
    wrong(StatusCode::INTERNAL_SERVER_ERROR, "the history cannot be read; the program's log says why")
}

/// An answer with its tag: who asks again and has it already is told so.
fn answer(asked: &HeaderMap, status: StatusCode, body: &Json) -> Response {
    let body = body.to_string();
    let tag = tag_of(body.as_bytes());
    let has_it = status == StatusCode::OK && has_it(asked, &tag);
    let mut response = match has_it {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
    };
    let headers = response.headers_mut();
    // What it says depends on who asks.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("cookie, authorization"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The tag of an answer.
pub fn tag_of(body: &[u8]) -> String {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(body);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether who asks has the answer with this tag already.
pub fn has_it(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    known.is_some_and(|tags| tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag))
}
