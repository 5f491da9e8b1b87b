//! Programs with tokens: what each may ask and do, for how long, and how often.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use directory::{ApiScope, ApiTokenForm, PersonCommand, PersonRole};
use serde_json::{Value as Json, json};
use town::browser::{Answer, ask, get, get_as, post_as, sign_in};
use town::secrets::town_with_secrets;
use web::Pages;

async fn call(pages: &Pages, method: Method, path: &str, token: &str, body: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::from(body.to_owned()))
        .unwrap();
    ask(&pages.router, request).await
}

fn json_of(answer: &Answer) -> Json {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// A token made on the page.
async fn make(pages: &Pages, cookie: &str, form: &str) -> String {
    let made = post_as(pages, cookie, "/tokens", &format!("do=make&name=Grafana&{form}")).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let text = made.body.split_once("<pre class=\"card mono\">").unwrap().1.split_once('<').unwrap().0;
    text.trim().to_owned()
}

#[tokio::test]
async fn a_token_reads_what_an_observer_sees_and_does_no_more_than_its_scope() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let (reads, operates) =
        (make(&pages, &cookie, "scope=read&days=30").await, make(&pages, &cookie, "scope=operate").await);
    let public = json_of(&get(&pages, "/api/v1/receptions").await);
    let seen = json_of(&call(&pages, Method::GET, "/api/v1/receptions", &reads, "").await);
    let count = |told: &Json| told["receptions"].as_array().unwrap().len();
    assert!(count(&seen) > count(&public) && seen["receptions"][0]["client_id"].is_string());

    let mark = json!({ "title": "Storm", "when": "last 2h" }).to_string();
    assert_eq!(
        call(&pages, Method::POST, "/api/v1/incidents", &reads, &mark).await.status,
        StatusCode::FORBIDDEN
    );
    let marked = call(&pages, Method::POST, "/api/v1/incidents", &operates, &mark).await;
    assert_eq!((marked.status, json_of(&marked)["number"].as_i64()), (StatusCode::CREATED, Some(1)));
    assert!(get_as(&pages, &cookie, "/incident/1").await.body.contains("program Grafana"));
    let close = call(&pages, Method::POST, "/api/v1/incidents/1", &operates, r#"{"is_closed":true}"#).await;
    assert_eq!(close.status, StatusCode::OK);
    let order = json!({ "incident": 1, "speed": 60, "is_paused": true }).to_string();
    assert_eq!(
        call(&pages, Method::POST, "/api/v1/replays", &operates, &order).await.status,
        StatusCode::CREATED
    );
    for (body, status) in [
        (r#"{"do":"step","count":2}"#, StatusCode::OK),
        (r#"{"do":"speed","speed":0.1}"#, StatusCode::OK),
        (r#"{"do":"speed","speed":9999}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"do":"fly"}"#, StatusCode::BAD_REQUEST),
        (r#"{"do":"stop"}"#, StatusCode::OK),
        (r#"{"do":"stop"}"#, StatusCode::CONFLICT),
    ] {
        let answer = call(&pages, Method::POST, "/api/v1/replays/1", &operates, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let stop = call(&pages, Method::POST, "/api/v1/downlink", &operates, r#"{"is_stopped":true}"#).await;
    assert_eq!(stop.status, StatusCode::OK);

    // Pages are for people.
    assert_eq!(call(&pages, Method::GET, "/settings", &operates, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        call(&pages, Method::POST, "/downlink", &operates, "do=start").await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_command_is_said_in_json() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let token = make(&pages, &cookie, "scope=operate").await;
    for (body, status, why) in [
        ("", StatusCode::BAD_REQUEST, "the body is not understood"),
        (r#"{"title":"a","when":"last 2h","colour":1}"#, StatusCode::BAD_REQUEST, "colour"),
        (r#"{"title":"","when":"last 2h"}"#, StatusCode::UNPROCESSABLE_ENTITY, "needs a title"),
        (r#"{"title":"a","when":"port:text"}"#, StatusCode::UNPROCESSABLE_ENTITY, "say since when"),
    ] {
        let answer = call(&pages, Method::POST, "/api/v1/incidents", &token, body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(json_of(&answer)["error"].as_str().unwrap().contains(why), "{}", answer.body);
    }
    let nobody =
        Request::post("/api/v1/incidents").header("sec-fetch-site", "same-origin").body(Body::empty());
    let nobody = ask(&pages.router, nobody.unwrap()).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(json_of(&nobody)["error"].as_str().unwrap().contains("operator"));
    // Another site's page cannot make a browser do it.
    let foreign = Request::post("/api/v1/incidents").header(header::COOKIE, cookie).body(Body::from("{}"));
    assert_eq!(ask(&pages.router, foreign.unwrap()).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_ends_when_it_is_revoked_too_old_or_its_maker_may_less() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let now_ms = town.now_ms();
    let works = async |token: &str| call(&pages, Method::GET, "/api/v1/receptions", token, "").await.status;
    let revoked = make(&pages, &cookie, "scope=read").await;
    assert_eq!(works(&revoked).await, StatusCode::OK);
    assert!(get_as(&pages, &cookie, "/tokens").await.body.contains("just now"));
    assert_eq!(post_as(&pages, &cookie, "/tokens", "do=revoke&number=1").await.status, StatusCode::SEE_OTHER);
    assert_eq!(works(&revoked).await, StatusCode::UNAUTHORIZED);
    assert_eq!(works("ABCDEFGHIJKLMNOPQRSTUVWXYZ").await, StatusCode::UNAUTHORIZED);

    let person = "bo".parse().unwrap();
    town.store
        .apply_person(&PersonCommand::Add(person, PersonRole::Operator), "test", now_ms as u64)
        .unwrap();
    let form =
        ApiTokenForm { name: "script".into(), scope: ApiScope::Operate, until_ms: Some(now_ms + 5_000) };
    let bo = "bo".parse().unwrap();
    let token = town.store.make_api_token(form, Some(&bo), "bo", now_ms).unwrap();
    assert_eq!(works(token.reveal()).await, StatusCode::OK);
    town.store
        .apply_person(&PersonCommand::SetRole(bo.clone(), PersonRole::Observer), "test", now_ms as u64)
        .unwrap();
    assert_eq!(works(token.reveal()).await, StatusCode::UNAUTHORIZED, "its maker may only look now");
    town.store
        .apply_person(&PersonCommand::SetRole(bo, PersonRole::Operator), "test", now_ms as u64)
        .unwrap();
    assert_eq!(works(token.reveal()).await, StatusCode::OK);
    town.wait_ms(5_000);
    assert_eq!(works(token.reveal()).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let token = make(&pages, &cookie, "scope=read").await;
    let first = get(&pages, "/api/v1/rules").await;
    assert_eq!(
        (&first.headers["ratelimit-limit"], &first.headers["ratelimit-remaining"]),
        (&"300".parse().unwrap(), &"299".parse().unwrap())
    );
    for _ in 0..299 {
        assert_eq!(get(&pages, "/api/v1/channels").await.status, StatusCode::OK);
    }
    let refused = get(&pages, "/api/v1/channels").await;
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    assert!(json_of(&refused)["error"].is_string());
    // Each has their own.
    assert_eq!(call(&pages, Method::GET, "/api/v1/channels", &token, "").await.status, StatusCode::OK);
    assert_eq!(get(&pages, "/").await.status, StatusCode::OK);
    town.wait_ms(1_000);
    assert_eq!(get(&pages, "/api/v1/channels").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_shown_once_and_nowhere_else() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let token = make(&pages, &cookie, "scope=read").await;
    assert!(!get_as(&pages, &cookie, "/tokens").await.body.contains(&token));
    let files = std::fs::read_dir(town.folder.path())
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.unwrap().path()).ok());
    for bytes in files {
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
    }
    for wrong in [
        "do=make&name=&scope=read",
        "do=make&name=a&scope=all",
        "do=make&name=a&scope=read&days=0",
        "do=revoke&number=x",
    ] {
        assert_eq!(
            post_as(&pages, &cookie, "/tokens", wrong).await.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}"
        );
    }
}
