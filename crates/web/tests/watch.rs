//! Marks, quarantine and moved gateways on the pages: who sees them, and who decides.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod town;

use std::net::IpAddr;

use axum::http::{StatusCode, header};
use mesh::node::NodeNum;
use town::browser::{get, get_as, post_as, sign_in};
use town::{ANA, Client, Copy, ROUTER_1, Town, position};

fn with_key(id: u32, key: u8) -> Copy {
    let (port, payload) = mesh::compose::nodeinfo_with_key(NodeNum(ANA), "Ana", "ANA", 43, 0, &[key; 32]);
    Copy::new(ANA, id, port, payload)
}

/// The gateway tells where it is.
fn tells(town: &mut Town, gateway: Client, id: u32, latitude_i: i32) {
    town.hear(gateway, &Copy { rssi: 0, snr: 0.0, ..position(ROUTER_1, id, latitude_i, -944_191_457, 32) });
    town.wait_ms(3_600_000);
}

/// Ana has two keys, and the router was carried away.
fn doubtful_town() -> Town {
    let mut town = Town::new();
    let router = town.gateway(ROUTER_1, "o", "!7c5a0a01", IpAddr::from([198, 51, 100, 1]));
    town.hear(router, &with_key(1, 7));
    town.hear(router, &with_key(2, 8));
    tells(&mut town, router, 3, 392_468_123);
    tells(&mut town, router, 4, 393_468_123);
    tells(&mut town, router, 5, 393_468_123);
    town
}

#[tokio::test]
async fn only_the_operator_sees_marks_and_decides() {
    let mut town = doubtful_town();
    let pages = town.pages().await;
    let public = get(&pages, "/node/!4f2100aa").await.body;
    assert!(!public.contains("two-keys") && !public.contains("Put into quarantine"), "{public}");
    assert_eq!(get(&pages, "/watch").await.status, StatusCode::NOT_FOUND);
    let refused = post_as(&pages, "", "/node/!4f2100aa/quarantine", "reason=no").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert!(!get(&pages, "/node/!4f2100aa").await.body.contains("In quarantine"));
    let cookie = sign_in(&pages, &mut town).await;
    let page = get_as(&pages, &cookie, "/node/!4f2100aa").await.body;
    assert!(page.contains("two-keys") && page.contains("shown another public key before"), "{page}");
}

#[tokio::test]
async fn a_node_is_put_into_quarantine_and_released() {
    let mut town = doubtful_town();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let quarantine = || post_as(&pages, &cookie, "/node/!4f2100aa/quarantine", "reason=copied+%3Ckey%3E");
    assert_eq!(quarantine().await.headers[header::LOCATION], "/node/!4f2100aa#identity");
    let page = get_as(&pages, &cookie, "/node/!4f2100aa").await.body;
    assert!(page.contains("copied &lt;key&gt;") && page.contains("Release from quarantine"));
    let public = get(&pages, "/node/!4f2100aa").await.body;
    assert!(public.contains("In quarantine") && !public.contains("copied"), "the reason is the operator's");
    assert!(get_as(&pages, &cookie, "/watch").await.body.contains("copied &lt;key&gt;"));
    let again = quarantine().await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.body.contains("already in quarantine"));
    post_as(&pages, &cookie, "/node/!4f2100aa/release", "").await;
    assert!(!get(&pages, "/node/!4f2100aa").await.body.contains("In quarantine"));
}

#[tokio::test]
async fn a_moved_gateway_is_told_to_its_owner_without_the_distance_and_reviewed_by_the_operator() {
    let mut town = doubtful_town();
    let pages = town.pages().await;
    let public = get(&pages, "/node/!7c5a0a01").await.body;
    assert!(public.contains("No downlink.") && public.contains("elsewhere than before"), "{public}");
    assert!(!public.contains(" km from where it was"));
    let cookie = sign_in(&pages, &mut town).await;
    let watch = get_as(&pages, &cookie, "/watch").await.body;
    assert!(watch.contains("at least 11 km from where it was"), "{watch}");
    post_as(&pages, &cookie, "/node/!7c5a0a01/review", "").await;
    assert!(!get(&pages, "/node/!7c5a0a01").await.body.contains("No downlink."));
    assert!(get_as(&pages, &cookie, "/watch").await.body.contains("is where it was"));
}
