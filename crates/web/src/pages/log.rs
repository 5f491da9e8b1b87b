//! `/log`: what was received, filtered by the address.

use std::collections::HashMap;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use mesh::portnum::PortNum;
use policy::decision::Verdict;
use policy::rule::{RULES, Stage};
use record::{PolicyChange, Reception};

use crate::archive::LogPage;
use crate::assets::LIVE;
use crate::filter::{FIELDS, Filter, Problem, verdict_value};
use crate::layout::Section;
use crate::log_row;
use crate::moment;
use crate::pages::policy_change;
use crate::site::Visit;
use crate::visibility::Visitor;

/// Receptions on one page.
const PAGE_ROWS: usize = 50;
/// Changes of the policy told above them.
const POLICY_CHANGES_SHOWN: usize = 3;

/// `GET /log`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let (filter, problems) = Filter::parse(query.as_deref().unwrap_or_default(), visit.now_ms);
    if !problems.is_empty() {
        let body = html! { h1 { "Log" } (form(&filter, &problems, visit.sight.visitor)) };
        return (StatusCode::BAD_REQUEST, visit.page(Section::Log, "Log", &[], &body)).into_response();
    }
    let (site, sight) = (&visit.site, visit.sight.clone());
    let found = site.archive.log(filter.clone(), sight, site.keyring.clone(), PAGE_ROWS).await;
    let Ok(found) = found else { return visit.history_failed() };
    let is_first_page = filter.before.is_none() && filter.until.is_none();
    let changes = policy_changes(&visit, &found, is_first_page).await;
    let body = html! {
        h1 { "Log" }
        p.soft { (explanation(visit.sight.visitor)) }
        (form(&filter, &[], visit.sight.visitor))
        (picked(&filter))
        @if is_first_page { (live_bar()) }
        @for change in &changes { (policy_change_line(&visit, change)) }
        (rows(&visit, &filter, &found, is_first_page))
        (pager(&filter, &found))
    };
    visit.page(Section::Log, "Log", if is_first_page { &[&LIVE] } else { &[] }, &body).into_response()
}

/// Changes of the policy in the time that the page shows: rows before and after them were judged differently.
async fn policy_changes(visit: &Visit, found: &LogPage, is_first_page: bool) -> Vec<PolicyChange> {
    let times = || found.receptions.iter().map(|reception| reception.at_ms);
    let (Some(oldest), Some(newest)) = (times().min(), times().max()) else { return Vec::new() };
    let until = if is_first_page { i64::MAX } else { newest };
    // Rows matter more: without these the page is still right.
    let mut changes = visit.site.archive.policy_changes(oldest, until).await.unwrap_or_default();
    changes.truncate(POLICY_CHANGES_SHOWN);
    changes
}

fn policy_change_line(visit: &Visit, change: &PolicyChange) -> Markup {
    let is_operator = visit.sight.is_operator();
    html! {
        div.banner {
            p { (moment::clock(change.at_ms, visit.now_ms)) " The policy was changed" @if is_operator { ": " (change.who) } "." }
            (policy_change::lines(if is_operator { &change.private_changes } else { &change.changes }))
        }
    }
}

fn explanation(visitor: Visitor) -> &'static str {
    match visitor {
        Visitor::Public => "Each row is one gateway's reception of a packet that its sender agreed to share.",
        Visitor::Operator => {
            "Each row is one gateway's reception of a packet, or a publish that policy refused."
        }
    }
}

fn rows(visit: &Visit, filter: &Filter, found: &LogPage, is_first_page: bool) -> Markup {
    let keyring = &visit.site.keyring;
    let groups = if filter.is_grouped { by_packet(&found.receptions) } else { one_by_one(&found.receptions) };
    let stream = is_first_page.then(|| filter.without("").address("/live"));
    html! {
        @if groups.is_empty() { (nothing(filter)) }
        div.scroll.stack.log data-live-log=[stream] hidden[groups.is_empty()] {
            table {
                (log_row::head())
                tbody { @for (reception, others) in &groups {
                    (visit.with_nodes(|nodes| log_row::row(reception, others, nodes, keyring, visit.now_ms)))
                } }
            }
        }
    }
}

fn one_by_one(receptions: &[Reception]) -> Vec<(&Reception, Vec<u32>)> {
    receptions.iter().map(|r| (r, Vec::new())).collect()
}

/// Receptions of one packet in the row of the latest, with the other gateways. Packets with id 0 have no identity.
fn by_packet(receptions: &[Reception]) -> Vec<(&Reception, Vec<u32>)> {
    let mut groups: Vec<(&Reception, Vec<u32>)> = Vec::new();
    let mut index_of = HashMap::new();
    for reception in receptions {
        let key = reception.packet.filter(|p| p.id != 0).map(|p| (p.from, p.id));
        match key.and_then(|k| index_of.get(&k).copied()) {
            Some(index) => {
                let (first, others): &mut (&Reception, Vec<u32>) = &mut groups[index];
                let gateway = reception.gateway.filter(|g| first.gateway != Some(*g) && !others.contains(g));
                others.extend(gateway);
            }
            None => {
                if let Some(key) = key {
                    index_of.insert(key, groups.len());
                }
                groups.push((reception, Vec::new()));
            }
        }
    }
    groups
}

