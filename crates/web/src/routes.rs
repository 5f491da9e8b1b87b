//! The site map.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

use crate::pages::{health, log, login, metrics, node, packet, policy, setup, status, trouble};
use crate::site::Site;
use crate::{assets, live, mqtt_upgrade, security};

/// Forms hold a password and a code.
const FORM_BYTES_MAX: usize = 4096;

/// Every address of the site.
pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(status::page))
        .route("/log", get(log::page))
        .route("/packet/{from}/{id}", get(packet::page))
        .route("/node/{id}", get(node::page))
        .route("/policy", get(policy::page))
        .route("/login", get(login::page).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/setup", get(setup::page).post(setup::set_up))
        .route("/live", get(live::log_stream))
        .route("/live/status", get(live::status_stream))
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
