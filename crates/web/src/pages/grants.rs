//! `/grants`: what was agreed with the owners of single gateways, and how much of it is used up.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use broker::{GatewayBoard, Share};
use directory::{Directory, GatewayId, Grant, GrantCommand, in_words};
use maud::{Markup, html};
use mesh::portnum::PortNum;

use crate::layout::Section;
use crate::moment;
use crate::pages::airtime::of;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::Nodes;

const DAY_MS: u64 = 86_400_000;
/// Seconds of an hour.
const SECONDS_MAX: u32 = 3_600;

/// `GET /grants`: `gateway` says whose grant stands in the form.
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let chosen = form_field(query.as_bytes(), "gateway").and_then(|id| id.parse().ok());
    show(&visit, StatusCode::OK, chosen, None).await
}

/// `POST /grants`: `do` is `set` or `end`.
pub async fn command(visit: Visit, body: Bytes) -> Response {
    let (command, gateway) =
        match read_command(&body, u64::try_from(visit.now_ms).unwrap_or(0), &visit.who.actor()) {
            Ok(read) => read,
            Err(why) => return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(&why)).await,
        };
    match visit.site.account.command_grant(command, &visit.who, visit.now_ms).await {
        Ok(()) => Redirect::to("/grants").into_response(),
        Err(why) => show(&visit, StatusCode::CONFLICT, Some(gateway), Some(&why)).await,
    }
}

fn read_command(body: &[u8], now_ms: u64, by: &str) -> Result<(GrantCommand, GatewayId), String> {
    let field = |name| form_field(body, name).unwrap_or_default().trim().to_owned();
    let gateway: GatewayId = field("gateway").parse().map_err(|_| "choose a gateway".to_owned())?;
    if field("do") == "end" {
        return Ok((GrantCommand::End(gateway), gateway));
    }
    let is_on = |name| form_field(body, name).is_some();
    let seconds = |name: &'static str| match field(name).as_str() {
        "" => Ok(None),
        text => match text.parse::<u32>() {
            Ok(seconds @ 1..=SECONDS_MAX) => Ok(Some(seconds * 1_000)),
            _ => Err(format!("airtime is 1 to {SECONDS_MAX} whole seconds an hour, not `{text}`")),
        },
    };
    let days = match field("days").as_str() {
        "" => None,
        text => Some(text.parse::<u16>().ok().filter(|days| *days > 0).ok_or_else(|| {
            format!(
                "a grant holds for 1 to {} days, not `{text}`; leave it empty for one without an end",
                u16::MAX
            )
        })?),
    };
    let port = |word: &str| {
        PortNum::from_word(word).map(|port| port.0).ok_or(format!("no kind of packet is called `{word}`"))
    };
    let grant = Grant {
        channels: names(&field("channels")).map(str::to_owned).collect(),
        downlink: is_on("downlink"),
        downlink_channels: names(&field("downlink_channels")).map(str::to_owned).collect(),
        downlink_ms: seconds("downlink_s")?,
        telemetry: is_on("telemetry"),
        telemetry_ms: seconds("telemetry_s")?,
        ports: names(&field("ports")).map(port).collect::<Result<BTreeSet<u32>, String>>()?,
        until_ms: days.map(|days| now_ms + u64::from(days) * DAY_MS),
        since_ms: now_ms,
        by: by.to_owned(),
        note: field("note"),
    };
    if !grant.downlink && (grant.downlink_ms.is_some() || !grant.downlink_channels.is_empty()) {
        return Err("channels and airtime of downlink mean nothing without downlink".to_owned());
    }
    if !grant.telemetry && grant.telemetry_ms.is_some() {
        return Err("airtime of measurements means nothing while they come as is ordinary".to_owned());
    }
    Ok((GrantCommand::Set(gateway, grant), gateway))
}

/// Names with commas between.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

