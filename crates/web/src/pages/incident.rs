//! `/incident/{number}`: one incident. What was said about it, what it amounts to beside the time before and after, what was
//! received, and the way to see it again.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use directory::Incident;
use history::{Page, Totals, history_folder};
use maud::{Markup, html};
use policy::decision::Verdict;
use query::{Condition, Test};

use crate::archive::{Archive, Unreadable};
use crate::filter::View;
use crate::layout::Section;
use crate::pages::incidents::{Written, address, chips, is_seen, span};
use crate::pages::login::form_field;
use crate::pages::replays;
use crate::site::Visit;
use crate::words::{Nodes, number};
use crate::{log_row, moment, picture};

/// Receptions on one page.
const PAGE_ROWS: usize = 30;
/// Bars of the picture.
const PARTS: usize = 60;
/// Longer windows are counted by whole hours elsewhere; looking at each reception would hold up other questions.
const COUNTED_MS_MAX: i64 = 2 * 86_400_000;

/// `GET /incident/{number}`: `before` is where an earlier page of receptions stopped.
pub async fn page(visit: Visit, Path(number): Path<String>, RawQuery(query): RawQuery) -> Response {
    let (view, _) = View::parse(query.as_deref().unwrap_or_default());
    show(&visit, StatusCode::OK, &number, &view, None).await
}

/// `POST /incident/{number}`: `do` is `change`, `close`, `reopen` or `remove`.
pub async fn command(visit: Visit, Path(number): Path<String>, body: Bytes) -> Response {
    let Some(incident) = find(&visit, &number).await else { return visit.not_here("incident") };
    let (number, actor, now_ms) = (incident.number, visit.who.actor(), visit.now_ms);
    let desk = &visit.site.account;
    let done = match form_field(&body, "do").unwrap_or_default().as_str() {
        "change" => match Written::of(&body).read(&visit) {
            Ok(form) => {
                desk.at_the_desk(move |store| store.change_incident(number, form, &actor, now_ms)).await
            }
            Err(why) => Err(why),
        },
        "close" => desk.at_the_desk(move |store| store.close_incident(number, true, &actor, now_ms)).await,
        "reopen" => desk.at_the_desk(move |store| store.close_incident(number, false, &actor, now_ms)).await,
        "remove" => {
            let removed = desk.at_the_desk(move |store| store.remove_incident(number, &actor, now_ms)).await;
            if removed.is_ok() {
                return Redirect::to("/incidents").into_response();
            }
            removed
        }
        _ => Err("the form does not say what to do".to_owned()),
    };
    match done {
        Ok(()) => Redirect::to(&address(number)).into_response(),
        Err(why) => {
            let (status, view) = (StatusCode::UNPROCESSABLE_ENTITY, View::everything());
            show(&visit, status, &number.to_string(), &view, Some(&why)).await
        }
    }
}

/// The incident with this number, if the visitor may know of it.
pub async fn find(visit: &Visit, number: &str) -> Option<Incident> {
    let number: i64 = number.parse().ok()?;
    let found = visit.site.account.at_the_desk(move |store| store.incident(number)).await.ok()??;
    is_seen(visit, &found).then_some(found)
}

/// What an incident amounts to, with as much time before and after; later than the present there is nothing.
pub struct Counts {
    /// Before, while and after.
    pub of: [Option<Totals>; 3],
}

impl Counts {
    /// Counts all three. `None` for windows that are too long to look at each reception.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn of(archive: &Archive, incident: &Incident, now_ms: i64) -> Result<Option<Self>, Unreadable> {
        let (since_ms, until_ms) = (incident.form.since_ms, incident.form.until_ms);
        let length_ms = until_ms - since_ms;
        if length_ms > COUNTED_MS_MAX {
            return Ok(None);
        }
        let before = archive.totals(since_ms - length_ms, since_ms, PARTS).await?;
        let during = archive.totals(since_ms, until_ms, PARTS).await?;
        // Half a window beside a whole one would look like a loss.
        let after = match until_ms + length_ms <= now_ms {
            true => Some(archive.totals(until_ms, until_ms + length_ms, PARTS).await?),
            false => None,
        };
        Ok(Some(Self { of: [Some(before), Some(during), after] }))
    }
}

