//! `/alerts`: what fires, what happened lately, who is told and whether it arrives.

use automation::alert::board::{Board, ShownFiring, ShownHappening, ShownLetter, ShownRule, ShownTarget};
use automation::alert::rule::Severity;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{GatewayId, Silence};
use maud::{Markup, html};

use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::{count, node_address};

const HOUR_MS: i64 = 3_600_000;
/// How long an alert may be silenced, in hours and in words.
const SILENCES: [(u16, &str); 5] =
    [(1, "for an hour"), (8, "for 8 hours"), (24, "for a day"), (168, "for a week"), (720, "for 30 days")];

/// `GET /alerts`
pub async fn page(visit: Visit) -> Response {
    if !visit.sight.is_operator() {
        return Redirect::to("/login").into_response();
    }
    let Some(desk) = visit.site.alerts.clone() else {
        return visit.trouble(
            StatusCode::NOT_FOUND,
            "No alerts here",
            "This program runs without alerts. Start it with a data folder to have them.",
        );
    };
    let now_ms = visit.now_ms;
    // Without the directory the rest of the page is still right.
    let silences =
        visit.site.account.at_the_desk(move |store| store.silences(now_ms)).await.unwrap_or_default();
    let body = overview(&desk.board(), &silences, now_ms, visit.who.may_change());
    visit.page(Section::Alerts, "Alerts", &[], &body).into_response()
}

/// `POST /alerts`: `do` is `silence` or `unsilence`; else a letter to `target` that only shows that letters arrive.
pub async fn command(visit: Visit, form: Bytes) -> Response {
    match form_field(&form, "do").as_deref() {
        Some("silence" | "unsilence") => silence(&visit, &form).await,
        _ => try_target(&visit, &form),
    }
}

async fn silence(visit: &Visit, form: &[u8]) -> Response {
    let field = |name| form_field(form, name).unwrap_or_default();
    let (actor, now_ms, desk) = (visit.who.actor(), visit.now_ms, &visit.site.account);
    let done = if field("do") == "unsilence" {
        let number = field("number").parse().unwrap_or(0);
        desk.at_the_desk(move |store| store.end_silence(number, &actor, now_ms)).await
    } else {
        let hours: i64 = field("hours").parse().unwrap_or(0);
        let (rule, node) = (field("rule"), field("node").parse().ok());
        let until_ms = now_ms.saturating_add(hours.saturating_mul(HOUR_MS));
        desk.at_the_desk(move |store| store.silence_alert(&rule, node, until_ms, &actor, now_ms).map(drop))
            .await
    };
    match done {
        Ok(()) => Redirect::to("/alerts").into_response(),
        Err(why) => {
            visit.trouble(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was changed", &format!("{why}."))
        }
    }
}

fn try_target(visit: &Visit, form: &[u8]) -> Response {
    let (Some(desk), Some(target)) = (visit.site.alerts.clone(), form_field(form, "target")) else {
        return visit.not_here("target");
    };
    if !desk.board().targets.iter().any(|known| *known.name == *target) {
        return visit.not_here("target");
    }
    desk.try_target(&target);
    Redirect::to("/alerts#letters").into_response()
}

fn overview(board: &Board, silences: &[Silence], now_ms: i64, may_change: bool) -> Markup {
    html! {
        h1 { "Alerts" }
        p.lead {
            @match board.firing_count {
                0 => "Nothing fires.",
                n => { (count(n as u64, "alert")) " at the moment." }
            }
        }
        @if let Some(problem) = &board.problem { section.card { h2 { span.chip.bad { "not in force" } " The alerts’ file" } pre { (problem) } } }
        @if !board.firing.is_empty() { (firing(&board.firing, silences, now_ms, may_change)) }
        @if board.firing_count > board.firing.len() { p.soft { "Only the first " (board.firing.len()) " are shown." } }
        @if !silences.is_empty() { (silenced(silences, now_ms, may_change)) }
        h2 #recent { "Lately" }
        @if board.recent.is_empty() { p.soft { "Nothing has happened yet that a rule waits for." } }
        @else { (recent(&board.recent, now_ms)) }
        h2 #targets { "Who is told" }
        @if board.targets.is_empty() { (no_targets()) } @else { (targets(&board.targets, now_ms, may_change)) }
        @if !board.letters.is_empty() { h2 #letters { "Messages" } (letters(&board.letters, now_ms)) }
        details #rules {
            summary { h2 { (count(board.rules.len() as u64, "rule")) } }
            (rules(&board.rules))
        }
        (losses(board))
    }
}

fn severity(severity: Severity) -> Markup {
    html! { @match severity {
        Severity::Info => span.chip { "info" },
        Severity::Warning => span.chip.note { "warning" },
        Severity::Critical => span.chip.bad { "critical" },
    } }
}

fn subject(words: &str, node: Option<u32>) -> Markup {
    let words = if words == "mesh" { "the mesh" } else { words };
    html! { @match node {
        Some(node) => a href=(node_address(node)) { (words) },
        None => (words),
    } }
}

fn firing(all: &[ShownFiring], silences: &[Silence], now_ms: i64, may_change: bool) -> Markup {
    html! {
        div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Rule" }
                th scope="col" { "About" }
                th scope="col" { "Since" }
                th scope="col" { "What to do" }
                th scope="col" { span.unseen { "Silence" } }
            } }
            tbody { @for one in all { tr {
                th scope="row" { span.cell { (severity(one.severity)) " " (one.rule) } }
                td data-label="About" { (subject(&one.subject, one.node)) }
                td data-label="Since" { (moment::age(one.since_ms, now_ms)) }
                td { (one.about) }
                td {
                    @if silences.iter().any(|silence| silence.holds(&one.rule, one.node, now_ms)) { span.chip.off { "silenced" } }
                    @else if may_change { (silence_form(one)) }
                }
            } } }
        } }
    }
}

