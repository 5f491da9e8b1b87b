//! The access desk: asking, the operator's queue, the answer, and credentials that are shown once.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use std::net::IpAddr;

use axum::http::{StatusCode, header};
use directory::{GatewayId, PersonCommand, PersonRole};
use directory_store::SignedIn;
use town::browser::{Answer, cookie_of, get, get_as, post, post_as, sign_in};
use town::{ANA, Copy, ROUTER_1, Town};

const FORM: &str = "kind=access&node=%21b7000099&owner=Jo+Doe&contact=jo%40example.org&place=Liberty&fixed=on\
                    &power=mains&internet=fibre&downlink=on&reason=a+valley";

#[tokio::test]
async fn somebody_asks_is_approved_and_fetches_credentials_that_work() {
    let mut town = Town::new();
    let pages = town.pages().await;
    let operator = sign_in(&pages, &mut town).await;
    assert!(get(&pages, "/join").await.body.contains("A person reads this"));
    let code = code_of(&post(&pages, "/join", FORM).await);
    assert!(
        post(&pages, "/request", &format!("token={code}")).await.body.contains("It waits for an operator")
    );

    let queue = get_as(&pages, &operator, "/requests").await.body;
    for told in ["Jo Doe", "jo@example.org", "Suggested", "a valley"] {
        assert!(queue.contains(told), "{told}");
    }
    for address in ["/", "/log", "/requests", "/node/!b7000099", "/api/v1/nodes"] {
        assert!(!get(&pages, address).await.body.contains("example.org"), "{address}");
    }

    let (ada, now_ms) = ("ada".parse().unwrap(), u64::try_from(town.now_ms()).unwrap());
    let observer = PersonRole::Observer;
    town.store.apply_person(&PersonCommand::Add(ada, observer), "test", now_ms).unwrap();
    let ada = SignedIn::Person("ada".parse().unwrap(), observer);
    let token = town.store.create_session(&ada, now_ms, 60_000).unwrap();
    let queue = get_as(&pages, &format!("backhaul_session={}", token.reveal()), "/requests").await.body;
    assert!(queue.contains("Suggested") && !queue.contains("jo@example.org"), "contact is for operators");

    let asked_back = post_as(&pages, &operator, "/requests", "number=1&do=ask-back&answer=How+high%3F").await;
    assert_eq!(asked_back.status, StatusCode::SEE_OTHER);
    let seen = post(&pages, "/request", &format!("token={code}&do=answer&words=9+m")).await;
    assert!(seen.body.contains("It waits for an operator"), "{}", seen.body);
    assert!(get_as(&pages, &operator, "/requests").await.body.contains("Answered: 9 m"));

    assert!(!post(&pages, "/request", &format!("token={code}&do=fetch")).await.body.contains("Password"));
    assert_eq!(
        post_as(&pages, &operator, "/requests", "number=1&do=approve").await.status,
        StatusCode::SEE_OTHER
    );
    let credentials = post(&pages, "/request", &format!("token={code}&do=fetch")).await;
    for told in
        ["gw-b7000099", "meshtastic --set mqtt.address", "QR code of the channel link", "mesh.example"]
    {
        assert!(credentials.body.contains(told), "{told}");
    }
    let password = credentials.body.split("Password</dt><dd class=\"mono\">").nth(1).unwrap();
    let password = password.split('<').next().unwrap();
    let directory = town.store.load().unwrap();
    let key = town.store.token_key();
    assert!(directory.authenticate("gw-b7000099", password.as_bytes(), key).is_ok());
    let owner = get_as(&pages, &cookie_of(&credentials), "/").await.body;
    assert!(owner.contains("signed in as the owner of !b7000099"));
    let cookie = cookie_of(&credentials);
    let checklist = get_as(&pages, &cookie, "/gateway/!b7000099/checklist").await.body;
    assert!(checklist.contains("It is not connected.") && checklist.contains("0 receptions within a day"));
    let others = get_as(&pages, &cookie, "/gateway/!7c5a0a01/checklist").await;
    assert_eq!(others.status, StatusCode::NOT_FOUND, "somebody else's gateway");
    assert!(get_as(&pages, &cookie, "/mine").await.body.contains("of 14 points of the checklist are done"));
    let rotated = post_as(&pages, &cookie, "/mine", "do=rotate").await.body;
    let fresh = rotated.split("Password</dt><dd class=\"mono\">").nth(1).unwrap().split('<').next().unwrap();
    let directory = town.store.load().unwrap();
    assert!(directory.authenticate("gw-b7000099", fresh.as_bytes(), town.store.token_key()).is_ok());
    assert!(directory.authenticate("gw-b7000099", password.as_bytes(), town.store.token_key()).is_err());
    let back = post(&pages, "/request", &format!("token={code}&do=sign-in")).await;
    assert_eq!(back.headers[header::LOCATION], "/mine");
    let again = post(&pages, "/request", &format!("token={code}&do=fetch")).await.body;
    assert!(!again.contains(password) && again.contains("the credentials were fetched"));

    let removed = directory::Command::Remove { username: "gw-b7000099".into() };
    town.store.apply(removed, "test", u64::try_from(town.now_ms()).unwrap()).unwrap();
    let gone = get_as(&pages, &cookie_of(&back), "/mine").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "nobody owns a gateway that was removed");
    let back = post(&pages, "/request", &format!("token={code}&do=sign-in")).await;
    assert_eq!(back.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_checklist_ticks_by_what_was_heard() {
    let mut town = Town::new();
    let gateway = town.gateway(0x7c5a_0a01, "jo@example.org", "!7c5a0a01", "192.0.2.7".parse().unwrap());
    let copy = Copy::text(0xb600_0010, 5, "hello");
    town.hear(gateway, &copy);
    let pages = town.pages().await;
    let operator = sign_in(&pages, &mut town).await;
    let checklist = get_as(&pages, &operator, "/gateway/!7c5a0a01/checklist").await.body;
    assert!(checklist.contains("1 reception within a day") && !checklist.contains("hello"), "{checklist}");
}

#[tokio::test]
async fn forms_that_are_wrong_automatic_or_too_many_are_not_taken() {
    let town = Town::new();
    let pages = town.pages().await;
    let wrong = post(&pages, "/join", "node=router&owner=%3Cb%3E").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("how to reach you is missing") && wrong.body.contains("&lt;b&gt;"));
    let program = post(&pages, "/join", &format!("{FORM}&website=http://spam.example")).await;
    assert_eq!(program.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mut sent = 0;
    for node in 0x9900_0001_u32.. {
        let answer = post(&pages, "/join", &FORM.replace("b7000099", &format!("{node:08x}"))).await;
        if answer.status != StatusCode::OK {
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
            assert!(answer.headers.contains_key(header::RETRY_AFTER));
            break;
        }
        sent += 1;
    }
    assert_eq!(town.store.requests().unwrap().len(), sent);
    assert!(sent <= 5, "{sent}");
}

fn code_of(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body.split("/request#").nth(1).unwrap().split(['<', '"']).next().unwrap().to_owned()
}

#[tokio::test]
async fn an_owner_takes_along_what_the_node_itself_sent_and_learns_what_only_it_hears() {
    let mut town = Town::new();
    let one = town.gateway(ROUTER_1, "o", "c", IpAddr::from([198, 51, 100, 1]));
    town.hear(one, &Copy::text(ROUTER_1, 1, "from the roof").opted_out());
    town.hear(one, &Copy::text(ANA, 2, "not the owner's"));
    let pages = town.pages().await;
    let owner = SignedIn::Owner(GatewayId(ROUTER_1));
    let token = town.store.create_session(&owner, town.now_ms() as u64, 60_000).unwrap();
    let cookie = format!("backhaul_session={}", token.reveal());
    let mine = get_as(&pages, &cookie, "/mine").await.body;
    assert!(mine.contains("1 packet of others within a day, of 1 reception"), "{mine}");
    let data = get_as(&pages, &cookie, "/mine/data.jsonl").await;
    assert!(data.headers["content-disposition"].to_str().unwrap().contains("7c5a0a01-2026-08-20.jsonl"));
    let lines: Vec<serde_json::Value> =
        data.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), lines[0]["packet"]["from"].as_str()), (1, Some("!7c5a0a01")), "{}", data.body);
}

#[tokio::test]
async fn without_work_few_requests_come_through_and_a_made_up_solution_none() {
    let town = Town::new();
    let pages = town.pages().await;
    let page = get(&pages, "/join").await.body;
    assert!(page.contains("data-riddle=\"") && page.contains("data-bits=\"18\""), "{page}");
    let made_up = post(&pages, "/join", &format!("{FORM}&riddle=1.1.00&solution=5")).await;
    assert_eq!(made_up.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(
        made_up.body.contains("send it once more") && made_up.body.contains("a valley"),
        "what was written stays"
    );
}
