//! The network at this moment: gateways, nodes, channels, rules, bridges, alerts.

use automation::alert::board::{ShownFiring, ShownTarget};
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bridge::Status;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::decision::Verdict;
use policy::rule::{RULES, Stage};
use serde_json::{Map, Value as Json, json};

use super::{answer, unreadable, wrong};
use crate::activity::ByVerdict;
use crate::site::{Visit, read};

/// How far back a node's activity goes, ms.
const NODE_SINCE_MS: i64 = 7 * 86_400_000;

/// `GET /api/v1/status`
pub async fn status(visit: Visit, asked: HeaderMap) -> Response {
    let Some(snapshot) = visit.site.snapshot().await else { return silent() };
    let health = (visit.site.history_health)();
    let minutes = read(&visit.site.activity).minutes(visit.now_ms);
    let receptions = minutes.iter().fold([0; 4], |sum, minute| crate::activity::add(sum, minute.receptions));
    let connected = snapshot.clients.iter().filter(|c| c.is_connected && c.gateway.is_some()).count();
    let told = json!({
        "v": 1,
        "mesh": visit.site.info.mesh_name,
        "version": env!("CARGO_PKG_VERSION"),
        "started_ms": visit.site.info.started_ms,
        "gateways_connected": connected,
        "receptions_last_hour": by_verdict(receptions),
        "packets_last_hour": minutes.iter().map(|minute| u64::from(minute.packets)).sum::<u64>(),
        "is_downlink_stopped": snapshot.downlink.stopped_ms.is_some(),
        "is_history_stalled": health.is_stalled(),
    });
    answer(&asked, StatusCode::OK, &told)
}

/// `GET /api/v1/gateways`
pub async fn gateways(visit: Visit, asked: HeaderMap) -> Response {
    let Some(snapshot) = visit.site.snapshot().await else { return silent() };
    let hours = read(&visit.site.activity).gateways(visit.now_ms);
    let mut numbers: Vec<u32> = snapshot.clients.iter().filter_map(|client| client.gateway).collect();
    numbers.extend(hours.iter().map(|hour| hour.gateway));
    numbers.sort_unstable();
    numbers.dedup();
    let told: Vec<Json> = visit.with_nodes(|nodes| {
        numbers
            .iter()
            .map(|&number| {
                let clients = || snapshot.clients.iter().filter(|client| client.gateway == Some(number));
                let connected = clients().find(|client| client.is_connected);
                let hour = hours.iter().find(|hour| hour.gateway == number);
                json!({
                    "id": NodeNum(number).to_string(),
                    "name": nodes.names.of(number, nodes.visitor).map(|name| &*name.long),
                    "is_connected": connected.is_some(),
                    "since_ms": connected.or(clients().next()).map(|client| client.since_ms),
                    "last_heard_ms": hour.map(|hour| hour.last_ms),
                    "receptions_last_hour": by_verdict(hour.map_or([0; 4], |hour| hour.receptions)),
                })
            })
            .collect()
    });
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "gateways": told }))
}

/// `GET /api/v1/nodes`
pub async fn nodes(visit: Visit, asked: HeaderMap) -> Response {
    let mut names = visit.node_names();
    names.sort_by_key(|name| name.node);
    let told: Vec<Json> = names
        .iter()
        .map(|name| json!({ "id": NodeNum(name.node).to_string(), "long_name": name.long, "short_name": name.short }))
        .collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "nodes": told }))
}

