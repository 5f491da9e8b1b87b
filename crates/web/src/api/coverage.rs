//! Coverage, links and places as GeoJSON.

use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use insight::{coverage, geojson};
use serde_json::{Value as Json, json};

use super::answer;
use crate::pages::links::chosen;
use crate::pages::survey_frame::Asked;
use crate::site::Visit;
use crate::surveys::Surveyed;

/// `GET /api/v1/coverage`
pub async fn hexagons(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
    told(visit, &asked, query, |question, visit, surveyed| {
        let wanted = crate::pages::coverage::wanted(question, &visit.sight);
        geojson::hexagons(&coverage::hexagons(&surveyed.survey, wanted))
    })
    .await
}

/// `GET /api/v1/links`
pub async fn links(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
    told(visit, &asked, query, |question, _, surveyed| {
        geojson::links(&surveyed.survey, &chosen(question, &surveyed.survey))
    })
    .await
}

/// `GET /api/v1/places`
pub async fn places(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
    told(visit, &asked, query, |_, visit, surveyed| {
        visit.with_nodes(|nodes| {
            let name = |node| nodes.names.of(node, nodes.visitor).map(|name| name.shown().to_owned());
            geojson::nodes(&surveyed.survey, &name)
        })
    })
    .await
}

async fn told(
    visit: Visit,
    asked: &HeaderMap,
    query: Option<String>,
    features: impl FnOnce(&Asked, &Visit, &Surveyed) -> Vec<Json>,
) -> Response {
    let question = Asked::parse(&visit, query.as_deref());
    let site = &visit.site;
    let Ok(surveyed) = site.surveys.of(&site.archive, question.window, &visit.sight, visit.now_ms).await
    else {
        return super::unreadable();
    };
    let mut told = geojson::collection(features(&question, &visit, &surveyed));
    if let Json::Object(told) = &mut told {
        told.insert("v".into(), json!(1));
        told.insert("since_ms".into(), json!(surveyed.walked.since_ms));
        told.insert("until_ms".into(), json!(question.window.until_ms));
        told.insert("is_cut_short".into(), json!(surveyed.walked.is_cut_short));
    }
    answer(asked, StatusCode::OK, &told)
}
