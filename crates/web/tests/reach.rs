//! Somebody sends a code and watches who hears it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use std::net::IpAddr;

use axum::http::StatusCode;
use town::browser::{Stream, get, get_as, sign_in, tell};
use town::{ANA, Copy, HERMIT, ROUTER_1, ROUTER_2, Town};

fn code_in(body: &str) -> String {
    body.split("/reach/").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_is_watched_for_and_its_page_shared() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c1", IpAddr::from([198, 51, 100, 1]));
    let two = town.gateway(ROUTER_2, "o", "c2", IpAddr::from([198, 51, 100, 2]));
    let pages = town.pages().await;
    let code = code_in(&get(&pages, "/reach").await.body);
    assert_ne!(code, code_in(&get(&pages, "/reach").await.body), "each visitor has a code of their own");
    let address = format!("/reach/{code}");
    assert!(get(&pages, &address).await.body.contains("Waiting for a text with"));

    let mut live = Stream::open(&pages, &format!("{address}/live"), None).await;
    let sent = Copy::text(ANA, 7, &format!("{} test", code.to_lowercase()));
    tell(&pages, &mut town, one, &sent);
    let told = live.next().await;
    assert!(told.contains("Heard by") && told.contains("7c5a0a01"), "{told}");
    town.wait_ms(1_500);
    tell(&pages, &mut town, two, &sent.after(2, -118, -9.5, 1));
    let page = get(&pages, &address).await.body;
    assert!(page.contains("<strong>2 gateways</strong>, 1 of them directly"), "{page}");
    for part in ["direct", "2 hops", "−9.5 dB", "1.5 s", "/packet/!4f2100aa/7"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn who_did_not_agree_is_shown_to_the_operator_only_and_nothing_but_codes_is_looked_for() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c1", IpAddr::from([198, 51, 100, 1]));
    town.hear(one, &Copy::text(HERMIT, 9, "KC-AAAAAA").opted_out());
    let pages = town.pages().await;
    let public = get(&pages, "/reach/KC-AAAAAA").await.body;
    assert!(public.contains("Waiting for") && !public.contains("4f2100ee"), "{public}");
    let cookie = sign_in(&pages, &mut town).await;
    assert!(get_as(&pages, &cookie, "/reach/KC-AAAAAA").await.body.contains("4f2100ee"));
    for wrong in ["/reach/hello", "/reach/KC-AAAAA", "/reach/KC-aaaaaa", "/reach/hello/live"] {
        assert_eq!(get(&pages, wrong).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
}
