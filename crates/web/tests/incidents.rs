//! Incidents and replays on the pages and over the API: who may see and say what.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use axum::http::StatusCode;
use serde_json::Value as Json;
use town::browser::{get, get_as, post_as, sign_in};
use town::secrets::town_with_secrets;

const MARK: &str =
    "title=Storm+over+Liberty&when=last+2h&notes=Power+was+out.%0A%0ARouter+1+stayed+up.&pinned=on";

#[tokio::test]
async fn an_incident_is_marked_shared_closed_and_removed() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    assert!(get(&pages, "/incidents").await.body.contains("Nothing is marked"));
    let cookie = sign_in(&pages, &mut town).await;
    let marked = post_as(&pages, &cookie, "/incidents", MARK).await;
    assert_eq!(
        (marked.status, &marked.headers["location"]),
        (StatusCode::SEE_OTHER, &"/incident/1".parse().unwrap())
    );
    let inside = get_as(&pages, &cookie, "/incident/1").await.body;
    for part in [
        "Storm over Liberty",
        "Router 1 stayed up.",
        "Before and after",
        "Receptions by gateway",
        "See it again",
        "kept",
    ] {
        assert!(inside.contains(part), "{part}: {inside}");
    }

    // Nobody else learns that it exists.
    let hidden = get(&pages, "/incident/1").await;
    let none = get(&pages, "/incident/99").await;
    assert_eq!((hidden.status, none.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert!(
        !get(&pages, "/incidents").await.body.contains("Storm")
            && !get(&pages, "/").await.body.contains("Storm")
    );
    assert_eq!(get(&pages, "/api/v1/incidents/1").await.status, StatusCode::NOT_FOUND);

    let shared = format!("{MARK}&public=on&do=change");
    assert_eq!(post_as(&pages, &cookie, "/incident/1", &shared).await.status, StatusCode::SEE_OTHER);
    let public = get(&pages, "/incident/1").await.body;
    assert!(
        public.contains("Storm over Liberty")
            && !public.contains("See it again")
            && !public.contains("Marked")
    );
    assert!(get(&pages, "/").await.body.contains("Storm over Liberty"));
    let told: Json = serde_json::from_str(&get(&pages, "/api/v1/incidents/1").await.body).unwrap();
    let during = &told["incident"]["counts"]["during"];
    assert!(during["receptions"].as_u64().unwrap() > 0 && told["incident"]["made_by"].is_null(), "{told}");

    assert_eq!(post_as(&pages, &cookie, "/incident/1", "do=close").await.status, StatusCode::SEE_OTHER);
    assert!(get(&pages, "/incidents").await.body.contains("closed"));
    assert_eq!(post_as(&pages, &cookie, "/incident/1", "do=remove").await.status, StatusCode::SEE_OTHER);
    assert_eq!(get_as(&pages, &cookie, "/incident/1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_makes_no_sense_is_said_and_what_was_written_stays() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    for (body, why) in [
        ("title=&when=last+2h&notes=", "needs a title"),
        ("title=Storm&when=port:text&notes=", "say since when"),
        ("title=Storm&when=last+2fortnights&notes=", "2fortnights"),
        ("title=Storm&when=last+40d&notes=long+story", "31 days"),
    ] {
        let answer = post_as(&pages, &cookie, "/incidents", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(answer.body.contains(why), "{why}: {}", answer.body);
    }
    let kept =
        post_as(&pages, &cookie, "/incidents", "title=Storm&when=last+40d&notes=long+story").await.body;
    assert!(
        kept.contains("value=\"Storm\"")
            && kept.contains("long story")
            && kept.contains("value=\"last 40d\"")
    );
}

#[tokio::test]
async fn the_log_leads_to_a_mark_and_a_replay_of_the_same_time() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let log = get_as(&pages, &cookie, "/log?q=port%3Atext+last+2h").await.body;
    assert!(log.contains("/incidents?q=port%3Atext+last+2h#mark"), "{log}");
    assert!(log.contains("/replays?q=port%3Atext+last+2h#new"), "{log}");
    assert!(!get(&pages, "/log?q=last+2h").await.body.contains("Mark as incident"));
    let form = get_as(&pages, &cookie, "/incidents?q=port%3Atext+last+2h").await.body;
    assert!(form.contains("name=\"when\" value=\"last 2h\""), "{form}");
}

#[tokio::test]
async fn a_replay_is_ordered_and_steered() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    assert!(get_as(&pages, &cookie, "/replays").await.body.contains("Nothing has been put back"));
    for (wrong, why) in [
        ("q=port:text&speed=1", "say since when"),
        ("q=last+2h&speed=5000", "1000"),
        ("q=colour:red&speed=1", "colour"),
    ] {
        let refused = post_as(&pages, &cookie, "/replays", wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(refused.body.contains(why), "{why}: {}", refused.body);
    }
    let ordered = post_as(&pages, &cookie, "/replays", "q=port%3Atext+last+2h&speed=60&paused=on").await;
    assert_eq!(ordered.status, StatusCode::SEE_OTHER);
    let list = get_as(&pages, &cookie, "/replays").await.body;
    assert!(
        list.contains("Replay 1") && list.contains("port:text last 2h") && list.contains("waiting"),
        "{list}"
    );
    for (command, state) in
        [("do=resume", "running"), ("do=speed&speed=0.1", "0.1 times life"), ("do=stop", "over")]
    {
        assert_eq!(
            post_as(&pages, &cookie, "/replay/1", command).await.status,
            StatusCode::SEE_OTHER,
            "{command}"
        );
        let list = get_as(&pages, &cookie, "/replays").await.body;
        assert!(list.contains(state), "{command}: {list}");
    }
    assert_eq!(post_as(&pages, &cookie, "/replay/1", "do=resume").await.status, StatusCode::CONFLICT);
    assert_eq!(
        post_as(&pages, &cookie, "/replay/x", "do=resume").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let told: Json = serde_json::from_str(&get_as(&pages, &cookie, "/api/v1/replays").await.body).unwrap();
    assert_eq!(told["replays"][0]["state"], "over");
    assert_eq!(get(&pages, "/api/v1/replays").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_the_log_shows_is_a_file() {
    let mut town = town_with_secrets();
    let pages = town.pages().await;
    let cookie = sign_in(&pages, &mut town).await;
    let log = get_as(&pages, &cookie, "/log?q=port%3Atext").await.body;
    assert!(log.contains("/export?q=port%3Atext&amp;format=pcapng"), "{log}");
    let table = get_as(&pages, &cookie, "/export?q=port%3Atext&format=csv").await;
    assert_eq!(table.status, StatusCode::OK);
    let name = table.headers["content-disposition"].to_str().unwrap();
    assert!(name.contains("attachment") && name.contains(".csv"), "{name}");
    let all = get_as(&pages, &cookie, "/export").await.body;
    assert!(table.body.starts_with("seq,at_ms,") && table.body.lines().count() < all.lines().count());
    for (wrong, why) in [("format=doc", "pcapng"), ("q=colour:red", "colour")] {
        let refused = get_as(&pages, &cookie, &format!("/export?{wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.body.contains(why), "{}", refused.body);
    }
    // What not everybody agreed to show is not for everybody.
    assert_ne!(get(&pages, "/export?format=csv").await.status, StatusCode::OK);
}
