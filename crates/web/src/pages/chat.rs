//! `/chat`: what was written to everybody on channels that anyone can read, by those who agreed; each text once, however
//! many gateways heard it.

use std::collections::HashSet;

use axum::extract::RawQuery;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use maud::{Markup, html};
use mesh::portnum::PortNum;
use query::{Condition, Test};
use record::{Reception, Record};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::archive::Unreadable;
use crate::assets::LIVE;
use crate::layout::Section;
use crate::live::{Seat, respond, too_many};
use crate::moment;
use crate::reading::{printable, said};
use crate::site::{Visit, read};
use crate::visibility::Visitor;
use crate::words::{Nodes, packet_address};

/// Receptions looked at; each text is heard by several gateways.
const LOOKED_AT: usize = 400;
/// Texts shown.
const TEXTS: usize = 60;

/// `GET /chat`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let channel = channel_of(query.as_deref());
    let Ok(texts) = texts(&visit, channel.as_deref()).await else { return visit.history_failed() };
    let stream = match &channel {
        Some(channel) => address("/chat/live", channel),
        None => "/chat/live".to_owned(),
    };
    let body = html! {
        h1 { "Chat" }
        p.lead { "What people wrote to everybody over the radio. Shown are senders who agreed to MQTT, on channels that anyone can read." }
        (tabs(&visit, channel.as_deref()))
        div data-live-status=(stream) { (texts) }
        p.soft.small { "These pages only read. To take part, write from a node on the channel." }
    };
    visit.page(Section::Chat, "Chat", &[&LIVE], &body).into_response()
}

/// `GET /chat/live`: the texts, whenever there is another one.
pub async fn stream(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    let (channel, records) = (channel_of(query.as_deref()), visit.site.live.subscribe());
    respond(stream::unfold(
        (visit, channel, records, seat),
        |(visit, channel, mut records, mut seat)| async move {
            loop {
                another_text(&visit, channel.as_deref(), &mut records, &mut seat).await?;
                let visit = Visit { now_ms: visit.site.now_ms(), ..visit.clone() };
                // A history that cannot be read at this moment is asked again with the next text.
                if let Ok(texts) = texts(&visit, channel.as_deref()).await {
                    let event = Event::default().event("status").data(texts.into_string());
                    return Some((Ok(event), (visit, channel, records, seat)));
                }
            }
        },
    ))
}

/// Waits for a text that the visitor may see, and a moment longer, so that its other receptions come with it and a flood
/// of texts costs one answer a second.
async fn another_text(
    visit: &Visit,
    channel: Option<&str>,
    records: &mut Receiver<Record>,
    seat: &mut Seat,
) -> Option<()> {
    loop {
        let record = tokio::select! {
            record = records.recv() => record,
            () = seat.ended() => return None,
        };
        match record {
            Ok(Record::Reception(reception)) if is_text(visit, channel, &reception) => {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                return Some(());
            }
            Ok(_) => {}
            // What was missed may have been a text.
            Err(RecvError::Lagged(_)) => return Some(()),
            Err(RecvError::Closed) => return None,
        }
    }
}

fn is_text(visit: &Visit, channel: Option<&str>, reception: &Reception) -> bool {
    reception.port == Some(PortNum::TEXT_MESSAGE.0)
        && is_for_the_chat(visit, reception)
        && channel.is_none_or(|wanted| reception.channel.as_deref() == Some(wanted))
}

/// The chat is the same for everybody: signing in adds nothing to it, so that nobody shows others what is not public.
fn is_for_the_chat(visit: &Visit, reception: &Reception) -> bool {
    visit.site.sight(Visitor::Public).allows(reception)
        && reception.packet.is_some_and(|packet| packet.to == u32::MAX)
}

async fn texts(visit: &Visit, channel: Option<&str>) -> Result<Markup, Unreadable> {
    let mut condition =
        Condition::Is(Test::Port(Some(PortNum::TEXT_MESSAGE.0))).and(Condition::Is(Test::To(vec![u32::MAX])));
    if let Some(channel) = channel {
        condition = condition.and(Condition::Is(Test::Channel(channel.to_owned())));
    }
    let public = visit.site.sight(Visitor::Public);
    let found = visit.site.archive.log(condition, None, public, LOOKED_AT).await?.receptions;
    // Newest first; of the receptions of one packet the first that came is the last here.
    let (mut seen, mut order): (HashSet<(u32, u32)>, Vec<&Reception>) = Default::default();
    for reception in found.iter().filter(|reception| is_text(visit, channel, reception)) {
        let Some(packet) = reception.packet else { continue };
        if seen.insert((packet.from, packet.id)) {
            order.push(reception);
        }
    }
    order.truncate(TEXTS);
    Ok(visit.with_nodes(|nodes| html! {
        @if order.is_empty() { div.empty { p { "Nobody has written anything that may be shown here." } } } @else {
            ol.chat { @for reception in order { (text(visit, nodes, reception)) } }
        }
    }))
}

fn text(visit: &Visit, nodes: Nodes<'_>, reception: &Reception) -> Markup {
    let Some(packet) = reception.packet else { return html! {} };
    html! {
        li.card {
            p.head {
                strong { (nodes.link(packet.from)) }
                " " a.soft.small href=(packet_address(packet.from, packet.id)) { (moment::clock(reception.at_ms, visit.now_ms)) }
                @if let Some(channel) = &reception.channel { " " span.soft.small { "on " bdi { (printable(channel, 40)) } } }
            }
            p.said { bdi { (said(reception, &visit.site.keyring).unwrap_or_default()) } }
        }
    }
}

fn tabs(visit: &Visit, chosen: Option<&str>) -> Markup {
    let channels: Vec<Box<str>> = {
        let known = read(&visit.site.channels);
        let with_texts = known.all(Visitor::Public).iter().filter(|(_, spoken)| spoken.text_ms.is_some());
        with_texts.map(|(name, _)| name.clone()).collect()
    };
    html! {
        @if channels.len() > 1 || chosen.is_some() {
            nav.tabs aria-label="Channels" {
                a href="/chat" aria-current=[chosen.is_none().then_some("true")] { "All" }
                @for channel in &channels {
                    a href=(address("/chat", channel)) aria-current=[(chosen == Some(&**channel)).then_some("true")] { bdi { (printable(channel, 40)) } }
                }
            }
        }
    }
}

fn address(path: &str, channel: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("channel", channel).finish();
    format!("{path}?{query}")
}

fn channel_of(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let channel = pairs.find(|(name, _)| name == "channel").map(|(_, value)| value.trim().to_owned());
    channel.filter(|channel| !channel.is_empty())
}
