//! What each kind of visitor finds on the pages and in the live stream, over a town in which everything happened that
//! must not be seen.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod town;

use std::net::IpAddr;

use axum::http::StatusCode;
use mesh::portnum::PortNum;
use town::browser::{PASSWORD, Stream, get, get_as, sign_in, tell};
use town::secrets::{MARKS, town_with_secrets};
use town::{ANA, Copy, ROUTER_1, Town, WORKS, node_info, position};

/// Every page about everything in that town, and the log in many cuts.
fn all_addresses() -> Vec<String> {
    let mut all: Vec<String> = [
        "/",
        "/log",
        "/check",
        "/consent",
        "/consent.json",
        "/login",
        "/setup",
        "/healthz",
        "/robots.txt",
        "/nodes",
        "/nodes?q=4f21&sort=name",
        "/gateways",
        "/gateway/!7c5a0a01",
        "/gateway/!7c5a0a02",
        "/channels",
        "/chat",
        "/chat?channel=Works",
        "/misconfigured",
        "/settings",
        "/about",
        "/policy.md",
        "/retention.md",
        "/checklist.md",
        "/join.md",
        "/nothing-here",
    ]
    .map(str::to_owned)
    .to_vec();
    for query in [
        "group=packet",
        "since=1d",
        "port=position",
        "port=waypoint",
        "verdict=record-only",
        "verdict=refuse",
        "rule=consent",
        "channel=Works",
        "channel=Strangers",
        "text=mark",
        "node=!4f2100ee",
        "node=!4f2100aa",
        "gateway=!7c5a0a01",
        "before=5",
        "until=2099-01-01",
        "q=not+consent:yes",
        "q=verdict:refuse+or+key:private",
        "q=(mark+or+port:position)+-verdict:accept",
        "q=copy:withheld",
        "q=hops%3C9",
        "q=user:gw-*",
        "q=client:*",
        "q=topic:msh/*",
    ] {
        all.push(format!("/log?{query}"));
        all.push(format!("/api/v1/receptions?{query}"));
        all.push(format!("/api/v1/complete?{query}"));
    }
    for path in
        ["status", "gateways", "nodes", "channels", "activity", "rules", "bridges", "alerts", "openapi.json"]
    {
        all.push(format!("/api/v1/{path}"));
    }
    for node in ["4f2100aa", "4f2100ee", "7c5a0a01", "7c5a0a02", "00000009"] {
        all.push(format!("/node/!{node}"));
        all.push(format!("/api/v1/nodes/!{node}"));
        for id in 9..20 {
            all.push(format!("/packet/!{node}/{id}"));
            all.push(format!("/api/v1/packet/!{node}/{id}"));
        }
    }
    all
}

#[tokio::test]
async fn the_public_finds_no_secret_on_any_page() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    for address in all_addresses() {
        let answer = get(&pages, &address).await;
        for mark in MARKS {
            assert!(!answer.body.contains(mark), "{mark} on {address}");
        }
    }
    // The same scan finds every mark for the operator, but for the contact, which no page shows: so it can fail.
    let cookie = sign_in(&pages, &mut town).await;
    let mut seen = String::new();
    for address in all_addresses() {
        seen.push_str(&get_as(&pages, &cookie, &address).await.body);
    }
    for mark in &MARKS[1..] {
        assert!(seen.contains(mark) || *mark == "392468123", "the operator does not see {mark}");
    }
    assert!(!seen.contains(PASSWORD) && !seen.contains(cookie.split_once('=').unwrap().1));
}

