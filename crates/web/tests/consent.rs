//! The operator's page of consent.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use std::net::IpAddr;

use axum::http::{StatusCode, header};
use town::browser::{get, get_as, sign_in};
use town::{ANA, Copy, HERMIT, ROUTER_1, Town};

/// A town where one of two senders agreed, and one observer reads along.
fn town() -> Town {
    let mut town = Town::new();
    let address = IpAddr::from([192, 0, 2, 1]);
    let gateway = town.gateway(ROUTER_1, "Kim", "!7c5a0a01", address);
    town.observer("house", address);
    town.hear(gateway, &Copy::text(ANA, 11, "for everyone"));
    town.hear(gateway, &Copy::text(HERMIT, 12, "between us").opted_out());
    town
}

#[tokio::test]
async fn the_operator_sees_the_day_and_takes_the_statement_home() {
    let mut town = town();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let page = get_as(&pages, &cookie, "/consent").await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in ["2026-08-20: nothing left the community.", "house", "This day goes on", "!7c5a0a01"] {
        assert!(page.body.contains(shown), "{shown} is missing: {}", page.body);
    }
    let file = get_as(&pages, &cookie, "/consent.json?day=2026-08-20").await;
    assert!(file.headers[header::CONTENT_DISPOSITION].to_str().unwrap().contains("consent-2026-08-20.json"));
    let reader = history::Reader::open(&town.folder.path().join("history")).unwrap();
    let recount = history::statement::check(&file.body, &reader).unwrap();
    assert_eq!(recount.differences, Vec::<String>::new());
    let all = recount.statement.counted.all;
    assert_eq!((all.packets, all.yes, all.no, all.withheld), (2, 1, 1, 1));
}

#[tokio::test]
async fn nobody_else_learns_who_reads_along() {
    let pages = town().pages().await;
    for address in ["/consent", "/consent.json", "/consent.json?day=2026-08-20"] {
        let answer = get(&pages, address).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{address}");
        assert!(!answer.body.contains("house"), "{address}");
    }
}

#[tokio::test]
async fn a_day_that_is_not_kept_is_not_there() {
    let mut town = town();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    for day in ["2001-01-01", "yesterday", "%00"] {
        let answer = get_as(&pages, &cookie, &format!("/consent?day={day}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{day}");
    }
}
