//! `/policy/change`, `/policy/backtest/{id}`: the operator proposes another policy, reads what it would have done with the
//! traffic of late, and puts it in force. Everything works without scripts.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use backtest::{Hit, Report, Sample, SideReport, duration, sentences, thousands};
use maud::{Markup, html};
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::difference::{Difference, differences};
use policy::downlink::model::Model;
use policy::edit::Edit;
use policy::rule::{RULES, RuleId, RuleState};
use record::PolicyChange;

use crate::assets::BACKTEST;
use crate::backtests::{Job, Question};
use crate::layout::Section;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::{self, Nodes};
use crate::{PolicyDesk, moment};

/// Longest form with a policy file in it; the commented file with every key is a tenth of it.
pub const FORM_BYTES_MAX: usize = 256 * 1024;
/// Changes of the policy that the page lists.
const CHANGES_SHOWN: usize = 10;
/// How far back changes are listed.
const CHANGES_BACK_MS: i64 = 90 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// Spans of time that a backtest is offered for: the word in the form, for people, and how long.
const SPANS: [(&str, &str, i64); 4] = [
    ("1h", "the last hour", DAY_MS / 24),
    ("24h", "the last day", DAY_MS),
    ("7d", "the last week", 7 * DAY_MS),
    ("30d", "the last 30 days", 30 * DAY_MS),
];

/// What the forms hold.
struct Proposal {
    rule: Option<RuleId>,
    state: Option<RuleState>,
    text: String,
    span: &'static str,
}

/// `GET /policy/change`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let Some(desk) = desk(&visit) else { return not_yours(&visit) };
    let query = query.unwrap_or_default();
    let rule = form_field(query.as_bytes(), "rule").and_then(|name| RuleId::from_name(&name));
    let proposal = Proposal { rule, state: None, text: desk.text().0, span: "7d" };
    form(&visit, &*desk, StatusCode::OK, &proposal, None).await
}

/// `POST /policy/backtest`: begins one and goes to its page.
pub async fn begin(visit: Visit, body: Bytes) -> Response {
    let Some(desk) = desk(&visit) else { return not_yours(&visit) };
    let field = |name| form_field(&body, name);
    let (in_force, number) = desk.text();
    let wanted = field("since").unwrap_or_default();
    let (span, _, span_ms) = SPANS.into_iter().find(|(word, ..)| *word == wanted).unwrap_or(SPANS[2]);
    let rule = field("rule").and_then(|name| RuleId::from_name(&name));
    let state = field("state").and_then(|word| RuleState::from_word(&word));
    // Browsers end the lines of a form with CR LF.
    let text = field("text").map(|text| text.replace("\r\n", "\n"));
    let mut proposal = Proposal { rule, state, text: text.clone().unwrap_or_else(|| in_force.clone()), span };
    let text = match text {
        Some(text) => text,
        None => match edit_of(&body).map(|edit| desk.edited(&in_force, edit)) {
            Some(Some(text)) => text,
            Some(None) => {
                let why =
                    "This is written in a way that only a person can change. Change it in the text below.";
                return form(&visit, &*desk, StatusCode::UNPROCESSABLE_ENTITY, &proposal, Some(why)).await;
            }
            None => {
                let why = "Choose a rule and a state.";
                return form(&visit, &*desk, StatusCode::UNPROCESSABLE_ENTITY, &proposal, Some(why)).await;
            }
        },
    };
    let proposed = match desk.read(&text) {
        Ok(settings) => Arc::new(settings),
        Err(why) => {
            proposal.text = text;
            return form(&visit, &*desk, StatusCode::UNPROCESSABLE_ENTITY, &proposal, Some(&why)).await;
        }
    };
    let question = Question {
        text,
        number,
        differences: differences(&(visit.site.policy)(), &proposed),
        since_ms: visit.now_ms - span_ms,
        until_ms: visit.now_ms,
    };
    match start(&visit, desk.clone(), proposed, question).await {
        Ok(id) => Redirect::to(&format!("/policy/backtest/{id}")).into_response(),
        Err(why) => form(&visit, &*desk, StatusCode::INTERNAL_SERVER_ERROR, &proposal, Some(&why)).await,
    }
}

/// The single change that a form asks for: `rule` and `state`, or `island` with `model`, or `gateway` with `island`, where
/// empty stands for what is ordinary.
fn edit_of(body: &[u8]) -> Option<Edit> {
    let field = |name| form_field(body, name);
    let number = |text: String| NodeNum::parse(&text).map(|node| node.0);
    if let Some(gateway) = field("gateway") {
        let island = field("island").filter(|island| !island.is_empty());
        let island = match island {
            Some(island) => Some(number(island)?),
            None => None,
        };
        return Some(Edit::Pin { gateway: number(gateway)?, island });
    }
    if let Some(name) = field("model") {
        let model = if name.is_empty() { None } else { Some(Model::from_name(&name)?) };
        return Some(Edit::ModelOfIsland { island: number(field("island")?)?, model });
    }
    let rule = RuleId::from_name(&field("rule")?)?;
    Some(Edit::Rule(rule, RuleState::from_word(&field("state")?)?))
}

