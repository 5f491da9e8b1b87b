//! `/channels`: what is spoken on, how public its key is, and who can read along.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use broker::{ClientSnapshot, Snapshot};
use history::{Dimension, Tally, Thing};
use maud::{Markup, html};
use mqtt::topic::{matches, split_shared};
use preflight::make_link::{ChannelToShare, link_to_add, psk_text};
use record::{KeyClass, ReceiverKind};

use crate::assets::{COPY, LIVE};
use crate::layout::Section;
use crate::pages::login::form_field;
use crate::pages::nodes::key;
use crate::reading::printable;
use crate::site::{Visit, read};
use crate::spoken::Spoken;
use crate::words::{count, number};
use crate::{moment, qr, words};

const DAY_MS: i64 = 86_400_000;

/// `GET /channels`
pub async fn page(visit: Visit) -> Response {
    let (since_ms, until_ms) = (visit.now_ms - DAY_MS, visit.now_ms + 1);
    let asked =
        visit.site.archive.ask(move |reader| reader.tallies(Dimension::Channel, since_ms, until_ms)).await;
    let Ok(tallies) = asked else { return visit.history_failed() };
    let tallies: BTreeMap<String, Tally> = tallies
        .into_iter()
        .filter_map(|(thing, tally)| match thing {
            Thing::Channel(name) => Some((name, tally)),
            _ => None,
        })
        .collect();
    let snapshot = visit.site.snapshot().await;
    let mut channels: Vec<(Box<str>, Spoken)> = {
        let known = read(&visit.site.channels);
        known.all(visit.sight.visitor).iter().map(|(name, spoken)| (name.clone(), spoken.clone())).collect()
    };
    channels.sort_by_key(|(name, _)| {
        (std::cmp::Reverse(tallies.get(&**name).map_or(0, Tally::receptions)), name.clone())
    });
    let body = html! {
        h1 { "Channels" }
        p.lead { "A channel is as private as its key, and as the least careful of those who read along." }
        @if channels.is_empty() { div.empty { p { "Nothing was heard on a channel that may be shown here." } } }
        div.cards { @for (name, spoken) in &channels {
            (one(&visit, name, spoken, tallies.get(&**name), snapshot.as_deref()))
        } }
        div.card #new {
            h2 { "A channel of your own" }
            p { "Keys that everybody has are no keys: “AQ==” and all one-byte keys open to anyone with a radio. A key of 256 random bits is made with "
                code { "backhaul channel new NAME" } @if visit.who.may_change() { ", or here" } ". Hand it only to those who should read." }
            @if visit.who.may_change() {
                form method="post" action="/channels" {
                    div.fields.wide {
                        label { "Name" input name="name" required maxlength="11" autocomplete="off" placeholder="up to 11 letters"; }
                        label.check { input type="checkbox" name="uplink" value="yes"; "Gateways pass it to MQTT" }
                    }
                    div.row { button.button { "Make a channel" } }
                }
            }
        }
    };
    visit.page(Section::Channels, "Channels", &[&LIVE], &body).into_response()
}

/// `POST /channels`: `name`, and `uplink` when gateways should pass it on. The key is shown once and kept nowhere.
pub async fn make(visit: Visit, body: Bytes) -> Response {
    let name = form_field(&body, "name").unwrap_or_default().trim().to_owned();
    let uplink = form_field(&body, "uplink").is_some();
    let title = "No channel was made";
    let Ok(psk) = directory_store::random_channel_key() else {
        let why = "The operating system gives no random bytes.";
        return visit.trouble(StatusCode::SERVICE_UNAVAILABLE, title, why);
    };
    let channel = ChannelToShare { name: &name, psk: &psk, uplink, downlink: false, precision_bits: None };
    let link = match link_to_add(&channel) {
        Ok(link) => link,
        Err(why) => return visit.trouble(StatusCode::UNPROCESSABLE_ENTITY, title, &why.to_string()),
    };
    let body = html! {
        h1 { "Channel " bdi { (printable(&name, 40)) } }
        p.lead { "Its key is shown this once and kept nowhere. Whoever has it can read the channel." }
        div.two {
            section {
                h2 { "For phones" }
                (qr::picture(&link, "QR code of the channel link"))
                pre.command #link { (link) }
                div.row { button.button.plain type="button" data-copy="link" hidden { "Copy the link" } }
                h2 { "Key" }
                pre.command #key { (psk_text(&psk)) }
                div.row { button.button.plain type="button" data-copy="key" hidden { "Copy the key" } }
            }
            section {
                h2 { "To replace another channel’s key" }
                ol {
                    li { "Hand the link on by a way that nobody else reads, and say when the old key ends." }
                    li { "Nodes add it beside the old channel, so that nobody falls silent in between." }
                    li { "For the broker to open its packets, name it under [[channels]] of the configuration." }
                    li { "On the day, nodes take the old channel off. The list of channels shows who still speaks on it." }
                    li { "Take the old key out of the configuration." }
                }
                div.row { a.button href="/channels" { "Back to the channels" } }
            }
        }
    };
    let page = visit.page(Section::Channels, "New channel", &[&COPY], &body);
    ([(header::CACHE_CONTROL, "no-store")], page).into_response()
}

