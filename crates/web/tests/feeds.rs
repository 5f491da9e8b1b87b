//! Feeds and the map in a frame: what everybody may see, whoever is signed in.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use axum::http::{StatusCode, header};
use town::browser::{get, get_as, post_as, sign_in};
use town::secrets::town_with_secrets;

#[tokio::test]
async fn places_are_those_that_everybody_may_see_also_for_the_operator() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let public = get(&pages, "/feeds/nodes.geojson").await;
    let mine = get_as(&pages, &cookie, "/feeds/nodes.geojson").await;
    assert_eq!(public.body, mine.body);
    let told: serde_json::Value = serde_json::from_str(&public.body).unwrap();
    assert_eq!(told["type"], "FeatureCollection");
    assert!(!public.body.contains("4f2100ee") && told["features"].as_array().unwrap().len() == 1, "{told}");
    assert_eq!(
        (&public.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], &public.headers[header::CACHE_CONTROL]),
        (&"*".parse().unwrap(), &"public, max-age=60".parse().unwrap())
    );
    assert!(public.headers.contains_key(header::ETAG));
}

#[tokio::test]
async fn news_hold_public_incidents_and_nothing_that_is_not() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    post_as(
        &pages,
        &cookie,
        "/incidents",
        "title=Storm+%3C%26+hail&when=last+2h&notes=Power+was+out.&public=on",
    )
    .await;
    post_as(&pages, &cookie, "/incidents", "title=Between+us&when=last+2h&notes=").await;
    let news = get_as(&pages, &cookie, "/feeds/status.atom").await;
    assert_eq!(news.headers[header::CONTENT_TYPE], "application/atom+xml; charset=utf-8");
    assert!(
        news.body.contains("Storm &lt;&amp; hail") && news.body.contains("Power was out."),
        "{}",
        news.body
    );
    assert!(!news.body.contains("Between us"), "{}", news.body);
    let feed: atom_syndication::Feed = news.body.parse().unwrap();
    assert_eq!(feed.entries()[0].links()[0].href(), "/incident/1");
    assert!(get(&pages, "/").await.body.contains("href=\"/feeds/status.atom\""));
}

#[tokio::test]
async fn only_the_map_alone_may_stand_in_a_frame() {
    let town = town_with_secrets();
    let pages = town.pages().await;
    let embed = get(&pages, "/embed/map?since=24h").await;
    assert_eq!(embed.status, StatusCode::OK);
    assert!(embed.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors *"));
    assert!(
        !embed.headers.contains_key(header::X_FRAME_OPTIONS) && embed.body.contains("data-public=\"yes\"")
    );
    let map = get(&pages, "/map").await;
    assert!(
        map.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors 'none'")
    );
    assert_eq!(map.headers[header::X_FRAME_OPTIONS], "DENY");
}
