//! The operator's sign-in: setup, password, throttle, and forms of other sites.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod town;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use town::Town;
use town::browser::{PASSWORD, ask, cookie_of, get, get_as, post, sign_in};

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
async fn the_kill_switch_is_the_operators_and_is_seen() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let send = |body: &'static str, cookie: String| {
        let request = Request::post("/downlink")
            .header(header::COOKIE, cookie)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        ask(&pages.router, request.body(Body::from(body)).unwrap())
    };
    assert_eq!(get(&pages, "/downlink").await.status, StatusCode::NOT_FOUND);
    assert_eq!(send("do=stop", String::new()).await.status, StatusCode::NOT_FOUND);
    assert!(get_as(&pages, &cookie, "/downlink").await.body.contains("Downlink flows everywhere"));
    assert_eq!(send("do=stop", cookie.clone()).await.status, StatusCode::SEE_OTHER);
    assert!(get_as(&pages, &cookie, "/downlink").await.body.contains("All downlink has been stopped"));
    let again = send("do=stop", cookie.clone()).await;
    assert!(again.status == StatusCode::CONFLICT && again.body.contains("already stopped"));
    assert_eq!(send("do=start", cookie.clone()).await.status, StatusCode::SEE_OTHER);
    assert_eq!(send("do=stop&island=%217c5a0a01", cookie.clone()).await.status, StatusCode::SEE_OTHER);
    assert!(get_as(&pages, &cookie, "/downlink").await.body.contains("on island !7c5a0a01"));
    for wrong in ["", "do=stop&island=east", "do=verify"] {
        assert_eq!(send(wrong, cookie.clone()).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    assert_eq!(send("do=verify&gateway=%217c5a0a01", cookie).await.status, StatusCode::CONFLICT);
}
