//! Incidents and replays: what people said about the past, and what of it is put back.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use directory::Incident;
use history::Totals;
use mesh::node::NodeNum;
use policy::decision::Verdict;
use serde_json::{Map, Value as Json, json};

use super::{answer, unreadable, wrong};
use crate::pages::incident::{Counts, archive_of, find};
use crate::pages::{incidents, replays};
use crate::site::Visit;

/// `GET /api/v1/incidents`
pub async fn incidents(visit: Visit, asked: HeaderMap) -> Response {
    let Ok(found) = incidents::seen_by(&visit).await else { return unreadable() };
    let told: Vec<Json> = found.iter().map(|incident| one(&visit, incident)).collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "incidents": told }))
}

/// `GET /api/v1/incidents/{number}`
pub async fn incident(visit: Visit, Path(number): Path<String>, asked: HeaderMap) -> Response {
    let Some(found) = find(&visit, &number).await else {
        return wrong(StatusCode::NOT_FOUND, "there is no such incident, or it is not public");
    };
    let Ok(other) = archive_of(&visit, &found) else { return unreadable() };
    let archive = other.as_ref().unwrap_or(&visit.site.archive);
    let Ok(counts) = Counts::of(archive, &found, visit.now_ms).await else { return unreadable() };
    let [before, during, after] = counts.map_or([None, None, None], |counts| counts.of);
    let mut told = one(&visit, &found);
    let totals = |totals: Option<Totals>| totals.as_ref().map(totals_told);
    told["counts"] = json!({ "before": totals(before), "during": totals(during), "after": totals(after) });
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "incident": told }))
}

fn one(visit: &Visit, incident: &Incident) -> Json {
    let form = &incident.form;
    let mut told = json!({
        "number": incident.number,
        "title": form.title,
        "notes": form.notes,
        "since_ms": form.since_ms,
        "until_ms": form.until_ms,
        "closed_ms": incident.closed_ms,
    });
    if visit.sight.is_operator() {
        told["is_public"] = form.is_public.into();
        told["is_pinned"] = form.is_pinned.into();
        told["made_ms"] = incident.made_ms.into();
        told["made_by"] = incident.made_by.clone().into();
        told["archive"] = incident.archive.clone().into();
    }
    told
}

fn totals_told(totals: &Totals) -> Json {
    let by_verdict: Map<String, Json> = Verdict::ALL
        .iter()
        .zip(totals.by_verdict)
        .map(|(verdict, count)| (verdict.word().to_owned(), count.into()))
        .collect();
    let by_gateway: Map<String, Json> = totals
        .by_gateway
        .iter()
        .map(|(number, count)| (NodeNum(*number).to_string(), (*count).into()))
        .collect();
    json!({
        "receptions": totals.receptions,
        "packets": totals.packets,
        "nodes": totals.nodes,
        "airtime_ms": totals.airtime_us / 1_000,
        "by_verdict": by_verdict,
        "by_gateway": by_gateway,
    })
}

/// `GET /api/v1/replays`
pub async fn replays(visit: Visit, asked: HeaderMap) -> Response {
    if !visit.sight.is_operator() {
        return wrong(StatusCode::FORBIDDEN, "sign in as an observer or operator to see replays");
    }
    let Ok((replays, progresses)) = replays::all(&visit).await else { return unreadable() };
    let told: Vec<Json> = replays
        .iter()
        .map(|replay| {
            let (order, progress) =
                (&replay.order, progresses.get(&replay.number).cloned().unwrap_or_default());
            json!({
                "number": replay.number,
                "topics": format!("replay/{}/#", replay.number),
                "state": replay.state.word(),
                "since_ms": order.since_ms,
                "until_ms": order.until_ms,
                "q": order.filter,
                "archive": order.archive,
                "speed": f64::from(order.speed) / 1000.0,
                "has_json": order.with_json,
                "receptions": progress.receptions,
                "messages": progress.messages,
                "position_ms": (progress.receptions > 0).then_some(progress.position_ms),
                "problem": progress.problem,
                "made_ms": replay.made_ms,
                "made_by": replay.made_by,
            })
        })
        .collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "replays": told }))
}
