//! `/join` and `/request`: somebody asks to connect a gateway or to send more, and asks after it. The code of a request
//! comes after the `#` of its link, which browsers do not send, so that it reaches no log.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use directory::{NodeSetup, Request, RequestForm, RequestKind, RequestState};
use directory_store::Fetched;
use maud::{Markup, html};
use preflight::make_link::{ChannelToShare, RadioToShare, channel_link};

use crate::assets::{COPY, SETUP, WORK};
use crate::layout::Section;
use crate::moment;
use crate::pages::login::form_field;
use crate::qr;
use crate::site::Visit;
use crate::work::{self, Unworked};

/// The answers of a form, each byte written as three.
pub const FORM_BYTES_MAX: usize = 16 * 1024;

/// `GET /join`
pub async fn page(visit: Visit) -> Response {
    form(&visit, StatusCode::OK, &[], &|_| String::new())
}

/// `POST /join`
pub async fn ask(visit: Visit, body: Bytes) -> Response {
    let field = |name: &str| form_field(&body, name).unwrap_or_default();
    // People do not see this field; programs that fill in every form do.
    if !field("website").is_empty() {
        let wrong = ["the form was filled in by a program; leave the last field empty".to_owned()];
        return form(&visit, StatusCode::UNPROCESSABLE_ENTITY, &wrong, &field);
    }
    let request = match RequestForm::read(field) {
        Ok(request) => request,
        Err(wrong) => return form(&visit, StatusCode::UNPROCESSABLE_ENTITY, &wrong, &field),
    };
    if let Err(seconds) = visit.site.account.may_ask(visit.address, visit.now_ms) {
        let wrong = [format!("many requests came from where you are; wait {seconds} s and send it again")];
        let mut response = form(&visit, StatusCode::TOO_MANY_REQUESTS, &wrong, &field);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return response;
    }
    let now_ms = visit.now_ms;
    if let Err(why) = visit.site.work.take(&field("riddle"), &field("solution"), now_ms) {
        let wrong = [match why {
            Unworked::Wrong => "the page was open for long, or its form was sent before; send it once more".to_owned(),
            Unworked::TooMany => {
                "many requests came from browsers that run no scripts; wait an hour, or allow scripts on this page".to_owned()
            }
        }];
        return form(&visit, StatusCode::TOO_MANY_REQUESTS, &wrong, &field);
    }
    match visit.site.account.at_the_desk(move |store| store.take_request(&request, now_ms)).await {
        Ok((_, code)) => taken(&visit, code.reveal()),
        Err(why) => form(&visit, StatusCode::CONFLICT, &[why], &field),
    }
}

/// `GET /request`
pub async fn look_page(visit: Visit) -> Response {
    code_form(&visit, StatusCode::OK, None)
}

/// `POST /request`: `token` says which; `do` is `answer` (with `words`), `fetch`, or nothing to look.
pub async fn look(visit: Visit, body: Bytes) -> Response {
    let field = |name: &str| form_field(&body, name).unwrap_or_default();
    // Someone without scripts may paste the whole link.
    let code = field("token").trim().rsplit('#').next().unwrap_or_default().to_owned();
    let now_ms = visit.now_ms;
    match field("do").as_str() {
        "fetch" => {
            let code = code.clone();
            let fetch = move |store: &mut directory_store::Store| store.fetch_credentials(&code, now_ms);
            match visit.site.account.at_the_desk(fetch).await {
                Ok(Some(fetched)) => return credentials(&visit, &fetched).await,
                Ok(None) => {}
                Err(why) => return code_form(&visit, StatusCode::CONFLICT, Some(&why)),
            }
        }
        "sign-in" => return sign_in(&visit, &code).await,
        "answer" => {
            let (code, words) = (code.clone(), field("words"));
            let answer =
                move |store: &mut directory_store::Store| store.answer_request(&code, &words, now_ms);
            if let Err(why) = visit.site.account.at_the_desk(answer).await {
                return code_form(&visit, StatusCode::CONFLICT, Some(&why));
            }
        }
        _ => {}
    }
    let asked = code.clone();
    match visit.site.account.at_the_desk(move |store| store.request_by_code(&asked)).await {
        Ok(Some(request)) => standing(&visit, &request, &code),
        Ok(None) => {
            code_form(&visit, StatusCode::NOT_FOUND, Some("no request has this code, or it was deleted"))
        }
        Err(why) => code_form(&visit, StatusCode::INTERNAL_SERVER_ERROR, Some(&why)),
    }
}

