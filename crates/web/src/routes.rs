//! The site map.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

use crate::pages::{
    alerts, api_guide, bridges, check, consent, downlink, health, log, login, metrics, node, packet, policy,
    policy_change, setup, status, trouble, watch,
};
use crate::site::Site;
use crate::{api, assets, live, mqtt_upgrade, security};

/// Forms hold a password and a code.
const FORM_BYTES_MAX: usize = 4096;

/// Every address of the site.
pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(status::page))
        .route("/log", get(log::page))
        .route("/packet/{from}/{id}", get(packet::page))
        .route("/node/{id}", get(node::page))
        .route("/node/{id}/{action}", post(watch::decided))
        .route("/watch", get(watch::page))
        .route("/policy", get(policy::page))
        .route("/policy/change", get(policy_change::page))
        .route(
            "/policy/backtest",
            post(policy_change::begin).layer(DefaultBodyLimit::max(policy_change::FORM_BYTES_MAX)),
        )
        .route("/policy/backtest/{id}", get(policy_change::result))
        .route("/policy/apply", post(policy_change::apply))
        .route(
            "/check",
            get(check::page).post(check::check).layer(DefaultBodyLimit::max(check::FORM_BYTES_MAX)),
        )
        .route("/alerts", get(alerts::page).post(alerts::try_target))
        .route("/bridges", get(bridges::page))
        .route("/consent", get(consent::page))
        .route("/consent.json", get(consent::json))
        .route("/downlink", get(downlink::page).post(downlink::command))
        .route("/login", get(login::page).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/setup", get(setup::page).post(setup::set_up))
        .route("/live", get(live::log_stream))
        .route("/live/status", get(live::status_stream))
        .route("/api", get(api_guide::page))
        .merge(api::router())
        .route("/mqtt", get(mqtt_upgrade::upgrade))
        .route("/healthz", get(health::health))
        .route("/metrics", get(metrics::metrics))
        .route("/robots.txt", get(health::robots))
        .route("/assets/{file}", get(assets::asset))
        .fallback(trouble::no_such_page)
        .method_not_allowed_fallback(trouble::wrong_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn(security::refuse_foreign_posts))
        .layer(from_fn(security::add_headers))
        .layer(CompressionLayer::new())
        .with_state(site)
}
