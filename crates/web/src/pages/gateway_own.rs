//! `/gateway/{id}/checklist` and `/mine`: what the broker has seen of a gateway, for its owner and for those who see
//! everything. Owners learn counts and rules, never what others said.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{Command, GatewayId, NodeSetup, Username, in_words};
use exports::Format;
use futures_util::stream;
use history::Thing;
use maud::{Markup, html};
use mesh::portnum::PortNum;
use mesh::wire::{Content, Field, Fields};
use policy::decision::Verdict;
use policy::memory::holds::Held;
use policy::memory::movement::Standing;
use policy::now::Now;
use policy::rule::RuleId;
use query::{Condition, Test};
use record::{Consent, KeyClass, Reception};

use crate::assets::{COPY, LIVE};
use crate::checklist::{Point, Seen, Tick, points};
use crate::layout::Section;
use crate::live::{Seat, respond, too_many};
use crate::moment;
use crate::pages::airtime::of;
use crate::pages::export;
use crate::pages::login::form_field;
use crate::reading::look;
use crate::site::Visit;
use crate::visibility::Visitor;
use crate::who::Who;
use crate::words::count;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Receptions of a gateway that are looked at for its checklist.
const LOOKED_AT: usize = 500;
/// How often an open checklist is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// `GET /gateway/{id}/checklist`
pub async fn checklist(visit: Visit, Path(id): Path<String>) -> Response {
    let Some(gateway) = whose(&visit, &id) else { return visit.not_here("gateway") };
    let Some((seen, _)) = see(&visit, gateway).await else { return visit.history_failed() };
    let body = html! {
        h1 { "Checklist of " span.mono { (gateway) } }
        p.lead { "What the broker has seen of this gateway within a day. Boxes tick by themselves." }
        div data-live-status={ "/gateway/" (gateway) "/checklist/live" } { (boxes(&seen)) }
    };
    visit.page(Section::None, "Checklist", &[&LIVE], &body).into_response()
}

/// `GET /gateway/{id}/checklist/live`: the boxes as they tick.
pub async fn checklist_stream(visit: Visit, Path(id): Path<String>) -> Response {
    let Some(gateway) = whose(&visit, &id) else { return visit.not_here("gateway") };
    let Some(seat) = Seat::take(&visit) else { return too_many(&visit) };
    respond(stream::unfold((visit, seat), move |(visit, mut seat)| async move {
        tokio::select! {
            () = tokio::time::sleep(TELL_EVERY) => {}
            () = seat.ended() => return None,
        }
        let visit = Visit { now_ms: visit.site.now_ms(), ..visit };
        let (seen, _) = see(&visit, gateway).await?;
        let event = Event::default().event("status").data(boxes(&seen).into_string());
        Some((Ok(event), (visit, seat)))
    }))
}

