//! Lists of nodes, gateways and channels, the chat, and what should be set otherwise: what each kind of visitor finds.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use std::net::IpAddr;

use axum::http::StatusCode;
use town::browser::{get, get_as, post_as, sign_in, tell};
use town::secrets::town_with_secrets;
use town::{ANA, Copy, ROUTER_1, ROUTER_2, Town, WORKS, node_info, position, telemetry};

#[tokio::test]
async fn the_list_of_nodes_holds_who_agreed_and_the_operators_holds_all() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let public = get(&pages, "/nodes").await.body;
    assert!(public.contains("Ana hiking") && public.contains("!4f2100aa"), "{public}");
    assert!(public.contains("81 %") && !public.contains("4f2100ee"), "{public}");
    let cookie = sign_in(&pages, &mut town).await;
    let all = get_as(&pages, &cookie, "/nodes").await.body;
    assert!(all.contains("4f2100ee") && all.contains("not agreed"), "{all}");
}

#[tokio::test]
async fn nodes_are_found_by_name_number_and_role_and_paged() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    for node in 1..=130u32 {
        town.hear(one, &node_info(0x4f00_0000 + node, node, &format!("Node {node:03}"), "N"));
        town.wait_ms(5_000);
    }
    let pages = town.pages().await;
    let rows = |body: &str| body.matches("href=\"/node/!4f").count();
    let first = get(&pages, "/nodes?sort=name").await.body;
    let second = get(&pages, "/nodes?sort=name&page=2").await.body;
    assert_eq!((rows(&first), rows(&second)), (100, 30));
    assert!(first.contains("Node 001") && !first.contains("Node 101") && second.contains("Node 130"));
    assert!(first.contains("href=\"/nodes?sort=name&amp;page=2\""), "{first}");
    assert_eq!(rows(&get(&pages, "/nodes?q=node+05").await.body), 10);
    assert_eq!(rows(&get(&pages, "/nodes?q=4f000007").await.body), 1);
    assert!(get(&pages, "/nodes?role=TRACKER").await.body.contains("No node is like this"));
    // A page beyond the last is the last.
    assert_eq!(rows(&get(&pages, "/nodes?page=99").await.body), 30);
}

#[tokio::test]
async fn a_gateway_has_a_page_with_more_for_its_operator() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let list = get(&pages, "/gateways").await.body;
    assert!(list.contains("/gateway/!7c5a0a01") && list.contains("2 gateways connected"), "{list}");
    let public = get(&pages, "/gateway/!7c5a0a01").await.body;
    assert!(public.contains("Ninety days") && public.contains("Connected"), "{public}");
    assert!(!public.contains("Rules that decided") && !public.contains("checklist"), "{public}");
    let cookie = sign_in(&pages, &mut town).await;
    let inside = get_as(&pages, &cookie, "/gateway/!7c5a0a01").await.body;
    assert!(inside.contains("Rules that decided") && inside.contains("href=\"/policy#consent\""), "{inside}");
    for none in ["/gateway/!00000099", "/gateway/!4f2100aa"] {
        assert_eq!(get(&pages, none).await.status, StatusCode::NOT_FOUND, "{none}");
    }
    assert_eq!(get(&pages, "/gateway/nonsense").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn packets_that_one_gateway_alone_heard_are_counted_for_it() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c1", IpAddr::from([198, 51, 100, 1]));
    let two = town.gateway(ROUTER_2, "o", "c2", IpAddr::from([198, 51, 100, 2]));
    for id in 1..=5 {
        town.hear(one, &Copy::text(ANA, id, "both"));
        town.hear(two, &Copy::text(ANA, id, "both"));
        town.wait_ms(60_000);
    }
    town.hear(two, &Copy::text(ANA, 6, "only two"));
    let pages = town.pages().await;
    let page = get(&pages, "/gateway/!7c5a0a02").await.body;
    assert!(page.contains("1 packet of others within a day, of 6 receptions"), "{page}");
}

#[tokio::test]
async fn channels_say_who_can_read_them() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let public = get(&pages, "/channels").await.body;
    assert!(public.contains("LongFast") && public.contains("anyone can read it"), "{public}");
    assert!(!public.contains("Works") && !public.contains("Strangers"), "{public}");
    let cookie = sign_in(&pages, &mut town).await;
    let all = get_as(&pages, &cookie, "/channels").await.body;
    assert!(
        all.contains("Works") && all.contains("private key") && all.contains("Not on public pages"),
        "{all}"
    );
    assert!(all.contains("mark-observer"), "the operator sees who reads along: {all}");
}

#[tokio::test]
async fn the_chat_is_public_for_everybody_and_has_each_text_once() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    for body in [get(&pages, "/chat").await.body, get_as(&pages, &cookie, "/chat").await.body] {
        assert_eq!(body.matches("public hello").count(), 1, "{body}");
        // Neither what was not agreed to, nor a private channel, nor what was meant for one.
        for hidden in ["mark-not-agreed", "mark-private-channel", "to the hermit"] {
            assert!(!body.contains(hidden), "{hidden}");
        }
    }
    assert!(get(&pages, "/chat?channel=Works").await.body.contains("Nobody has written anything"));
}