#[tokio::test]
async fn the_public_sees_what_was_agreed() {
    let town = town_with_secrets();
    let pages = town.pages().await;
    let log = get(&pages, "/log").await.body;
    assert!(log.contains("public hello") && log.contains("Ana hiking"), "{log}");
    let packet = get(&pages, "/packet/!4f2100aa/11").await;
    for shown in [
        "public hello",
        "topic-rights",
        "+120 ms",
        "−104 dBm",
        "hop limit 1",
        "delivered",
        "withheld",
        "<pre",
        "LongFast",
    ] {
        assert!(packet.body.contains(shown), "{shown}");
    }
    let place = get(&pages, "/packet/!4f2100aa/12").await.body;
    assert!(place.contains("(14 bits)") && place.contains("Shown to the operator only"), "{place}");
    let node = get(&pages, "/node/!4f2100aa").await.body;
    for shown in ["ROUTER", "81 %", "3.92 V", "(14 bits)", "!4f2100aa"] {
        assert!(node.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn what_is_hidden_and_what_does_not_exist_answer_alike() {
    let town = town_with_secrets();
    let pages = town.pages().await;
    for (hidden, missing) in [
        ("/packet/!4f2100aa/15", "/packet/!4f2100aa/4711"),
        ("/packet/!4f2100aa/16", "/packet/!00000009/1"),
        ("/node/!4f2100ee", "/node/!00000009"),
    ] {
        let (hidden, missing) = (get(&pages, hidden).await, get(&pages, missing).await);
        assert_eq!((hidden.status, missing.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
        assert_eq!(hidden.body, missing.body);
        assert!(hidden.body.contains("/login"));
    }
}

#[tokio::test]
async fn the_operator_sees_the_whole_ladder_and_the_exact_bytes() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let refused = get_as(&pages, &cookie, "/packet/!4f2100aa/15").await.body;
    for shown in ["mark-not-agreed", "not agreed", "config_ok_to_mqtt", "not reached", "mark-client-id-2"] {
        assert!(refused.contains(shown), "{shown}");
    }
    let delivered = get_as(&pages, &cookie, "/packet/!4f2100aa/11").await.body;
    assert!(delivered.contains("mark-observer") && delivered.contains("delivered"), "{delivered}");
    let exact = get_as(&pages, &cookie, "/packet/!4f2100aa/12").await.body;
    assert!(exact.contains("39.2468123°") && exact.contains("263</bdi> m"), "{exact}");
    let status = get_as(&pages, &cookie, "/").await.body;
    assert!(status.contains("198.51.100.1") && status.contains("mark-client-id-1"));
}

#[tokio::test]
async fn a_channel_declared_public_is_shown() {
    let mut town = town_with_secrets();
    town.public_channels = vec!["Works".into()];
    let pages = town.pages().await;
    assert!(get(&pages, "/packet/!4f2100aa/16").await.body.contains("mark-private-channel"));
    let log = get(&pages, "/log").await.body;
    assert!(log.contains("mark-private-channel") && !log.contains("mark-not-agreed"));
}

#[tokio::test]
async fn hostile_names_and_texts_are_text() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "<b>client</b>", IpAddr::from([198, 51, 100, 1]));
    let hostile = "<script>alert(1)</script>\"'&\u{202e}";
    town.hear(one, &node_info(ANA, 1, "<img src=x onerror=1>", "<i>"));
    town.hear(one, &Copy::text(ANA, 2, hostile));
    town.hear(one, &Copy::new(ANA, 3, PortNum::TEXT_MESSAGE, vec![0xff, 0xfe, b'<', b'b', b'>']));
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    for address in [
        "/",
        "/log",
        "/node/!4f2100aa",
        "/packet/!4f2100aa/2",
        "/packet/!4f2100aa/3",
        "/log?text=%3Cscript%3E",
        "/log?node=%3Cscript%3E",
        "/log?channel=%22%3E%3Cscript%3E",
        "/log?q=%22%3E%3Cscript%3E:x",
        "/log?q=from:%22%3Cscript%3E",
    ] {
        let body = get_as(&pages, &cookie, address).await.body;
        for raw in ["<script>", "<img", "<i>", "<b>", "\"><", "\u{202e}"] {
            // Our own markup has `"><` between elements; a value must not end its attribute.
            let found = if raw == "\"><" { body.contains("\"\"><script") } else { body.contains(raw) };
            assert!(!found, "{raw} on {address}");
        }
    }
    assert!(get(&pages, "/log").await.body.contains("&lt;script&gt;alert(1)"));
}

#[tokio::test]
async fn the_live_stream_is_filtered_for_its_visitor() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let mut public = Stream::open(&pages, "/live", None).await;
    let mut positions = Stream::open(&pages, "/live?port=position", None).await;
    let mut operator = Stream::open(&pages, "/live", Some(&cookie)).await;
    tell(&pages, &mut town, one, &Copy::text(ANA, 1, "mark-not-agreed").opted_out());
    tell(&pages, &mut town, one, &Copy::text(ANA, 2, "mark-private-channel").on(WORKS));
    tell(&pages, &mut town, one, &Copy::text(ANA, 3, "public hello"));
    tell(&pages, &mut town, one, &position(ANA, 4, 392_468_123, -944_191_457, 32));
    assert!(public.next().await.contains("public hello"));
    let place = public.next().await;
    assert!(place.contains("position") && !place.contains("39.2"), "{place}");
    assert!(positions.next().await.contains("/packet/!4f2100aa/4"));
    assert!(operator.next().await.contains("mark-not-agreed"));
    assert!(operator.next().await.contains("mark-private-channel"));
}
