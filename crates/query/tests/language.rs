//! The language as people meet it: what is read, what is written back, what mistakes say, what is offered.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use policy::decision::Verdict;
use policy::rule::RULES;
use proptest::prelude::*;
use query::{
    Compare, Condition, CopyFate, Expr, Island, Measure, Moment, NodeName, NodeRef, Query, Role,
    Surroundings, Term, Test, Vocabulary, When, complete,
};
use record::{Consent, KeyClass};

#[test]
fn what_people_write_is_read_and_written_back() {
    for (text, written) in [
        ("", ""),
        ("  from:!a5000001  port:text ", "from:!a5000001 port:text"),
        ("from:A5000001", "from:!a5000001"),
        ("sender:kcdr to:all", "from:kcdr to:all"),
        ("gw:Liberty", "gw:Liberty"),
        ("gateway:\"Liberty Water Tower\"", "gw:\"Liberty Water Tower\""),
        ("hops<2", "hops<2"),
        ("hops < 2", "hops<2"),
        ("HOPS >= 2 and Snr>-10.5dB", "hops>=2 snr>-10.5"),
        ("hops:1..3", "hops>=1 hops<=3"),
        ("rssi<=-90dBm", "rssi<=-90"),
        ("consent:NO verdict:withheld", "consent:no copy:withheld"),
        ("verdict:\"record only\"", "verdict:record-only"),
        ("text:\"net tonight\"", "text:\"net tonight\""),
        ("\"net tonight\" test", "\"net tonight\" \"test\""),
        ("last 6h", "last 6h"),
        ("last 2 days", "last 2d"),
        ("last:90m", "last 90m"),
        ("since 2026-11-20 13:45 until yesterday", "since 2026-11-20T13:45:00 until yesterday"),
        ("on 2026-11-20", "on 2026-11-20"),
        ("port:text,position", "port:text or port:position"),
        ("from:!a5000001 port:text,position", "from:!a5000001 (port:text or port:position)"),
        ("port!=text", "not port:text"),
        ("-port:text", "not port:text"),
        ("not (port:text or rule:consent)", "not (port:text or rule:consent)"),
        ("-(port:range-test)", "not port:range-test"),
        ("port:\"range test\" port:300 port:closed", "port:range-test port:300 port:encrypted"),
        ("key:pki key:Default", "key:PKI key:default"),
        ("a or b c or (d)", "\"a\" or (\"b\" \"c\") or \"d\""),
        ("!a5000001", "node:!a5000001"),
        ("id:0x1a2b3c4d id:7", "id:439041101 id:7"),
        ("channel:LongFast channel:\"Kansas City\"", "channel:LongFast channel:\"Kansas City\""),
        ("from:\"!a5000001\"", "from:\"!a5000001\""),
        ("\"say \\\"hi\\\" \\\\ there\"", "\"say \\\"hi\\\" \\\\ there\""),
        ("topic:msh/US/* client:gw-* user:x", "topic:msh/US/* client:gw-* user:x"),
        ("flag:via-mqtt would:public-key copy:dropped", "flag:via_mqtt would:public-key copy:dropped"),
        ("\"or\" \"not\"", "\"or\" \"not\""),
        ("#net 73!", "\"#net\" \"73!\""),
    ] {
        let query = Query::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:#?}"));
        assert_eq!(query.to_string(), written, "{text}");
        assert_eq!(Query::parse(written).unwrap(), query, "{written}");
    }
}

