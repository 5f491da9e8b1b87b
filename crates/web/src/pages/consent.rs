//! `/consent`: what left the community with whose agreement, day by day, counted from the history. For the operator.

use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use history::ConsentCounts;
use history::statement::{self, Day, Statement};
use maud::{Markup, html};
use record::ReceiverKind;

use crate::layout::Section;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::{count, number};

/// `GET /consent`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let found = match find(&visit, query.as_deref()).await {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let body = html! {
        h1 { "Consent" }
        @match &found.statement {
            None => p.empty { "Nothing has been recorded yet. A day is counted here as soon as the first packet came." },
            Some(statement) => (told(&visit, statement, &found)),
        }
    };
    visit.page(Section::Consent, "Consent", &[], &body).into_response()
}

/// `GET /consent.json`: the statement as the server writes it every day.
pub async fn json(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let found = match find(&visit, query.as_deref()).await {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let Some(statement) = found.statement else { return visit.not_here("day") };
    let name = format!("attachment; filename=\"consent-{}.json\"", statement::date(statement.day));
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, format!("{:#}\n", statement.to_json())).into_response()
}

struct Found {
    /// `None` before the first record.
    statement: Option<Statement>,
    /// Days that can be counted, newest first.
    days: Vec<Day>,
    today: Day,
}

async fn find(visit: &Visit, query: Option<&str>) -> Result<Found, Box<Response>> {
    if !visit.sight.is_operator() {
        let text = "Who reads along is for the operator to see. Sign in first.";
        return Err(Box::new(visit.trouble(StatusCode::FORBIDDEN, "For the operator", text)));
    }
    let failed = |_| Box::new(visit.history_failed());
    let mut days = visit.site.archive.kept_days().await.map_err(failed)?;
    days.reverse();
    let today = statement::day_of(visit.now_ms);
    let wanted = query.and_then(|query| form_field(query.as_bytes(), "day")).filter(|day| !day.is_empty());
    let day = match wanted {
        // The last day that is over says more than one that has just begun.
        None => days.iter().copied().find(|day| *day < today).or(days.first().copied()),
        Some(wanted) => {
            let day = statement::parse_day(&wanted).filter(|day| days.contains(day));
            Some(day.ok_or_else(|| Box::new(visit.not_here("day")))?)
        }
    };
    let statement = match day {
        None => None,
        Some(day) => {
            let outside = (visit.site.policy)().outside.receivers.clone();
            Some(visit.site.archive.statement(day, outside).await.map_err(failed)?)
        }
    };
    Ok(Found { statement, days, today })
}

fn told(visit: &Visit, statement: &Statement, found: &Found) -> Markup {
    let counted = &statement.counted;
    let date = statement::date(statement.day);
    html! {
        @if statement.holds() {
            p.lead { (sentence(statement)) }
        } @else {
            div.banner.bad role="alert" { p { (sentence(statement)) } p {
                "Find out which client this is and whether the rule " a.mono href="/policy#outside-consent" { "outside-consent" } " is enforced."
            } }
        }
        @if statement.day == found.today { p.soft { "This day goes on: the numbers still rise." } }
        form.row method="get" action="/consent" {
            label { "Day (UTC)" select name="day" {
                @for day in &found.days {
                    option value=(statement::date(*day)) selected[*day == statement.day] { (statement::date(*day)) }
                }
            } }
            button.button { "Show" }
            a.button.plain href={ "/consent.json?day=" (date) } { "Statement as JSON" }
        }
        (figures(statement))
        h2 #outside { "Who reads along" }
        p.soft {
            "Receivers outside the community get a packet only when its sender agreed. "
            @if statement.outside.is_empty() {
                "None is declared: name bridges and public feeds under " span.mono { "policy.outside" } " in the configuration."
            } @else { "Gateways are not listed: what they get stays in the community." }
        }
        (readers(statement))
        h2 #gateways { "What gateways brought" }
        p.soft { "Receptions by what their senders agreed to. Withheld is what the rule " span.mono { "consent" } " kept from everyone." }
        (gateways(visit, statement))
        @if counted.no_packet > 0 {
            p.soft { (count(counted.no_packet, "further message")) " held no packet, such as online notices." }
        }
        h2 #check { "Check it" }
        p { "The server writes this statement once a day is over. Anyone with the history can recount it:" }
        pre.command { code { "backhaul consent check consent-" (date) ".json" } }
    }
}