async fn start(
    visit: &Visit,
    desk: Arc<dyn PolicyDesk>,
    proposed: Arc<policy::settings::Settings>,
    question: Question,
) -> Result<u64, String> {
    let site = visit.site.clone();
    let begin = move || {
        let options = desk.backtest(proposed, question.since_ms)?;
        let began = site.backtests.begin(question, site.archive.reader(), options);
        began.map_err(|error| format!("The operating system gives no thread: {error}"))
    };
    tokio::task::spawn_blocking(begin)
        .await
        .unwrap_or_else(|_| Err("The backtest could not begin.".to_owned()))
}

/// `GET /policy/backtest/{id}`
pub async fn result(visit: Visit, Path(id): Path<String>) -> Response {
    let Some(desk) = desk(&visit) else { return not_yours(&visit) };
    let Some(job) = id.parse().ok().and_then(|id| visit.site.backtests.job(id)) else {
        return visit.trouble(
            StatusCode::NOT_FOUND,
            "This backtest is gone",
            "The last five are kept until the program ends. Ask again on the page where policy is changed.",
        );
    };
    let title = "Had this been on";
    // Looked at once: it may come between two looks, and the page would be half of each.
    let result = job.result();
    let report = result.and_then(|result| result.as_ref().ok());
    let body = html! {
        h1 tabindex="-1" { (title) }
        p.soft { "From " (moment::clock(job.question.since_ms, visit.now_ms)) " to " (moment::clock(job.question.until_ms, visit.now_ms)) " today." }
        (changes_of(&job.question.differences))
        @match result {
            None => (progress(&job)),
            Some(Err(why)) => { div.banner.bad role="status" { p { (why) } } },
            Some(Ok(report)) => (story(report)),
        }
        (decide(&job, report.is_some(), &*desk, visit.who.may_change()))
        @if let Some(report) = report { (visit.with_nodes(|nodes| told(&visit, nodes, report))) }
    };
    visit.page(Section::Policy, title, &[&BACKTEST], &body).into_response()
}

/// `POST /policy/apply`: puts the policy of a backtest in force.
pub async fn apply(visit: Visit, body: Bytes) -> Response {
    let Some(desk) = desk(&visit) else { return not_yours(&visit) };
    let id = form_field(&body, "backtest").and_then(|id| id.parse().ok());
    let Some(job) = id.and_then(|id| visit.site.backtests.job(id)) else {
        return visit.trouble(
            StatusCode::NOT_FOUND,
            "This backtest is gone",
            "The last five are kept until the program ends. Nothing was changed; ask again.",
        );
    };
    let who = format!("{}, on the page", visit.who.actor());
    let apply = move || desk.apply(&job.question.text, job.question.number, &who);
    let applied = tokio::task::spawn_blocking(apply).await;
    match applied {
        Ok(Ok(())) => Redirect::to("/policy?applied").into_response(),
        Ok(Err(why)) => visit.trouble(StatusCode::CONFLICT, "Nothing was changed", &why),
        Err(_) => visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "This may not be in force",
            "The program failed while it was changed; its log has the reason. Look at the page of the policy.",
        ),
    }
}

/// The desk, for the operator alone.
fn desk(visit: &Visit) -> Option<Arc<dyn PolicyDesk>> {
    visit.site.policy_desk.clone().filter(|_| visit.sight.is_operator())
}

fn not_yours(visit: &Visit) -> Response {
    visit.trouble(
        StatusCode::FORBIDDEN,
        "For the operator",
        "Policy is changed by the operator of this mesh, after signing in. Everybody may read what is in force on the page of \
         the policy.",
    )
}

