//! `/downlink`: the kill switch, and which gateways have proved that downlink reaches them. For the operator only.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{Directory, DownlinkCommand, GatewayId, IslandNumber};
use maud::{Markup, html};
use policy::memory::proof::{Proof, ProofSettings};
use policy::now::Now;

use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::words::Nodes;

/// `GET /downlink`
pub async fn page(visit: Visit) -> Response {
    if !visit.sight.is_operator() {
        return visit.not_here("page");
    }
    show(&visit, StatusCode::OK, None).await
}

/// `POST /downlink`: `do` is `stop`, `start` or `verify`; `island` and `gateway` say where.
pub async fn command(visit: Visit, body: Bytes) -> Response {
    if !visit.sight.is_operator() {
        return visit.not_here("page");
    }
    let command = match read_command(&body) {
        Ok(command) => command,
        Err(why) => return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(&why)).await,
    };
    match visit.site.account.command_downlink(command, &visit.who, visit.now_ms).await {
        Ok(()) => Redirect::to("/downlink").into_response(),
        Err(why) => show(&visit, StatusCode::CONFLICT, Some(&why)).await,
    }
}

fn read_command(body: &[u8]) -> Result<DownlinkCommand, String> {
    let node = |name: &str| {
        let text = form_field(body, name).unwrap_or_default();
        let text = text.trim();
        if text.is_empty() {
            Ok(None)
        } else {
            text.parse::<GatewayId>().map(Some).map_err(|e| e.to_string())
        }
    };
    let island = || Ok::<_, String>(node("island")?.map(|id| IslandNumber(id.0)));
    match form_field(body, "do").as_deref() {
        Some("stop") => Ok(DownlinkCommand::Stop(island()?)),
        Some("start") => Ok(DownlinkCommand::Start(island()?)),
        Some("verify") => node("gateway")?.map(DownlinkCommand::Verify).ok_or("name a gateway".to_owned()),
        _ => Err("the form does not say what to do".to_owned()),
    }
}

async fn show(visit: &Visit, status: StatusCode, wrong: Option<&str>) -> Response {
    let Some(directory) = visit.site.account.directory().await else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The directory cannot be read",
            "Try again; the program's log has the reason.",
        );
    };
    let proofs = visit.site.snapshot().await.map(|snapshot| snapshot.proofs.clone()).unwrap_or_default();
    let settings = (visit.site.policy)().proof.clone();
    let body = visit.with_nodes(|nodes| {
        html! {
            h1 { "Downlink" }
            @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
            (kill_switch(visit, &directory))
            (gateways(visit, nodes, &directory, &proofs, &settings))
        }
    });
    (status, visit.page(Section::None, "Downlink", &[], &body)).into_response()
}

fn kill_switch(visit: &Visit, directory: &Directory) -> Markup {
    let downlink = directory.downlink();
    let ago = |at: u64| moment::duration(visit.now_ms - i64::try_from(at).unwrap_or(i64::MAX));
    html! {
        @if let Some(at) = downlink.stopped_ms {
            div.banner.bad role="alert" { p { "All downlink has been stopped for " (ago(at)) ". Gateways still send up." } }
        }
        @for (island, at) in &downlink.stopped_islands {
            div.banner.bad role="alert" {
                p { "Downlink has been stopped on island " (island) " for " (ago(*at)) "." }
                @if downlink.stopped_ms.is_none() && visit.who.may_change() {
                    form method="post" action="/downlink" {
                        input type="hidden" name="island" value=(island);
                        button name="do" value="start" { "Start it on this island" }
                    }
                }
            }
        }
        @if visit.who.may_change() { div.card {
            @if downlink.is_stopped_anywhere() {
                form method="post" action="/downlink" {
                    button name="do" value="start" { "Start all downlink" }
                }
            } @else {
                p { "Downlink flows everywhere." }
            }
            @if downlink.stopped_ms.is_none() {
                form method="post" action="/downlink" {
                    button name="do" value="stop" { "Stop all downlink" }
                }
                form method="post" action="/downlink" {
                    label for="island" { "Only on island" } " "
                    input id="island" name="island" required placeholder="!7c5a0a01" pattern="![0-9a-f]{8}" size="10";
                    " " button name="do" value="stop" { "Stop it there" }
                }
            }
            p.small.soft {
                "It takes effect before the next copy, also for copies that wait. Observers and services are not touched."
            }
        } } @else if !downlink.is_stopped_anywhere() { p.card { "Downlink flows everywhere." } }
    }
}

fn gateways(
    visit: &Visit,
    nodes: Nodes<'_>,
    directory: &Directory,
    proofs: &[(u32, Proof)],
    settings: &ProofSettings,
) -> Markup {
    let now = Now { mono_ms: 0, unix_ms: visit.now_ms };
    let listed = directory.credentials().filter_map(|credential| credential.role.gateway_id());
    let ago =
        |at: Option<i64>| at.map_or("never".to_owned(), |at| moment::duration(visit.now_ms - at) + " ago");
    html! {
        h2 { "Proof that it arrives" }
        p.soft {
            "The broker's own node asks each gateway's node for a traceroute now and then. The answer counts for "
            (settings.valid_ms / 86_400_000) " days."
        }
        div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Gateway" } th scope="col" { "State" } th scope="col" { "Answered" }
                th scope="col" { "Heard on the air" } th scope="col" { "Asked" } th scope="col" { "" }
            } }
            tbody { @for gateway in listed {
                @let proof = proofs.iter().find(|(number, _)| *number == gateway.0).map(|(_, proof)| *proof);
                @let proof = proof.unwrap_or_default();
                tr {
                    th scope="row" { (nodes.link(gateway.0)) }
                    td data-label="State" {
                        @if proof.is_valid(now, settings) { span.chip.good { "verified" } }
                        @else { span.chip.note { "not verified" } }
                    }
                    td data-label="Answered" { span.cell { (ago(proof.proved_ms)) } }
                    td data-label="Heard on the air" { span.cell { (ago(proof.heard_ms)) } }
                    td data-label="Asked" { span.cell { (ago(proof.asked_ms)) } }
                    td { @if visit.who.may_change() { form method="post" action="/downlink" {
                        input type="hidden" name="gateway" value=(gateway);
                        button name="do" value="verify" { "Ask at once" }
                    } } }
                }
            } }
        } }
    }
}
