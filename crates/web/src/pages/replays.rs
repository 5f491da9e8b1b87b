//! `/replays`: stretches of the past that are put back on topics of their own, and how far each is.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{Incident, Replay, ReplayCommand, ReplayOrder, ReplayState, parse_speed};
use directory_store::{Progresses, ReplayProgress, replay_progress};
use futures_util::stream;
use maud::{Markup, html};
use query::{Query, TEXT_BYTES_MAX};

use crate::assets::LIVE;
use crate::filter::View;
use crate::layout::Section;
use crate::live::{Seat, respond, too_many};
use crate::moment;
use crate::pages::incident;
use crate::pages::incidents::window;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::{count, number};

/// Filters of the longest kind, as a form writes them.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// How often an open page is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Speeds that the form offers, with their words.
const SPEEDS: [(&str, &str); 6] = [
    ("0.1", "a tenth of life"),
    ("1", "as it was"),
    ("10", "10 times"),
    ("60", "a minute in a second"),
    ("360", "an hour in ten seconds"),
    ("1000", "1000 times"),
];

/// `GET /replays`: `q` is the filter for the form.
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let (view, _) = View::parse(query.as_deref().unwrap_or_default());
    let asked = Asked { filter: view.text, ..Asked::default() };
    show(&visit, StatusCode::OK, &asked, None).await
}

/// `POST /replays`: orders one.
pub async fn order(visit: Visit, body: Bytes) -> Response {
    let asked = Asked::of(&body);
    let order = match asked.read(&visit).await {
        Ok(order) => order,
        Err(why) => return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, &asked, Some(&why)).await,
    };
    let (actor, now_ms) = (visit.who.actor(), visit.now_ms);
    let desk = &visit.site.account;
    match desk.at_the_desk(move |store| store.order_replay(&order, &actor, now_ms)).await {
        Ok(_) => Redirect::to("/replays").into_response(),
        Err(why) => show(&visit, StatusCode::CONFLICT, &asked, Some(&why)).await,
    }
}

/// `POST /replay/{number}`: `do` is `pause`, `resume`, `step`, `speed` or `stop`.
pub async fn steer(visit: Visit, Path(number): Path<String>, body: Bytes) -> Response {
    let asked = Asked::default();
    let (Ok(number), Ok(command)) = (number.parse::<i64>(), read_command(&body)) else {
        let why = "the form does not say what to do, or a speed that is not 0.1 to 1000";
        return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, &asked, Some(why)).await;
    };
    match visit.site.account.at_the_desk(move |store| store.command_replay(number, command)).await {
        Ok(_) => Redirect::to("/replays").into_response(),
        Err(why) => show(&visit, StatusCode::CONFLICT, &asked, Some(&why)).await,
    }
}

fn read_command(body: &[u8]) -> Result<ReplayCommand, ()> {
    let field = |name| form_field(body, name).unwrap_or_default();
    match field("do").as_str() {
        "pause" => Ok(ReplayCommand::Pause),
        "resume" => Ok(ReplayCommand::Resume),
        "step" => match field("count").parse() {
            Ok(count @ 1..) => Ok(ReplayCommand::Step(count)),
            _ => Err(()),
        },
        "speed" => parse_speed(&field("speed")).map(ReplayCommand::Speed).map_err(drop),
        "stop" => Ok(ReplayCommand::Stop),
        _ => Err(()),
    }
}

/// `GET /replays/live`: how far they are.
pub async fn stream(visit: Visit) -> Response {
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    respond(stream::unfold((visit, seat), |(visit, mut seat)| async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = seat.ended() => return None,
            }
            let visit = Visit { now_ms: visit.site.now_ms(), ..visit.clone() };
            // A directory that is busy is asked again.
            if let Ok((replays, progresses)) = all(&visit).await {
                let told = list(&visit, &replays, &progresses).into_string();
                return Some((Ok(Event::default().event("status").data(told)), (visit, seat)));
            }
        }
    }))
}

/// All replays with how far they are.
pub async fn all(visit: &Visit) -> Result<(Vec<Replay>, Progresses), String> {
    let data = visit.site.info.data.clone();
    visit.site.account.at_the_desk(move |store| Ok((store.replays()?, replay_progress(&data)))).await
}