async fn form(
    visit: &Visit,
    desk: &dyn PolicyDesk,
    status: StatusCode,
    proposal: &Proposal,
    wrong: Option<&str>,
) -> Response {
    let changes = visit.site.archive.policy_changes(visit.now_ms - CHANGES_BACK_MS, i64::MAX).await;
    let problem = desk.problem();
    let body = html! {
        h1 { "Change the policy" }
        p.lead { "Propose a change and read what it would have done with the traffic of late. Nothing changes before you say so." }
        @if let Some(problem) = &problem {
            div.banner.bad { p { "The policy file is not in force, because something in it is wrong:" } pre.mistakes { (problem) } }
        }
        @if let Some(wrong) = wrong { div.wrong role="alert" { pre.mistakes { (wrong) } } }
        h2 { "One rule" }
        form.card method="post" action="/policy/backtest" {
            div.fields.wide {
                label { "Rule" (rules(visit, proposal.rule)) }
                label { "State" (states(proposal.state)) }
                label { "With the traffic of" (spans(proposal.span)) }
            }
            div.row { button.button { "Had this been on…" } }
        }
        h2 { "The whole file" }
        form.card method="post" action="/policy/backtest" {
            label { "Policy file"
                textarea.mono name="text" rows="16" spellcheck="false" autocapitalize="none" autocomplete="off" wrap="off"
                    aria-describedby="keys" { "\n" (proposal.text) }
            }
            span.hint #keys { "What is not said has its default. " code { "backhaul policy docs" } " prints every key." }
            div.row {
                label.inline { "With the traffic of" (spans(proposal.span)) }
                button.button { "Check and ask" }
            }
        }
        h2 #history { "Changes so far" }
        @match &changes {
            Ok(changes) => (history(visit, changes)),
            Err(_) => { p.soft { "The history cannot be read at the moment." } },
        }
    };
    (status, visit.page(Section::Policy, "Change the policy", &[], &body)).into_response()
}

fn rules(visit: &Visit, chosen: Option<RuleId>) -> Markup {
    let policy = (visit.site.policy)();
    html! {
        select name="rule" required {
            @if chosen.is_none() { option value="" { "choose" } }
            @for rule in RULES {
                option value=(rule.name) selected[chosen == Some(rule.id)] { (rule.name) " (" (policy.state(rule.id).word()) ")" }
            }
        }
    }
}

fn states(chosen: Option<RuleState>) -> Markup {
    html! {
        select name="state" required {
            @if chosen.is_none() { option value="" { "choose" } }
            @for state in [RuleState::Off, RuleState::Observe, RuleState::Enforce] {
                option value=(state.word()) selected[chosen == Some(state)] { (state.word()) }
            }
        }
    }
}

fn spans(chosen: &str) -> Markup {
    html! {
        select name="since" {
            @for (word, text, _) in SPANS { option value=(word) selected[word == chosen] { (text) } }
        }
    }
}

/// Changes of the policy, the newest first; `POST`s and words only for the operator.
fn history(visit: &Visit, changes: &[PolicyChange]) -> Markup {
    html! {
        @if changes.is_empty() { p.soft { "None in the last 90 days." } }
        @else { ol.changes {
            @for change in changes.iter().take(CHANGES_SHOWN) {
                li {
                    p { (moment::clock(change.at_ms, visit.now_ms)) " " span.soft { (change.who) } }
                    (lines(&change.private_changes))
                }
            }
        } }
    }
}

/// What a change of the policy changed, one line each.
pub fn lines(changes: &[String]) -> Markup {
    html! {
        @if changes.is_empty() { p.small.soft { "Comments or order only: no rule and no parameter." } }
        @else { ul.small { @for line in changes { li { (line) } } } }
    }
}

fn changes_of(differences: &[Difference]) -> Markup {
    html! {
        @if differences.is_empty() {
            p { "The proposed policy says the same as the one in force." }
        } @else {
            ul.proposed { @for difference in differences { li { (difference.to_string()) } } }
        }
    }
}

fn progress(job: &Job) -> Markup {
    let percent = job.percent();
    html! {
        div.card data-backtest-runs role="status" {
            label { "Judging again what was received"
                progress max="100" value=(percent) { (percent) " %" }
            }
            p.soft { (thousands(job.judged())) " receptions so far, " (percent) " % of the time." }
            noscript { p { a href="" { "See how far it is" } } }
        }
    }
}

fn decide(job: &Job, is_done: bool, desk: &dyn PolicyDesk, may_change: bool) -> Markup {
    let is_current = desk.text().1 == job.question.number;
    html! {
        @if is_done && !is_current {
            div.banner { p { "The policy has been changed since this was asked. Ask again before you change it further." } }
        }
        div.row {
            @if may_change && is_done && is_current && !job.question.differences.is_empty() {
                form method="post" action="/policy/apply" {
                    input type="hidden" name="backtest" value=(job.id);
                    button.button { "Put it in force" }
                }
            }
            a.button.plain href="/policy/change" { "Propose something else" }
        }
    }
}

fn story(report: &Report) -> Markup {
    html! {
        div.card.story role="status" {
            @for sentence in sentences(report) { p.soft[!sentence.is_change] { (sentence.text) } }
        }
    }
}