/// Signs the owner of an approved gateway in by the link of the request.
async fn sign_in(visit: &Visit, code: &str) -> Response {
    let asked = code.to_owned();
    let ask = move |store: &mut directory_store::Store| Ok((store.request_by_code(&asked)?, store.load()?));
    let found = visit.site.account.at_the_desk(ask).await.ok();
    let found = found.and_then(|(request, directory)| {
        let request = request.filter(is_granted)?;
        // Removed and added again since, it may be somebody else's.
        let added_ms = directory.gateway(request.form.node)?.created_ms;
        let is_the_same =
            request.decided_ms.is_some_and(|at_ms| i64::try_from(added_ms).is_ok_and(|a| a <= at_ms));
        is_the_same.then_some(request)
    });
    let Some(request) = found else {
        return code_form(visit, StatusCode::NOT_FOUND, Some("no granted request has this code"));
    };
    match visit.site.account.sign_owner_in(request.form.node, visit.now_ms).await {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/mine")).into_response(),
        Err(why) => code_form(visit, StatusCode::INTERNAL_SERVER_ERROR, Some(&why)),
    }
}

/// Whether the author of the request has been shown to be the gateway's owner. Contributions are asked for by anybody.
fn is_granted(request: &Request) -> bool {
    request.form.kind == RequestKind::Access
        && matches!(request.state, RequestState::Approved | RequestState::Fetched)
}

fn form(visit: &Visit, status: StatusCode, wrong: &[String], kept: &dyn Fn(&str) -> String) -> Response {
    let mesh = &visit.site.info.mesh_name;
    let line = |name: &str, label: &str, hint: &str, is_required: bool| {
        html! {
            div.field { label {
                (label)
                input name=(name) value=(kept(name)) required[is_required] maxlength="120" autocomplete="off";
            } span.hint { (hint) } }
        }
    };
    let tick = |name: &str, label: &str| {
        html! { div.field { label.check { input type="checkbox" name=(name) checked[!kept(name).is_empty()]; " " (label) } } }
    };
    let riddle = visit.site.work.riddle(visit.now_ms);
    let more = kept("kind") == RequestKind::Contribution.word();
    let body = html! {
        h1 { "Connect a gateway" }
        p.lead { "Ask the operators of " (mesh) " for credentials, or for more than is ordinary. A person reads this." }
        p { a href="/check" { "Check the node’s configuration" } " first, and read " a href="/policy" { "what is asked of every packet" } "." }
        (super::wiki::link("/join.md"))
        @if !wrong.is_empty() {
            div.wrong role="alert" { p { "This was not sent:" } ul { @for one in wrong { li { (one) "." } } } }
        }
        form.narrow method="post" action="/join" data-riddle=(riddle) data-bits=(work::BITS) {
            input type="hidden" name="riddle" value="";
            input type="hidden" name="solution" value="";
            div.field { label {
                "What for"
                select name="kind" {
                    option value="access" selected[!more] { "A gateway that is to connect" }
                    option value="contribution" selected[more] { "More for a gateway that is connected" }
                }
            } }
            (line("node", "Node id", "As the app shows it: ! and eight letters or digits.", true))
            (line("owner", "Your name", "Or a call sign. Operators see it.", true))
            (line("contact", "How to reach you", "Operators only; deleted with the request.", true))
            (line("place", "Roughly where it is", "A quarter or a street corner, not an address.", true))
            (tick("fixed", "It stays there"))
            (line("power", "What powers it", "Mains, solar with a battery, …", false))
            (line("height", "How high the antenna is", "Above the ground, in metres or floors.", false))
            (line("internet", "What connects it to the internet", "Fibre, cable, LTE, …", false))
            (line("channels", "Channels it is to pass on", "Names with commas between; empty for the default one.", false))
            (tick("downlink", "Packets shall also go down to it"))
            (tick("telemetry", "It shall send more telemetry than is ordinary"))
            div.field { label {
                "Why downlink, what telemetry, and what else there is to say"
                textarea.words name="reason" maxlength="1000" { (kept("reason")) }
            } }
            div.unseen aria-hidden="true" { label { "Leave this empty" input name="website" tabindex="-1" autocomplete="off"; } }
            button.button { "Send the request" }
            p.small.soft data-work-note role="status" {}
        }
        p.small.soft { "Asked before? " a href="/request" { "See how it stands" } "." }
    };
    (status, visit.page(Section::None, "Connect a gateway", &[&WORK], &body)).into_response()
}

fn taken(visit: &Visit, code: &str) -> Response {
    let start = visit.site.info.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let body = html! {
        h1 { "Your request was sent" }
        p.lead { "Keep this link: with it you see the answer, and fetch the credentials when it is granted. It is shown only here." }
        pre.card.mono { (start) "/request#" (code) }
        p { "Operators usually need a few days. Whoever has the link has the credentials, so tell it nobody." }
        div.row { a.button href={ "/request#" (code) } { "See how it stands" } }
    };
    visit.page(Section::None, "Request sent", &[&COPY], &body).into_response()
}

