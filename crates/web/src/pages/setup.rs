//! `/setup`: the one-time link with which a person sets their password. The code comes after the `#` of the link, which
//! browsers do not send, so that it reaches no log; without scripts it is pasted.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use directory::OPERATOR_PASSWORD_CHARS_MIN;
use maud::html;

use crate::assets::SETUP;
use crate::layout::Section;
use crate::pages::login::{self, Refused};
use crate::site::Visit;

/// `GET /setup`
pub async fn page(visit: Visit) -> Response {
    form(&visit, StatusCode::OK, None)
}

/// `POST /setup`
pub async fn set_up(visit: Visit, body: Bytes) -> Response {
    let field = |name| login::form_field(&body, name).unwrap_or_default();
    // Someone without scripts may paste the whole link.
    let pasted = field("token");
    let code = pasted.trim().rsplit('#').next().unwrap_or_default().to_owned();
    let result = visit.site.account.set_up(visit.address, code, field("password"), visit.now_ms).await;
    let (status, refused) = match result {
        Ok(cookie) => return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(refusal) => login::refusal_words(
            &refusal,
            "This code does not work: it works once, for a day, until a password is set. \
             An admin or the command line makes another.",
        ),
    };
    login::with_retry_after(form(&visit, status, Some(&refused)), status, &refused)
}

fn form(visit: &Visit, status: StatusCode, wrong: Option<&Refused>) -> Response {
    let body = html! {
        div.narrow {
            h1 { "Set your password" }
            p { "You were given a one-time link: by an admin, or by the program when it started. Its code is the part after the #." }
            (login::complaint(wrong))
            form method="post" action="/setup" {
                div.field { label {
                    "Code"
                    input.mono type="text" name="token" required autocomplete="off" spellcheck="false" autocapitalize="none";
                } }
                div.field { label {
                    "Password"
                    input type="password" name="password" required minlength=(OPERATOR_PASSWORD_CHARS_MIN)
                        autocomplete="new-password" aria-describedby="choice";
                } span.hint #choice { "At least " (OPERATOR_PASSWORD_CHARS_MIN) " characters. A few words are fine." } }
                button.button { "Set password and sign in" }
            }
        }
    };
    (status, visit.page(Section::SignIn, "Set up", &[&SETUP], &body)).into_response()
}