#[tokio::test]
async fn settings_that_should_change_come_with_a_text_to_send() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    town.hear(one, &node_info(ANA, 1, "Ana", "ANA"));
    town.hear(one, &position(ANA, 2, 392_468_123, -944_191_457, 32));
    let pages = town.pages().await;
    // What comes while the page is open counts as well: a measurement a minute.
    for id in 10..20 {
        town.wait_ms(60_000);
        tell(&pages, &mut town, one, &telemetry(ANA, id));
    }
    assert_eq!(get(&pages, "/misconfigured").await.status, StatusCode::NOT_FOUND);
    let cookie = sign_in(&pages, &mut town).await;
    let page = get_as(&pages, &cookie, "/misconfigured").await.body;
    for shown in
        ["Place too exact", "Measurements too often", "position_precision 13", "Ana !4f2100aa", "every 1 min"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // On a channel whose key nobody else has, an exact place is its owner's business.
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    town.hear(one, &position(ANA, 2, 392_468_123, -944_191_457, 32).on(WORKS));
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let page = get_as(&pages, &cookie, "/misconfigured").await.body;
    assert!(page.contains("Nothing that was heard"), "{page}");
}

#[tokio::test]
async fn settings_are_for_those_who_see_everything_and_about_for_everybody() {
    let mut town = Town::new();
    let pages = town.pages().await;
    assert_eq!(get(&pages, "/settings").await.status, StatusCode::NOT_FOUND);
    let about = get(&pages, "/about").await.body;
    assert!(about.contains("MIT OR Apache-2.0") && about.contains("rusqlite"), "{about}");
    let cookie = sign_in(&pages, &mut town).await;
    let settings = get_as(&pages, &cookie, "/settings").await.body;
    assert!(settings.contains("mqtt.max_connections") && settings.contains("500"), "{settings}");
}

#[tokio::test]
async fn pages_for_a_wiki_come_as_markdown() {
    let mut town = Town::new();
    let pages = town.pages().await;
    for (address, shown) in [
        ("/policy.md", "| `consent` | enforce |"),
        ("/retention.md", "| packets, with what was decided | 90 days |"),
        ("/checklist.md", "- [ ] Region: `US`."),
        ("/join.md", "Connect to `mesh.example`."),
    ] {
        let answer = get(&pages, address).await;
        assert_eq!(answer.headers["content-type"], "text/markdown; charset=utf-8");
        assert!(answer.body.starts_with("# ") && answer.body.contains("Kansas City mesh"), "{address}");
        assert!(answer.body.contains(shown), "{shown}: {}", answer.body);
    }
    // Signing in adds nothing: what is pasted into a wiki is for everybody.
    let public = get(&pages, "/policy.md").await.body;
    let cookie = sign_in(&pages, &mut town).await;
    assert_eq!(get_as(&pages, &cookie, "/policy.md").await.body, public);
}

#[tokio::test]
async fn a_node_that_measures_has_charts_that_read_without_scripts() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    for id in 1..=4 {
        town.hear(one, &telemetry(ANA, id));
        town.wait_ms(1_800_000);
    }
    let pages = town.pages().await;
    let page = get(&pages, "/node/!4f2100aa").await.body;
    assert!(page.contains("Voltage: 4 values between 3.92 V and 3.92 V"), "{page}");
    assert!(page.contains("<polyline") && page.contains("Heard directly by 1 gateway"), "{page}");
}

#[tokio::test]
async fn a_decoded_field_says_where_its_bytes_stand() {
    let town = town_with_secrets();
    let pages = town.pages().await;
    let page = get(&pages, "/packet/!4f2100aa/10").await.body;
    assert!(page.contains("data-from=\"") && page.contains("data-at=\"0\""), "{page}");
    assert!(page.contains("bytes 0–"), "{page}");
}

#[tokio::test]
async fn the_operator_makes_a_channel_whose_key_is_shown_once() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let one = post_as(&pages, &cookie, "/channels", "name=Hill").await.body;
    let two = post_as(&pages, &cookie, "/channels", "name=Hill").await.body;
    let link = |page: &str| {
        page.split("<pre class=\"command\" id=\"link\">")
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(
        link(&one).starts_with("https://meshtastic.org/e/?add=true#") && link(&one) != link(&two),
        "{one}"
    );
    let wrong = post_as(&pages, &cookie, "/channels", "name=much-too-long-a-name").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post_as(&pages, "", "/channels", "name=Hill").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_packets_way_is_drawn_where_places_are_known() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c1", IpAddr::from([198, 51, 100, 1]));
    let two = town.gateway(ROUTER_2, "o", "c2", IpAddr::from([198, 51, 100, 2]));
    let unplaced = Copy::text(ANA, 3, "where am I?");
    town.hear(one, &unplaced);
    for (node, id, latitude_i) in [(ROUTER_1, 10, 392_400_000), (ROUTER_2, 11, 393_500_000)] {
        town.hear(one, &position(node, id, latitude_i, -944_200_000, 14));
    }
    let pages = town.pages().await;
    assert!(!get(&pages, "/packet/!4f2100aa/3").await.body.contains("figure class=\"way\""));
    town.hear(one, &position(ANA, 12, 392_900_000, -943_000_000, 14));
    town.hear(two, &position(ANA, 12, 392_900_000, -943_000_000, 14).after(1, -110, -5.0, 1));
    let page = get(&pages, "/packet/!4f2100aa/12").await.body;
    assert!(page.contains("figure class=\"way\"") && page.contains("2 gateways that heard it"), "{page}");
    assert_eq!(
        (page.matches("<circle class=\"gateway\"").count(), page.matches("class=\"far\"").count()),
        (2, 1)
    );
}