#[test]
fn a_mistake_is_pointed_at_and_told_with_what_may_be_meant() {
    for (text, marked, words, instead) in [
        ("prot:text hops<2", "prot", "no field `prot`", &["port"][..]),
        ("port:txt", "txt", "no port", &["text"]),
        ("port:morse code", "morse", "there are unknown, text", &[]),
        ("verdict:maybe", "maybe", "record-only", &[]),
        ("verdict:refused", "refused", "verdict", &["refuse"]),
        ("rule:golden", "golden", "there are topic-rights", &[]),
        ("rule:conset", "conset", "rule", &["consent"]),
        ("from:!7c5a", "!7c5a", "eight hexadecimal digits", &[]),
        ("from:", ":", "a value must follow", &[]),
        ("from: port:text", ":", "a value must follow", &[]),
        ("port<text", "<", "no more and no less", &[":"]),
        ("hops<few", "few", "not a number", &[]),
        ("snr>1.23456", "1.23456", "not a number", &[]),
        ("last sunday", "sunday", "write an age", &[]),
        ("last", "last", "as in `last 6h`", &[]),
        ("since noon", "noon", "2026-11-23", &[]),
        ("(port:text", "(", "never closed", &[]),
        ("port:text)", ")", "never opened", &[]),
        ("()", "()", "nothing in these", &[]),
        ("or port:text", "or", "before it", &[]),
        ("port:text or", "or", "after it", &[]),
        ("not", "not", "must follow", &[]),
        ("text:\"net", "\"", "no second", &[]),
        ("\"\"", "\"\"", "nothing in these", &[]),
        ("text:\"\"", "\"\"", "nothing in these", &[]),
        ("port:text,", ",", "further value", &[]),
        (", port:text", ",", "comma", &[]),
        ("!via_mqtt", "!via_mqtt", "does not negate", &[]),
        ("http://x.y", "http", "put it in quotes: \"http://x.y\"", &[]),
        ("id:abc", "abc", "0x1a2b3c4d", &[]),
    ] {
        let problems = Query::parse(text).expect_err(text);
        let problem = &problems[0];
        assert_eq!(&text[problem.span.clone()], marked, "{text}: {problem:?}");
        assert!(problem.to_string().contains(words), "{text}: {problem}");
        assert_eq!(problem.instead, instead, "{text}");
        if let Some(first) = instead.first() {
            let corrected = problem.corrected(text, first);
            assert!(Query::parse(&corrected).is_ok(), "{corrected}");
        }
    }
}

#[test]
fn every_mistake_is_told_at_once_in_order() {
    let problems = Query::parse("prot:text (hops<x rule:nothing-like-it").unwrap_err();
    let starts: Vec<usize> = problems.iter().map(|p| p.span.start).collect();
    assert_eq!(starts, [0, 10, 16, 23]);
    let shown = problems[0].pointed_at("prot:text (hops<x");
    assert!(shown.starts_with("  prot:text (hops<x\n  ^^^^\n"), "{shown}");
}

#[test]
fn a_long_or_deep_filter_is_refused_in_words() {
    let deep = format!("{}a{}", "(".repeat(1000), ")".repeat(900));
    assert!(Query::parse(&deep).unwrap_err().iter().any(|p| p.message.contains("deep")));
    assert!(Query::parse(&"not ".repeat(400)).is_err());
    assert!(Query::parse(&"é".repeat(2000)).unwrap_err()[0].message.contains("longer"));
    assert!(Query::parse(&"a ".repeat(65)).unwrap_err()[0].message.contains("64 terms"));
    assert!(Query::parse(&"a ".repeat(64)).is_ok());
}

fn names() -> Vec<NodeName> {
    let name = |node, long: &str, short: &str| NodeName { node, long: long.into(), short: short.into() };
    vec![
        name(0x7c5a_0a01, "Liberty Water Tower", "LIB1"),
        name(0x7c5a_0a02, "Overland Park", "OPGW"),
        name(0xa500_0001, "Jo in Liberty", "JO"),
    ]
}

#[test]
fn names_are_looked_up_and_near_ones_offered() {
    let names = names();
    let surroundings = Surroundings { names: &names, now_ms: 1_000_000_000, islands: &[] };
    let bound = |text: &str| Query::parse(text).unwrap().bind(&surroundings);
    let same = |one: &str, other: &str| assert_eq!(bound(one).unwrap(), bound(other).unwrap(), "{one}");
    same("from:lib1", "from:!7c5a0a01");
    same("gw:\"overland park\"", "gw:!7c5a0a02");
    same("from:overland", "from:!7c5a0a02");
    same("last 1s", "since 1s");
    let both = format!("{:?}", bound("from:liberty").unwrap());
    assert!(both.contains("2086275585") && both.contains("2768240641"), "{both}");
    let text = "port:text from:OPWG";
    let problem = Query::parse(text).unwrap().bind(&surroundings).unwrap_err();
    assert_eq!((&text[problem.span.clone()], &problem.instead[..]), ("OPWG", &["OPGW".to_owned()][..]));
    assert!(bound("island:lib1").unwrap_err().message.contains("no islands"));
}