/// The history that holds what was received then.
///
/// # Errors
/// When it cannot be read, or is not there any more.
pub fn archive_of(visit: &Visit, incident: &Incident) -> Result<Option<Archive>, Unreadable> {
    let Some(name) = &incident.archive else { return Ok(None) };
    let folder = history_folder(&visit.site.info.data, Some(name));
    visit.site.archive.beside(&folder, visit.site.keyring.clone()).map(Some)
}

async fn show(visit: &Visit, status: StatusCode, number: &str, view: &View, wrong: Option<&str>) -> Response {
    let Some(incident) = find(visit, number).await else { return visit.not_here("incident") };
    let form = &incident.form;
    let Ok(other) = archive_of(visit, &incident) else { return visit.history_failed() };
    let archive = other.as_ref().unwrap_or(&visit.site.archive);
    let within = Condition::All(vec![
        Condition::Is(Test::Since(form.since_ms)),
        Condition::Is(Test::Until(form.until_ms)),
    ]);
    let Ok(counts) = Counts::of(archive, &incident, visit.now_ms).await else {
        return visit.history_failed();
    };
    let Ok(found) = archive.log(within, view.before, visit.sight.clone(), PAGE_ROWS).await else {
        return visit.history_failed();
    };
    let body = visit.with_nodes(|nodes| {
        html! {
            h1 { bdi { (form.title) } " " (chips(visit, &incident)) }
            @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
            p.soft { (span(form.since_ms, form.until_ms, visit.now_ms)) }
            @for paragraph in form.notes.split("\n\n").filter(|text| !text.trim().is_empty()) {
                p.notes { bdi { (paragraph) } }
            }
            (picture_of(counts.as_ref()))
            (ways(visit, &incident))
            (comparison(nodes, &incident, counts.as_ref()))
            (rows(visit, nodes, &incident, view, &found))
            @if visit.who.may_change() { (steering(visit, &incident)) }
            (about(visit, &incident))
        }
    });
    (status, visit.page(Section::Incidents, &form.title, &[], &body)).into_response()
}

/// What was received, part by part: before, while, after.
fn picture_of(counts: Option<&Counts>) -> Markup {
    let Some(during) = counts.and_then(|counts| counts.of[1].as_ref()) else { return html! {} };
    let bars: Vec<u32> = during.buckets.iter().map(|sum| u32::try_from(*sum).unwrap_or(u32::MAX)).collect();
    html! { @if during.receptions > 0 { figure { (picture::bars(&bars, "Receptions from the beginning to the end")) } } }
}

/// Where the same stretch of time is shown otherwise. An archive has only this page.
fn ways(visit: &Visit, incident: &Incident) -> Markup {
    let within = View::everything().between(incident.form.since_ms, incident.form.until_ms);
    html! {
        @if incident.archive.is_none() {
            nav.row aria-label="The same time elsewhere" {
                a.button.plain href=(within.address("/log")) { "Log" }
                a.button.plain href=(within.address("/map")) { "Map" }
                a.button.plain href=(format!("{}&order=lost", within.address("/links"))) { "Links lost since the time before" }
                a.button.plain href=(within.address("/coverage")) { "Coverage" }
            }
        }
        @if visit.who.may_change() { (replays::order_form(visit, &replays::Asked::incident(incident))) }
    }
}

