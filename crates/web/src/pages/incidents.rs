//! `/incidents`: windows of time that somebody wants to come back to. Everybody sees those that are public.

use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{INCIDENT_NOTES_CHARS_MAX, INCIDENT_TITLE_CHARS_MAX, Incident, IncidentForm};
use maud::{Markup, html};
use query::{Query, TEXT_BYTES_MAX};

use crate::filter::View;
use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;

/// Notes of the longest kind, as a form writes them.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// What the form says about when, if the address says nothing.
const USUAL: &str = "last 1h";

/// `GET /incidents`: `q` says when, for the form.
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let (view, _) = View::parse(query.as_deref().unwrap_or_default());
    let when = match view.query.times() {
        times if times.is_empty() => USUAL.to_owned(),
        times => times.to_string(),
    };
    show(&visit, StatusCode::OK, &Written { when, is_pinned: true, ..Written::default() }, None).await
}

/// `POST /incidents`: marks one.
pub async fn mark(visit: Visit, body: Bytes) -> Response {
    let written = Written::of(&body);
    let form = match written.read(&visit) {
        Ok(form) => form,
        Err(why) => return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, &written, Some(&why)).await,
    };
    let (actor, now_ms) = (visit.who.actor(), visit.now_ms);
    let marked =
        visit.site.account.at_the_desk(move |store| store.mark_incident(form, None, &actor, now_ms)).await;
    match marked {
        Ok(number) => Redirect::to(&address(number)).into_response(),
        Err(why) => show(&visit, StatusCode::UNPROCESSABLE_ENTITY, &written, Some(&why)).await,
    }
}

/// Where an incident is shown.
pub fn address(number: i64) -> String {
    format!("/incident/{number}")
}

/// What the visitor may know of, the latest window first.
pub async fn seen_by(visit: &Visit) -> Result<Vec<Incident>, String> {
    let mut incidents = visit.site.account.at_the_desk(|store| store.incidents()).await?;
    incidents.retain(|incident| is_seen(visit, incident));
    Ok(incidents)
}

/// Whether the visitor may know of it.
pub fn is_seen(visit: &Visit, incident: &Incident) -> bool {
    incident.form.is_public || visit.sight.is_operator()
}

/// A window in the words of the filter: whole seconds, no less than what was said.
///
/// # Errors
/// When nothing is said about when, or it is not understood; the text says what to write.
pub fn window(visit: &Visit, text: &str) -> Result<(i64, i64), String> {
    let query = Query::parse(text).map_err(|problems| {
        problems
            .first()
            .map_or_else(|| "the time is not understood".to_owned(), |problem| problem.message.clone())
    })?;
    let condition = visit.bind(&query.times()).map_err(|problem| problem.message)?;
    let (since_ms, until_ms) = condition.time_range();
    let Some(since_ms) = since_ms else {
        return Err(
            "say since when: `last 2h`, or `since 2026-11-23T18:00 until 2026-11-23T21:00`".to_owned()
        );
    };
    let until_ms = until_ms.unwrap_or(visit.now_ms);
    Ok((since_ms.div_euclid(1_000) * 1_000, until_ms.saturating_add(999).div_euclid(1_000) * 1_000))
}

/// The form as it was filled in.
#[derive(Default)]
pub struct Written {
    /// What it was.
    pub title: String,
    /// When, in the words of the filter.
    pub when: String,
    /// What is to be said about it.
    pub notes: String,
    /// Whether its days are kept.
    pub is_pinned: bool,
    /// Whether everybody may see it.
    pub is_public: bool,
}

impl Written {
    /// From the bytes of a form.
    pub fn of(body: &[u8]) -> Self {
        let field = |name| form_field(body, name).unwrap_or_default();
        Self {
            title: field("title"),
            when: field("when"),
            notes: field("notes"),
            is_pinned: form_field(body, "pinned").is_some(),
            is_public: form_field(body, "public").is_some(),
        }
    }

