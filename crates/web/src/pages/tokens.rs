//! `/tokens`: programs that ask the API with a token, and what each may do.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{API_TOKEN_NAME_CHARS_MAX, ApiScope, ApiToken, ApiTokenForm, Token};
use maud::{Markup, html};

use crate::assets::COPY;
use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::who::Who;

const DAY_MS: i64 = 86_400_000;

/// `GET /tokens`
pub async fn page(visit: Visit) -> Response {
    show(&visit, StatusCode::OK, None).await
}

/// `POST /tokens`: `do` is `make` or `revoke`.
pub async fn command(visit: Visit, body: Bytes) -> Response {
    let field = |name| form_field(&body, name).unwrap_or_default();
    let (actor, now_ms, desk) = (visit.who.actor(), visit.now_ms, &visit.site.account);
    if field("do") == "revoke" {
        let Ok(number) = field("number").parse::<i64>() else {
            return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some("the form names no token")).await;
        };
        return match desk.at_the_desk(move |store| store.revoke_api_token(number, &actor, now_ms)).await {
            Ok(()) => Redirect::to("/tokens").into_response(),
            Err(why) => show(&visit, StatusCode::CONFLICT, Some(&why)).await,
        };
    }
    let form = match read_form(&body, now_ms) {
        Ok(form) => form,
        Err(why) => return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(&why)).await,
    };
    let person = match &visit.who {
        Who::Person(name, role) if *role >= form.scope.needs() => Some(name.clone()),
        _ => {
            return show(&visit, StatusCode::FORBIDDEN, Some("a token may do no more than who makes it"))
                .await;
        }
    };
    let name = form.name.clone();
    let made =
        desk.at_the_desk(move |store| store.make_api_token(form, person.as_ref(), &actor, now_ms)).await;
    match made {
        // The secret is in this one answer and nowhere else.
        Ok(token) => handed_over(&visit, &name, &token),
        Err(why) => show(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(&why)).await,
    }
}

fn read_form(body: &[u8], now_ms: i64) -> Result<ApiTokenForm, String> {
    let field = |name| form_field(body, name).unwrap_or_default();
    let until_ms = match field("days").trim() {
        "" => None,
        text => match text.parse::<u16>() {
            Ok(days @ 1..) => Some(now_ms + i64::from(days) * DAY_MS),
            _ => return Err(format!("a token works for 1 to {} days, not `{text}`", u16::MAX)),
        },
    };
    let scope = field("scope").parse().map_err(|refused: directory::ApiTokenRefused| refused.to_string())?;
    Ok(ApiTokenForm { name: field("name"), scope, until_ms })
}

async fn show(visit: &Visit, status: StatusCode, wrong: Option<&str>) -> Response {
    let Ok(tokens) = visit.site.account.at_the_desk(|store| store.api_tokens()).await else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The directory cannot be read",
            "Try again; the program's log has the reason.",
        );
    };
    let body = html! {
        h1 { "Tokens" }
        p.lead { "Programs that ask the " a href="/api" { "API" } " for more than everybody may see. Each has a token of its own, so that it can be taken away alone." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        @if tokens.is_empty() { div.empty { p { "No program has a token." } } }
        @else { div.scroll.stack { table {
            thead { tr {
                th scope="col" { "Program" } th scope="col" { "May" } th scope="col" { "Works" } th scope="col" { "Used" }
                th scope="col" { "Made" } th scope="col" { span.unseen { "Revoke" } }
            } }
            tbody { @for token in &tokens { (one(visit, token)) } }
        } } }
        h2 { "Make one" }
        form.card method="post" action="/tokens" {
            div.fields.wide {
                label { "Program" input name="name" required maxlength=(API_TOKEN_NAME_CHARS_MAX) autocomplete="off" placeholder="Grafana on the shelf"; }
                label { "May" select name="scope" { @for scope in ApiScope::ALL { option value=(scope.word()) { (scope.word()) } } } }
                label { "Days" input name="days" inputmode="numeric" pattern="[0-9]{1,5}" placeholder="until it is revoked" autocomplete="off"; }
            }
            div.row { button.button name="do" value="make" { "Make a token" } }
        }
        dl.facts { @for scope in ApiScope::ALL { dt { (scope.word()) } dd { (scope.meaning()) } } }
    };
    (status, visit.page(Section::Tokens, "Tokens", &[], &body)).into_response()
}

fn one(visit: &Visit, token: &ApiToken) -> Markup {
    html! { tr {
        th scope="row" { bdi { (token.name) } }
        td data-label="May" { (token.scope.word()) }
        td data-label="Works" { @match token.until_ms {
            None => "until it is revoked",
            Some(at) if at > visit.now_ms => { "for " (moment::duration(at - visit.now_ms)) },
            Some(_) => span.chip.off { "ended" },
        } }
        td data-label="Used" { @match token.used_ms { Some(at) => (moment::age(at, visit.now_ms)), None => "never" } }
        td data-label="Made" { (moment::age(token.made_ms, visit.now_ms)) " by " bdi { (token.made_by) } }
        td { form method="post" action="/tokens" {
            input type="hidden" name="number" value=(token.number);
            button.button.plain name="do" value="revoke" { "Revoke" }
        } }
    } }
}

fn handed_over(visit: &Visit, name: &str, token: &Token) -> Response {
    let body = html! {
        h1 { "Token for " bdi { (name) } }
        p.lead { "Give it to the program now: it is shown only here, and only its hash is kept." }
        pre.card.mono { (token.reveal()) }
        p { "It is sent with every question:" }
        pre.card.mono { "curl -H 'Authorization: Bearer " (token.reveal()) "' " (visit.site.info.public_url.as_deref().unwrap_or_default().trim_end_matches('/')) "/api/v1/status" }
        div.row { a.button href="/tokens" { "Back to tokens" } }
    };
    visit.page(Section::Tokens, "Token", &[&COPY], &body).into_response()
}
