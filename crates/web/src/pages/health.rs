//! `/healthz` for monitors and `/robots.txt` for crawlers.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::site::Visit;

/// `GET /healthz`: 200 while packets are carried and kept, else 503 with what is wrong.
pub async fn health(visit: Visit) -> Response {
    let text = || [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let unwell = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, text(), why).into_response();
    if visit.site.snapshot().await.is_none() {
        return unwell("the broker does not answer\n");
    }
    if (visit.site.history_health)().is_stalled() {
        return unwell("the history cannot store\n");
    }
    (text(), "ok\n").into_response()
}

/// `GET /robots.txt`: the status may be found, people's messages may not.
pub async fn robots() -> Response {
    let rules = "User-agent: *\nAllow: /$\nDisallow: /\n";
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], rules).into_response()
}