fn told(visit: &Visit, nodes: Nodes<'_>, report: &Report) -> Markup {
    html! {
        @if report.receptions > 0 {
            h2 { "Side by side" }
            (sums(report))
            (by_rule(report))
            div.two {
                (hits("Nodes", nodes, &report.nodes, report.nodes_hit))
                (hits("Gateways", nodes, &report.gateways, report.gateways_hit))
            }
            (samples(visit, nodes, &report.samples))
        }
    }
}

/// One figure of a side, for people.
type Figure = fn(&SideReport) -> String;

fn sums(report: &Report) -> Markup {
    let rows: [(&str, Figure); 7] = [
        ("Receptions passed on", |side| thousands(side.passed)),
        ("Recorded only", |side| thousands(side.recorded_only)),
        ("Refused", |side| thousands(side.refused)),
        ("Copies toward gateways", |side| thousands(side.copies_to_gateways)),
        ("Their airtime", |side| duration(side.airtime_us)),
        ("Copies toward observers and services", |side| thousands(side.copies_to_others)),
        ("Copies withheld", |side| thousands(side.withheld)),
    ];
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { span.unseen { "What" } } th.n scope="col" { "In force" } th.n scope="col" { "Proposed" } } }
            tbody { @for (name, value) in rows {
                @let [old, new] = report.sides.each_ref().map(value);
                tr { th scope="row" { (name) } td.n { (old) } td.n { @if old == new { (new) } @else { strong { (new) } } } }
            } }
        } }
    }
}

fn by_rule(report: &Report) -> Markup {
    let rules: Vec<_> = report.rules_changed().collect();
    let pair = |[old, new]: [u64; 2]| {
        html! { @if old == new { span.soft { (thousands(old)) } } @else { (thousands(old)) " → " strong { (thousands(new)) } } }
    };
    html! {
        @if !rules.is_empty() {
            h2 { "By rule" }
            div.scroll.stack { table {
                thead { tr {
                    th scope="col" { "Rule" } th.n scope="col" { "Receptions decided" } th.n scope="col" { "Copies withheld" }
                    th.n scope="col" { "Would have" }
                } }
                tbody { @for (rule, counts) in rules { tr {
                    th scope="row" { span.mono { (rule.name()) } }
                    td.n data-label="Decided" { span.cell { (pair(counts.decided)) } }
                    td.n data-label="Withheld" { span.cell { (pair(counts.withheld)) } }
                    td.n data-label="Would have" { span.cell { (pair(counts.observed)) } }
                } } }
            } }
        }
    }
}

fn hits(title: &str, nodes: Nodes<'_>, hits: &[(u32, Hit)], all: u64) -> Markup {
    html! {
        @if !hits.is_empty() { div {
            h2 { (title) " hit" }
            @if all > hits.len() as u64 { p.soft { "The " (hits.len()) " hit hardest, of " (thousands(all)) "." } }
            div.scroll { table {
                thead { tr { th scope="col" { span.unseen { "Who" } } th.n scope="col" { "Lost" } th.n scope="col" { "Gained" } } }
                tbody { @for (number, hit) in hits { tr {
                    th scope="row" { (nodes.link(*number)) } td.n { (thousands(hit.lost)) } td.n { (thousands(hit.gained)) }
                } } }
            } }
        } }
    }
}

fn samples(visit: &Visit, nodes: Nodes<'_>, samples: &[Sample]) -> Markup {
    html! {
        @if !samples.is_empty() {
            h2 { "Examples" }
            div.scroll.stack { table {
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "Packet" } th scope="col" { "In force" } th scope="col" { "Proposed" }
                } }
                tbody { @for sample in samples { tr {
                    td data-label="When" { span.cell { (moment::clock(sample.what.at_ms, visit.now_ms)) } }
                    th scope="row" { (packet(nodes, sample)) }
                    td data-label="In force" { span.cell { (side(sample, 0)) } }
                    td data-label="Proposed" { span.cell { (side(sample, 1)) } }
                } } }
            } }
        }
    }
}

fn packet(nodes: Nodes<'_>, sample: &Sample) -> Markup {
    let what = sample.what;
    let port = what.port.map_or("opaque".to_owned(), |port| PortNum(port).word().to_string());
    html! { span {
        @match what.packet {
            Some((from, id)) if id != 0 => a href=(words::packet_address(from, id)) { (nodes.plain(from)) },
            Some((from, _)) => (nodes.plain(from)),
            None => span.soft { "no packet" },
        }
        " " span.soft.small { (port) @if let Some(gateway) = what.gateway { " by " (nodes.plain(gateway)) } }
    } }
}

fn side(sample: &Sample, side: usize) -> Markup {
    html! {
        (words::verdict(sample.verdicts[side]))
        @if let Some(rule) = sample.rules[side] { " " span.mono.small { (rule.name()) } }
        div.small.soft { (sample.sentences[side]) " Copies to gateways: " (sample.copies[side]) "." }
    }
}