fn nothing(filter: &Filter) -> Markup {
    html! {
        div.empty data-live-empty {
            @if filter.is_narrowed() || filter.before.is_some() {
                p { "Nothing matches." }
                p.soft { "Take a condition away, or " a href="/log" { "see the whole log" } "." }
            } @else {
                p { "Nothing has been received yet that can be shown here." }
                p.soft { "Rows appear when a gateway connects and its node hears a packet." }
            }
        }
    }
}

fn live_bar() -> Markup {
    html! {
        div.row.livebar data-live-bar hidden {
            button.button.plain type="button" data-live-toggle aria-pressed="false" { "Show live" }
            button.button type="button" data-live-show hidden {}
            span.soft.small data-live-note role="status" {}
        }
    }
}

fn pager(filter: &Filter, found: &LogPage) -> Markup {
    let newest = Filter { before: None, ..filter.clone() }.address("/log");
    html! {
        @if found.is_cut_short {
            p.soft { "This search has looked through a lot and stopped here. “Older” goes on looking." }
        }
        nav.row aria-label="Pages of the log" {
            @if filter.before.is_some() { a.button.plain href=(newest) { "Newest" } }
            @if let Some(next) = &found.next { a.button.plain href=(next.address("/log")) { "Older" } }
        }
    }
}

/// The conditions in force, each a link to the view without it.
fn picked(filter: &Filter) -> Markup {
    let set: Vec<_> = FIELDS.iter().filter_map(|f| filter.value(f).map(|v| (*f, v))).collect();
    html! {
        @if !set.is_empty() {
            ul.picked aria-label="Conditions; follow one to take it away" {
                @for (field, value) in set {
                    li { a href=(filter.without(field).address("/log")) {
                        span { span.soft { (field) ": " } bdi { (value) } " ×" }
                    } }
                }
            }
        }
    }
}

fn form(filter: &Filter, problems: &[Problem], visitor: Visitor) -> Markup {
    let view = View { filter, problems };
    let ports: Vec<_> = PortNum::words().map(|(_, word)| word.to_owned()).collect();
    let verdicts: Vec<_> = match visitor {
        Visitor::Public => vec![Verdict::Accept, Verdict::Rewrite],
        Visitor::Operator => Verdict::ALL.to_vec(),
    };
    let verdicts: Vec<_> = verdicts.into_iter().map(verdict_value).collect();
    let rules: Vec<_> = RULES
        .iter()
        .filter(|r| r.stage == Stage::Uplink || r.name == "hop-limit")
        .map(|r| r.name.to_owned())
        .collect();
    html! {
        details.filter.card open[!problems.is_empty()] {
            summary { "Filter" }
            form method="get" action="/log" {
                @for problem in problems { p.wrong role="alert" { (problem.field) ": " (problem.message) } }
                div.fields {
                    (text_field(&view, "node", "Node", "!7c5a0a01"))
                    (text_field(&view, "gateway", "Gateway", "!7c5a0a01"))
                    (text_field(&view, "channel", "Channel", "LongFast"))
                    (choice(&view, "port", "Port", &ports))
                    (choice(&view, "verdict", "Verdict", &verdicts))
                    (choice(&view, "rule", "Rule", &rules))
                    (text_field(&view, "since", "Since (UTC or age)", "6h"))
                    (text_field(&view, "until", "Until (UTC or age)", "2026-08-20T13:45"))
                    (text_field(&view, "text", "Text said", ""))
                }
                label.check {
                    input type="checkbox" name="group" value="packet" checked[filter.is_grouped];
                    "One row for each packet"
                }
                div.row { button.button { "Filter" } a.button.plain href="/log" { "Clear" } }
            }
        }
    }
}

fn text_field(view: &View<'_>, name: &str, label: &str, example: &str) -> Markup {
    let hint = (!example.is_empty()).then_some(example);
    let wrong = view.wrong(name);
    html! {
        label { (label)
            input type="text" name=(name) value=[wrong.map(str::to_owned).or_else(|| view.filter.value(name))]
                aria-invalid=[wrong.map(|_| "true")] placeholder=[hint] autocomplete="off" autocapitalize="none"
                spellcheck="false";
        }
    }
}

fn choice(view: &View<'_>, name: &str, label: &str, values: &[String]) -> Markup {
    let wrong = view.wrong(name);
    let chosen = view.filter.value(name);
    let is_listed = chosen.as_ref().is_none_or(|c| values.contains(c));
    html! {
        label { (label)
            select name=(name) aria-invalid=[wrong.map(|_| "true")] {
                option value="" { "any" }
                @if !is_listed { option value=[&chosen] selected { (chosen.as_deref().unwrap_or_default()) } }
                @for value in values { option value=(value) selected[chosen.as_ref() == Some(value)] { (value) } }
            }
        }
    }
}

/// What the form shows: the filter, and what was written where it was not understood.
struct View<'a> {
    filter: &'a Filter,
    problems: &'a [Problem],
}

impl View<'_> {
    fn wrong(&self, field: &str) -> Option<&str> {
        self.problems.iter().find(|p| p.field == field).map(|p| &*p.seen)
    }
}
