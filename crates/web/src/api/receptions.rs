//! Receptions by filter, and one packet's story: the log for programs, by the same filters and for the same eyes as the page.

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use history::Page;
use mesh::node::NodeNum;
use query::Problem;
use record::{ReceiverKind, Reception, Release, ReleasedCopy};
use serde_json::{Value as Json, json};

use super::{answer, parameter, refused, unreadable, wrong};
use crate::filter::View;
use crate::pages::packet;
use crate::site::Visit;

/// Receptions in one answer unless asked otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// `GET /api/v1/receptions?q=FILTER&limit=N&cursor=PLACE`
pub async fn receptions(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
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
        Ok(page) => answer(&asked, StatusCode::OK, &page_to_json(&visit, &view, &page)),
        Err(_) => unreadable(),
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
pub(super) fn reception_to_json(visit: &Visit, reception: &Reception) -> Json {
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
pub async fn packet(visit: Visit, asked: HeaderMap, Path((from, id)): Path<(String, String)>) -> Response {
    let (Some(from), Some(id)) = (NodeNum::parse(&from), packet::parse_id(&id)) else {
        return wrong(StatusCode::BAD_REQUEST, "the address reads /api/v1/packet/!7c5a0a01/305419896");
    };
    let found = visit.site.archive.packet(from.0, id, visit.sight.clone()).await;
    let Ok(heard) = found else {
        return unreadable();
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
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "receptions": story }))
}

/// The copies that this visitor may know of: who reads along is the operator's.
fn copies_to_json(visit: &Visit, release: &Release) -> Json {
    let is_shown = |copy: &ReleasedCopy| visit.sight.is_operator() || copy.kind == ReceiverKind::Gateway;
    let copies = release.copies.iter().filter(|copy| is_shown(copy)).cloned().collect();
    history::json::copies(&Release { copies, ..release.clone() })
}
