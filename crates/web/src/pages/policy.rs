//! `/policy`: every rule in the order in which rules are asked, what it goes by, and how often it decided. Public: who is
//! judged may know by what.

use std::collections::BTreeMap;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use broker::RuleCounts;
use maud::{Markup, html};
use policy::parameters::parameters;
use policy::rule::{RULES, RuleId, RuleInfo, RuleState, Stage};

use crate::Mode;
use crate::layout::Section;
use crate::site::Visit;
use crate::words::{self, number};

/// `GET /policy`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let policy = (visit.site.policy)();
    let snapshot = visit.site.snapshot().await;
    let of = |counts: Option<&RuleCounts>| counts.map(|c| c.iter().collect()).unwrap_or_default();
    let decided: BTreeMap<RuleId, u64> = of(snapshot.as_ref().map(|s| &s.counters.by_rule));
    let would_have: BTreeMap<RuleId, u64> = of(snapshot.as_ref().map(|s| &s.counters.would_have));
    let hits = |counts: &BTreeMap<RuleId, u64>, rule: &RuleInfo| counts.get(&rule.id).copied().unwrap_or(0);
    let table = |stage: Stage| {
        html! {
            div.scroll.stack.rules { table {
                thead { tr {
                    th scope="col" { "Rule" } th scope="col" { "State" } th.n scope="col" { "Decided" }
                    th.n scope="col" { "Would have" } th scope="col" { "What it does" }
                } }
                tbody { @for rule in RULES.iter().filter(|rule| rule.stage == stage) {
                    tr id=(rule.name) {
                        th scope="row" { (name(rule)) }
                        td.inline data-label="State" { span.cell { (words::rule_state(policy.state(rule.id)))
                            @if visit.sight.is_operator() && visit.site.policy_desk.is_some() {
                                " " a.small href={ "/policy/change?rule=" (rule.name) } aria-label={ "Change " (rule.name) } { "change" }
                            }
                        } }
                        td.n data-label="Decided" { span.cell { (number(hits(&decided, rule))) } }
                        td.n data-label="Would have" { span.cell {
                            @if policy.state(rule.id) == RuleState::Observe { (number(hits(&would_have, rule))) }
                            @else { span.soft { "–" } }
                        } }
                        td { span.cell.small { (rule.doc) (goes_by(&visit, &policy, rule)) } }
                    }
                } }
            } }
        }
    };
    let body = html! {
        h1 { "Policy" }
        p.lead { "What is asked of every packet before it is passed on. Each rule is off, observed or enforced; a packet's page says which one decided." }
        @if visit.site.info.mode == Mode::Lab { div.banner { p { "This is the plain-broker profile: no rule is asked." } } }
        @if snapshot.is_none() { div.banner.bad { p { "The broker does not answer, so the counts are missing." } } }
        @if query.as_deref() == Some("applied") { div.banner.good role="status" { p { "The proposed policy is in force." } } }
        @if visit.sight.is_operator() && visit.site.policy_desk.is_some() {
            div.row { a.button href="/policy/change" { "Change the policy" } a.button.plain href="/policy/change#history" { "Changes so far" } }
        }
        h2 #uplink { "On the way up" }
        p.soft { "Asked once for each reception, in this order; the first enforced rule that objects decides. Counts are since the program started." }
        (table(Stage::Uplink))
        h2 #downlink { "On the way down" }
        p.soft { "Asked again for each receiver of a packet that was accepted." }
        (table(Stage::Release))
    };
    let body = html! { (body) (super::wiki::link("/policy.md")) };
    visit.page(Section::Policy, "Policy", &[], &body).into_response()
}

fn name(rule: &RuleInfo) -> Markup {
    // Of the rules about copies, only the hop limit decides on receptions too.
    let is_in_log = rule.stage == Stage::Uplink || rule.id == RuleId::HopLimit;
    html! {
        @if is_in_log { a.mono.nowrap href={ "/log?rule=" (rule.name) } { (rule.name) } }
        @else { span.mono.nowrap { (rule.name) } }
    }
}

fn goes_by(visit: &Visit, policy: &policy::settings::Settings, rule: &RuleInfo) -> Markup {
    let shown =
        parameters(policy, rule.id).into_iter().filter(|p| !p.is_private || visit.sight.is_operator());
    html! { @for parameter in shown {
        br; span.soft.mono { (parameter.key) " = " (parameter.value) }
    } }
}