#[test]
fn an_island_is_named_by_any_of_its_gateways() {
    let names = names();
    let islands = [
        Island { number: 0x7c5a_0a01, gateways: vec![0x7c5a_0a03, 0x7c5a_0a01] },
        Island { number: 0x7c5a_0a02, gateways: vec![0x7c5a_0a02] },
    ];
    let surroundings = Surroundings { names: &names, now_ms: 1_000_000_000, islands: &islands };
    let bound = |text: &str| Query::parse(text).unwrap().bind(&surroundings);
    let of_gateways = |gateways: &[u32]| Condition::Is(Test::Gateway(gateways.to_vec()));
    for text in ["island:lib1", "island:!7c5a0a01", "island:!7c5a0a03"] {
        assert_eq!(bound(text).unwrap(), of_gateways(&[0x7c5a_0a01, 0x7c5a_0a03]), "{text}");
    }
    assert_eq!(bound("island:\"overland park\"").unwrap(), of_gateways(&[0x7c5a_0a02]));
    for (text, word) in [("port:text island:!7c5a0a09", "!7c5a0a09"), ("island:!0x", "")] {
        match Query::parse(text) {
            Ok(query) => {
                let problem = query.bind(&surroundings).unwrap_err();
                assert_eq!(&text[problem.span.clone()], word);
                assert!(problem.message.contains("is on no island"), "{}", problem.message);
            }
            Err(problems) => assert!(problems[0].message.contains("not a node id")),
        }
    }
    let vocabulary = Vocabulary { names: &names, islands: &islands, ..Vocabulary::default() };
    let offered = |text: &str| -> Vec<(String, String)> {
        complete(text, text.len(), &vocabulary).into_iter().map(|c| (c.text, c.help)).collect()
    };
    assert_eq!(offered("isl").len(), 1);
    assert_eq!(offered("island:").len(), 2);
    let over = offered("island:over");
    assert_eq!(over.len(), 1);
    assert_eq!(over[0].0, "!7c5a0a02 ");
    assert!(over[0].1.ends_with(": 1 gateway."), "{}", over[0].1);
}

#[test]
fn what_may_stand_at_the_cursor_is_offered() {
    let names = names();
    let channels = ["LongFast".to_owned(), "Kansas City".to_owned()];
    let vocabulary = Vocabulary {
        names: &names,
        gateways: &[0x7c5a_0a01, 0x7c5a_0a02, 0x7c5a_0a09],
        channels: &channels,
        islands: &[],
        is_operator: false,
    };
    for (text, offered) in [
        ("po", &["port:"][..]),
        ("port:text ho", &["hops<"]),
        ("(-ver", &["verdict:"]),
        ("port:po", &["position ", "power-stress "]),
        ("port:text,pos", &["position "]),
        ("verdict:wi", &["withheld "]),
        ("rule:cons", &["consent "]),
        ("consent:", &["unknown ", "yes ", "no "]),
        ("gw:over", &["!7c5a0a02 "]),
        ("gw:!7c5a0a0", &["!7c5a0a01 ", "!7c5a0a02 ", "!7c5a0a09 "]),
        ("from:lib", &["!7c5a0a01 ", "!a5000001 "]),
        ("channel:k", &["\"Kansas City\" "]),
        ("channel:\"Kan", &["\"Kansas City\" "]),
        ("last ", &["1h ", "6h ", "24h ", "7d ", "30d "]),
        ("on y", &["yesterday "]),
        ("overl", &["from:!7c5a0a02 "]),
        ("text:\"net", &[]),
        ("\"or", &[]),
        ("nosuch:", &[]),
        ("clie", &[]),
        ("port:text", &["text "]),
    ] {
        let found = complete(text, text.len(), &vocabulary);
        let texts: Vec<&str> = found.iter().map(|c| c.text.as_str()).collect();
        if text.starts_with("channel:\"") || text == "channel:k" {
            assert_eq!(texts, offered[..texts.len()], "{text}");
            continue;
        }
        assert_eq!(texts, offered, "{text}");
        for completion in &found {
            let (before, after) = (&text[..completion.replaces.start], &text[completion.replaces.end..]);
            let done = format!("{before}{}{after}", completion.text);
            assert!(!done.contains("::"), "{done}");
        }
    }
    let operator = Vocabulary { is_operator: true, ..vocabulary };
    assert_eq!(complete("clie", 4, &operator)[0].text, "client:");
    assert!(complete("", 0, &vocabulary).len() > 5);
}