/// `GET /mine`: the owner's page.
pub async fn mine(visit: Visit) -> Response {
    let Who::Owner(gateway) = visit.who else { return Redirect::to("/").into_response() };
    let Some((seen, refused)) = see(&visit, gateway).await else { return visit.history_failed() };
    let points = points(&seen);
    let done = points.iter().filter(|point| point.tick == Tick::Done).count();
    let (hours, hours_of) = seen.hours;
    let (agreed, not_agreed) = seen.consent;
    // A count of everything that it heard; without the history it is left out.
    let everything = visit.site.sight(Visitor::Operator);
    let brought =
        visit.site.alone(&everything).await.ok().map(|all| all.get(&gateway.0).copied().unwrap_or_default());
    let body = html! {
        h1 { "Your gateway " span.mono { (gateway) } }
        p.lead { (done) " of " (points.len()) " points of the checklist are done." }
        div.row { a.button href={ "/gateway/" (gateway) "/checklist" } { "Checklist" } a.button.plain href="/join" { "Ask for downlink or more" } }
        h2 { "Standing" }
        dl.facts {
            dt { "Heard from" } dd { (hours) " of " (hours_of) " hours" @if let Some(percent) = (hours * 100).checked_div(hours_of) { " = " (percent) " %" } }
            dt { "Uplinked within a day" } dd { (seen.receptions) " receptions, " (seen.own) " packets of its own" }
            dt { "Consent" } dd { (agreed) " of " (agreed + not_agreed) " own packets agree to MQTT" }
            @if let Some(brought) = &brought {
                dt { "Heard by nobody else" } dd { (count(brought.alone, "packet")) " of others within a day, of " (count(brought.receptions, "reception")) }
            }
            dt { "Clock" } dd { (seen.wrong_time) " of " (seen.receptions) " receptions had a wrong time" }
        }
        (agreed_and_held(&visit, gateway).await)
        h2 { "Not passed on within a day" }
        @if refused.is_empty() { p { "Everything was passed on." } } @else {
            div.scroll.stack { table {
                thead { tr { th scope="col" { "Rule" } th.n scope="col" { "Receptions" } th scope="col" { "Why" } } }
                tbody { @for (rule, (count, why)) in &refused { tr {
                    th scope="row" { a href={ "/policy#" (rule) } { (rule) } }
                    td.n data-label="Receptions" { (count) }
                    td data-label="Why" { (why) }
                } } }
            } }
        }
        h2 { "What is kept of your node" }
        p { "Everything that your node itself sent and a gateway uplinked, as JSON Lines: exact bytes, what was decided and why. What others sent through your gateway is theirs." }
        div.row {
            a.button.plain href="/mine/data.jsonl" download { "Download it" }
            a.button.plain href="/retention" { "How long it is kept" }
            a.button.plain href={ "/forget?node=" (gateway) } { "Have it deleted" }
        }
        h2 { "Password" }
        form.card method="post" action="/mine" {
            p { "Another password is shown once; the one that the node has ends at once." }
            button.button.plain name="do" value="rotate" { "Make another password" }
        }
    };
    visit.page(Section::None, "Your gateway", &[], &body).into_response()
}

/// What the owner has agreed with the operator on, what of it is used up, and whether the gateway is held.
async fn agreed_and_held(visit: &Visit, gateway: GatewayId) -> Markup {
    let board = visit.site.board().await.unwrap_or_default();
    let directory = visit.site.account.directory().await.unwrap_or_default();
    let used = board.islands.iter().flat_map(|island| &island.gateways).find(|one| one.gateway == gateway.0);
    let grant = directory.grant(gateway.0, visit.now_ms);
    let hold = board.held.iter().find(|(held, _)| *held == Held::Gateway(gateway.0)).map(|(_, hold)| hold);
    html! {
        @if let Some(hold) = hold {
            div.banner.bad role="alert" {
                p { "This gateway is held for another " (moment::duration(hold.until_ms - visit.now_ms)) ": nothing that it uplinks is passed on." }
                p {
                    (hold.evidence.objections) " objections of the rule "
                    a href={ "/policy#" (hold.evidence.rule.name()) } { (hold.evidence.rule.name()) }
                    " since " (moment::clock(hold.evidence.since_ms, visit.now_ms))
                    ". It is hold number " (hold.level) " in a row. Ask the operator to end it early."
                }
            }
        }
        h2 { "Agreed with the operator" }
        dl.facts {
            dt { "Grant" } dd { @match grant {
                Some(grant) => { (in_words(grant)) @if let Some(at) = grant.until_ms { ", until " (moment::clock(i64::try_from(at).unwrap_or(i64::MAX), visit.now_ms)) } }
                None => "what is ordinary",
            } }
            @if let Some(used) = used {
                dt { "Transmitted of others" } dd { (of(used.share)) " of this hour" }
                @if let Some(share) = used.telemetry { dt { "Measurements" } dd { (of(share)) " of this hour" } }
            }
        }
    }
}

/// `GET /mine/data.jsonl`: what the node itself sent, all that is kept.
pub async fn data(visit: Visit) -> Response {
    let Who::Owner(gateway) = visit.who else { return visit.not_here("gateway") };
    let own = Condition::Is(Test::From(vec![gateway.0]));
    let name = format!("{gateway}-{}.jsonl", moment::date(visit.now_ms));
    export::send(&visit, own, Format::JsonLines, name.trim_start_matches('!'), "application/jsonl")
}