fn comparison(nodes: Nodes<'_>, incident: &Incident, counts: Option<&Counts>) -> Markup {
    let Some(Counts { of }) = counts else {
        return html! {
            h2 { "Before and after" }
            p.soft { "This stretch of time is longer than two days: the log and the map count it by the hour." }
        };
    };
    let row = |name: &str, value: &dyn Fn(&Totals) -> String| {
        html! { tr { th scope="row" { (name) } @for totals in of { td.n { @match totals { Some(totals) => (value(totals)), None => "–" } } } } }
    };
    let gateways: BTreeSet<u32> =
        of.iter().flatten().flat_map(|totals| totals.by_gateway.keys().copied()).collect();
    html! {
        h2 #compare { "Before and after" }
        div.scroll { table {
            thead { tr {
                td {}
                th.n scope="col" { (moment::duration(incident.form.until_ms - incident.form.since_ms)) " before" }
                th.n scope="col" { "Then" } th.n scope="col" { "After" }
            } }
            tbody {
                (row("Packets", &|totals| number(totals.packets)))
                (row("Nodes heard", &|totals| number(totals.nodes)))
                (row("Time on air received", &|totals| format!("{:.1} s", totals.airtime_us as f64 / 1e6)))
                (row("Receptions", &|totals| number(totals.receptions)))
                @for (index, verdict) in Verdict::ALL.iter().enumerate() {
                    @if of.iter().flatten().any(|totals| totals.by_verdict[index] > 0) {
                        (row(&format!("of these: {}", verdict.word()), &|totals| number(totals.by_verdict[index])))
                    }
                }
            }
            @if !gateways.is_empty() { tbody {
                tr { th scope="rowgroup" colspan="4" { "Receptions by gateway" } }
                @for gateway in gateways { tr {
                    th scope="row" { (nodes.link(gateway)) }
                    @for totals in of { td.n { @match totals {
                        Some(totals) => (number(totals.by_gateway.get(&gateway).copied().unwrap_or(0))),
                        None => "–",
                    } } }
                } }
            } }
        } }
    }
}

fn rows(visit: &Visit, nodes: Nodes<'_>, incident: &Incident, view: &View, found: &Page) -> Markup {
    let here = address(incident.number);
    let older = found.next.map(|next| View { before: Some(next), ..View::everything() }.address(&here));
    html! {
        h2 #received { "What was received" }
        @if found.receptions.is_empty() {
            p.soft { @if view.before.is_some() { "Nothing more." } @else { "Nothing that can be shown here." } }
        } @else {
            div.scroll.stack.log { table {
                (log_row::head())
                tbody { @for reception in &found.receptions {
                    (log_row::row(reception, &[], nodes, &visit.site.keyring, visit.now_ms))
                } }
            } }
        }
        nav.row aria-label="Pages of what was received" {
            @if view.before.is_some() { a.button.plain href={ (here) "#received" } { "Newest" } }
            @if let Some(older) = older { a.button.plain href={ (older) "#received" } { "Older" } }
        }
    }
}

fn steering(visit: &Visit, incident: &Incident) -> Markup {
    let here = address(incident.number);
    html! {
        h2 #change { "Change" }
        form.row method="post" action=(here) {
            @match incident.closed_ms {
                None => button.button.plain name="do" value="close" { "Close it" },
                Some(at) => {
                    span.soft { "Closed " (moment::age(at, visit.now_ms)) "." }
                    button.button.plain name="do" value="reopen" { "Open it again" }
                }
            }
        }
        details.card {
            summary { "Say something else about it" }
            form method="post" action=(here) {
                (Written::from_form(&incident.form).fields())
                div.row { button.button name="do" value="change" { "Change it" } }
            }
            form method="post" action=(here) {
                p.small.soft { "Removed, it is a mark less; what was received stays as long as everything else." }
                button.button.plain name="do" value="remove" { "Remove the mark" }
            }
        }
    }
}

fn about(visit: &Visit, incident: &Incident) -> Markup {
    html! {
        @if visit.sight.is_operator() {
            p.small.soft {
                "Marked " (moment::age(incident.made_ms, visit.now_ms)) " by " bdi { (incident.made_by) } ". "
                @if let Some(archive) = &incident.archive {
                    "It came from another Backhaul; its receptions are in the archive " code { (archive) } ". "
                }
                "To hand it on: " code { "backhaul incident export " (incident.number) " FOLDER" }
            }
        }
    }
}
