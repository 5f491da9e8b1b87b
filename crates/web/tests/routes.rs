//! The site map against a golden list, and every address walked with every role.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use directory::{PersonCommand, PersonRole};
use town::Town;
use town::browser::{Answer, PASSWORD, ask, cookie_of, post, sign_in};
use web::Pages;

/// Roles from the least to the most, as the list has them.
const ROLES: [&str; 5] = ["public", "owner", "observer", "operator", "admin"];

#[test]
fn every_address_is_in_the_list_with_its_role() {
    let mut found = String::new();
    for (method, path, role) in web::site_map() {
        writeln!(found, "{method:5}{path:40}{role}").unwrap();
    }
    let listed = include_str!("routes.txt");
    assert!(
        found == listed,
        "tests/routes.txt is not the site map. If each role is right, it becomes:\n{found}"
    );
}

#[tokio::test]
async fn nobody_gets_through_a_gate_that_is_not_theirs() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let visitors = visitors(&pages, &mut town).await;
    for (method, path, needs) in web::site_map() {
        for (role, cookie) in &visitors {
            let answer = walk(&pages, &method, path, cookie).await;
            let rank = |wanted: &str| ROLES.iter().position(|role| *role == wanted).unwrap();
            let may = rank(role) >= rank(needs);
            let is_turned_away = (answer.status == StatusCode::NOT_FOUND
                && answer.body.contains("There is no public page here"))
                || (answer.status == StatusCode::FORBIDDEN && answer.body.contains("Not for your role"))
                || (path.starts_with("/api/") && answer.body.contains("this is for the role"));
            assert_eq!(is_turned_away, !may, "{method} {path} as {role}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn an_observer_sees_the_switch_and_cannot_turn_it() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let visitors = visitors(&pages, &mut town).await;
    let cookie = |wanted: &str| visitors.iter().find(|(role, _)| *role == wanted).unwrap().1.clone();
    let stop = |cookie: String| {
        let request =
            Request::post("/downlink").header(header::COOKIE, cookie).header("sec-fetch-site", "same-origin");
        ask(&pages.router, request.body(Body::from("do=stop")).unwrap())
    };
    assert_eq!(stop(cookie("observer")).await.status, StatusCode::FORBIDDEN);
    let page = walk(&pages, "GET", "/downlink", &cookie("observer")).await;
    assert!(page.body.contains("Downlink flows everywhere"));
    assert_eq!(stop(cookie("operator")).await.status, StatusCode::SEE_OTHER);
    let last = town.store.audit(1).unwrap().remove(0);
    assert_eq!((last.actor.as_str(), last.words.as_str()), ("operator-of-test", "stopped all downlink"));
}

#[tokio::test]
async fn an_admin_invites_somebody_who_sets_a_password_and_signs_in() {
    let mut town = Town::new();
    town.public_url = Some("https://mesh.example".to_owned());
    let pages = town.pages().await;
    let admin = sign_in(&pages, &mut town).await;
    let send = |body: &'static str| {
        let request =
            Request::post("/people").header(header::COOKIE, &admin).header("sec-fetch-site", "same-origin");
        ask(&pages.router, request.body(Body::from(body)).unwrap())
    };
    let answer = send("do=add&name=ada&role=observer").await;
    let link = answer.body.split("https://mesh.example/setup#").nth(1).unwrap();
    let code = link.split('<').next().unwrap();
    let set = post(&pages, "/setup", &format!("token={code}&password={PASSWORD}")).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER);
    let seen = walk(&pages, "GET", "/", &cookie_of(&set)).await;
    assert!(seen.body.contains("signed in as ada (observer)"));
    let again =
        post(&pages, "/login", &format!("username=ada&password={}", PASSWORD.replace(' ', "+"))).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    let wrong = post(&pages, "/login", &format!("username=bo&password={}", PASSWORD.replace(' ', "+"))).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN, "nobody has this name");
    assert_eq!(send("do=add&name=ada&role=admin").await.status, StatusCode::CONFLICT);
    assert_eq!(send("do=remove&name=operator").await.status, StatusCode::CONFLICT, "the last admin");
    assert_eq!(send("do=remove&name=ada").await.status, StatusCode::SEE_OTHER);
    assert!(!walk(&pages, "GET", "/", &cookie_of(&again)).await.body.contains("signed in as"));
}

/// Somebody of each role with a cookie; the public has none.
async fn visitors(pages: &Pages, town: &mut Town) -> Vec<(&'static str, String)> {
    let admin = sign_in(pages, town).await;
    let mut visitors = vec![("public", String::new()), ("admin", admin)];
    let now_ms = u64::try_from(town.now_ms()).unwrap();
    for (role, word) in [(PersonRole::Observer, "observer"), (PersonRole::Operator, "operator")] {
        let add = PersonCommand::Add(format!("{word}-of-test").parse().unwrap(), role);
        let code = town.store.apply_person(&add, "test", now_ms).unwrap().unwrap();
        let set = post(pages, "/setup", &format!("token={}&password={PASSWORD}", code.reveal())).await;
        visitors.push((word, cookie_of(&set)));
    }
    let token = directory_store::random_token().unwrap();
    let id = directory::GatewayId(0x7c5a_0a01);
    town.store
        .apply(directory::Command::AddGateway { id, owner: None, note: String::new(), token }, "test", now_ms)
        .unwrap();
    let owner = directory_store::SignedIn::Owner(directory::GatewayId(0x7c5a_0a01));
    let token = town.store.create_session(&owner, now_ms, 1_000_000).unwrap();
    visitors.push(("owner", format!("backhaul_session={}", token.reveal())));
    visitors
}

/// Asks for an address with plausible parameters. A stream is not read to its end.
async fn walk(pages: &Pages, method: &str, path: &str, cookie: &str) -> Answer {
    let address = path
        .replace("{from}", "!b6000010")
        .replace("{id}", if path.starts_with("/packet") { "17" } else { "!7c5a0a01" })
        .replace("{action}", "review")
        .replace("{file}", "style.css");
    let request = Request::builder()
        .method(method)
        .uri(address)
        .header("sec-fetch-site", "same-origin")
        .header(header::COOKIE, cookie)
        .body(Body::empty())
        .unwrap();
    if path == "/logout" {
        // It would end the walk; that anybody may sign out is in `account.rs`.
        return Answer { status: StatusCode::SEE_OTHER, headers: Default::default(), body: String::new() };
    }
    ask_for_the_start(pages, request).await
}

async fn ask_for_the_start(pages: &Pages, request: Request<Body>) -> Answer {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let response = pages.router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let is_stream = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let body = match is_stream {
        true => String::new(),
        false => {
            String::from_utf8_lossy(&response.into_body().collect().await.unwrap().to_bytes()).into_owned()
        }
    };
    Answer { status, headers, body }
}
