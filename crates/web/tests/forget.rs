//! The owner of a node asks for it to be forgotten, by a code that comes from it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use std::net::IpAddr;

use axum::http::StatusCode;
use directory::ErasureState;
use town::browser::{get, get_as, post, sign_in};
use town::{ANA, Copy, HERMIT, ROUTER_1, Town};

fn code_in(body: &str) -> String {
    let at = body.find("BYE-").unwrap();
    body[at..at + 12].to_owned()
}

#[tokio::test]
async fn who_has_the_node_asks_and_an_operator_confirms() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c1", IpAddr::from([198, 51, 100, 1]));
    let pages = town.pages().await;
    let page = get(&pages, "/forget?node=!4f2100ee").await.body;
    let code = code_in(&page);
    assert_eq!(code, code_in(&get(&pages, "/forget?node=!4f2100ee").await.body), "it stays for the day");
    assert_ne!(code, code_in(&get(&pages, "/forget?node=!4f2100aa").await.body), "each node has its own");

    let early = post(&pages, "/forget", "node=!4f2100ee").await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(early.body.contains("no gateway has brought the code") && early.body.contains(&code));
    // Another node cannot ask for it, whatever it sends.
    town.hear(one, &Copy::text(ANA, 1, &code));
    assert_eq!(post(&pages, "/forget", "node=!4f2100ee").await.status, StatusCode::CONFLICT);
    // Who does not agree to MQTT may be forgotten too; tomorrow is soon enough.
    town.hear(one, &Copy::text(HERMIT, 2, &code.to_lowercase()).opted_out());
    town.wait_ms(86_400_000);
    let asked = post(&pages, "/forget", "node=!4f2100ee").await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
    assert!(asked.body.contains("An operator confirms"));
    let erasures = town.store.erasures().unwrap();
    assert_eq!((erasures.len(), erasures[0].state), (1, ErasureState::Asked), "nothing is deleted yet");
    let cookie = sign_in(&pages, &mut town).await;
    let desk = get_as(&pages, &cookie, "/erasure").await.body;
    assert!(desk.contains("its owner, by a code heard on LongFast") && desk.contains("4f2100ee"), "{desk}");
}

#[tokio::test]
async fn what_makes_no_sense_is_said() {
    let town = Town::new();
    let pages = town.pages().await;
    assert_eq!(get(&pages, "/forget?node=me").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(&pages, "/forget", "node=").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    for _ in 0..4 {
        assert_eq!(post(&pages, "/forget", "node=!4f2100ee").await.status, StatusCode::CONFLICT);
    }
    assert_eq!(post(&pages, "/forget", "node=!4f2100ee").await.status, StatusCode::TOO_MANY_REQUESTS);
}
