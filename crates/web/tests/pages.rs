//! What the pages say and how they are served.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod town;

use std::net::IpAddr;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use policy::rule::{RULES, RuleState};
use tower::ServiceExt;
use town::browser::{Stream, get, get_as, post_as, sign_in, tell};
use town::secrets::town_with_secrets;
use town::{ANA, Copy, ROUTER_1, ROUTER_2, Town};

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
async fn pages_come_compressed_and_live_streams_do_not() {
    let town = town_with_secrets();
    let pages = town.pages().await;
    for (address, encoding) in [("/", Some("gzip")), ("/live", None)] {
        let request =
            Request::get(address).header(header::ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap();
        let response = pages.router.clone().oneshot(request).await.unwrap();
        let found = response.headers().get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap());
        assert_eq!(found, encoding, "{address}");
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
async fn the_log_is_filtered_paged_and_explains_itself() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    for id in 1..=120 {
        town.hear(one, &Copy::text(ANA, id, if id % 40 == 0 { "needle" } else { "hay" }));
        // So that no rule about volume has anything against it.
        town.wait_ms(20_000);
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
    for asked in ["q=text:NEEDLE+from:!4f2100aa", "text=NEEDLE&node=!4f2100aa", "q=needle+last+1h"] {
        assert_eq!(rows(&get(&pages, &format!("/log?{asked}")).await.body), 3, "{asked}");
    }
    assert!(get(&pages, "/log?q=port:position").await.body.contains("Nothing matches"));
    let found = get(&pages, "/log?q=port:text+last+1h").await.body;
    assert!(found.contains("value=\"port:text last 1h\"") && found.contains("href=\"/log?q=last+1h\""));
}

#[tokio::test]
async fn a_filter_that_is_not_understood_is_pointed_at() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    town.hear(one, &town::node_info(ANA, 1, "Ana on the hill", "ANA"));
    let pages = town.pages().await;
    for (asked, marked, words) in [
        ("prot:text", "prot", "There is no field <code>prot</code>"),
        ("verdict:maybe", "maybe", "record-only"),
        ("port:text from:!7c5", "!7c5", "eight hexadecimal digits"),
        ("from:Ann", "Ann", "No node is called <code>Ann</code>"),
        ("(port:text", "(", "never closed"),
        ("client:gw-1", "gw-1", "Only the operator"),
    ] {
        let address = format!("/log?q={}", asked.replace(' ', "+").replace('"', "%22"));
        let wrong = get(&pages, &address).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{asked}");
        assert!(wrong.body.contains(&format!("<mark>{marked}</mark>")), "{asked}: {}", wrong.body);
        assert!(wrong.body.contains(words), "{asked}: {}", wrong.body);
        assert!(wrong.body.contains("aria-invalid=\"true\""), "what was written can be mended");
        assert_eq!(get(&pages, &address.replace("/log", "/live")).await.status, StatusCode::BAD_REQUEST);
        let told = get(&pages, &address.replace("/log", "/api/v1/receptions")).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST);
        assert!(told.body.contains("\"start\""), "{}", told.body);
    }
    let near = get(&pages, "/log?q=prot:text").await.body;
    assert!(near.contains("href=\"/log?q=port%3Atext\""), "{near}");
    assert_eq!(get(&pages, "/log?q=from:ANA").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_operator_sees_when_it_was_and_goes_there() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    for id in 1..=6 {
        town.hear(one, &Copy::text(ANA, id, "hello"));
        town.wait_ms(3_600_000);
    }
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let log = get_as(&pages, &cookie, "/log?q=port:text").await.body;
    let bars: Vec<&str> = log.split("<a href=\"/log?q=port%3Atext+since+").skip(1).collect();
    assert_eq!(bars.len(), 6, "{log}");
    let address = format!("/log?q=port%3Atext+since+{}", bars[2].split('"').next().unwrap());
    assert_eq!(get_as(&pages, &cookie, &address).await.body.matches("<tr data-seq").count(), 1);
    for (cookie, asked) in [(Some(&cookie), "/log?q=hops%3C9"), (None, "/log")] {
        let page = match cookie {
            Some(cookie) => get_as(&pages, cookie, asked).await.body,
            None => get(&pages, asked).await.body,
        };
        assert!(!page.contains("class=\"timeline\""), "{asked}");
    }
}

#[tokio::test]
async fn programs_read_the_log_page_by_page() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    for id in 1..=25 {
        town.hear(one, &Copy::text(ANA, id, if id % 2 == 0 { "even" } else { "odd" }));
    }
    let pages = town.pages().await;
    let (mut cursor, mut seqs) = (String::new(), Vec::new());
    loop {
        let address = format!("/api/v1/receptions?q=text:even&limit=5{cursor}");
        let answer: serde_json::Value = serde_json::from_str(&get(&pages, &address).await.body).unwrap();
        assert_eq!(answer["filter"], "text:\"even\"");
        for reception in answer["receptions"].as_array().unwrap() {
            assert_eq!(
                (&reception["said"], &reception["packet"]["from"]),
                (&"even".into(), &"!4f2100aa".into())
            );
            assert!(reception.get("client_id").is_none() && reception.get("payload_hex").is_none());
            seqs.push(reception["seq"].as_u64().unwrap());
        }
        let Some(next) = answer["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(seqs.len() == 12 && seqs.is_sorted_by(|a, b| a > b), "{seqs:?}");
    assert_eq!(get(&pages, "/api/v1/receptions?cursor=7").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn completions_come_from_what_the_visitor_may_know() {
    let mut town = town_with_secrets();
    let offered = async |pages: &web::Pages, cookie: Option<&str>, text: &str| -> String {
        let address = format!("/api/v1/complete?q={text}&at=99");
        match cookie {
            Some(cookie) => get_as(pages, cookie, &address).await.body,
            None => get(pages, &address).await.body,
        }
    };
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    assert!(offered(&pages, None, "ver").await.contains("\"text\":\"verdict:\""));
    assert!(!offered(&pages, None, "clie").await.contains("client:"));
    assert!(offered(&pages, Some(&cookie), "clie").await.contains("client:"));
    assert!(!offered(&pages, None, "channel:W").await.contains("Works"));
    assert!(offered(&pages, Some(&cookie), "channel:W").await.contains("Works"));
    let places = offered(&pages, None, "%C3%A9+po").await;
    assert!(places.contains("\"start\":2") && places.contains("\"end\":4"), "{places}");
}

#[tokio::test]
async fn a_search_goes_back_day_by_day() {
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
    assert_eq!(rows(&get(&pages, "/log?q=text:needle").await.body), 1, "two months back");
    // A page deep in the past does not begin at the present.
    assert_eq!(rows(&get(&pages, "/log?before=2026-08-22.99").await.body), 3);
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
async fn one_address_cannot_take_every_place_and_gives_its_places_back() {
    let town = Town::new();
    let pages = town.pages().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Stream::open(&pages, "/live", None).await);
    }
    assert_eq!(get(&pages, "/live").await.status, StatusCode::SERVICE_UNAVAILABLE);
    open.pop();
    open.push(Stream::open(&pages, "/live", None).await);
    assert_eq!(get(&pages, "/live/status").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_airtime_board_shows_islands_to_all_and_its_switches_to_the_operator() {
    let mut town = Town::new();
    let pages = town.pages().await;
    assert!(get(&pages, "/airtime").await.body.contains("no island is known"));
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    tell(&pages, &mut town, one, &Copy::text(ANA, 1, "hello"));
    let public = get(&pages, "/airtime").await.body;
    assert!(
        public.contains("Island") && public.contains("connected") && public.contains("540 s"),
        "{public}"
    );
    assert!(
        !public.contains("Stop downlink on this island") && !public.contains("Held for sending"),
        "{public}"
    );
    let cookie = sign_in(&pages, &mut town).await;
    let operator = get_as(&pages, &cookie, "/airtime").await.body;
    assert!(operator.contains("Stop downlink on this island") && operator.contains("Held for sending"));
    let released = post_as(&pages, &cookie, "/airtime", "release=!7c5a0a01").await;
    assert_eq!(released.status, StatusCode::SEE_OTHER);
    let nobody = post_as(&pages, &cookie, "/airtime", "release=everybody").await;
    assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn grants_are_given_changed_and_ended_and_their_quota_is_shown() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    tell(&pages, &mut town, one, &Copy::text(ANA, 1, "hello"));
    assert_eq!(get(&pages, "/grants").await.status, StatusCode::NOT_FOUND, "not for the public");
    let cookie = sign_in(&pages, &mut town).await;
    assert!(get_as(&pages, &cookie, "/grants").await.body.contains("No gateway has a grant"));
    let form = format!(
        "do=set&gateway=%21{ROUTER_1:08x}&channels=LongFast&downlink=on&downlink_channels=LongFast&downlink_s=30&days=7&note=parade"
    );
    assert_eq!(post_as(&pages, &cookie, "/grants", &form).await.status, StatusCode::SEE_OTHER);
    let given = get_as(&pages, &cookie, "/grants").await.body;
    for word in [
        "uplink on LongFast; downlink of LongFast, 30 s of airtime an hour",
        "in 7 d",
        "parade",
        "0.0 s of 30 s",
    ] {
        assert!(given.contains(word), "{word}: {given}");
    }
    let change = get_as(&pages, &cookie, &format!("/grants?gateway=!{ROUTER_1:08x}")).await.body;
    assert!(change.contains("value=\"30\"") && change.contains("Change a grant"), "{change}");
    let wrong = post_as(&pages, &cookie, "/grants", &form.replace("=30", "=4000")).await;
    assert!(
        wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.body.contains("1 to 3600 whole seconds")
    );
    let end = format!("do=end&gateway=%21{ROUTER_1:08x}");
    assert_eq!(post_as(&pages, &cookie, "/grants", &end).await.status, StatusCode::SEE_OTHER);
    assert!(get_as(&pages, &cookie, "/grants").await.body.contains("No gateway has a grant"));
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
    let in_state = |state| RULES.iter().filter(|rule| rule.default == state).count();
    let (enforced, observed) = (in_state(RuleState::Enforce), in_state(RuleState::Observe));
    let policy =
        format!("Policy: enforcing {enforced} rules, observing {observed}. 1 packet in the last hour.");
    assert!(body.contains(&policy), "{body}");
    assert!(!body.contains("No credential exists yet"));
}

#[tokio::test]
async fn every_rule_stands_on_the_policy_page_with_what_it_goes_by() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    tell(&pages, &mut town, one, &Copy::text(ANA, 1, "hello"));
    let body = get(&pages, "/policy").await.body;
    for rule in RULES {
        assert!(body.contains(&format!("id=\"{}\"", rule.name)), "{}", rule.name);
    }
    assert!(body.contains("hop_limit_max = 1"), "{body}");
    assert!(!body.contains("blocked_networks"), "who is blocked is the operator's business");
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
    let serving = std::thread::spawn(move || web::serve(listener, None, state, ends));
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

#[tokio::test]
async fn metrics_are_for_the_operator_and_for_named_networks() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    assert_eq!(get(&pages, "/metrics").await.status, StatusCode::FORBIDDEN);
    let from = |address: [u8; 4]| {
        let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
        let peer = std::net::SocketAddr::from((address, 5000));
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        request
    };
    for (address, status) in [([127, 0, 0, 1], StatusCode::OK), ([192, 0, 2, 1], StatusCode::FORBIDDEN)] {
        assert_eq!(
            pages.router.clone().oneshot(from(address)).await.unwrap().status(),
            status,
            "{address:?}"
        );
    }
    let cookie = sign_in(&pages, &mut town).await;
    let answer = get_as(&pages, &cookie, "/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("backhaul_") && value.parse::<f64>().is_ok(), "{line}");
    }
    for rule in RULES {
        let line = format!("backhaul_rule_decisions_total{{rule=\"{}\"}} ", rule.name);
        assert!(answer.body.contains(&line), "{line}");
    }
}
