//! `/log`: what was received, filtered by the address.

use std::collections::HashMap;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use history::Page;
use maud::{Markup, html};
use record::{PolicyChange, Reception};

use crate::archive::Unreadable;
use crate::assets::{Asset, LIVE, SEARCH};
use crate::filter::View;
use crate::layout::Section;
use crate::pages::{export, policy_change, replays};
use crate::site::Visit;
use crate::timeline::Timeline;
use crate::visibility::Visitor;
use crate::{log_row, moment, search, words};

/// Receptions on one page.
const PAGE_ROWS: usize = 50;
/// Changes of the policy told above them.
const POLICY_CHANGES_SHOWN: usize = 3;
/// Records waiting to be stored that are worth saying: more than a busy second.
const LAGGING: u64 = 2_000;

/// `GET /log`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let (view, problems) = View::parse(query.as_deref().unwrap_or_default());
    let bound = match problems.is_empty() {
        true => visit.bind(&view.query).map_err(|problem| vec![problem]),
        false => Err(problems),
    };
    let condition = match bound {
        Ok(condition) => condition,
        Err(problems) => {
            let body = html! { h1 { "Log" } (search::form(&visit, &view, &problems)) };
            let page = visit.page(Section::Log, "Log", &[&SEARCH], &body);
            return (StatusCode::BAD_REQUEST, page).into_response();
        }
    };
    let (site, sight) = (&visit.site, visit.sight.clone());
    // What ends some time has no further rows, and what becomes of copies is not known when a row comes.
    let is_live = view.before.is_none() && condition.time_range().1.is_none() && !condition.needs().release;
    let timeline = visit.sight.is_operator().then(|| Timeline::of(&condition, visit.now_ms)).flatten();
    let Ok(found) = site.archive.log(condition, view.before, sight, PAGE_ROWS).await else {
        return visit.history_failed();
    };
    let changes = policy_changes(&visit, &found, is_live).await;
    let Ok(bars) = timeline_of(&visit, &view, timeline).await else {
        return visit.history_failed();
    };
    let body = html! {
        h1 { "Log" }
        p.soft { (explanation(visit.sight.visitor)) }
        (stalled(&visit))
        (search::form(&visit, &view, &[]))
        (bars)
        (keeping(&visit, &view))
        @if is_live { (live_bar()) }
        @for change in &changes { (policy_change_line(&visit, change)) }
        (rows(&visit, &view, &found, is_live))
        (pager(&view, &found))
    };
    let scripts: &[&Asset] = if is_live { &[&SEARCH, &LIVE] } else { &[&SEARCH] };
    visit.page(Section::Log, "Log", scripts, &body).into_response()
}

async fn timeline_of(visit: &Visit, view: &View, timeline: Option<Timeline>) -> Result<Markup, Unreadable> {
    let Some(timeline) = timeline else { return Ok(html! {}) };
    let (thing, since_ms, until_ms) = (timeline.thing.clone(), timeline.since_ms, timeline.until_ms);
    let hours = visit.site.archive.hours(thing, since_ms, until_ms).await?;
    Ok(timeline.bars(view, &hours))
}

/// What can be done with the rows, and with the stretch of time that the filter names.
fn keeping(visit: &Visit, view: &View) -> Markup {
    html! {
        @if visit.sight.is_operator() {
            nav.row aria-label="With what is shown" {
                @if visit.who.may_change() && !view.query.times().is_empty() {
                    a.button.plain href={ (view.first_page().address("/incidents")) "#mark" } { "Mark as incident" }
                    a.button.plain href=(replays::address_for(view)) { "Replay this" }
                }
                (export::links(view))
            }
        }
    }
}

/// Says so when what comes is not being stored: then the log ends before the present.
fn stalled(visit: &Visit) -> Markup {
    let health = (visit.site.history_health)();
    html! {
        @if visit.sight.is_operator() && health.is_stalled() {
            div.banner.bad role="alert" { p {
                "Nothing is being stored: what comes now is not in this list. The status page says why."
            } }
        } @else if visit.sight.is_operator() && health.queued > LAGGING {
            div.banner role="status" { p {
                (words::count(health.queued, "record")) " are still being written; the newest are not in this list yet."
            } }
        }
    }
}

/// Changes of the policy in the time that the page shows: rows before and after them were judged differently.
async fn policy_changes(visit: &Visit, found: &Page, is_live: bool) -> Vec<PolicyChange> {
    let times = || found.receptions.iter().map(|reception| reception.at_ms);
    let (Some(oldest), Some(newest)) = (times().min(), times().max()) else { return Vec::new() };
    let until = if is_live { i64::MAX } else { newest };
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

fn rows(visit: &Visit, view: &View, found: &Page, is_live: bool) -> Markup {
    let keyring = &visit.site.keyring;
    let groups = if view.is_grouped { by_packet(&found.receptions) } else { one_by_one(&found.receptions) };
    let stream = is_live.then(|| view.first_page().address("/live"));
    html! {
        @if groups.is_empty() { (nothing(view, found)) }
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

fn nothing(view: &View, found: &Page) -> Markup {
    html! {
        div.empty data-live-empty {
            @if found.is_cut_short {
                p { "Nothing matches so far." }
            } @else if view.is_narrowed() || view.before.is_some() {
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

fn pager(view: &View, found: &Page) -> Markup {
    let older = found.next.map(|next| View { before: Some(next), ..view.clone() }.address("/log"));
    html! {
        @if found.is_cut_short {
            p.soft {
                "This search has looked through " (words::count(found.looked_at, "reception"))
                " and stopped here. “Older” goes on looking."
            }
        }
        nav.row aria-label="Pages of the log" {
            @if view.before.is_some() { a.button.plain href=(view.first_page().address("/log")) { "Newest" } }
            @if let Some(older) = older { a.button.plain href=(older) { "Older" } }
        }
    }
}
