//! What may stand at the cursor of a filter.

use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use query::{Vocabulary, complete};
use serde_json::{Value as Json, json};

use super::{answer, parameter};
use crate::site::{Visit, read};

/// `GET /api/v1/complete?q=FILTER&at=N`: what may stand at the cursor. Places count UTF-16 units, as browsers do.
pub async fn completions(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let text = parameter(query.as_deref(), "q").unwrap_or_default();
    let at = parameter(query.as_deref(), "at").and_then(|at| at.parse().ok()).unwrap_or(usize::MAX);
    if text.len() > query::TEXT_BYTES_MAX {
        return answer(&asked, StatusCode::OK, &json!({ "v": 1, "completions": [] }));
    }
    let names = visit.node_names();
    let (gateways, channels) = visit.heard();
    let islands = read(&visit.site.islands).clone();
    let vocabulary = Vocabulary {
        names: &names,
        gateways: &gateways,
        channels: &channels,
        islands: &islands,
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
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "completions": found }))
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