fn silence_form(one: &ShownFiring) -> Markup {
    html! {
        form.row method="post" action="/alerts" {
            input type="hidden" name="rule" value=(one.rule);
            @if let Some(node) = one.node { input type="hidden" name="node" value=(GatewayId(node)); }
            select name="hours" aria-label={ "How long nobody is told of " (one.rule) ", " (one.subject) } {
                @for (hours, words) in SILENCES { option value=(hours) { (words) } }
            }
            button.button.plain name="do" value="silence" { "Silence" }
        }
    }
}

fn silenced(silences: &[Silence], now_ms: i64, may_change: bool) -> Markup {
    html! {
        h2 #silenced { "Silenced" }
        p.soft { "Nobody is told of these. What goes on beyond the end of its silence is told then." }
        ul.changes { @for silence in silences { li {
            form.row method="post" action="/alerts" {
                span {
                    strong { (silence.rule) } @if let Some(node) = silence.node { " of " a href=(node_address(node.0)) { (node) } }
                    ", for another " (moment::duration(silence.until_ms - now_ms)) ", by " bdi { (silence.by) }
                }
                @if may_change {
                    input type="hidden" name="number" value=(silence.number);
                    button.button.plain name="do" value="unsilence" { "End it" }
                }
            }
        } } }
    }
}

fn recent(all: &[ShownHappening], now_ms: i64) -> Markup {
    html! {
        div.scroll.stack { table {
            thead { tr {
                th scope="col" { "When" }
                th scope="col" { "Rule" }
                th scope="col" { "About" }
                th scope="col" { "What" }
            } }
            tbody { @for one in all { tr {
                td { (moment::age(one.at_ms, now_ms)) }
                th scope="row" { span.cell { (severity(one.severity)) " " (one.rule) } }
                td data-label="About" { (subject(&one.subject, one.node)) }
                td { (one.detail) @if !one.told { " " span.soft { "(nobody told)" } } }
            } } }
        } }
    }
}

fn no_targets() -> Markup {
    html! {
        p { "Nobody but this page. A target is a table in " code { "alerts.toml" } " in the data folder:" }
        pre { code {
            "targets = [\"team\"]\n\n[[target]]\nname = \"team\"\nkind = \"ntfy\"\nurl = \"https://ntfy.example.org/our-mesh\"\nsecret_file = \"ntfy.token\"\n"
        } }
        p { code { "backhaul alerts docs" } " prints every key; webhooks, Discord, mail and MQTT topics work the same way." }
    }
}

fn targets(all: &[ShownTarget], now_ms: i64, may_change: bool) -> Markup {
    html! {
        div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Target" }
                th scope="col" { "Kind" }
                th scope="col" { "Health" }
                th scope="col" { span.unseen { "Try" } }
            } }
            tbody { @for one in all { tr {
                th scope="row" { (one.name) }
                td data-label="Kind" { (one.kind) }
                td data-label="Health" { span.cell {
                    @match (&one.problem, one.sent_ms) {
                        (Some(problem), _) => { span.chip.bad { "fails" } " " (problem) },
                        (None, Some(at_ms)) => { span.chip.good { "works" } " " (moment::age(at_ms, now_ms)) },
                        (None, None) => span.soft { "not tried since the start" },
                    }
                    @if one.waiting > 0 { " " span.soft { (count(one.waiting as u64, "message")) " waiting" } }
                } }
                td { @if may_change { form method="post" action="/alerts" {
                    input type="hidden" name="target" value=(one.name);
                    button.button.plain aria-label={ "Send a test to " (one.name) } { "Send a test" }
                } } }
            } } }
        } }
    }
}

