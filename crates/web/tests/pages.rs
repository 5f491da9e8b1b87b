//! The pages over a real broker and history: what they show, to whom, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use mesh::portnum::PortNum;
use tower::ServiceExt;
use town::{Client, Copy, STRANGERS, Town, WORKS, node_info, position, telemetry, waypoint};
use web::Pages;

const ROUTER_1: u32 = 0x7c5a_0a01;
const ROUTER_2: u32 = 0x7c5a_0a02;
const ANA: u32 = 0x4f21_00aa;
const HERMIT: u32 = 0x4f21_00ee;
const PASSWORD: &str = "correct horse battery";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers, body: String::from_utf8(bytes.to_vec()).unwrap() }
}

async fn get(pages: &Pages, address: &str) -> Answer {
    ask(&pages.router, Request::get(address).body(Body::empty()).unwrap()).await
}

async fn get_as(pages: &Pages, cookie: &str, address: &str) -> Answer {
    let request = Request::get(address).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    ask(&pages.router, request).await
}

async fn post(pages: &Pages, address: &str, body: &str) -> Answer {
    let request = Request::post(address)
        .header(header::HOST, "mesh.local")
        .header(header::ORIGIN, "http://mesh.local")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ask(&pages.router, request.body(Body::from(body.to_owned())).unwrap()).await
}

