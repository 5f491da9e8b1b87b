//! Traceroutes, and what sets two gateways or two times apart.

use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use insight::LinkKey;
use insight::compare::{self, Sides};
use insight::traceroute::Hop;
use mesh::node::NodeNum;
use serde_json::{Value as Json, json};

use super::{answer, unreadable};
use crate::pages::links::known_by;
use crate::pages::survey_frame::Asked;
use crate::site::Visit;
use crate::surveys;

/// Traceroutes in one answer.
const ROUTES_MAX: usize = 1_000;

/// `GET /api/v1/traceroutes`
pub async fn traceroutes(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let question = Asked::parse(&visit, query.as_deref());
    let site = &visit.site;
    let Ok(surveyed) = site.surveys.of(&site.archive, question.window, &visit.sight, visit.now_ms).await
    else {
        return unreadable();
    };
    let routes: Vec<Json> = surveyed
        .survey
        .routes()
        .into_iter()
        .take(ROUTES_MAX)
        .map(|traced| {
            json!({
                "at_ms": traced.at_ms,
                "asked": id(traced.asked),
                "wanted": id(traced.wanted),
                "is_answer": traced.is_answer,
                "there": traced.route.there.iter().map(hop).collect::<Vec<_>>(),
                "back": traced.route.back.iter().map(hop).collect::<Vec<_>>(),
            })
        })
        .collect();
    let told = json!({
        "v": 1,
        "since_ms": surveyed.walked.since_ms,
        "until_ms": question.window.until_ms,
        "is_cut_short": surveyed.walked.is_cut_short,
        "traceroutes": routes,
    });
    answer(&asked, StatusCode::OK, &told)
}

/// `GET /api/v1/compare`
pub async fn windows(visit: Visit, asked: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let question = Asked::parse(&visit, query.as_deref());
    let earlier = question.before();
    let (site, sight) = (&visit.site, &visit.sight);
    let later = site.surveys.of(&site.archive, question.window, sight, visit.now_ms).await;
    let before = site.surveys.of(&site.archive, earlier.window, sight, visit.now_ms).await;
    let (Ok(later), Ok(before)) = (later, before) else { return unreadable() };
    let change = compare::windows(&before.survey, &later.survey);
    let pair = question.node("a").zip(question.node("b")).filter(|(a, b)| a != b);
    let gateways = match pair {
        None => None,
        Some(pair) => match surveys::gateways(&site.archive, pair, question.window, sight).await {
            Ok((gateways, _)) => Some(sides(&gateways.sums().0)),
            Err(_) => return unreadable(),
        },
    };
    let told = json!({
        "v": 1,
        "since_ms": question.window.since_ms,
        "until_ms": question.window.until_ms,
        "before_since_ms": earlier.window.since_ms,
        "is_cut_short": later.walked.is_cut_short || before.walked.is_cut_short,
        "gained": change.gained.iter().map(link).collect::<Vec<_>>(),
        "lost": change.lost.iter().map(link).collect::<Vec<_>>(),
        "margin": change.margin.iter().map(|(key, by)| {
            let mut told = link(key);
            told["change_db"] = json!(by);
            told
        }).collect::<Vec<_>>(),
        "orphaned": change.orphaned.iter().map(|node| id(*node)).collect::<Vec<_>>(),
        "gateways": gateways,
    });
    answer(&asked, StatusCode::OK, &told)
}

fn id(node: u32) -> String {
    NodeNum(node).to_string()
}

fn link(key: &LinkKey) -> Json {
    json!({ "heard": id(key.from), "by": id(key.to), "known_by": known_by(key.source) })
}

fn hop(hop: &Hop) -> Json {
    // Nobody has the number of everyone: such a hop told no name.
    let known = |node: u32| (node != u32::MAX).then(|| id(node));
    json!({ "from": known(hop.from), "to": known(hop.to), "snr_db": hop.snr_quarters.map(|quarters| f64::from(quarters) / 4.0) })
}

fn sides(sides: &Sides) -> Json {
    json!({
        "both": sides.both,
        "only_a": sides.only_a,
        "only_b": sides.only_b,
        "measured": sides.measured,
        "a_better_by_db": sides.difference_db(),
    })
}
