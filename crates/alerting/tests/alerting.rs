//! What is kept survives, waiting is bounded, and no error shows an address or a secret.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use alerting::send::{Sender, signature};
use alerting::store::{FILE, Store};
use alerting::target::{Mail, Secret, Security, Target, Way};
use automation::alert::engine::{Happening, Learned};
use automation::alert::letter::{Letter, trial};
use automation::alert::rule::{Per, Rule, Severity, Subject, Trigger};
use query::Condition;

fn rule() -> Arc<Rule> {
    Arc::new(Rule {
        name: "help".into(),
        about: "".into(),
        severity: Severity::Critical,
        condition: Condition::ALWAYS,
        trigger: Trigger::Match { count: 1, within_ms: 1 },
        per: Per::Node,
        targets: Vec::new(),
        tells_end: true,
        per_hour_max: 1,
        over_after_ms: 1,
    })
}

fn happening(node: u32, at_ms: i64, is_end: bool) -> Happening {
    Happening {
        rule: rule(),
        subject: Subject::Node(node),
        at_ms,
        since_ms: 5,
        is_end,
        detail: "said".to_owned(),
        may_be_told: true,
    }
}

fn letters(target: &str, count: usize) -> Vec<(Box<str>, Letter)> {
    (0..count).map(|n| (target.into(), Letter { title: format!("letter {n}"), ..trial("KC") })).collect()
}

#[test]
fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let learned =
        Learned { rule: "help".into(), subject: Subject::Node(7), value: b"key"[..].into(), at_ms: 3 };
    let mut store = Store::open(folder.path()).unwrap();
    assert_eq!(store.know_rules(["help"].into_iter(), 100).unwrap(), BTreeMap::from([("help".into(), 100)]));
    let happened = [(happening(7, 5, false), true), (happening(8, 6, false), false)];
    store.keep(std::slice::from_ref(&learned), &happened, &letters("team", 1), 10).unwrap();
    drop(store);
    let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "for its owner only");

    let mut store = Store::open(folder.path()).unwrap();
    assert_eq!(store.know_rules(["help"].into_iter(), 200).unwrap()["help"], 100);
    assert_eq!(store.learned().unwrap(), [learned]);
    let firing = store.firing().unwrap();
    assert_eq!(
        firing.iter().map(|(f, told)| (f.subject.clone(), *told)).collect::<Vec<_>>(),
        [(Subject::Node(7), true), (Subject::Node(8), false)]
    );
    let due = store.due("team", 10).unwrap().unwrap();
    assert_eq!((due.letter.title.as_str(), due.attempts), ("letter 0", 0));
    store.keep(&[], &[(happening(7, 9, true), true)], &[], 11).unwrap();
    assert_eq!(store.firing().unwrap().len(), 1);
    assert_eq!(store.happened(10).unwrap().len(), 3);
    store.forget(&[], 12).unwrap();
    assert!(store.firing().unwrap().is_empty(), "its rule is gone");
}

#[test]
fn a_letter_is_due_until_it_arrives_or_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.keep(&[], &[], &letters("team", 2), 10).unwrap();
    assert!(store.due("other", 10).unwrap().is_none());
    let first = store.due("team", 10).unwrap().unwrap();
    store.attempted(first.id, Some("nobody listens"), Some(500), 20).unwrap();
    let second = store.due("team", 20).unwrap().unwrap();
    assert_eq!(second.letter.title, "letter 1", "one that failed does not hold up the others");
    store.attempted(second.id, None, None, 21).unwrap();
    assert!(store.due("team", 499).unwrap().is_none());
    let again = store.due("team", 500).unwrap().unwrap();
    assert_eq!((again.attempts, again.problem.as_deref()), (1, Some("nobody listens")));
    store.attempted(first.id, Some("nobody listens"), None, 501).unwrap();
    assert!(store.due("team", i64::MAX).unwrap().is_none());
    let states: Vec<_> = store.letters(9).unwrap().iter().map(|l| (l.sent_ms, l.attempts)).collect();
    assert_eq!(states, [(Some(21), 1), (None, 2)]);
}

#[test]
fn no_more_wait_for_a_target_than_the_limit_and_the_oldest_give_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.keep(&[], &[], &letters("team", 510), 10).unwrap();
    let waiting: Vec<_> = store.letters(1_000).unwrap().into_iter().filter(|l| l.next_ms.is_some()).collect();
    assert_eq!(waiting.len(), 500);
    assert_eq!(store.due("team", 10).unwrap().unwrap().letter.title, "letter 10");
}

#[test]
fn a_signature_is_that_of_time_and_body() {
    // Python: hmac.new(b"key", b"1795464000.{}", "sha256").hexdigest()
    let expected = "t=1795464000,v1=520e6310e12506e02c542ab9c6b2931e3d84f12955fe813e17bd9677710c7941";
    assert_eq!(signature(&Secret::new("key"), "{}", 1_795_464_000_999), expected);
}

/// Answers one request with a status, and says what it got.
fn once(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hunter2", listener.local_addr().unwrap());
    let answered = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut got, mut buffer) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&got).contains("Nothing has happened") {
            let count = stream.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..count]);
        }
        stream
            .write_all(format!("HTTP/1.1 {status}\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .unwrap();
        String::from_utf8_lossy(&got).into_owned()
    });
    (url, answered)
}

#[test]
fn errors_say_what_to_do_and_show_no_secret() {
    let sender = Sender::default();
    for (status, wanted) in [
        ("302 Found", "not followed"),
        ("401 Unauthorized", "token"),
        ("404 Not Found", "address"),
        ("422 No", "template"),
        ("500 Broken", "tried again"),
    ] {
        let (url, answered) = once(status);
        let way = Way::Ntfy { url: Secret::new(&url), token: Some(Secret::new("hunter3")) };
        let why = sender.send(&way, &trial("KC"), 0).unwrap_err();
        assert!(why.contains(wanted) && why.contains(&status[..3]), "{why}");
        assert!(!why.contains("hunter"), "{why}");
        let got = answered.join().unwrap().to_lowercase();
        assert!(got.contains("authorization: bearer hunter3") && got.contains("x-title: kc"), "{got}");
    }
    let closed = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let way = Way::Discord { url: Secret::new(&format!("http://127.0.0.1:{closed}/hunter2")) };
    let why = sender.send(&way, &trial("KC"), 0).unwrap_err();
    assert!(why.contains("nobody listens") && !why.contains("hunter"), "{why}");
    let mail = Mail {
        server: "127.0.0.1".into(),
        port: closed,
        security: Security::None,
        credentials: Some(("me".into(), Secret::new("hunter4"))),
        from: "a@example.org".into(),
        to: vec!["b@example.org".into()],
    };
    let why = sender.send(&Way::Mail(mail.clone()), &trial("KC"), 0).unwrap_err();
    assert!(why.contains("`server`, `port`") && !why.contains("hunter"), "{why}");
    let why =
        sender.send(&Way::Mail(Mail { from: "nobody".into(), ..mail.clone() }), &trial("KC"), 0).unwrap_err();
    assert!(why.contains("correct `from`"), "{why}");
    let target = Target { name: "t".into(), way: Way::Mail(mail) };
    assert!(!format!("{target:?} {way:?}").contains("hunter"));
}