async fn show(visit: &Visit, status: StatusCode, chosen: Option<GatewayId>, wrong: Option<&str>) -> Response {
    let Some(directory) = visit.site.account.directory().await else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The directory cannot be read",
            "Try again; the program's log has the reason.",
        );
    };
    // Without an answer of the broker, what is used up is left out.
    let board = visit.site.board().await.unwrap_or_default();
    let gateways: Vec<&GatewayBoard> = board.islands.iter().flat_map(|island| &island.gateways).collect();
    let grants = &directory.grants().gateways;
    let body = visit.with_nodes(|nodes| html! {
        h1 { "Grants" }
        p.lead { "What was agreed with owners of gateways beyond what is ordinary. It counts at once, and ends by itself." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        @if grants.is_empty() { p.soft { "No gateway has a grant: all are allowed what is ordinary." } }
        @for (gateway, grant) in grants {
            (one(visit, nodes, *gateway, grant, gateways.iter().find(|one| one.gateway == gateway.0).copied()))
        }
        @if visit.who.may_change() { (form(visit, nodes, &directory, chosen)) }
    });
    (status, visit.page(Section::None, "Grants", &[], &body)).into_response()
}

fn one(
    visit: &Visit,
    nodes: Nodes<'_>,
    gateway: GatewayId,
    grant: &Grant,
    used: Option<&GatewayBoard>,
) -> Markup {
    let until_ms = grant.until_ms.and_then(|at| i64::try_from(at).ok());
    let granted = |ms: Option<u32>, share: Option<Share>| share.filter(|_| ms.is_some());
    html! {
        section.card {
            h2 { (nodes.link(gateway.0)) " " @if !grant.holds_at(visit.now_ms) { span.chip.off { "ended" } } }
            p { (in_words(grant)) "." }
            dl.facts {
                dt { "Until" } dd { @match until_ms {
                    None => "it is ended",
                    Some(at) if at > visit.now_ms => { (moment::clock(at, visit.now_ms)) ", in " (moment::duration(at - visit.now_ms)) }
                    Some(at) => (moment::clock(at, visit.now_ms)),
                } }
                dt { "Agreed by" } dd { (grant.by) ", " (moment::age(i64::try_from(grant.since_ms).unwrap_or(0), visit.now_ms)) }
                @if let Some(share) = granted(grant.downlink_ms, used.map(|used| used.share)) {
                    dt { "Downlink of this hour" } dd { (of(share)) }
                }
                @if let Some(share) = granted(grant.telemetry_ms, used.and_then(|used| used.telemetry)) {
                    dt { "Measurements of this hour" } dd { (of(share)) }
                }
                @if !grant.note.is_empty() { dt { "What for" } dd { (grant.note) } }
            }
            @if visit.who.may_change() { form.row method="post" action="/grants" {
                input type="hidden" name="gateway" value=(gateway);
                a.button.plain href={ "/grants?gateway=" (gateway) "#grant" } { "Change" }
                button.button.plain name="do" value="end" { "End it" }
            } }
        }
    }
}