/// `POST /mine`: `do` is `rotate`.
pub async fn change_mine(visit: Visit, body: Bytes) -> Response {
    let Who::Owner(gateway) = visit.who else { return visit.not_here("gateway") };
    if form_field(&body, "do").as_deref() != Some("rotate") {
        return Redirect::to("/mine").into_response();
    }
    let username = Username::of_gateway(gateway).as_str().to_owned();
    let (actor, at_ms) = (visit.who.actor(), u64::try_from(visit.now_ms).unwrap_or(0));
    let named = username.clone();
    let rotate = move |store: &mut directory_store::Store| {
        let token = directory_store::random_token()?;
        store.apply(Command::Rotate { username: named, token: token.clone() }, &actor, at_ms)?;
        Ok(token)
    };
    match visit.site.account.at_the_desk(rotate).await {
        Ok(password) => {
            let body = html! {
                h1 { "Another password for " span.mono { (gateway) } }
                p.lead { "It is shown this once." }
                dl.facts { dt { "User name" } dd.mono { (username) } dt { "Password" } dd.mono { (password.reveal()) } }
                pre.card.mono { (NodeSetup::password_command(&username, &password)) }
                div.row { a.button href="/mine" { "Back" } }
            };
            visit.page(Section::None, "Password", &[&COPY], &body).into_response()
        }
        Err(why) => visit.trouble(StatusCode::CONFLICT, "Nothing was changed", &why),
    }
}

/// The gateway of an address, when whoever asks may see it.
fn whose(visit: &Visit, id: &str) -> Option<GatewayId> {
    id.parse().ok().filter(|gateway| visit.who.may_see_gateway(*gateway))
}

fn boxes(seen: &Seen) -> Markup {
    html! {
        ul.changes { @for Point { name, tick, evidence, fix } in points(seen) { li {
            p {
                @match tick {
                    Tick::Done => span.chip.good { "done" },
                    Tick::Waiting => span.chip.off { "not yet" },
                    Tick::Wrong => span.chip.bad { "wrong" },
                }
                " " strong { (name) } " " (evidence)
            }
            @if !fix.is_empty() { p.small.soft { (fix) } }
        } } }
    }
}

/// What was not passed on: by rule, how often and why.
type NotPassedOn = BTreeMap<&'static str, (u64, String)>;

/// What was seen of a gateway; `None` when the history cannot be read. Everything it uplinked counts, whoever asks: only
/// counts come out.
async fn see(visit: &Visit, gateway: GatewayId) -> Option<(Seen, NotPassedOn)> {
    let site = &visit.site;
    let condition = Condition::All(vec![
        Condition::Is(Test::Gateway(vec![gateway.0])),
        Condition::Is(Test::Since(visit.now_ms - DAY_MS)),
    ]);
    let all = site.sight(Visitor::Operator);
    let receptions = site.archive.log(condition, None, all, LOOKED_AT).await.ok()?.receptions;
    let since_ms = visit.now_ms - 7 * DAY_MS;
    let hours = site.archive.hours(Thing::Gateway(gateway.0), since_ms, visit.now_ms).await.ok()?;
    let snapshot = site.snapshot().await;
    let about = site.about_node(gateway.0).await;
    let clients = snapshot.as_ref().map(|snapshot| snapshot.clients.as_slice()).unwrap_or_default();
    let client = clients.iter().find(|client| client.gateway == Some(gateway.0));
    let proofs = snapshot.as_ref().map(|snapshot| snapshot.proofs.as_slice()).unwrap_or_default();
    let now = Now { mono_ms: 0, unix_ms: visit.now_ms };
    let settings = (site.policy)().proof.clone();
    let with_traffic = hours.iter().filter(|(_, tally)| tally.receptions() > 0);
    let first_ms = with_traffic.clone().map(|(at_ms, _)| *at_ms).min();
    let mut seen = Seen {
        is_connected: client.is_some_and(|client| client.is_connected),
        receptions: 0,
        own: 0,
        wrong_topic: None,
        in_clear: 0,
        consent: (0, 0),
        precision_bits: None,
        role: None,
        map_reports: 0,
        standing: about.as_ref().map_or(Standing::Unknown, |about| about.standing),
        wrong_time: 0,
        wants_downlink: client.is_some_and(|client| !client.subscriptions.is_empty()),
        is_verified: proofs
            .iter()
            .any(|(number, proof)| *number == gateway.0 && proof.is_valid(now, &settings)),
        hours: (
            with_traffic.count() as u64,
            first_ms.map_or(0, |first_ms| ((visit.now_ms - first_ms) / HOUR_MS + 1).max(1).unsigned_abs()),
        ),
        battery: None,
    };
    let role = about.and_then(|about| about.profile?.role);
    seen.role = role.and_then(|role| mesh::enums::name_of(mesh::enums::ROLE, u32::from(role)));
    let mut refused = NotPassedOn::new();
    for reception in &receptions {
        take(&mut seen, &mut refused, reception, gateway, visit);
    }
    Some((seen, refused))
}

