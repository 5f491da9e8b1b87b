//! `/people`: who may sign in, and what they may do. For admins only.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use directory::{Person, PersonCommand, PersonRefused, PersonRole, Token};
use maud::{Markup, html};

use crate::assets::COPY;
use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;
use crate::who::Who;

/// `GET /people`
pub async fn page(visit: Visit) -> Response {
    show(&visit, StatusCode::OK, None).await
}

/// `POST /people`: `do` is `add`, `role`, `reset` or `remove`; `name` says whom, `role` what they may do.
pub async fn command(visit: Visit, body: Bytes) -> Response {
    let command = match read_command(&body) {
        Ok(command) => command,
        Err(why) => return show(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(&why.to_string())).await,
    };
    match visit.site.account.command_people(command.clone(), &visit.who, visit.now_ms).await {
        Ok(None) => Redirect::to("/people").into_response(),
        // The code is in this one answer and nowhere else.
        Ok(Some(code)) => invitation(&visit, command.name().as_str(), &code),
        Err(why) => show(&visit, StatusCode::CONFLICT, Some(&why)).await,
    }
}

fn read_command(body: &[u8]) -> Result<PersonCommand, PersonRefused> {
    let field = |name| form_field(body, name).unwrap_or_default();
    let name = field("name").trim().parse()?;
    let role = || field("role").parse::<PersonRole>();
    match field("do").as_str() {
        "role" => Ok(PersonCommand::SetRole(name, role()?)),
        "reset" => Ok(PersonCommand::Reset(name)),
        "remove" => Ok(PersonCommand::Remove(name)),
        _ => Ok(PersonCommand::Add(name, role()?)),
    }
}

async fn show(visit: &Visit, status: StatusCode, wrong: Option<&str>) -> Response {
    let Some(people) = visit.site.account.people().await else {
        return visit.trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The directory cannot be read",
            "Try again; the program's log has the reason.",
        );
    };
    let body = html! {
        h1 { "People" }
        p.lead { "Who may sign in to these pages. Gateways, observers and services that speak MQTT have credentials of their own." }
        @if let Some(why) = wrong { p.wrong role="alert" { "Not done: " (why) "." } }
        @for person in &people { (one(visit, person)) }
        h2 { "Add somebody" }
        form.card method="post" action="/people" {
            div.fields {
                label { "Name" input name="name" required maxlength="40" pattern="[a-z0-9][a-z0-9._\\-]*" autocapitalize="none" spellcheck="false" autocomplete="off"; }
                label { "Role" (roles(PersonRole::Observer)) }
            }
            div.row { button.button name="do" value="add" { "Make an invitation" } }
        }
        dl.facts { @for role in PersonRole::ALL { dt { (role.word()) } dd { (role.meaning()) } } }
    };
    (status, visit.page(Section::People, "People", &[], &body)).into_response()
}

fn one(visit: &Visit, person: &Person) -> Markup {
    let is_me = matches!(&visit.who, Who::Person(name, _) if *name == person.name);
    let name = person.name.as_str();
    html! {
        section.card aria-label=(name) {
            h2 { (name) @if is_me { " " span.soft { "(you)" } } }
            p { "Since " (moment::clock(person.since_ms, visit.now_ms)) ". " (standing(person, visit.now_ms)) }
            form.row method="post" action="/people" {
                input type="hidden" name="name" value=(name);
                label.inline { "Role " (roles(person.role)) }
                button.button.plain name="do" value="role" { "Change role" }
                button.button.plain name="do" value="reset" { "Reset password" }
                @if !is_me { button.button.plain name="do" value="remove" { "Remove" } }
            }
        }
    }
}

fn standing(person: &Person, now_ms: i64) -> Markup {
    html! {
        @match person.invited_until_ms {
            _ if person.has_password => "Has a password.",
            Some(until_ms) if until_ms > now_ms => {
                "Invited; the link works for another " (moment::duration(until_ms - now_ms)) "."
            }
            _ => "Has no password, and the invitation has expired: reset it for another one.",
        }
    }
}

fn roles(chosen: PersonRole) -> Markup {
    html! {
        select name="role" {
            @for role in PersonRole::ALL { option value=(role.word()) selected[*role == chosen] { (role.word()) } }
        }
    }
}

fn invitation(visit: &Visit, name: &str, code: &Token) -> Response {
    let start = visit.site.info.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let body = html! {
        h1 { "Invitation for " (name) }
        p.lead { "Send this link to " (name) " by a way that nobody else reads. It works once, for a day, and is shown only here." }
        pre.card.mono { (start) "/setup#" (code.reveal()) }
        div.row { a.button href="/people" { "Back to people" } }
    };
    visit.page(Section::People, "Invitation", &[&COPY], &body).into_response()
}