fn name_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z][a-zA-Z0-9_-]{0,8}",
        "[a-f0-9]{8}",
        "\\PC{1,12}".prop_filter("something", |text| !text.trim().is_empty()),
        Just("all".to_owned()),
        Just("or".to_owned()),
    ]
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        (0i64..4_000_000_000).prop_map(|s| Moment::At(s * 1_000)),
        (0u32..100_000_000).prop_map(Moment::Ago),
        (0u8..2).prop_map(Moment::DayBefore),
    ]
}

fn term() -> impl Strategy<Value = Term> {
    let role = prop::sample::select(vec![Role::From, Role::To, Role::Node, Role::Gateway]);
    let node = prop_oneof![any::<u32>().prop_map(NodeRef::Id), name_text().prop_map(NodeRef::Name)];
    let rule = || prop::sample::select(RULES).prop_map(|rule| rule.id);
    let measure = prop::sample::select(Measure::ALL.to_vec());
    let compare = prop::sample::select(Compare::ALL.to_vec());
    let when = prop_oneof![
        moment().prop_map(When::Since),
        moment().prop_map(When::Until),
        moment().prop_map(When::On),
        (0u32..100_000_000).prop_map(When::Last),
    ];
    prop_oneof![
        (role, node).prop_map(|(role, node)| Term::Node(role, node)),
        name_text().prop_map(Term::Channel),
        any::<u32>().prop_map(Term::Packet),
        prop_oneof![Just(None), (0u32..600).prop_map(Some)].prop_map(Term::Port),
        prop::sample::select(Verdict::ALL.to_vec()).prop_map(Term::Verdict),
        rule().prop_map(Term::Rule),
        rule().prop_map(Term::Would),
        prop::sample::select(CopyFate::ALL.to_vec()).prop_map(Term::Copy),
        prop::sample::select(Consent::ALL).prop_map(Term::Consent),
        prop::sample::select(KeyClass::ALL).prop_map(Term::Key),
        (0u32..40).prop_map(|bit| Term::Flag(1 << bit)),
        (measure, compare, -2_000_000i64..2_000_000).prop_map(|(m, c, n)| Term::Measure(m, c, n)),
        name_text().prop_map(Term::Text),
        name_text().prop_map(Term::Topic),
        name_text().prop_map(Term::Client),
        name_text().prop_map(Term::User),
        when.prop_map(Term::When),
        name_text().prop_map(Term::Word),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    term().prop_map(Expr::Term).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::all),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::any),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_written_is_read_as_the_same(expr in expr()) {
        let query = Query::of(expr);
        let text = query.to_string();
        let read = Query::parse(&text);
        prop_assert_eq!(read.as_ref().ok(), Some(&query), "{} {:?}", text, read);
    }

    #[test]
    fn any_text_is_read_or_refused_with_its_place(text in "\\PC{0,80}") {
        check(&text);
    }

    #[test]
    fn nearly_right_text_is_read_or_refused_with_its_place(
        parts in prop::collection::vec(prop::sample::select(vec![
            "from", ":", "port", "text", "\"", "(", ")", "-", "not", "or", "last", "6h", " ", " ", "<", "hops", ",",
            "!", "a5000001", "=", "\\", "since", "2026-11-23", "é", "..",
        ]), 0..24)
    ) {
        check(&parts.concat());
    }
}

fn check(text: &str) {
    match Query::parse(text) {
        Ok(query) => {
            let written = query.to_string();
            assert_eq!(Query::parse(&written).as_ref(), Ok(&query), "{text} {written}");
            let _ = query.bind(&Surroundings { names: &names(), now_ms: 0, islands: &[] });
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(text.get(problem.span.clone()).is_some(), "{text:?} {problem:?}");
                problem.pointed_at(text);
            }
        }
    }
    for at in [0, text.len() / 3, text.len() / 2, text.len()] {
        for completion in complete(text, at, &Vocabulary { names: &names(), ..Vocabulary::default() }) {
            assert!(text.get(completion.replaces.clone()).is_some());
        }
    }
}