fn one(
    visit: &Visit,
    name: &str,
    spoken: &Spoken,
    tally: Option<&Tally>,
    snapshot: Option<&Snapshot>,
) -> Markup {
    let classes = spoken.key_classes(visit.now_ms);
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("channel", name).finish();
    let is_open = classes.iter().any(|class| class.is_public());
    let is_declared = visit.sight.public_channels.iter().any(|public| **public == *name);
    html! {
        section.card {
            h2 { bdi { (printable(name, 40)) } " " (publicity(&classes, is_declared)) }
            dl.facts.flush {
                dt { "Key" } dd { @for (index, class) in classes.iter().enumerate() { @if index > 0 { "; also " } (words::key_class(*class)) }
                    @if classes.is_empty() { span.soft { "nothing within a day" } } }
                dt { "Traffic, 24 h" } dd { @match tally {
                    Some(tally) => { (count(tally.receptions(), "reception")) " of " (count(tally.packets, "packet")) ", "
                        (format!("{:.0} s", tally.airtime_us as f64 / 1e6)) " on the air" }
                    None => span.soft { "none" },
                } }
                dt { "Senders, 24 h" } dd { (number(spoken.senders(visit.now_ms))) }
                dt { "Last heard" } dd { (moment::age(spoken.last_ms, visit.now_ms)) }
                dt { "Who reads along" } dd { (readers(visit, spoken, is_open || is_declared, snapshot)) }
            }
            div.row {
                a.button.plain href={ "/log?" (query) } { "In the log" }
                @if spoken.text_ms.is_some() && (is_open || is_declared) { a.button.plain href={ "/chat?" (query) } { "Chat" } }
            }
        }
    }
}

fn publicity(classes: &[KeyClass], is_declared: bool) -> Markup {
    let has = |wanted: fn(KeyClass) -> bool| classes.iter().any(|class| wanted(*class));
    html! {
        @if has(KeyClass::is_public) { span.chip.bad { "anyone can read it" } }
        @else if is_declared { span.chip.note { "declared public" } }
        @else if has(|class| class == KeyClass::Private) { span.chip.good { "private key" } }
        @else { span.chip.off { (classes.first().map_or("silent", |class| key(*class))) } }
    }
}

/// Who gets what is sent on the channel from here: subscribers by kind, and these pages.
fn readers(visit: &Visit, spoken: &Spoken, is_shown: bool, snapshot: Option<&Snapshot>) -> Markup {
    let clients = snapshot.map(|snapshot| snapshot.clients.as_slice()).unwrap_or_default();
    let reading: Vec<_> = clients.iter().filter(|client| reads(client, &spoken.topic)).collect();
    let of_kind = |kind: ReceiverKind| reading.iter().filter(move |client| client.kind == kind);
    html! {
        @for kind in ReceiverKind::ALL {
            @let n = of_kind(kind).count() as u64;
            @if n > 0 {
                div {
                    (count(n, kind.word()))
                    @if kind == ReceiverKind::Bridge { ", outside the community" }
                    // Who reads along by name is for the operator; gateways are named on their own page.
                    @if visit.sight.is_operator() && kind != ReceiverKind::Gateway {
                        ": " span.soft { (names(of_kind(kind).copied())) }
                    }
                }
            }
        }
        @if reading.is_empty() { div.soft { "Nobody subscribes to it at this moment." } }
        @if is_shown { div { "Anyone with a browser: what senders agreed to share stands on these pages." } }
        @else { div { "Not on public pages." } }
    }
}

fn names<'a>(clients: impl Iterator<Item = &'a ClientSnapshot>) -> String {
    let name =
        |client: &ClientSnapshot| printable(client.username.as_deref().unwrap_or(&client.client_id), 40);
    clients.map(name).collect::<Vec<_>>().join(", ")
}

fn reads(client: &ClientSnapshot, topic: &str) -> bool {
    client.subscriptions.iter().any(|filter| {
        let filter = split_shared(filter).map_or(&**filter, |(_, filter)| filter);
        matches(filter, topic)
    })
}