fn form(visit: &Visit, nodes: Nodes<'_>, directory: &Directory, chosen: Option<GatewayId>) -> Markup {
    let grant = chosen.and_then(|id| directory.grants().gateways.get(&id)).cloned().unwrap_or_default();
    let listed = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let seconds = |ms: Option<u32>| ms.map(|ms| (ms / 1_000).to_string());
    let ports: Vec<String> = grant.ports.iter().map(|port| PortNum(*port).word().into_owned()).collect();
    let now_ms = u64::try_from(visit.now_ms).unwrap_or(0);
    let days =
        grant.until_ms.and_then(|at| at.checked_sub(now_ms)).map(|left| left.div_ceil(DAY_MS).to_string());
    let (_, channels) = visit.heard();
    html! {
        h2 #grant { @if chosen.is_some() { "Change a grant" } @else { "Give a grant" } }
        form.card method="post" action="/grants" {
            datalist #channels { @for channel in &channels { option value=(channel); } }
            div.fields.wide {
                label { "Gateway" select name="gateway" required {
                    @if chosen.is_none() { option value="" { "choose" } }
                    @for id in directory.credentials().filter_map(|credential| credential.role.gateway_id()) {
                        option value=(id) selected[chosen == Some(id)] { (nodes.text(id.0)) }
                    }
                } }
                label { "Uplink on channels" input name="channels" list="channels" value=(listed(&grant.channels)) placeholder="all" autocomplete="off" maxlength="400"; }
                label { "Days" input name="days" value=[days] inputmode="numeric" pattern="[0-9]{1,5}" placeholder="until it is ended" autocomplete="off"; }
            }
            label.inline { input type="checkbox" name="downlink" checked[grant.downlink]; " Packets may go down to it" }
            div.fields.wide {
                label { "Downlink of channels" input name="downlink_channels" list="channels" value=(listed(&grant.downlink_channels)) placeholder="all" autocomplete="off" maxlength="400"; }
                label { "Downlink, seconds an hour" input name="downlink_s" value=[seconds(grant.downlink_ms)] inputmode="numeric" pattern="[0-9]{1,4}" placeholder="as for every gateway" autocomplete="off"; }
            }
            label.inline { input type="checkbox" name="telemetry" checked[grant.telemetry]; " Measurements and positions may come more often than is ordinary" }
            div.fields.wide {
                label { "Measurements, seconds an hour" input name="telemetry_s" value=[seconds(grant.telemetry_ms)] inputmode="numeric" pattern="[0-9]{1,4}" placeholder="no limit" autocomplete="off"; }
                label { "Kinds of bulk" input name="ports" value=(ports.join(", ")) placeholder="none, or such as range test" autocomplete="off" maxlength="200"; }
            }
            div.fields.wide { label { "What for" input name="note" value=(grant.note) maxlength="200" autocomplete="off"; } }
            div.row { button.button name="do" value="set" { "Grant this" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<GrantCommand, String> {
        read_command(body.as_bytes(), 1_000, "ann").map(|(command, _)| command)
    }

    #[test]
    fn the_form_is_a_grant() {
        let all = "gateway=%217c5a0a01&channels=Ops%2C+LongFast&downlink=on&downlink_channels=Ops&downlink_s=30&telemetry=on\
                   &telemetry_s=5&days=2&ports=range+test&note=parade&do=set";
        let Ok(GrantCommand::Set(GatewayId(0x7c5a_0a01), grant)) = read(all) else {
            panic!("{:?}", read(all))
        };
        assert!(grant.channels.iter().eq(["LongFast", "Ops"]) && grant.downlink_channels.iter().eq(["Ops"]));
        assert_eq!((grant.downlink_ms, grant.telemetry_ms), (Some(30_000), Some(5_000)));
        assert_eq!(grant.until_ms, Some(1_000 + 2 * DAY_MS));
        assert_eq!(grant.ports.iter().copied().collect::<Vec<_>>(), [PortNum::RANGE_TEST.0]);
        assert_eq!((grant.by.as_str(), grant.note.as_str()), ("ann", "parade"));
        let least = read(
            "gateway=!7c5a0a01&channels=&downlink_channels=&downlink_s=&telemetry_s=&days=&ports=&note=&do=set",
        );
        assert_eq!(
            least,
            Ok(GrantCommand::Set(
                GatewayId(0x7c5a_0a01),
                Grant { since_ms: 1_000, by: "ann".into(), ..Grant::default() }
            ))
        );
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (body, word) in [
            ("do=set", "choose a gateway"),
            ("gateway=!7c5a0a01&downlink_s=5&do=set", "without downlink"),
            ("gateway=!7c5a0a01&downlink=on&downlink_s=9999&do=set", "3600"),
            ("gateway=!7c5a0a01&telemetry_s=5&do=set", "as is ordinary"),
            ("gateway=!7c5a0a01&days=0&do=set", "days"),
            ("gateway=!7c5a0a01&ports=nonsense&do=set", "`nonsense`"),
        ] {
            let why = read(body).unwrap_err();
            assert!(why.contains(word), "{body}: {why}");
        }
    }
}
