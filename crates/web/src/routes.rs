//! The site map: every address with who may ask for it, from the least to the most. The router is made of it, and a
//! golden list (`tests/routes.txt`) holds it, so that no address comes to be without somebody having looked at its role.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::compression::CompressionLayer;

use crate::pages::{
    about, airtime, alerts, api_guide, bridges, channels, chat, check, compare, consent, coverage, downlink,
    embed, erasure, export, feeds, forget, gateway, gateway_own, gateways, grants, health, incident,
    incidents, join, links, log, login, map, metrics, misconfigured, node, nodes, packet, people, policy,
    policy_change, reach, replays, requests, retention, settings, setup, status, tokens, topology,
    traceroutes, trouble, watch, wiki,
};
use crate::route::{Route, get, post};
use crate::site::Site;
use crate::who::Needs::{Admin, Nothing, Observer, Operator, Owner};
use crate::{api, assets, live, mqtt_upgrade, security};

/// Forms hold a password and a code.
const FORM_BYTES_MAX: usize = 4096;

/// Every address of the site.
pub fn site_map() -> Vec<Route> {
    let mut routes = vec![
        get("/", Nothing, status::page),
        get("/log", Nothing, log::page),
        get("/packet/{from}/{id}", Nothing, packet::page),
        get("/channels", Nothing, channels::page),
        post("/channels", Operator, channels::make),
        get("/chat", Nothing, chat::page),
        get("/chat/live", Nothing, chat::stream),
        get("/gateways", Nothing, gateways::page),
        get("/gateways/live", Nothing, gateways::stream),
        get("/gateway/{id}", Nothing, gateway::page),
        get("/nodes", Nothing, nodes::page),
        get("/node/{id}", Nothing, node::page),
        post("/node/{id}/{action}", Operator, watch::decided),
        get("/map", Nothing, map::page),
        get("/coverage", Nothing, coverage::page),
        get("/links", Nothing, links::page),
        get("/compare", Nothing, compare::page),
        get("/traceroutes", Nothing, traceroutes::page),
        get("/topology", Nothing, topology::page),
        get("/export", Observer, export::file),
        get("/reach", Nothing, reach::page),
        get("/reach/{code}", Nothing, reach::watch),
        get("/reach/{code}/live", Nothing, reach::stream),
        get("/incidents", Nothing, incidents::page),
        post("/incidents", Operator, incidents::mark).up_to(incidents::FORM_BYTES_MAX),
        get("/incident/{number}", Nothing, incident::page),
        post("/incident/{number}", Operator, incident::command).up_to(incidents::FORM_BYTES_MAX),
        get("/replays", Observer, replays::page),
        post("/replays", Operator, replays::order).up_to(replays::FORM_BYTES_MAX),
        get("/replays/live", Observer, replays::stream),
        post("/replay/{number}", Operator, replays::steer),
        get("/misconfigured", Observer, misconfigured::page),
        get("/watch", Observer, watch::page),
        get("/policy", Nothing, policy::page),
        get("/policy/change", Observer, policy_change::page),
        post("/policy/backtest", Observer, policy_change::begin).up_to(policy_change::FORM_BYTES_MAX),
        get("/policy/backtest/{id}", Observer, policy_change::result),
        post("/policy/apply", Operator, policy_change::apply),
        get("/check", Nothing, check::page),
        post("/check", Nothing, check::check).up_to(check::FORM_BYTES_MAX),
        get("/alerts", Observer, alerts::page),
        post("/alerts", Operator, alerts::command),
        get("/airtime", Nothing, airtime::page),
        post("/airtime", Operator, airtime::command),
        get("/airtime/live", Nothing, airtime::stream),
        get("/grants", Observer, grants::page),
        post("/grants", Operator, grants::command),
        get("/forget", Nothing, forget::page),
        post("/forget", Nothing, forget::ask),
        get("/erasure", Operator, erasure::page),
        post("/erasure", Operator, erasure::command),
        get("/erasure/{number}", Operator, erasure::receipt),
        get("/retention", Nothing, retention::page),
        get("/.well-known/backhaul-retention.json", Nothing, retention::json),
        get("/bridges", Observer, bridges::page),
        get("/consent", Observer, consent::page),
        get("/consent.json", Observer, consent::json),
        get("/downlink", Observer, downlink::page),
        post("/downlink", Operator, downlink::command),
        get("/join", Nothing, join::page),
        post("/join", Nothing, join::ask).up_to(join::FORM_BYTES_MAX),
        get("/request", Nothing, join::look_page),
        post("/request", Nothing, join::look).up_to(join::FORM_BYTES_MAX),
        get("/mine", Owner, gateway_own::mine),
        post("/mine", Owner, gateway_own::change_mine),
        get("/mine/data.jsonl", Owner, gateway_own::data),
        get("/gateway/{id}/checklist", Owner, gateway_own::checklist),
        get("/gateway/{id}/checklist/live", Owner, gateway_own::checklist_stream),
        get("/requests", Observer, requests::page),
        post("/requests", Operator, requests::decide),
        get("/tokens", Operator, tokens::page),
        post("/tokens", Operator, tokens::command),
        get("/people", Admin, people::page),
        post("/people", Admin, people::command),
        get("/login", Nothing, login::page),
        post("/login", Nothing, login::sign_in),
        post("/logout", Nothing, login::sign_out),
        get("/setup", Nothing, setup::page),
        post("/setup", Nothing, setup::set_up),
        get("/live", Nothing, live::log_stream),
        get("/live/status", Nothing, live::status_stream),
        get("/policy.md", Nothing, wiki::policy),
        get("/retention.md", Nothing, wiki::retention),
        get("/checklist.md", Nothing, wiki::checklist),
        get("/join.md", Nothing, wiki::join),
        get("/feeds/nodes.geojson", Nothing, feeds::nodes),
        get("/feeds/status.atom", Nothing, feeds::happened),
        get("/embed/map", Nothing, embed::page),
        get("/about", Nothing, about::page),
        get("/settings", Observer, settings::page),
        get("/api", Nothing, api_guide::page),
        get("/mqtt", Nothing, mqtt_upgrade::upgrade),
        get("/healthz", Nothing, health::health),
        get("/metrics", Nothing, metrics::metrics),
        get("/robots.txt", Nothing, health::robots),
        get("/assets/{file}", Nothing, assets::asset),
    ];
    routes.extend(api::routes());
    routes.extend(api::commands::routes());
    routes
}

/// The site map as a router, each address behind its gate.
pub fn router(site: Arc<Site>) -> Router {
    site_map()
        .into_iter()
        .fold(Router::new(), |router, route| route.onto(&site, router))
        .fallback(trouble::no_such_page)
        .method_not_allowed_fallback(trouble::wrong_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(site.clone(), api::door::guard))
        .layer(from_fn(security::refuse_foreign_posts))
        .layer(from_fn(security::add_headers))
        .layer(CompressionLayer::new())
        .with_state(site)
}
