//! `/policy.md`, `/retention.md`, `/checklist.md`, `/join.md`: what a community's wiki should say, as Markdown to paste. The
//! same for everybody: nothing that only the operator may see.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use policy::parameters::parameters;
use policy::rule::{RULES, RuleState, Stage};

use crate::moment;
use crate::reading::printable;
use crate::site::Visit;

/// `GET /policy.md`
pub async fn policy(visit: Visit) -> Response {
    let policy = (visit.site.policy)();
    let mut text = head(&visit, "Policy", "What is asked of every packet before it is passed on.");
    for (stage, title) in [(Stage::Uplink, "On the way up"), (Stage::Release, "On the way down")] {
        let _ = write!(text, "\n## {title}\n\n| rule | state | what it does |\n| --- | --- | --- |\n");
        for rule in RULES.iter().filter(|rule| rule.stage == stage && policy.state(rule.id) != RuleState::Off)
        {
            let goes_by: Vec<_> = parameters(&policy, rule.id)
                .into_iter()
                .filter(|parameter| !parameter.is_private)
                .map(|parameter| format!("`{} = {}`", parameter.key, parameter.value))
                .collect();
            let state = policy.state(rule.id).word();
            let _ = writeln!(
                text,
                "| `{}` | {state} | {} |",
                rule.name,
                cell(&format!("{} {}", rule.doc, goes_by.join(", ")))
            );
        }
    }
    text.push_str("\nA rule that only observes notes what it would have done and decides nothing.\n");
    markdown(text)
}

/// `GET /retention.md`
pub async fn retention(visit: Visit) -> Response {
    let Ok(days) = visit.site.archive.kept_days().await else { return visit.history_failed() };
    let keep = visit.site.info.keep;
    let for_days = |days: Option<u32>| {
        days.map_or("as long as the server runs".to_owned(), |days| format!("{days} days"))
    };
    let mut text = head(
        &visit,
        "What is kept, and for how long",
        "Every packet that a gateway uplinks is recorded, then deleted.",
    );
    let classes: String = history::Class::ALL
        .into_iter()
        .map(|class| format!("| {} | {} |\n", class.words().to_lowercase(), for_days(keep.days_of(class))))
        .collect();
    let oldest = days.first().map_or("none yet".to_owned(), |day| history::statement::date(*day));
    let _ = write!(
        text,
        "\n| what | how long |\n| --- | --- |\n| packets, with what was decided | {} |\n{classes}\
         | oldest day that is kept | {oldest} |\n\n\
         Everybody may see packets whose senders agreed to MQTT, on channels that anyone can read, with places cut to about \
         1.5 km. Private keys and passwords are never recorded.\n",
        for_days(keep.days),
    );
    markdown(text)
}

/// `GET /checklist.md`
pub async fn checklist(visit: Visit) -> Response {
    let expected = &visit.site.info.expected;
    let mut text =
        head(&visit, "Before you switch MQTT on", "Each point of the list is checked for you on the pages.");
    let root = expected
        .root
        .as_deref()
        .map_or("as the operators tell you".to_owned(), |root| format!("`{}`", plain(root)));
    let _ = write!(
        text,
        "\n- [ ] Internet and power are reliable: a gateway that comes and goes helps nobody.\n\
         - [ ] It stays in one place. Carried nodes (TRACKER, TAK, LOST_AND_FOUND) are no gateways.\n\
         - [ ] You trust the broker and know what it keeps (see the retention page).\n\
         - [ ] Root topic: {root}, without a slash at its end.\n\
         - [ ] Encryption is on in the MQTT module, JSON is off.\n\
         - [ ] “OK to MQTT” is on in the LoRa settings, if your own packets may be passed on.\n\
         - [ ] Precision of your position is no finer than you want strangers to know; 13 bits are about 3 km.\n\
         - [ ] Hop limit is {} or lower.\n\
         - [ ] Uplink is on for the channels you agreed on, not for all; downlink only if you agreed on it.\n\
         - [ ] No channel of yours that should be private has the default key.\n\
         - [ ] More telemetry than usual, or sensors, are agreed on first. No debug logs.\n",
        expected.hop_limit_max
    );
    for (name, value) in [("Region", &expected.region), ("Modem preset", &expected.preset)] {
        if let Some(value) = value {
            let _ = writeln!(text, "- [ ] {name}: `{}`.", plain(value));
        }
    }
    markdown(text)
}

/// `GET /join.md`
pub async fn join(visit: Visit) -> Response {
    let mut text = head(&visit, "Connect a gateway", "How to ask for access, and what happens then.");
    let (host, is_tls) = &visit.site.info.way_in;
    let address = |path: &str| match &visit.site.info.public_url {
        Some(url) => format!("<{}{path}>", url.trim_end_matches('/')),
        None => format!("the page `{path}` of the broker"),
    };
    let _ = write!(
        text,
        "\n1. Check your node’s settings on {}. Nothing of it is stored.\n\
         2. Ask for access on {}: node, about where, power, internet, which channels, downlink or not, and how to reach you.\n\
         3. A person reads it. Keep the link that you get: it says how it stands.\n\
         4. When it is granted, the link gives you user name, password and the commands once.\n\
         5. Connect to `{}`{}. A checklist on the pages ticks by itself as your packets arrive.\n\
         \nTo contribute more than is ordinary, such as sensors, ask in the same way first.\n",
        address("/check"),
        address("/join"),
        plain(host),
        if *is_tls { " with TLS" } else { "" }
    );
    markdown(text)
}

/// The line of a page that leads to its Markdown.
pub fn link(address: &str) -> Markup {
    html! { p.small.soft { a href=(address) { "As Markdown, for a wiki" } } }
}

fn head(visit: &Visit, title: &str, lead: &str) -> String {
    let mesh = plain(&visit.site.info.mesh_name);
    format!("# {title}\n\n{lead}\n\n*{mesh}, as of {}.*\n", moment::date(visit.now_ms))
}

/// Text without what Markdown would read as its own.
fn plain(text: &str) -> String {
    printable(text, 200)
        .chars()
        .filter(|c| !matches!(c, '`' | '|' | '<' | '>' | '*' | '[' | ']' | '#' | '\\'))
        .collect()
}

/// Text in a cell of a table, in one line.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn markdown(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response()
}
