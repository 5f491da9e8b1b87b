//! `/metrics` for Prometheus.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::prometheus;
use crate::site::Visit;
use crate::visibility::Visitor;

/// `GET /metrics`: for the operator, and for the networks that the operator has named.
pub async fn metrics(visit: Visit) -> Response {
    let address = visit.address.to_canonical();
    let is_near = visit.site.info.metrics_from.iter().any(|network| network.contains(&address));
    if !is_near && visit.sight.visitor != Visitor::Operator {
        let text = "metrics are for the operator, and for the networks in `web.metrics_from`\n";
        return (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
            .into_response();
    }
    let Some(snapshot) = visit.site.snapshot().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the broker does not answer\n").into_response();
    };
    let history = (visit.site.history_health)();
    let alerts = visit.site.alerts.as_ref().map(|desk| desk.board());
    let bridges = (visit.site.bridges)();
    let started_ms = visit.site.info.started_ms;
    let text = prometheus::text(&snapshot, &history, &bridges, alerts.as_ref(), started_ms);
    ([(header::CONTENT_TYPE, prometheus::MEDIA_TYPE)], text).into_response()
}
