//! `/reach`: somebody sends a code from a node and watches which gateways hear it, how well and when. The code is all there is to
//! it: what was heard is found in the history, so that a link to it works for as long as the history is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use maud::{Markup, html};
use query::Query;
use record::{Reception, Record};
use tokio::sync::broadcast::error::RecvError;

use crate::archive::Unreadable;
use crate::assets::{COPY, LIVE};
use crate::layout::Section;
use crate::live::{Seat, respond, too_many};
use crate::log_row::hops;
use crate::site::Visit;
use crate::words::{Nodes, count, packet_address};
use crate::{moment, qr, reading, words};

/// Letters and digits after the dash: a billion codes.
const CODE_CHARS: usize = 6;
/// How far back a code is looked for.
const LOOKED_FOR: &str = "last 31d";
/// Receptions looked at: a packet has one for each gateway.
const RECEPTIONS_MAX: usize = 200;
/// How long what was heard takes to be in the history.
const STORED_AFTER: Duration = Duration::from_millis(700);
/// How often an open page is told, heard or not.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// `GET /reach`: a fresh code.
pub async fn page(visit: Visit) -> Response {
    let Ok(token) = directory_store::random_token() else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "No code can be made",
            "The operating system gives no random numbers. Try again.",
        );
    };
    let code = format!(
        "{}-{}",
        initials(&visit.site.info.mesh_name),
        token.reveal()[..CODE_CHARS].to_ascii_uppercase()
    );
    let body = html! {
        h1 { "Who hears me?" }
        p.lead { "Send a code from your node as a text, and watch which gateways hear it, over how many hops and how well." }
        ol.steps {
            li { "Your code: " strong.mono.code { (code) } }
            li { "Open the page that watches for it: " a.button href={ "/reach/" (code) } { "Watch for " (code) } }
            li { "Send the code on a channel that the mesh shares, such as LongFast. “OK to MQTT” has to be on, or nobody may be shown what you sent." }
        }
        p.soft { "Nobody signs in for this. A message takes a second of the air that everybody shares: one is enough." }
    };
    visit.page(Section::Reach, "Who hears me?", &[], &body).into_response()
}

/// `GET /reach/{code}`
pub async fn watch(visit: Visit, Path(code): Path<String>) -> Response {
    if !is_code(&code) {
        let what_to_do = "A code is two letters, a dash and six letters or digits, such as KC-7F3AQ2. Start with a fresh one.";
        return visit.trouble(StatusCode::NOT_FOUND, "This is no code", what_to_do);
    }
    let Ok(heard) = heard(&visit, &code).await else { return visit.history_failed() };
    let start = visit.site.info.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let here = format!("{start}/reach/{code}");
    let body = html! {
        h1 { "Who hears " span.mono { (code) } "?" }
        div data-live-status={ "/reach/" (code) "/live" } { (result(&visit, &code, &heard)) }
        details.card {
            summary { "Share this page" }
            p.mono { (here) }
            @if !start.is_empty() { (qr::picture(&here, "A link to this page")) }
        }
        div.row { a.button.plain href="/reach" { "Another code" } a.button.plain href="/coverage" { "Where gateways hear nodes" } }
    };
    visit.page(Section::Reach, "Who hears me?", &[&LIVE, &COPY], &body).into_response()
}