    /// As it stands in the directory.
    pub fn from_form(form: &IncidentForm) -> Self {
        Self {
            title: form.title.clone(),
            when: View::everything().between(form.since_ms, form.until_ms).text,
            notes: form.notes.clone(),
            is_pinned: form.is_pinned,
            is_public: form.is_public,
        }
    }

    /// What it means.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn read(&self, visit: &Visit) -> Result<IncidentForm, String> {
        let (since_ms, until_ms) = window(visit, &self.when)?;
        let form = IncidentForm {
            title: self.title.clone(),
            notes: self.notes.clone(),
            since_ms,
            until_ms,
            is_pinned: self.is_pinned,
            is_public: self.is_public,
        };
        form.checked().map_err(|refused| refused.to_string())
    }

    /// Its fields.
    pub fn fields(&self) -> Markup {
        html! {
            div.fields.wide {
                label { "What it was, in one line"
                    input name="title" value=(self.title) maxlength=(INCIDENT_TITLE_CHARS_MAX) required autocomplete="off";
                }
                label { "When"
                    input.mono name="when" value=(self.when) maxlength=(TEXT_BYTES_MAX) required autocomplete="off" autocapitalize="none" spellcheck="false";
                }
            }
            p.small.soft { "As in the log’s filter, in UTC: " code { "last 2h" } ", " code { "on yesterday" } " or "
                code { "since 2026-11-23T18:00 until 2026-11-23T21:00" } "." }
            label { "What is to be said about it"
                textarea name="notes" rows="4" maxlength=(INCIDENT_NOTES_CHARS_MAX) { (self.notes) }
            }
            label.inline { input type="checkbox" name="pinned" checked[self.is_pinned]; " Keep what was received then, however long other days are kept" }
            label.inline { input type="checkbox" name="public" checked[self.is_public]; " Everybody may read the title, the notes and the counts" }
        }
    }
}

async fn show(visit: &Visit, status: StatusCode, written: &Written, wrong: Option<&str>) -> Response {
    let Ok(incidents) = seen_by(visit).await else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The directory cannot be read",
            "Try again; the program's log has the reason.",
        );
    };
    let body = html! {
        h1 { "Incidents" }
        p.lead { "Stretches of time worth coming back to: what happened, what it was like before and after." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        @if incidents.is_empty() {
            div.empty { p { "Nothing is marked." } @if visit.who.may_change() {
                p.soft { "Mark a stretch of time below, or filter the log and choose “Mark as incident”." }
            } }
        }
        @if !incidents.is_empty() { ul.incidents { @for incident in &incidents { li.card { (line(visit, incident)) } } } }
        @if visit.who.may_change() {
            h2 #mark { "Mark one" }
            form.card method="post" action="/incidents" {
                (written.fields())
                div.row { button.button { "Mark it" } }
            }
        }
    };
    (status, visit.page(Section::Incidents, "Incidents", &[], &body)).into_response()
}

/// One of several.
pub fn line(visit: &Visit, incident: &Incident) -> Markup {
    let form = &incident.form;
    html! {
        p.name { a href=(address(incident.number)) { bdi { (form.title) } } " " (chips(visit, incident)) }
        p.small.soft { (span(form.since_ms, form.until_ms, visit.now_ms)) }
    }
}

/// Its state in a word each.
pub fn chips(visit: &Visit, incident: &Incident) -> Markup {
    html! {
        @if incident.closed_ms.is_some() { span.chip.off { "closed" } } @else { span.chip.note { "open" } }
        @if visit.sight.is_operator() {
            @if incident.form.is_public { " " span.chip { "public" } }
            @if incident.form.is_pinned { " " span.chip { "kept" } }
            @if let Some(archive) = &incident.archive { " " span.chip { "from " (archive) } }
        }
    }
}

/// From when to when, and how long that is.
pub fn span(since_ms: i64, until_ms: i64, now_ms: i64) -> Markup {
    html! {
        (moment::clock(since_ms, now_ms)) " to " (moment::clock(until_ms, now_ms)) " UTC, "
        (moment::duration(until_ms - since_ms))
    }
}