fn take(
    seen: &mut Seen,
    refused: &mut NotPassedOn,
    reception: &Reception,
    gateway: GatewayId,
    visit: &Visit,
) {
    seen.receptions += 1;
    let root = visit.site.info.expected.root.as_deref().unwrap_or_default();
    let is_below = |topic: &str| topic.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    if seen.wrong_topic.is_none()
        && (reception.topic.contains("//") || !root.is_empty() && !is_below(&reception.topic))
    {
        seen.wrong_topic = Some(crate::reading::printable(&reception.topic, 80));
    }
    let decision = &reception.decision;
    if decision.rule == Some(RuleId::WrongTime) || decision.observed.contains(RuleId::WrongTime) {
        seen.wrong_time += 1;
    }
    if let (Verdict::Refuse | Verdict::RecordOnly, Some(rule)) = (decision.verdict, decision.rule) {
        let entry = refused.entry(rule.name()).or_insert_with(|| (0, decision.sentence.to_string()));
        entry.0 += 1;
    }
    if reception.port == Some(PortNum::MAP_REPORT.0) {
        seen.map_reports += 1;
        return;
    }
    if reception.packet.is_none_or(|packet| packet.from != gateway.0) {
        return;
    }
    seen.own += 1;
    if reception.key_class == KeyClass::Unencrypted {
        seen.in_clear += 1;
    }
    match reception.consent {
        Consent::Yes => seen.consent.0 += 1,
        Consent::No | Consent::Unknown => seen.consent.1 += 1,
    }
    look(reception, &visit.site.keyring, |facts| {
        if let Some(position) = facts.position {
            let bits = position.precision_bits;
            seen.precision_bits = Some(seen.precision_bits.map_or(bits, |most| most.max(bits)));
        }
        // The newest comes first.
        if let (Some(PortNum::TELEMETRY), Some(data), None) = (facts.port, facts.data, seen.battery) {
            seen.battery = battery(data.payload);
        }
    });
}

/// `Telemetry.device_metrics.battery_level` of `telemetry.proto`.
fn battery(telemetry: &[u8]) -> Option<u64> {
    let metrics = Fields::of(telemetry).filter_map(Result::ok).find_map(|field| match field {
        Field { number: 2, content: Content::Bytes(metrics), .. } => Some(metrics),
        _ => None,
    })?;
    Fields::of(metrics).filter_map(Result::ok).find_map(|field| match field {
        Field { number: 1, content: Content::Varint(percent), .. } => Some(percent),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_battery_is_read_where_there_is_one_and_nowhere_else() {
        assert_eq!(battery(&[0x0d, 1, 0, 0, 0, 0x12, 2, 0x08, 101]), Some(101));
        for other in [&[][..], &[0x1a, 2, 0x08, 101], &[0x12, 9, 0x08], &[0xff]] {
            assert_eq!(battery(other), None, "{other:02x?}");
        }
    }
}