/// The form of an order as it was filled in.
pub struct Asked {
    filter: String,
    incident: Option<i64>,
    speed: String,
    with_json: bool,
    is_paused: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            filter: String::new(),
            incident: None,
            speed: "10".to_owned(),
            with_json: false,
            is_paused: false,
        }
    }
}

impl Asked {
    /// All of an incident.
    pub fn incident(incident: &Incident) -> Self {
        Self { incident: Some(incident.number), ..Self::default() }
    }

    fn of(body: &[u8]) -> Self {
        let field = |name| form_field(body, name).unwrap_or_default();
        Self {
            filter: field("q").trim().to_owned(),
            incident: field("incident").parse().ok(),
            speed: field("speed"),
            with_json: form_field(body, "json").is_some(),
            is_paused: form_field(body, "paused").is_some(),
        }
    }

    /// What it orders.
    async fn read(&self, visit: &Visit) -> Result<ReplayOrder, String> {
        let speed = parse_speed(&self.speed).map_err(|refused| refused.to_string())?;
        let query = Query::parse(&self.filter).map_err(|problems| {
            problems
                .first()
                .map_or_else(|| "the filter is not understood".to_owned(), |first| first.message.clone())
        })?;
        visit.bind(&query).map_err(|problem| problem.message)?;
        let (since_ms, until_ms, archive) = match self.incident {
            Some(number) => {
                let found = incident::find(visit, &number.to_string()).await;
                let found = found.ok_or_else(|| format!("there is no incident {number}"))?;
                (found.form.since_ms, found.form.until_ms, found.archive)
            }
            None => {
                let (since_ms, until_ms) = window(visit, &self.filter)?;
                (since_ms, until_ms, None)
            }
        };
        let (filter, with_json, is_paused) = (self.filter.clone(), self.with_json, self.is_paused);
        Ok(ReplayOrder { since_ms, until_ms, filter, archive, speed, with_json, is_paused })
    }
}

async fn show(visit: &Visit, status: StatusCode, asked: &Asked, wrong: Option<&str>) -> Response {
    let Ok((replays, progresses)) = all(visit).await else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The directory cannot be read",
            "Try again; the program's log has the reason.",
        );
    };
    let body = html! {
        h1 { "Replays" }
        p.lead { "The past put back on MQTT, below topics of its own: for dashboards, home automation or a policy that is "
            "tried. No gateway ever hears it, and nothing of it is recorded again." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        div data-live-status="/replays/live" { (list(visit, &replays, &progresses)) }
        @if visit.who.may_change() { (order_form(visit, asked)) }
    };
    (status, visit.page(Section::Incidents, "Replays", &[&LIVE], &body)).into_response()
}

/// What orders one: of an incident, or of what a filter finds.
pub fn order_form(visit: &Visit, asked: &Asked) -> Markup {
    html! {
        details.card #new open[asked.incident.is_none()] {
            summary { @if asked.incident.is_some() { "See it again" } @else { "Put something back" } }
            form method="post" action="/replays" {
                @if let Some(number) = asked.incident { input type="hidden" name="incident" value=(number); }
                div.fields.wide {
                    label { @if asked.incident.is_some() { "Only what" } @else { "What and when" }
                        input.mono name="q" value=(asked.filter) maxlength=(TEXT_BYTES_MAX) required[asked.incident.is_none()]
                            placeholder=(if asked.incident.is_some() { "everything" } else { "port:text last 2h" })
                            autocomplete="off" autocapitalize="none" spellcheck="false";
                    }
                    label { "How fast" select name="speed" {
                        @for (speed, words) in SPEEDS { option value=(speed) selected[speed == asked.speed] { (words) } }
                    } }
                }
                label.inline { input type="checkbox" name="json" checked[asked.with_json]; " Also what home automation would have been told" }
                label.inline { input type="checkbox" name="paused" checked[asked.is_paused]; " Wait: it goes step by step" }
                div.row { button.button { "Put it back" } @if asked.incident.is_some() { a href="/replays" { "All replays" } } }
                p.small.soft { "Whoever may read everything subscribes to " code { "replay/#" } @if visit.site.mqtt.is_some() { ", also over WebSocket at " code { "/mqtt" } } "." }
            }
        }
    }
}