/// `GET /api/v1/nodes/{id}`
pub async fn node(visit: Visit, asked: HeaderMap, Path(id): Path<String>) -> Response {
    let Some(node) = NodeNum::parse(&id).filter(|node| node.is_node()) else {
        return wrong(StatusCode::BAD_REQUEST, "the address reads /api/v1/nodes/!7c5a0a01");
    };
    let since_ms = visit.now_ms - NODE_SINCE_MS;
    let activity = match visit.site.archive.node(node.0, since_ms, visit.sight.clone()).await {
        Ok(Some(activity)) => activity,
        Ok(None) => return wrong(StatusCode::NOT_FOUND, "there is no such node here, or it is not public"),
        Err(_) => return unreadable(),
    };
    let name = visit.with_nodes(|nodes| {
        nodes.names.of(node.0, nodes.visitor).map(|name| (name.long.to_string(), name.short.to_string()))
    });
    let (long, short) = name.map_or((None, None), |(long, short)| (Some(long), Some(short)));
    let by_port: Map<String, Json> = activity
        .by_port
        .iter()
        .map(|(port, count)| {
            let name = port.map_or("unknown".to_owned(), |port| match PortNum(port).name() {
                Some(name) => name.to_owned(),
                None => port.to_string(),
            });
            (name, (*count).into())
        })
        .collect();
    let heard_by: Vec<Json> = activity
        .heard_by
        .iter()
        .map(|(gateway, (receptions, best_snr, last_ms))| {
            json!({
                "gateway": NodeNum(*gateway).to_string(), "receptions": receptions,
                "best_snr_db": best_snr.map(mesh::tree::float_to_json), "last_ms": last_ms,
            })
        })
        .collect();
    let told = json!({
        "v": 1, "id": node.to_string(), "long_name": long, "short_name": short, "since_ms": since_ms,
        "first_ms": activity.first_ms, "last_ms": activity.last_ms, "receptions_by_port": by_port,
        "heard_by": heard_by,
    });
    answer(&asked, StatusCode::OK, &told)
}

/// `GET /api/v1/channels`
pub async fn channels(visit: Visit, asked: HeaderMap) -> Response {
    let (_, channels) = visit.heard();
    let told: Vec<Json> = channels.into_iter().map(|name| json!({ "name": name })).collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "channels": told }))
}

/// `GET /api/v1/activity`
pub async fn activity(visit: Visit, asked: HeaderMap) -> Response {
    let minutes = read(&visit.site.activity).minutes(visit.now_ms);
    let first = visit.now_ms / 60_000 - minutes.len() as i64 + 1;
    let told: Vec<Json> = (first..)
        .zip(&minutes)
        .map(|(at, minute)| {
            json!({ "at_ms": at * 60_000, "packets": minute.packets, "receptions": by_verdict(minute.receptions) })
        })
        .collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "minutes": told }))
}

/// `GET /api/v1/rules`
pub async fn rules(visit: Visit, asked: HeaderMap) -> Response {
    let policy = (visit.site.policy)();
    let told: Vec<Json> = RULES
        .iter()
        .map(|rule| {
            let stage = if rule.stage == Stage::Uplink { "uplink" } else { "release" };
            json!({
                "name": rule.name, "stage": stage, "state": policy.state(rule.id).word(),
                "default": rule.default.word(), "sentence": rule.doc,
            })
        })
        .collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "rules": told }))
}

/// `GET /api/v1/bridges`
pub async fn bridges(visit: Visit, asked: HeaderMap) -> Response {
    if !visit.sight.is_operator() {
        return wrong(StatusCode::FORBIDDEN, "this is for the operator; sign in first");
    }
    let told: Vec<Json> = (visit.site.bridges)().iter().map(Status::to_json).collect();
    answer(&asked, StatusCode::OK, &json!({ "v": 1, "bridges": told }))
}

/// `GET /api/v1/alerts`
pub async fn alerts(visit: Visit, asked: HeaderMap) -> Response {
    if !visit.sight.is_operator() {
        return wrong(StatusCode::FORBIDDEN, "this is for the operator; sign in first");
    }
    let board = visit.site.alerts.as_ref().map(|desk| desk.board()).unwrap_or_default();
    let firing = |one: &ShownFiring| {
        json!({
            "rule": one.rule, "severity": one.severity.word(), "subject": one.subject,
            "node": one.node.map(|node| NodeNum(node).to_string()), "since_ms": one.since_ms, "about": one.about,
        })
    };
    let target = |one: &ShownTarget| {
        json!({
            "name": one.name, "kind": one.kind, "waiting": one.waiting, "arrived_ms": one.sent_ms,
            "trouble": one.problem,
        })
    };
    let told = json!({
        "v": 1,
        "firing": board.firing.iter().map(firing).collect::<Vec<_>>(),
        "targets": board.targets.iter().map(target).collect::<Vec<_>>(),
        "left_out": board.left_out, "lost": board.lost, "trouble": board.problem,
    });
    answer(&asked, StatusCode::OK, &told)
}

fn by_verdict(counts: ByVerdict) -> Json {
    let counts = Verdict::ALL.iter().zip(counts);
    counts
        .map(|(verdict, count)| (verdict.word().to_owned(), Json::from(count)))
        .collect::<Map<_, _>>()
        .into()
}

fn silent() -> Response {
    wrong(StatusCode::SERVICE_UNAVAILABLE, "the broker does not answer; try again shortly")
}
