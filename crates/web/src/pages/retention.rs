//! `/retention` and `/.well-known/backhaul-retention.json`: what is kept for how long, with proof: the oldest day of each
//! class, and what the last purge took away. For everybody; operators try other times here, which deletes nothing.

use axum::extract::RawQuery;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use history::Class;
use history::retention::{self, Keep, LastPurge, Purged};
use maud::{Markup, html};
use serde_json::json;

use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::who::Needs;
use crate::words::count;

/// The form's fields with the keys of the configuration's section `[history]` that they stand for.
const FIELDS: [(&str, &str, &str); 8] = [
    ("days", "keep_days", "Everything"),
    ("bytes", "keep_bytes_days", "Exact bytes"),
    ("text", "keep_text_days", "Texts"),
    ("position", "keep_position_days", "Positions"),
    ("telemetry", "keep_telemetry_days", "Measurements"),
    ("decisions", "keep_decisions_days", "What became of copies"),
    ("connections", "keep_connections_days", "Connections"),
    ("owners", "keep_owners_days", "Requests of owners"),
];
/// The longest time that can be given, days.
const DAYS_MAX: u32 = 36_500;

/// `GET /retention`: for operators, `days`, `text` and the other fields say what to try.
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let Ok(found) = find(&visit).await else { return visit.history_failed() };
    let keep = visit.site.info.keep;
    let tried = match query.as_deref().filter(|query| !query.is_empty() && visit.who.may(Needs::Observer)) {
        Some(query) => Some(try_out(&visit, query).await),
        None => None,
    };
    let body = html! {
        h1 { "What is kept, and for how long" }
        p.lead { "Every packet that a gateway uplinks is recorded, so that coverage can be looked at and decisions explained. Then it is deleted." }
        div.card { dl.facts {
            dt { "Everything" } dd { (for_days(keep.days)) "; the oldest day is " (found.oldest.as_deref().unwrap_or("none yet")) }
            @for (class, oldest) in Class::ALL.into_iter().zip(&found.of_each) {
                dt { (class.words()) }
                dd { (for_days(keep.days_of(class))) @if let Some(day) = oldest { "; the oldest are of " (day) } }
            }
            dt { "What owners said of themselves" }
            dd { (for_days(owner_days(keep))) ", from when they asked" }
            dt { "Last look for what is due" } dd { @match &found.last {
                Some(last) => { (moment::age(last.at_ms, visit.now_ms)) "; " (taken(&last.purged)) }
                None => "none yet; the first comes soon after a start",
            } }
            @if let Some((at_ms, purged)) = found.last.as_ref().and_then(|last| last.latest_loss.as_ref()) {
                dt { "Last deletion" } dd { (moment::age(*at_ms, visit.now_ms)) "; " (taken(purged)) }
            }
            @if let Some(open) = &found.being_written {
                dt { "Being written" } dd { (open) "; what is shown of it is what there is so far" }
            }
        } }
        p { "Texts, positions and measurements stand in the exact bytes and go with them at the latest. What is deleted is written over. "
            "Days that an incident pins are kept as long as it does, but for who connected from where." }
        p { "What everybody may see of it: packets whose senders agreed to MQTT, on channels that anyone can read, with places cut to about 1.5 km. "
            "Private keys and passwords are never recorded." }
        p { "Whoever operates a node may ask to see or to have deleted everything that is held of it: " a href="/forget" { "forget my node" } ", or ask the operators of this broker." }
        @if visit.who.may(Needs::Observer) { (form(keep, tried.as_ref())) }
        p { "For programs: " a href="/.well-known/backhaul-retention.json" { "backhaul-retention.json" } "." }
        (super::wiki::link("/retention.md"))
    };
    visit.page(Section::None, "Retention", &[], &body).into_response()
}

/// `GET /.well-known/backhaul-retention.json`
pub async fn json(visit: Visit) -> Response {
    let Ok(told) = told(&visit).await else { return visit.history_failed() };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, format!("{told:#}\n")).into_response()
}

/// What programs are told of it.
///
/// # Errors
/// When the history cannot be read.
pub async fn told(visit: &Visit) -> Result<serde_json::Value, crate::archive::Unreadable> {
    let found = find(visit).await?;
    let keep = visit.site.info.keep;
    let classes = Class::ALL.into_iter().zip(&found.of_each).map(|(class, oldest)| {
        json!({
            "class": class.word(),
            "keep_days": keep.days_of(class),
            "oldest_day": oldest,
            "last_purged": found.last.as_ref().map(|last| last.purged.of(class)),
        })
    });
    Ok(json!({
        "v": 1,
        "keep_days": keep.days,
        "keep_connections_days": keep.days_of(Class::Connections),
        "keep_owners_days": owner_days(keep),
        "oldest_day": found.oldest,
        "being_written": found.being_written,
        "classes": classes.collect::<Vec<_>>(),
        "last_purge": found.last.as_ref().map(|last| json!({ "at_ms": last.at_ms, "purged": last.purged })),
        "last_deletion": found.last.as_ref().and_then(|last| last.latest_loss.as_ref())
            .map(|(at_ms, purged)| json!({ "at_ms": at_ms, "purged": purged })),
    }))
}