fn list(visit: &Visit, replays: &[Replay], progresses: &Progresses) -> Markup {
    let none = ReplayProgress::default();
    html! {
        @if replays.is_empty() {
            div.empty { p { "Nothing has been put back yet." } }
        }
        @for replay in replays { (one(visit, replay, progresses.get(&replay.number).unwrap_or(&none))) }
    }
}

fn one(visit: &Visit, replay: &Replay, progress: &ReplayProgress) -> Markup {
    let order = &replay.order;
    let is_over = replay.state == ReplayState::Over;
    let position_ms = progress.position_ms.clamp(order.since_ms, order.until_ms);
    let length_ms = (order.until_ms - order.since_ms).max(1);
    let is_done = is_over && progress.problem.is_none() && progress.receptions > 0;
    html! {
        section.card.replay {
            h2 { "Replay " (replay.number) " " (chip(replay.state)) }
            @if let Some(why) = &progress.problem { div.banner.bad role="alert" { p { "It ended: " (why) "." } } }
            p { @if order.filter.is_empty() { "Everything" } @else { bdi.mono { (order.filter) } }
                @if let Some(archive) = &order.archive { ", from " code { (archive) } } }
            p.small.soft {
                (moment::clock(order.since_ms, visit.now_ms)) " to " (moment::clock(order.until_ms, visit.now_ms))
                " UTC, " (speed_words(order.speed)) ", on " code { "replay/" (replay.number) "/#" }
            }
            @if !is_over {
                progress max="1000" value=((position_ms - order.since_ms) * 1_000 / length_ms) aria-label="How far it is" {}
            }
            p.small {
                (count(progress.receptions, "reception")) " as " (number(progress.messages)) " messages"
                @if progress.receptions > 0 && !is_done { ", at " (moment::clock(position_ms, visit.now_ms)) }
                "."
            }
            @if !is_over && visit.who.may_change() { (steering(replay)) }
        }
    }
}

fn steering(replay: &Replay) -> Markup {
    let here = format!("/replay/{}", replay.number);
    let speed = (f64::from(replay.order.speed) / 1000.0).to_string();
    html! {
        div.row {
            form.row method="post" action=(here) {
                @if replay.state == ReplayState::Running { button.button.plain name="do" value="pause" { "Pause" } }
                @else {
                    input type="hidden" name="count" value="1";
                    button.button name="do" value="resume" { "Go on" }
                    button.button.plain name="do" value="step" { "One step" }
                }
                button.button.plain name="do" value="stop" { "End it" }
            }
            form.row method="post" action=(here) {
                input type="hidden" name="do" value="speed";
                label.inline { "Speed " select name="speed" {
                    @if !SPEEDS.iter().any(|(known, _)| *known == speed) { option value=(speed) selected { (speed) " times" } }
                    @for (known, words) in SPEEDS { option value=(known) selected[known == speed] { (words) } }
                } }
                button.button.plain { "Set" }
            }
        }
    }
}

fn chip(state: ReplayState) -> Markup {
    html! { @match state {
        ReplayState::Running => span.chip.good { "running" },
        ReplayState::Paused => span.chip.note { "waiting" },
        ReplayState::Over => span.chip.off { "over" },
    } }
}

fn speed_words(thousandths: u32) -> String {
    match thousandths {
        1_000 => "as it was".to_owned(),
        other => format!("{} times life", f64::from(other) / 1000.0),
    }
}

/// Where the form for what a view shows is.
pub fn address_for(view: &View) -> String {
    format!("{}#new", view.first_page().address("/replays"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_commands() {
        assert_eq!(read_command(b"do=pause"), Ok(ReplayCommand::Pause));
        assert_eq!(read_command(b"do=step&count=5"), Ok(ReplayCommand::Step(5)));
        assert_eq!(read_command(b"do=speed&speed=0.1"), Ok(ReplayCommand::Speed(100)));
        for wrong in
            ["", "do=fly", "do=step", "do=step&count=0", "do=step&count=70000", "do=speed&speed=2000"]
        {
            assert_eq!(read_command(wrong.as_bytes()), Err(()), "{wrong}");
        }
    }

    #[test]
    fn every_offered_speed_is_one() {
        assert!(SPEEDS.iter().all(|(speed, _)| parse_speed(speed).is_ok()));
    }
}