/// The day in one sentence.
fn sentence(statement: &Statement) -> String {
    let date = statement::date(statement.day);
    let outside = statement.outside_counts();
    let copies = count(outside.delivered, "copy").replace("copys", "copies");
    let kept_back = match outside.withheld {
        0 => String::new(),
        n => format!(
            " {} kept back for want of it.",
            if n == 1 { "1 was".to_owned() } else { format!("{} were", number(n)) }
        ),
    };
    match (outside.delivered, outside.without_consent) {
        (0, _) => format!("{date}: nothing left the community.{kept_back}"),
        (_, 0) => {
            format!("{date}: {copies} left the community, none without its sender’s consent.{kept_back}")
        }
        (_, wrong) => format!("{date}: {} of {copies} left the community without consent.", number(wrong)),
    }
}

fn figures(statement: &Statement) -> Markup {
    let all = &statement.counted.all;
    let share = |n: u64| match all.receptions {
        0 => String::new(),
        receptions => format!("{:.0} %", n as f64 / receptions as f64 * 100.0),
    };
    html! {
        dl.figures {
            div { dt { "Packets" } dd { (number(all.packets)) } }
            div { dt { "Receptions" } dd { (number(all.receptions)) } }
            @for (word, n) in [("Agreed", all.yes), ("Declined", all.no), ("Unknown", all.unknown), ("Withheld", all.withheld)] {
                div { dt { (word) } dd { (number(n)) " " span.small.soft { (share(n)) } } }
            }
        }
    }
}

fn readers(statement: &Statement) -> Markup {
    let mut readers: Vec<_> =
        statement.counted.receivers().filter(|(kind, ..)| *kind != ReceiverKind::Gateway).collect();
    readers.sort_by_key(|(kind, name, _)| !statement.is_outside(*kind, name));
    html! {
        @if readers.is_empty() { p.empty { "No observer or service was sent anything on this day." } }
        @else { div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Receiver" } th scope="col" { "Where" } th.n scope="col" { "Delivered" }
                th.n scope="col" { "Without consent" } th.n scope="col" { "Kept back" }
            } }
            tbody { @for (kind, name, counts) in readers {
                @let is_outside = statement.is_outside(kind, name);
                tr {
                    th scope="row" { bdi { (name) } " " span.small.soft { (kind.word()) } }
                    td data-label="Where" { span.cell { @if is_outside { span.chip.note { "outside" } } @else { span.chip { "inside" } } } }
                    td.n data-label="Delivered" { span.cell { (number(counts.delivered)) } }
                    td.n data-label="Without consent" { span.cell {
                        @if is_outside && counts.without_consent > 0 { strong.wrong { (number(counts.without_consent)) } }
                        @else { (number(counts.without_consent)) }
                    } }
                    td.n data-label="Kept back" { span.cell { (number(counts.withheld)) } }
                }
            } }
        } } }
    }
}

fn gateways(visit: &Visit, statement: &Statement) -> Markup {
    let mut gateways: Vec<(u32, ConsentCounts)> =
        statement.counted.by_gateway.iter().map(|(gateway, counts)| (*gateway, *counts)).collect();
    gateways.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.receptions));
    html! {
        @if gateways.is_empty() { p.empty { "No gateway brought a packet on this day." } }
        @else { div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Gateway" } th.n scope="col" { "Receptions" } th.n scope="col" { "Packets" }
                th.n scope="col" { "Agreed" } th.n scope="col" { "Declined" } th.n scope="col" { "Unknown" }
                th.n scope="col" { "Withheld" }
            } }
            tbody { @for (gateway, counts) in gateways { tr {
                th scope="row" { (visit.with_nodes(|nodes| nodes.link(gateway))) }
                @for (word, n) in [
                    ("Receptions", counts.receptions), ("Packets", counts.packets), ("Agreed", counts.yes),
                    ("Declined", counts.no), ("Unknown", counts.unknown), ("Withheld", counts.withheld),
                ] { td.n data-label=(word) { span.cell { (number(n)) } } }
            } } }
        } } }
    }
}
