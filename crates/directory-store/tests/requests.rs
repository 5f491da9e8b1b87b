//! The access desk on real files: asking, deciding, fetching, forgetting.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use directory::{GatewayId, RequestDecision, RequestForm, RequestKind, RequestRefused, RequestState};
use directory_store::{Store, StoreError};

const NOW: i64 = 1_800_000_000_000;

#[test]
fn an_approved_owner_fetches_working_credentials_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let (number, code) = store.take_request(&form(7), NOW).unwrap();
    assert!(store.fetch_credentials(code.reveal(), NOW).unwrap().is_none(), "not approved");
    store.decide_request(number, RequestDecision::Approve, "welcome", "ada", NOW + 1).unwrap();
    assert!(store.fetch_credentials("wrong", NOW).unwrap().is_none());
    let fetched = store.fetch_credentials(code.reveal(), NOW + 2).unwrap().unwrap();
    assert!(store.fetch_credentials(code.reveal(), NOW + 3).unwrap().is_none(), "once");
    let directory = store.load().unwrap();
    let gateway = directory
        .authenticate(&fetched.username, fetched.password.reveal().as_bytes(), store.token_key())
        .unwrap();
    assert_eq!(gateway.role.gateway_id(), Some(GatewayId(7)));
    assert_eq!(gateway.owner.as_ref().unwrap().name, "Jo");
    let grant = &directory.grants().gateways[&GatewayId(7)];
    assert!(grant.downlink && !grant.telemetry);
    let request = store.request_by_code(code.reveal()).unwrap().unwrap();
    assert_eq!(
        (request.state, request.decided_by.as_str(), request.answer.as_str()),
        (RequestState::Fetched, "ada", "welcome")
    );
    let audit: Vec<String> = store.audit(9).unwrap().into_iter().map(|line| line.action).collect();
    assert_eq!(audit, ["fetch", "approve", "ask"]);
    let told = format!("{:?}", store.audit(9).unwrap());
    assert!(!told.contains("jo@example.org"), "{told}");
}

#[test]
fn a_contribution_adds_to_what_was_granted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let more = RequestForm {
        kind: RequestKind::Contribution,
        wants_downlink: false,
        wants_telemetry: true,
        ..form(7)
    };
    let (early, _) = store.take_request(&more, NOW).unwrap();
    let refused = store.decide_request(early, RequestDecision::Approve, "", "ada", NOW);
    assert!(matches!(refused, Err(StoreError::Request(RequestRefused::UnknownGateway(_)))));
    store.decide_request(early, RequestDecision::Refuse, "first access", "ada", NOW).unwrap();
    for form in [form(7), more] {
        let (number, _) = store.take_request(&form, NOW).unwrap();
        store.decide_request(number, RequestDecision::Approve, "", "ada", NOW).unwrap();
    }
    let grant = store.load().unwrap().grants().gateways[&GatewayId(7)].clone();
    assert!(grant.downlink && grant.telemetry);
}

#[test]
fn whoever_is_asked_back_answers_and_waits_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let (number, code) = store.take_request(&form(7), NOW).unwrap();
    assert!(matches!(store.take_request(&form(7), NOW), Err(StoreError::Request(RequestRefused::Twice))));
    assert!(store.answer_request(code.reveal(), "unasked", NOW).is_err());
    store.decide_request(number, RequestDecision::AskBack, "how high?", "ada", NOW).unwrap();
    store.answer_request(code.reveal(), "9 m", NOW).unwrap();
    let request = store.requests().unwrap().remove(0);
    assert_eq!(request.state, RequestState::Waiting);
    assert!(request.form.reason.ends_with("Asked: how high?\nAnswered: 9 m"), "{}", request.form.reason);
}

#[test]
fn requests_expire_and_are_deleted_with_their_contact_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let day_ms = 24 * 3_600_000;
    store.take_request(&form(7), NOW).unwrap();
    store.take_request(&form(8), NOW + 61 * day_ms).unwrap();
    let states: Vec<_> = store.requests().unwrap().into_iter().map(|r| r.state).collect();
    assert_eq!(states, [RequestState::Waiting, RequestState::Expired]);
    assert_eq!(store.delete_requests_before(NOW + day_ms).unwrap(), 1);
    assert_eq!(store.requests().unwrap().len(), 1);
}

fn form(node: u32) -> RequestForm {
    RequestForm {
        kind: RequestKind::Access,
        node: GatewayId(node),
        owner: "Jo".to_owned(),
        contact: "jo@example.org".to_owned(),
        place: "Liberty".to_owned(),
        is_fixed: true,
        power: "mains".to_owned(),
        height: "9 m".to_owned(),
        internet: "fibre".to_owned(),
        channels: Vec::new(),
        wants_downlink: true,
        wants_telemetry: false,
        reason: "a valley".to_owned(),
    }
}