fn letters(all: &[ShownLetter], now_ms: i64) -> Markup {
    html! {
        div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Written" }
                th scope="col" { "To" }
                th scope="col" { "Message" }
                th scope="col" { "State" }
            } }
            tbody { @for one in all { tr {
                td { (moment::age(one.written_ms, now_ms)) }
                th scope="row" { (one.target) }
                td { (one.title) }
                td { span.cell {
                    @match (one.sent_ms, one.next_ms) {
                        (Some(_), _) => span.chip.good { "arrived" },
                        (None, Some(_)) if one.attempts == 0 => span.chip { "waiting" },
                        (None, Some(next_ms)) => {
                            span.chip.note { "tried " (count(u64::from(one.attempts), "time")) }
                            " again in " (moment::duration((next_ms - now_ms).max(0))) ":"
                        },
                        (None, None) => span.chip.bad { "given up" },
                    }
                    @if let Some(problem) = &one.problem { " " (problem) }
                } }
            } } }
        } }
    }
}

fn rules(all: &[ShownRule]) -> Markup {
    html! {
        div.scroll.stack { table {
            thead { tr { th scope="col" { "Rule" } th scope="col" { "What it means" } th scope="col" { "Tells" } } }
            tbody { @for one in all { tr {
                th scope="row" { span.cell { (severity(one.severity)) " " (one.name) } }
                td { (one.about) }
                td data-label="Tells" {
                    @if one.targets.is_empty() { span.soft { "this page" } } @else { (one.targets.join(", ")) }
                }
            } } }
        } }
        p.soft { "What a rule would have said of the last week: " code { "backhaul alerts try NAME --since 7d" } }
    }
}

fn losses(board: &Board) -> Markup {
    html! {
        @if board.left_out > 0 { p { (count(board.left_out, "alert")) " were not told since the start, because there were too many within an hour." } }
        @if board.lost > 0 { p { (count(board.lost, "reception")) " were not looked at, because the rules could not keep up." } }
        @if board.unwatched > 0 { p { "A rule had more nodes to watch than it can: " (count(board.unwatched, "time")) "." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_and_what_was_given_up_is_said() {
        let letter = |attempts, next_ms, sent_ms, problem: Option<&str>| ShownLetter {
            target: "team".into(),
            title: "KC: battery-low <b>".to_owned(),
            written_ms: 0,
            attempts,
            next_ms,
            sent_ms,
            problem: problem.map(str::to_owned),
        };
        let board = Board {
            targets: vec![ShownTarget {
                name: "team".into(),
                kind: "ntfy",
                waiting: 2,
                sent_ms: None,
                problem: Some("nobody listens there".to_owned()),
            }],
            letters: vec![
                letter(0, Some(0), None, None),
                letter(2, Some(60_000), None, Some("nobody listens there")),
                letter(1, None, Some(5), None),
                letter(30, None, None, Some("nobody listens there")),
            ],
            left_out: 3,
            problem: Some("alerts.toml:3: unknown key".to_owned()),
            ..Board::default()
        };
        let text = overview(&board, &[], 0, true).into_string();
        for part in [
            "Nothing fires",
            "fails",
            "2 messages",
            "waiting",
            "tried 2 times",
            "arrived",
            "given up",
            "unknown key",
            "3 alerts",
            "battery-low &lt;b&gt;",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn what_fires_can_be_silenced_once() {
        let firing = |node| ShownFiring {
            rule: "gateway-silent".into(),
            severity: Severity::Warning,
            about: "Look.".into(),
            subject: format!("gateway {node:?}"),
            node,
            since_ms: 0,
        };
        let board =
            Board { firing: vec![firing(Some(7)), firing(Some(8))], firing_count: 2, ..Board::default() };
        let silence = Silence {
            number: 3,
            rule: "gateway-silent".into(),
            node: Some(GatewayId(7)),
            until_ms: 3_600_000,
            by: "ann".into(),
        };
        let text = overview(&board, &[silence], 0, true).into_string();
        assert_eq!(text.matches("value=\"silence\"").count(), 1, "{text}");
        assert!(
            text.contains("name=\"node\" value=\"!00000008\"") && text.contains("for another 1 h"),
            "{text}"
        );
        assert!(!overview(&board, &[], 0, false).into_string().contains("value=\"silence\""));
    }
}