/// `GET /reach/{code}/live`: who has heard it, as they do.
pub async fn stream(visit: Visit, Path(code): Path<String>) -> Response {
    if !is_code(&code) {
        return visit.not_here("code");
    }
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    let records = visit.site.live.subscribe();
    respond(stream::unfold((visit, code, records, seat), |(visit, code, mut records, mut seat)| async move {
        let is_it = |record: &Record| matches!(record, Record::Reception(one) if has(one, &code, &visit));
        let until = tokio::time::Instant::now() + TELL_EVERY;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                () = seat.ended() => return None,
                record = records.recv() => match record {
                    Ok(record) if is_it(&record) => {
                        tokio::time::sleep(STORED_AFTER).await;
                        break;
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
        let visit = Visit { now_ms: visit.site.now_ms(), ..visit };
        let told = match heard(&visit, &code).await {
            Ok(heard) => result(&visit, &code, &heard).into_string(),
            // The next time may work.
            Err(Unreadable) => String::new(),
        };
        let event = if told.is_empty() {
            Event::default().comment("later")
        } else {
            Event::default().event("status").data(told)
        };
        Some((Ok(event), (visit, code, records, seat)))
    }))
}

/// Two letters, for people who send codes to more than one mesh.
fn initials(mesh_name: &str) -> String {
    let letters: String = mesh_name
        .split_whitespace()
        .filter_map(|word| word.chars().next().filter(char::is_ascii_alphabetic))
        .take(2)
        .collect();
    if letters.len() == 2 { letters.to_ascii_uppercase() } else { "BH".to_owned() }
}

/// Nothing else is looked for: this is no search of what people wrote.
fn is_code(text: &str) -> bool {
    let Some((letters, rest)) = text.split_once('-') else { return false };
    let is_of = |text: &str, length, is_allowed: fn(&u8) -> bool| {
        text.len() == length && text.bytes().all(|b| is_allowed(&b))
    };
    is_of(letters, 2, u8::is_ascii_uppercase)
        && is_of(rest, CODE_CHARS, |b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn has(reception: &Reception, code: &str, visit: &Visit) -> bool {
    visit.sight.allows(reception)
        && reading::said(reception, &visit.site.keyring)
            .is_some_and(|said| said.to_uppercase().contains(code))
}

/// What the visitor may see of receptions with the code, oldest first.
async fn heard(visit: &Visit, code: &str) -> Result<Vec<Reception>, Unreadable> {
    let query = Query::parse(&format!("text:\"{code}\" {LOOKED_FOR}")).map_err(|_| Unreadable)?;
    let condition = visit.bind(&query).map_err(|_| Unreadable)?;
    let mut found =
        visit.site.archive.log(condition, None, visit.sight.clone(), RECEPTIONS_MAX).await?.receptions;
    found.reverse();
    Ok(found)
}

fn result(visit: &Visit, code: &str, heard: &[Reception]) -> Markup {
    let Some(first) = heard.first() else { return waiting(code) };
    let by: BTreeSet<u32> = heard.iter().filter_map(|one| one.gateway).collect();
    let direct = heard.iter().filter(|one| {
        one.packet.is_some_and(|packet| packet.hops_away == Some(0) && packet.rx_rssi.is_some())
    });
    let direct: BTreeSet<u32> = direct.filter_map(|one| one.gateway).collect();
    let packet = first.packet.unwrap_or_default();
    let (all, _) = visit.heard();
    let others: Vec<u32> = all.into_iter().filter(|gateway| !by.contains(gateway)).collect();
    visit.with_nodes(|nodes| html! {
        p.lead {
            "Heard by " strong { (count(by.len() as u64, "gateway")) } @if !direct.is_empty() { ", " (direct.len()) " of them directly" } "."
        }
        p { (nodes.link(packet.from)) " sent it " (moment::age(first.at_ms, visit.now_ms)) ". "
            @if packet.id != 0 { a href=(packet_address(packet.from, packet.id)) { "Its whole story" } } }
        div.scroll.stack { table {
            thead { tr { th scope="col" { "Heard by" } th scope="col" { "Way" } th.n scope="col" { "SNR" } th.n scope="col" { "Strength" } th.n scope="col" { "After the first" } } }
            tbody { @for one in heard { (row(nodes, one, first.at_ms)) } }
        } }
        @if !others.is_empty() {
            p.soft { "Not heard by: " @for (index, gateway) in others.iter().enumerate() { @if index > 0 { ", " } (nodes.link(*gateway)) } "." }
        }
    })
}

fn row(nodes: Nodes<'_>, one: &Reception, first_ms: i64) -> Markup {
    let packet = one.packet.unwrap_or_default();
    html! { tr {
        th scope="row" { @match one.gateway { Some(gateway) => (nodes.link(gateway)), None => "–" } }
        td data-label="Way" { (hops(&packet)) }
        td.n data-label="SNR" { @match packet.rx_snr { Some(snr) => (words::db(snr)), None => "–" } }
        td.n data-label="Strength" { @match packet.rx_rssi { Some(rssi) => (words::dbm(rssi)), None => "–" } }
        td.n data-label="After the first" { (format!("{:.1} s", (one.at_ms - first_ms) as f64 / 1e3)) }
    } }
}

fn waiting(code: &str) -> Markup {
    html! {
        p.lead { "Waiting for a text with " strong.mono.code { (code) } "." }
        p { "Nothing after a minute? Then no gateway heard it, or it may not be shown:" }
        ul {
            li { "“OK to MQTT” is off on your node: LoRa → OK to MQTT." }
            li { "The channel is not one that the mesh’s gateways uplink, or its key is private." }
            li { "You are out of reach: try from higher up, or with more hops." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_are_looked_for() {
        assert!(is_code("KC-7F3AQ2") && is_code("BH-ABCDEF"));
        for wrong in
            ["", "KC7F3AQ2", "kc-7f3aq2", "KC-7F3AQ", "KC-7F3AQ22", "K-7F3AQ2", "KC-7F3A\"2", "KCÄ-7F3AQ"]
        {
            assert!(!is_code(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_mesh_gives_its_initials() {
        assert_eq!(initials("Kansas City mesh"), "KC");
        assert_eq!(initials("Älvsjö nät"), "BH");
        assert_eq!(initials("kc"), "BH");
    }
}