fn code_form(visit: &Visit, status: StatusCode, wrong: Option<&str>) -> Response {
    let body = html! {
        div.narrow {
            h1 { "Your request" }
            @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) "." } }
            form method="post" action="/request" {
                div.field { label {
                    "Code"
                    input.mono name="token" required autocomplete="off" spellcheck="false" autocapitalize="none";
                } span.hint { "What stands after the # of the link that you were given." } }
                button.button { "See how it stands" }
            }
        }
    };
    (status, visit.page(Section::None, "Your request", &[&SETUP], &body)).into_response()
}

fn standing(visit: &Visit, request: &Request, code: &str) -> Response {
    let body = html! {
        h1 { "Request " (request.number) ", for " span.mono { (request.form.node) } }
        p.lead { @match request.state {
            RequestState::Waiting => "It waits for an operator.",
            RequestState::AskedBack => "An operator asks you something.",
            RequestState::Approved => "It is granted.",
            RequestState::Fetched => "It is granted, and the credentials were fetched.",
            RequestState::Refused => "It is not granted.",
            RequestState::Expired => "Nobody decided in time. Send another one.",
        } }
        @if !request.answer.is_empty() { div.card { h3 { "What the operator writes" } p.asked { (request.answer) } } }
        @if let Some(at_ms) = request.decided_ms { p.soft { "Decided " (moment::age(at_ms, visit.now_ms)) "." } }
        @if request.state == RequestState::AskedBack {
            form.card method="post" action="/request" {
                input type="hidden" name="token" value=(code);
                label { "Your answer" textarea.words name="words" required maxlength="1000" {} }
                div.row { button.button name="do" value="answer" { "Answer" } }
            }
        }
        @if request.state == RequestState::Approved && request.form.kind == RequestKind::Access {
            form.card method="post" action="/request" {
                input type="hidden" name="token" value=(code);
                p { "User name, password and commands are shown once. Have the node at hand." }
                div.row { button.button name="do" value="fetch" { "Show the credentials" } }
            }
        }
        @if is_granted(request) {
            form.row method="post" action="/request" {
                input type="hidden" name="token" value=(code);
                button.button.plain name="do" value="sign-in" { "Open the page of your gateway" }
            }
        }
    };
    visit.page(Section::None, "Your request", &[], &body).into_response()
}

/// The one page with the password. It signs the owner in, too.
async fn credentials(visit: &Visit, fetched: &Fetched) -> Response {
    let info = &visit.site.info;
    let (address, is_tls) = &info.way_in;
    let root = info.expected.root.as_deref().unwrap_or("msh/US");
    let (username, password) = (fetched.username.as_str(), &fetched.password);
    let commands = NodeSetup { address, is_tls: *is_tls, root, username, password }.commands();
    let body = html! {
        h1 { "Credentials of " span.mono { (fetched.request.form.node) } }
        p.lead { "They are shown this once. Copy them to the node before you leave this page." }
        dl.facts {
            dt { "Server" } dd.mono { (address) @if *is_tls { " (TLS)" } }
            dt { "User name" } dd.mono { (username) }
            dt { "Password" } dd.mono { (password.reveal()) }
            dt { "Root topic" } dd.mono { (root) }
            dt { "Encryption" } dd { "on" }
        }
        h2 { "By cable" }
        p { "With the node on USB, paste:" }
        pre.card.mono { @for command in &commands { (command) "\n" } }
        div.row { a.button href={ "/gateway/" (fetched.request.form.node) "/checklist" } { "Watch the checklist tick" } }
        (radio(visit, fetched.request.form.wants_downlink))
    };
    let page = visit.page(Section::None, "Credentials", &[&COPY], &body);
    match visit.site.account.sign_owner_in(fetched.request.form.node, visit.now_ms).await {
        Ok(cookie) if visit.who == crate::who::Who::Anyone => {
            ([(header::SET_COOKIE, cookie)], page).into_response()
        }
        // The page matters more; an operator who tries it out stays who they are.
        Ok(_) | Err(_) => page.into_response(),
    }
}

/// Channel and radio settings for the app's camera. It holds the published default key and nothing secret.
fn radio(visit: &Visit, downlink: bool) -> Markup {
    let expected = &visit.site.info.expected;
    let (Some(preset), Some(region)) = (&expected.preset, &expected.region) else { return html! {} };
    let radio = RadioToShare { preset, region, hop_limit: expected.hop_limit_max };
    let channel = ChannelToShare {
        name: "",
        psk: &[1],
        uplink: true,
        downlink,
        precision_bits: Some(PUBLIC_PRECISION_BITS),
    };
    let Ok(link) = channel_link(&[channel], Some(&radio)) else { return html! {} };
    html! {
        h2 { "Channel and radio" }
        p { "Scan this in the app to set the primary channel (" (preset) ", " (region) ") with uplink on. It replaces the channels that the node has." }
        (qr::picture(&link, "QR code of the channel link"))
        p { a href=(link) { "The same as a link" } }
    }
}

/// Positions on the default channel are cut to about a kilometre and a half, as the public pages do.
const PUBLIC_PRECISION_BITS: u32 = 14;
