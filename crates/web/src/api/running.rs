//! How the mesh is run: islands and their airtime, grants, holds, doubts, requests, retention.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use broker::{Board, GatewayBoard, IslandBoard, Share};
use directory::Grant;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::downlink::class::Class;
use policy::memory::holds::{Held, Hold};
use serde_json::{Map, Value as Json, json};

use super::{answer, unreadable, wrong};
use crate::pages::retention;
use crate::site::Visit;

fn id(node: u32) -> String {
    NodeNum(node).to_string()
}

fn for_operators() -> Response {
    wrong(StatusCode::FORBIDDEN, "sign in as an observer or operator, or send a token that may `read`")
}

fn silent() -> Response {
    wrong(StatusCode::SERVICE_UNAVAILABLE, "the broker does not answer; try again shortly")
}

/// `GET /api/v1/islands`
pub async fn islands(visit: Visit, asked: HeaderMap) -> Response {
    let Some(board) = visit.site.board().await else { return silent() };
    let islands: Vec<Json> = board.islands.iter().map(island).collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "islands": islands, "withheld": withheld(&board) }))
}

fn island(island: &IslandBoard) -> Json {
    let by_class: Map<String, Json> = Class::ALL
        .into_iter()
        .map(|class| (class.word().to_owned(), (island.by_class[usize::from(class.code())] / 1_000).into()))
        .collect();
    json!({
        "island": id(island.island),
        "is_stopped": island.is_stopped,
        "utilisation_percent": island.utilisation_percent,
        "downlink": share(island.all),
        "downlink_ms_by_class": by_class,
        "gateways": island.gateways.iter().map(gateway).collect::<Vec<_>>(),
    })
}

fn gateway(gateway: &GatewayBoard) -> Json {
    let waiting: Map<String, Json> = Class::ALL
        .into_iter()
        .zip(gateway.waiting)
        .filter_map(|(class, waiting)| Some((class, waiting?)))
        .map(|(class, waiting)| {
            (class.word().to_owned(), json!({ "copies": waiting.copies, "oldest_ms": waiting.oldest_ms }))
        })
        .collect();
    json!({
        "gateway": id(gateway.gateway),
        "is_connected": gateway.is_connected,
        "downlink": share(gateway.share),
        "waiting": waiting,
        "hears_same_as": gateway.in_common.map(|common| id(common.with)),
    })
}

/// Airtime of the last hour.
fn share(share: Share) -> Json {
    json!({ "used_ms": share.used_us / 1_000, "limit_ms": share.limit_us / 1_000 })
}

fn withheld(board: &Board) -> Map<String, Json> {
    board.withheld.iter().map(|(rule, copies)| (rule.name().to_owned(), (*copies).into())).collect()
}

/// `GET /api/v1/grants`
pub async fn grants(visit: Visit, asked: HeaderMap) -> Response {
    if !visit.sight.is_operator() {
        return for_operators();
    }
    let Some(directory) = visit.site.account.directory().await else { return unreadable() };
    let grants = &directory.grants().gateways;
    let told: Vec<Json> =
        grants.iter().map(|(gateway, grant)| one_grant(gateway.0, grant, visit.now_ms)).collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "grants": told }))
}

fn one_grant(gateway: u32, grant: &Grant, now_ms: i64) -> Json {
    json!({
        "gateway": id(gateway),
        "holds": grant.holds_at(now_ms),
        "channels": grant.channels,
        "downlink": grant.downlink,
        "downlink_channels": grant.downlink_channels,
        "downlink_ms_per_hour": grant.downlink_ms,
        "telemetry": grant.telemetry,
        "telemetry_ms_per_hour": grant.telemetry_ms,
        "ports": grant.ports.iter().map(|port| PortNum(*port).word().into_owned()).collect::<Vec<_>>(),
        "since_ms": grant.since_ms,
        "until_ms": grant.until_ms,
        "by": grant.by,
        "note": grant.note,
    })
}

/// `GET /api/v1/holds`
pub async fn holds(visit: Visit, asked: HeaderMap) -> Response {
    if !visit.sight.is_operator() {
        return for_operators();
    }
    let Some(board) = visit.site.board().await else { return silent() };
    let told: Vec<Json> = board.held.iter().map(|(held, hold)| one_hold(*held, hold)).collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "holds": told }))
}

fn one_hold(held: Held, hold: &Hold) -> Json {
    let (kind, number) = match held {
        Held::Gateway(number) => ("gateway", number),
        Held::Node(number) => ("node", number),
    };
    json!({
        "kind": kind,
        "id": id(number),
        "since_ms": hold.from_ms,
        "until_ms": hold.until_ms,
        "level": hold.level,
        "rule": hold.evidence.rule.name(),
        "objections": hold.evidence.objections,
    })
}

/// `GET /api/v1/watch`
pub async fn watch(visit: Visit, asked: HeaderMap) -> Response {
    if !visit.sight.is_operator() {
        return for_operators();
    }
    let Some(watching) = visit.site.watching().await else { return silent() };
    let moved = watching.moved.iter().map(|(gateway, moved)| json!({ "gateway": id(*gateway), "at_ms": moved.at_ms, "told_by": moved.why.word() }));
    let marked = watching.marked.iter().map(|(node, evidence)| {
        let marks = evidence.iter().map(|one| {
            json!({ "mark": one.finding.mark().rule().name(), "first_ms": one.first_ms, "last_ms": one.last_ms, "times": one.times })
        });
        json!({ "node": id(*node), "marks": marks.collect::<Vec<_>>() })
    });
    let quarantined = watching.quarantined.iter().map(|(node, quarantine)| {
        json!({ "node": id(*node), "since_ms": quarantine.since_ms, "reason": quarantine.reason })
    });
    let told = json!({
        "v": 1,
        "moved": moved.collect::<Vec<_>>(),
        "marked": marked.collect::<Vec<_>>(),
        "quarantined": quarantined.collect::<Vec<_>>(),
    });
    answer(&asked, StatusCode::OK, &told)
}

/// `GET /api/v1/requests`
pub async fn requests(visit: Visit, asked: HeaderMap) -> Response {
    if !visit.sight.is_operator() {
        return for_operators();
    }
    let Ok(requests) = visit.site.account.at_the_desk(|store| store.requests()).await else {
        return unreadable();
    };
    let told: Vec<Json> = requests
        .iter()
        .map(|request| {
            let form = &request.form;
            // How to reach people stays on the page.
            json!({
                "number": request.number,
                "kind": form.kind.word(),
                "node": form.node.to_string(),
                "state": request.state.word(),
                "place": form.place,
                "is_fixed": form.is_fixed,
                "channels": form.channels,
                "wants_downlink": form.wants_downlink,
                "wants_telemetry": form.wants_telemetry,
                "asked_ms": request.asked_ms,
                "decided_ms": request.decided_ms,
                "decided_by": request.decided_by,
            })
        })
        .collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "requests": told }))
}

/// `GET /api/v1/retention`
pub async fn retention(visit: Visit, asked: HeaderMap) -> Response {
    match retention::told(&visit).await {
        Ok(told) => answer(&asked, StatusCode::OK, &told),
        Err(_) => unreadable(),
    }
}