fn cookie_of(answer: &Answer) -> String {
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

async fn sign_in(pages: &Pages, town: &mut Town) -> String {
    let code = town.setup_code();
    let answer = post(pages, "/setup", &format!("token={code}&password={PASSWORD}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    cookie_of(&answer)
}

/// Things that only the operator may read, each with a mark of its own.
const MARKS: [&str; 12] = [
    "mark-contact@example.org",
    "mark-client-id",
    "198.51.100.",
    "mark-observer",
    "gw-7c5a0a01",
    "mark-not-agreed",
    "mark-private-channel",
    "mark-hermit-name",
    "39.2468",
    "94.4191",
    "392468123",
    "mark-waypoint",
];

/// A town in which everything that must not be seen has happened, beside things that may be.
fn town_with_secrets() -> Town {
    let mut town = Town::new();
    let address = |last| IpAddr::from([198, 51, 100, last]);
    let one = town.gateway(ROUTER_1, "mark-contact@example.org", "mark-client-id-1", address(1));
    let two = town.gateway(ROUTER_2, "mark-contact@example.org", "mark-client-id-2", address(2));
    town.observer("mark-observer", address(3));
    let mut hear = |copy: Copy| {
        town.hear(one, &copy);
        town.wait_ms(120);
        town.hear(two, &copy.clone().after(1, -104, -3.5, 0xbb));
        town.wait_ms(1000);
    };
    hear(node_info(ANA, 10, "Ana hiking", "ANA"));
    hear(Copy::text(ANA, 11, "public hello"));
    hear(position(ANA, 12, 392_468_123, -944_191_457, 32));
    hear(telemetry(ANA, 13));
    hear(waypoint(ANA, 14, 392_468_123, -944_191_457, "mark-waypoint"));
    hear(Copy::text(ANA, 15, "mark-not-agreed").opted_out());
    hear(Copy::text(ANA, 16, "mark-private-channel").on(WORKS));
    hear(Copy::text(ANA, 17, "closed").on(STRANGERS));
    hear(node_info(HERMIT, 18, "mark-hermit-name", "HERM").opted_out());
    hear(position(HERMIT, 19, 392_468_123, -944_191_457, 32).opted_out());
    town.publish(one, "msh/US/MO/KC/2/e/LongFast/!7c5a0a01", b"mark-not-agreed junk");
    town
}

/// Every page about everything in that town, and the log in many cuts.
fn all_addresses() -> Vec<String> {
    let mut all: Vec<String> = ["/", "/log", "/login", "/setup", "/healthz", "/robots.txt", "/nothing-here"]
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
    ] {
        all.push(format!("/log?{query}"));
    }
    for node in ["4f2100aa", "4f2100ee", "7c5a0a01", "7c5a0a02", "00000009"] {
        all.push(format!("/node/!{node}"));
        for id in 10..20 {
            all.push(format!("/packet/!{node}/{id}"));
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
            // A search comes back in its own form; that tells nobody anything.
            let is_own_words =
                address.contains(mark) || (mark.starts_with("mark") && address == "/log?text=mark");
            assert!(
                is_own_words && !answer.body.contains(&format!("{mark}-")) || !answer.body.contains(mark),
                "{mark} on {address}"
            );
        }
        assert!(!answer.body.contains("mark-not"), "{address}");
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
async fn every_answer_forbids_foreign_content() {
    let town = town_with_secrets();
    let pages = town.pages().await;
    for address in
        ["/", "/log", "/nothing", "/log?node=x", "/assets/none.css", "/healthz", "/setup", "/live/status"]
    {
        let response =
            pages.router.clone().oneshot(Request::get(address).body(Body::empty()).unwrap()).await.unwrap();
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'self'") && !policy.contains("unsafe"),
            "{address}: {policy}"
        );
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "same-origin");
    }
    let body = get(&pages, "/log").await.body;
    for inline in [" style=", "<style", " onclick", "javascript:", "http://", "https://"] {
        assert!(!body.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn assets_have_addresses_of_their_content_and_are_kept() {
    let town = Town::new();
    let pages = town.pages().await;
    let page = get(&pages, "/log").await.body;
    let addresses: Vec<_> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(addresses.len() >= 3, "{addresses:?}");
    for address in addresses {
        let asset = get(&pages, address).await;
        assert_eq!(asset.status, StatusCode::OK);
        assert!(asset.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    }
    assert_eq!(get(&pages, "/assets/style-0000000000000000.css").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_setup_code_works_once_and_never_leaves_in_an_address() {
    let mut town = Town::new();
    town.public_url = Some("https://mesh.example".to_owned());
    let pages = town.pages().await;
    assert!(get(&pages, "/login").await.body.contains("setup link"));
    let code = town.setup_code();
    let form =
        |password: &str| format!("token=https%3A%2F%2Fmesh.example%2Fsetup%23{code}&password={password}");
    let short = post(&pages, "/setup", &form("short")).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(short.body.contains("at least 10") && !short.body.contains(&code));
    let wrong = post(&pages, "/setup", &format!("token=nonsense&password={PASSWORD}")).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    let done = post(&pages, "/setup", &form(PASSWORD)).await;
    assert_eq!(
        (done.status, &done.headers[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );
    let set = done.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert_eq!(post(&pages, "/setup", &form("another password")).await.status, StatusCode::FORBIDDEN);
    assert!(get_as(&pages, &cookie_of(&done), "/").await.body.contains("Sign out"));
}

#[tokio::test]
async fn the_operator_signs_in_and_out() {
    let mut town = Town::new();
    let pages = town.pages().await;
    sign_in(&pages, &mut town).await;
    let wrong = post(&pages, "/login", "password=guess").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.headers.get(header::SET_COOKIE).is_none() && !wrong.body.contains("guess"));
    let right = post(&pages, "/login", &format!("password={}", PASSWORD.replace(' ', "+"))).await;
    let cookie = cookie_of(&right);
    assert!(get_as(&pages, &cookie, "/").await.body.contains("Sign out"));
    assert!(!get_as(&pages, "backhaul_session=forged", "/").await.body.contains("Sign out"));
    let out =
        Request::post("/logout").header(header::COOKIE, &cookie).header("sec-fetch-site", "same-origin");
    let out = ask(&pages.router, out.body(Body::empty()).unwrap()).await;
    assert!(out.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert!(!get_as(&pages, &cookie, "/").await.body.contains("Sign out"));
}

#[tokio::test]
async fn guessing_has_to_wait() {
    let mut town = Town::new();
    let pages = town.pages().await;
    sign_in(&pages, &mut town).await;
    for _ in 0..4 {
        assert_eq!(post(&pages, "/login", "password=guess").await.status, StatusCode::FORBIDDEN);
    }
    let early = post(&pages, "/login", &format!("password={PASSWORD}")).await;
    assert_eq!(
        (early.status, &early.headers[header::RETRY_AFTER]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    town.wait_ms(1500);
    assert_eq!(post(&pages, "/login", &format!("password={PASSWORD}")).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    for (name, value) in
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("x-nothing", "")]
    {
        let request = Request::post("/logout")
            .header(header::COOKIE, &cookie)
            .header("host", "mesh.local")
            .header(name, value);
        let answer = ask(&pages.router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
    }
    assert!(get_as(&pages, &cookie, "/").await.body.contains("Sign out"));
}

#[tokio::test]
async fn the_log_is_filtered_paged_and_explains_itself() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    for id in 1..=120 {
        town.hear(one, &Copy::text(ANA, id, if id % 40 == 0 { "needle" } else { "hay" }));
    }
    let pages = town.pages().await;
    let rows = |body: &str| body.matches("<tr data-seq").count();
    let mut address = "/log".to_owned();
    let mut seen = 0;
    loop {
        let body = get(&pages, &address).await.body;
        seen += rows(&body);
        let Some((before, _)) = body.split_once(">Older<") else { break };
        address = before.rsplit("href=\"").next().unwrap().split('"').next().unwrap().replace("&amp;", "&");
    }
    assert_eq!(seen, 120);
    let found = get(&pages, "/log?text=NEEDLE&node=!4f2100aa").await.body;
    assert_eq!(rows(&found), 3);
    assert!(found.contains("value=\"NEEDLE\"") && found.contains("value=\"!4f2100aa\""));
    assert!(get(&pages, "/log?port=position").await.body.contains("Nothing matches"));
    let wrong = get(&pages, "/log?verdict=maybe").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.body.contains("record-only"));
    assert!(get(&pages, "/log?node=bob").await.body.contains("value=\"bob\" aria-invalid=\"true\""));
}

#[tokio::test]
async fn a_search_goes_back_day_by_day_and_says_when_it_stops() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    for id in 1..=60 {
        town.hear(one, &Copy::text(ANA, id, if id == 2 { "needle" } else { "hay" }));
        town.wait_ms(86_400_000);
    }
    let pages = town.pages().await;
    let rows = |body: &str| body.matches("<tr data-seq").count();
    let near = get(&pages, "/log?text=hay").await.body;
    assert!(rows(&near) > 20 && near.contains(">Older<"));
    let far = get(&pages, "/log?text=needle").await.body;
    assert!(rows(&far) == 0 && far.contains("stopped here"), "{far}");
    let older = far.split_once("\">Older<").unwrap().0.rsplit('"').next().unwrap().replace("&amp;", "&");
    assert_eq!(rows(&get(&pages, &older).await.body), 1, "{older}");
    // A page deep in the past does not begin at the present.
    assert_eq!(rows(&get(&pages, "/log?before=4").await.body), 3);
}

#[tokio::test]
async fn receptions_of_a_packet_share_a_row_when_asked() {
    let town = town_with_secrets();
    let pages = town.pages().await;
    let rows = |body: &str| body.matches("<tr data-seq").count();
    let (single, grouped) = (get(&pages, "/log").await.body, get(&pages, "/log?group=packet").await.body);
    assert_eq!(rows(&single), 2 * rows(&grouped));
    assert!(grouped.contains("and 1 other"));
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

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_missed() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    let pages = town.pages().await;
    let mut stream = Stream::open(&pages, "/live", None).await;
    for id in 1..=300 {
        tell(&pages, &mut town, one, &Copy::text(ANA, id, "hello"));
    }
    let first = stream.next().await;
    assert!(first.contains("event: missed") && first.contains("data: "), "{first}");
    assert!(stream.next().await.contains("event: row"));
}

#[tokio::test]
async fn the_status_says_how_it_stands_in_one_sentence() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let empty = get(&pages, "/").await.body;
    assert!(empty.contains("No gateway connected.") && empty.contains("No credential exists yet"), "{empty}");
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    town.gateway(ROUTER_2, "o", "d", IpAddr::from([198, 51, 100, 2]));
    town.wait_ms(20 * 60_000);
    tell(&pages, &mut town, one, &Copy::text(ANA, 1, "hello"));
    let body = get(&pages, "/").await.body;
    assert!(body.contains("2 gateways connected, 1 quiet."), "{body}");
    assert!(body.contains("Policy: enforcing 17 rules, observing 1. 1 packet in the last hour."), "{body}");
    assert!(!body.contains("No credential exists yet"));
}

#[tokio::test]
async fn a_client_that_claims_to_be_another_gateway_does_not_appear_as_it() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    town.publish(one, "msh/US/MO/KC/2/e/LongFast/!0badcafe", b"\x0a\x02\x18\x01");
    let pages = town.pages().await;
    assert!(!get(&pages, "/").await.body.contains("0badcafe"));
}

#[tokio::test]
async fn a_stalled_history_is_told_and_makes_the_monitor_unhappy() {
    let mut town = Town::new();
    let well = town.pages().await;
    assert_eq!(get(&well, "/healthz").await.status, StatusCode::OK);
    town.health.stalled = Some("mark-path: the disk is full".to_owned());
    let pages = town.pages().await;
    assert_eq!(get(&pages, "/healthz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let public = get(&pages, "/").await.body;
    assert!(public.contains("history cannot store") && !public.contains("mark-path"));
    let cookie = sign_in(&pages, &mut town).await;
    assert!(get_as(&pages, &cookie, "/").await.body.contains("mark-path"));
}

#[tokio::test]
async fn wrong_addresses_say_what_right_ones_look_like() {
    let town = Town::new();
    let pages = town.pages().await;
    for (address, status, says) in [
        ("/packet/bob/1", StatusCode::BAD_REQUEST, "eight hexadecimal digits"),
        ("/packet/!4f2100aa/bob", StatusCode::BAD_REQUEST, "a number"),
        ("/node/bob", StatusCode::BAD_REQUEST, "!7c5a0a01"),
        ("/nothing", StatusCode::NOT_FOUND, "/node/!id"),
        ("/logout", StatusCode::METHOD_NOT_ALLOWED, "forms"),
    ] {
        let answer = get(&pages, address).await;
        assert!(answer.status == status && answer.body.contains(says), "{address}: {}", answer.status);
    }
}

#[test]
fn serving_ends_when_told_although_live_pages_are_open() {
    use std::io::{Read, Write};
    let town = Town::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (ending, ends) = tokio::sync::watch::channel(false);
    let state = town.state();
    let serving = std::thread::spawn(move || web::serve(listener, state, ends));
    let mut browser = std::net::TcpStream::connect(address).unwrap();
    browser.write_all(b"GET /live HTTP/1.1\r\nHost: mesh.local\r\n\r\n").unwrap();
    let mut head = [0; 12];
    browser.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    ending.send(true).unwrap();
    let mut rest = Vec::new();
    browser.read_to_end(&mut rest).unwrap();
    serving.join().unwrap().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// A packet is heard while the pages run.
fn tell(pages: &Pages, town: &mut Town, gateway: Client, copy: &Copy) {
    town.hear(gateway, copy).into_iter().for_each(|record| pages.take(record));
}

/// An open live stream, event by event.
struct Stream(Body);

impl Stream {
    async fn open(pages: &Pages, address: &str, cookie: Option<&str>) -> Self {
        let request = Request::get(address).header(header::COOKIE, cookie.unwrap_or_default());
        let response = pages.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self(response.into_body())
    }

    async fn next(&mut self) -> String {
        let frame = self.0.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }
}