struct Found {
    oldest: Option<String>,
    of_each: Vec<Option<String>>,
    being_written: Option<String>,
    last: Option<LastPurge>,
}

async fn find(visit: &Visit) -> Result<Found, crate::archive::Unreadable> {
    let (data, now_ms) = (visit.site.info.data.clone(), visit.now_ms);
    let found = visit.site.archive.ask(move |reader| {
        let (days, of_each) = (reader.kept_days()?, reader.oldest_of_each()?);
        let open = reader.open_days(now_ms)?;
        Ok::<_, history::Error>((days.first().copied(), of_each, open.last().copied()))
    });
    let (oldest, of_each, open) = found.await?;
    let last = tokio::task::spawn_blocking(move || retention::last_purge(&data)).await.ok().flatten();
    let date = history::statement::date;
    Ok(Found {
        oldest: oldest.map(date),
        of_each: of_each.into_iter().map(|day| day.map(date)).collect(),
        being_written: open.map(date),
        last,
    })
}

/// Times that were tried, what they would delete, or what is wrong with them.
struct Tried {
    keep: Keep,
    due: Result<Purged, String>,
}

async fn try_out(visit: &Visit, query: &str) -> Tried {
    let now = visit.site.info.keep;
    let mut keep = now;
    let mut wrong = None;
    for (name, _, words) in FIELDS {
        let Some(text) = form_field(query.as_bytes(), name) else { continue };
        let days = match text.trim() {
            "" | "0" => None,
            text => match text.parse::<u32>() {
                Ok(days) if days <= DAYS_MAX => Some(days),
                Ok(_) | Err(_) => {
                    wrong = Some(format!(
                        "{words}: a number of days up to {DAYS_MAX} is wanted, or nothing for no own time"
                    ));
                    None
                }
            },
        };
        *field_of(&mut keep, name) = days;
    }
    let due = match wrong {
        Some(wrong) => Err(wrong),
        None => visit.site.due(keep).await,
    };
    Tried { keep, due }
}

fn field_of<'a>(keep: &'a mut Keep, name: &str) -> &'a mut Option<u32> {
    match name {
        "bytes" => &mut keep.bytes_days,
        "text" => &mut keep.text_days,
        "position" => &mut keep.position_days,
        "telemetry" => &mut keep.telemetry_days,
        "decisions" => &mut keep.decision_days,
        "connections" => &mut keep.connection_days,
        "owners" => &mut keep.owner_days,
        _ => &mut keep.days,
    }
}

fn form(keep: Keep, tried: Option<&Tried>) -> Markup {
    let mut shown = tried.map_or(keep, |tried| tried.keep);
    html! {
        h2 #try { "Try other times" }
        p { "Days for each; nothing means no time of its own. This shows what would be deleted and deletes nothing." }
        form.card method="get" action="/retention#try" {
            div.fields {
                @for (name, _, words) in FIELDS {
                    label { (words)
                        input type="number" name=(name) min="0" max=(DAYS_MAX) inputmode="numeric"
                            value=[field_of(&mut shown, name).map(|days| days.to_string())]; }
                }
            }
            div.row { button.button { "Show what would be deleted" } }
        }
        @match tried.map(|tried| &tried.due) {
            Some(Ok(due)) => div.card role="status" {
                p { strong { "Would be deleted within the next hour: " (due.in_words()) "." } }
                p { "To have it so, write this into the section " code { "[history]" } " of the configuration, and start the server again:" }
                pre.mono { @for (name, key, _) in FIELDS { (key) " = " (field_of(&mut shown, name).unwrap_or(0)) "\n" } }
            },
            Some(Err(why)) => p.wrong role="alert" { (why) "." },
            None => {}
        }
    }
}

fn for_days(days: Option<u32>) -> String {
    days.map_or("for as long as the server runs".to_owned(), |days| count(days.into(), "day"))
}

fn owner_days(keep: Keep) -> Option<u32> {
    [keep.owner_days, keep.days].into_iter().flatten().min()
}

fn taken(purged: &Purged) -> String {
    if *purged == Purged::default() { "nothing was due".to_owned() } else { purged.in_words() }
}
