//! `/api/v1`: the log for programs, by the same filters and for the same eyes as the page.

use axum::extract::{Path, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use history::Page;
use mesh::node::NodeNum;
use query::{Problem, Vocabulary, complete};
use record::{ReceiverKind, Reception, Release, ReleasedCopy};
use serde_json::{Value as Json, json};

use crate::filter::View;
use crate::pages::packet;
use crate::site::Visit;

/// Receptions in one answer unless asked otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// `GET /api/v1/receptions?q=FILTER&limit=N&cursor=PLACE`
pub async fn receptions(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let (mut view, problems) = View::parse(query.as_deref().unwrap_or_default());
    let limit = parameter(query.as_deref(), "limit").and_then(|limit| limit.parse().ok()).unwrap_or(LIMIT);
    if let Some(cursor) = parameter(query.as_deref(), "cursor") {
        let Ok(before) = cursor.parse() else {
            let what =
                Problem { span: 0..0, message: "the cursor is not one of ours".to_owned(), instead: vec![] };
            return refused(&[what]);
        };
        view.before = Some(before);
    }
    if !problems.is_empty() {
        return refused(&problems);
    }
    let condition = match visit.bind(&view.query) {
        Ok(condition) => condition,
        Err(problem) => return refused(&[problem]),
    };
    let found =
        visit.site.archive.log(condition, view.before, visit.sight.clone(), limit.clamp(1, LIMIT_MAX)).await;
    match found {
        Ok(page) => answer(StatusCode::OK, &page_to_json(&visit, &view, &page)),
        Err(_) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "v": 1, "error": "the history cannot be read; the program's log says why" }),
        ),
    }
}

fn page_to_json(visit: &Visit, view: &View, page: &Page) -> Json {
    json!({
        "v": 1,
        "filter": view.query.to_string(),
        "receptions": page.receptions.iter().map(|r| reception_to_json(visit, r)).collect::<Vec<_>>(),
        "cursor": page.next.map(|next| next.to_string()),
        "is_cut_short": page.is_cut_short,
        "looked_at": page.looked_at,
    })
}

/// A reception as this visitor may see it: who connected, and bytes that tell a place, are the operator's.
fn reception_to_json(visit: &Visit, reception: &Reception) -> Json {
    let mut line = history::json::reception(reception);
    if let (false, Some(fields)) = (visit.sight.is_operator(), line.as_object_mut()) {
        for private in ["client_id", "username", "topic", "payload_hex", "would_have"] {
            fields.remove(private);
        }
    }
    line["said"] = history::said(reception, &visit.site.keyring).into();
    line
}

/// `GET /api/v1/packet/{from}/{id}`: one packet's story as its page tells it: receptions, rules, copies.
pub async fn packet(visit: Visit, Path((from, id)): Path<(String, String)>) -> Response {
    let wrong = |status: StatusCode, text: &str| answer(status, &json!({ "v": 1, "error": text }));
    let (Some(from), Some(id)) = (NodeNum::parse(&from), packet::parse_id(&id)) else {
        return wrong(StatusCode::BAD_REQUEST, "the address reads /api/v1/packet/!7c5a0a01/305419896");
    };
    let found = visit.site.archive.packet(from.0, id, visit.sight.clone()).await;
    let Ok(heard) = found else {
        return wrong(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the history cannot be read; the program's log says why",
        );
    };
    if heard.is_empty() {
        return wrong(StatusCode::NOT_FOUND, "there is no such packet here, or it is not public");
    }
    let story: Vec<Json> = heard
        .iter()
        .map(|(reception, release)| {
            let mut line = reception_to_json(&visit, reception);
            line["ladder"] = history::json::ladder(reception);
            line["copies"] = release.as_ref().map_or(json!([]), |release| copies_to_json(&visit, release));
            line
        })
        .collect();
    answer(StatusCode::OK, &json!({ "v": 1, "receptions": story }))
}

/// The copies that this visitor may know of: who reads along is the operator's.
fn copies_to_json(visit: &Visit, release: &Release) -> Json {
    let is_shown = |copy: &ReleasedCopy| visit.sight.is_operator() || copy.kind == ReceiverKind::Gateway;
    let copies = release.copies.iter().filter(|copy| is_shown(copy)).cloned().collect();
    history::json::copies(&Release { copies, ..release.clone() })
}

/// `GET /api/v1/complete?q=FILTER&at=N`: what may stand at the cursor. Places count UTF-16 units, as browsers do.
pub async fn completions(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let text = parameter(query.as_deref(), "q").unwrap_or_default();
    let at = parameter(query.as_deref(), "at").and_then(|at| at.parse().ok()).unwrap_or(usize::MAX);
    if text.len() > query::TEXT_BYTES_MAX {
        return answer(StatusCode::OK, &json!({ "v": 1, "completions": [] }));
    }
    let names = visit.node_names();
    let (gateways, channels) = visit.heard();
    let vocabulary = Vocabulary {
        names: &names,
        gateways: &gateways,
        channels: &channels,
        islands: &[],
        is_operator: visit.sight.is_operator(),
    };
    let found = complete(&text, bytes_of_units(&text, at), &vocabulary);
    let units = |at: usize| text[..at].encode_utf16().count();
    let found: Vec<Json> = (found.into_iter())
        .map(|c| {
            let (start, end) = (units(c.replaces.start), units(c.replaces.end));
            json!({ "start": start, "end": end, "text": c.text, "help": c.help })
        })
        .collect();
    answer(StatusCode::OK, &json!({ "v": 1, "completions": found }))
}

/// The byte at which so many UTF-16 units end; the end when there are fewer.
fn bytes_of_units(text: &str, units: usize) -> usize {
    let mut count = 0;
    for (at, c) in text.char_indices() {
        if count >= units {
            return at;
        }
        count += c.len_utf16();
    }
    text.len()
}

fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

fn refused(problems: &[Problem]) -> Response {
    let problems: Vec<Json> = (problems.iter())
        .map(|p| json!({ "start": p.span.start, "end": p.span.end, "message": p.message, "instead": p.instead }))
        .collect();
    answer(StatusCode::BAD_REQUEST, &json!({ "v": 1, "problems": problems }))
}

fn answer(status: StatusCode, body: &Json) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
