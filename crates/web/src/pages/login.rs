//! `/login` and `/logout`: people come and go.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::account::SignInRefusal;
use crate::layout::Section;
use crate::site::Visit;
use crate::who::Needs;

/// The name that the setup link's admin has; most installations have nobody else.
const FIRST_ADMIN: &str = "operator";

/// `GET /login`
pub async fn page(visit: Visit) -> Response {
    if visit.who.may(Needs::Observer) {
        return Redirect::to("/").into_response();
    }
    let has_password = visit.site.account.has_password().await;
    form(&visit, StatusCode::OK, has_password, None)
}

/// `POST /login`
pub async fn sign_in(visit: Visit, body: Bytes) -> Response {
    let password = form_field(&body, "password").unwrap_or_default();
    let name = form_field(&body, "username").unwrap_or_else(|| FIRST_ADMIN.to_owned());
    let result =
        visit.site.account.sign_in(visit.address, name.trim().to_owned(), password, visit.now_ms).await;
    let (status, message) = match result {
        Ok(cookie) => return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(refusal) => refusal_words(&refusal, "Name and password do not belong together."),
    };
    let has_password = visit.site.account.has_password().await;
    with_retry_after(form(&visit, status, has_password, Some(&message)), status, &message)
}

/// `POST /logout`
pub async fn sign_out(visit: Visit, headers: HeaderMap) -> Response {
    let cookie = visit.site.account.sign_out(&headers).await;
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

fn form(visit: &Visit, status: StatusCode, has_password: bool, wrong: Option<&Refused>) -> Response {
    let body = html! {
        div.narrow {
            h1 { "Sign in" }
            p { "For the people who run this mesh. Everybody else reads the pages without signing in." }
            @if !has_password {
                div.banner { p { "No password is set yet. Open the setup link that the program printed when it started." } }
            }
            (complaint(wrong))
            form method="post" action="/login" {
                div.field { label {
                    "Name"
                    input type="text" name="username" value=(FIRST_ADMIN) required autocomplete="username"
                        autocapitalize="none" spellcheck="false";
                } }
                div.field { label {
                    "Password"
                    input type="password" name="password" required autocomplete="current-password" autofocus;
                } }
                button.button { "Sign in" }
            }
        }
    };
    (status, visit.page(Section::SignIn, "Sign in", &[], &body)).into_response()
}

/// Why a form was not taken, for the person and for the browser.
pub struct Refused {
    text: String,
    wait_s: Option<u64>,
}

/// The line above a form that was not taken.
pub fn complaint(wrong: Option<&Refused>) -> Markup {
    html! { @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong.text) } } }
}

/// Status and words for a refusal.
pub fn refusal_words(refusal: &SignInRefusal, wrong: &str) -> (StatusCode, Refused) {
    let refused = |text: String| Refused { text, wait_s: None };
    match refusal {
        SignInRefusal::Wrong => (StatusCode::FORBIDDEN, refused(wrong.to_owned())),
        SignInRefusal::NoPassword => {
            (StatusCode::FORBIDDEN, refused("No password is set yet: open the setup link first.".to_owned()))
        }
        SignInRefusal::TooOften(seconds) => {
            let text = format!("Too many tries. Wait {seconds} s and try again.");
            (StatusCode::TOO_MANY_REQUESTS, Refused { text, wait_s: Some(*seconds) })
        }
        SignInRefusal::Choice(why) => {
            (StatusCode::UNPROCESSABLE_ENTITY, refused(format!("This password is not taken: {why}.")))
        }
        SignInRefusal::Failed => (
            StatusCode::INTERNAL_SERVER_ERROR,
            refused(
                "The directory could not be read or written. Try again; the program's log has the reason."
                    .to_owned(),
            ),
        ),
    }
}

/// Adds how long to wait, in the header that programs read.
pub fn with_retry_after(mut response: Response, status: StatusCode, refused: &Refused) -> Response {
    if let (StatusCode::TOO_MANY_REQUESTS, Some(seconds)) = (status, refused.wait_s) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A field of a form body.
pub fn form_field(body: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(body).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}
