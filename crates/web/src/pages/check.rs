//! `/check`: is this node fit to become a gateway? Takes a file or a channel link, answers on the spot, keeps nothing:
//! what is posted is neither written nor logged, and secrets in it are forgotten while it is read.

use axum::extract::Multipart;
use axum::extract::multipart::{MultipartError, MultipartRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use preflight::markdown::to_markdown;
use preflight::read::{FILE_BYTES_MAX, Unreadable};
use preflight::report::{Finding, Level, Report, Topic};
use tokio::sync::Semaphore;

use crate::assets::COPY;
use crate::layout::Section;
use crate::site::Visit;

/// Largest form: the largest file, and what browsers write around it.
pub const FORM_BYTES_MAX: usize = FILE_BYTES_MAX + 4096;
/// Files read at the same time; further visitors wait. Live pages must stay quick meanwhile.
const CHECKS_AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(CHECKS_AT_ONCE);

/// `GET /check`
pub async fn page(visit: Visit) -> Response {
    answer(&visit, StatusCode::OK, &html! {}, None)
}

/// `POST /check`
pub async fn check(visit: Visit, form: Result<Multipart, MultipartRejection>) -> Response {
    let sent = match form {
        Ok(form) => take(form).await,
        Err(_) => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    };
    let bytes = match sent {
        Ok(bytes) => bytes,
        Err(StatusCode::PAYLOAD_TOO_LARGE) => {
            return refuse(&visit, StatusCode::PAYLOAD_TOO_LARGE, &Unreadable::TooLarge.to_string());
        }
        Err(status) => return refuse(&visit, status, "The form did not arrive whole. Send it again."),
    };
    let expected = visit.site.info.expected.clone();
    let Ok(turn) = TURNS.acquire().await else {
        return refuse(
            &visit,
            StatusCode::SERVICE_UNAVAILABLE,
            "The program is stopping. Try again in a moment.",
        );
    };
    let read = tokio::task::spawn_blocking(move || {
        preflight::read::read(&bytes).map(|config| preflight::checks::check(&config, &expected))
    });
    let read = read.await;
    drop(turn);
    match read {
        Ok(Ok(report)) => answer(&visit, StatusCode::OK, &told(&report), Some(&report)),
        Ok(Err(Unreadable::Empty)) => refuse(
            &visit,
            StatusCode::UNPROCESSABLE_ENTITY,
            "Choose a file, or paste its text or a channel link.",
        ),
        Ok(Err(error)) => refuse(&visit, StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        Err(_) => refuse(&visit, StatusCode::INTERNAL_SERVER_ERROR, "This file could not be checked."),
    }
}

/// The chosen file, else what was pasted.
async fn take(mut form: Multipart) -> Result<Vec<u8>, StatusCode> {
    let failed = |error: MultipartError| error.status();
    let mut sent = Vec::new();
    while let Some(field) = form.next_field().await.map_err(failed)? {
        let is_ours = matches!(field.name(), Some("file" | "text"));
        let bytes = field.bytes().await.map_err(failed)?;
        if is_ours && sent.is_empty() && !bytes.trim_ascii().is_empty() {
            sent = bytes.to_vec();
        }
    }
    Ok(sent)
}

fn refuse(visit: &Visit, status: StatusCode, why: &str) -> Response {
    answer(visit, status, &html! { p.wrong role="alert" { (why) } }, None)
}

fn answer(visit: &Visit, status: StatusCode, result: &Markup, report: Option<&Report>) -> Response {
    let body = html! {
        h1 { "Check a node" }
        @if report.is_none() {
            p.lead { "Is your node ready to become a gateway of " (visit.site.info.mesh_name) "? Find out before you flip the switch." }
        (super::wiki::link("/checklist.md"))
        }
        (result)
        @match report {
            None => (form()),
            Some(_) => {
                h2 #again { "Check another" }
                (form())
            }
        }
    };
    (status, visit.page(Section::Check, "Check a node", &[&COPY], &body)).into_response()
}

fn form() -> Markup {
    html! {
        form.card.check-form method="post" action="/check" enctype="multipart/form-data" {
            div.field {
                label for="file" { "A file of your node" }
                input #file type="file" name="file" accept=".yaml,.yml,.cfg,.txt";
                span.hint {
                    "From a computer: " span.mono { "meshtastic --export-config > node.yaml" }
                    ". From the apps: the profile (.cfg) that they export."
                }
            }
            div.field {
                label for="text" { "Or paste it, or a channel link" }
                textarea.mono #text name="text" rows="5" spellcheck="false" autocapitalize="none" autocomplete="off"
                    placeholder="https://meshtastic.org/e/#…" {}
            }
            button.button { "Check" }
            p.small.soft {
                "It is read in memory and forgotten: nothing is stored or logged, and passwords and keys are dropped before "
                "anything is looked at. " span.mono { "backhaul check node.yaml" } " does the same on your own machine."
            }
        }
    }
}

fn told(report: &Report) -> Markup {
    let commands = report.commands();
    html! {
        @if report.is_ready() { div.banner.good role="status" { p { strong { (report.sentence()) } } (owner(report)) } }
        @else { div.banner.bad role="status" { p { strong { (report.sentence()) } } (owner(report)) } }
        @if !report.remarks.is_empty() {
            h2 { "Not understood" }
            ul { @for remark in &report.remarks { li { (remark) } } }
        }
        @if !commands.is_empty() {
            h2 #commands { "Change all of it" }
            p.soft { "With the node connected to a computer that has the " span.mono { "meshtastic" } " command:" }
            (copied("commands-text", &commands.join("\n"), "Copy all commands"))
        }
        @for topic in Topic::ALL { (of_topic(report, topic)) }
        h2 #markdown { "Keep or share this report" }
        details.card { summary { "As Markdown, for a wiki or a chat" }
            (copied("markdown-text", &to_markdown(report), "Copy Markdown"))
        }
    }
}

fn owner(report: &Report) -> Markup {
    html! { @if let Some(owner) = &report.owner { p.small { "Node " bdi { (owner) } } } }
}

/// Text with a button that copies it; the button shows itself where scripts run.
fn copied(id: &str, text: &str, label: &str) -> Markup {
    html! {
        pre.command id=(id) tabindex="0" { code { (text) } }
        button.button.plain type="button" data-copy=(id) hidden { (label) }
    }
}

fn of_topic(report: &Report, topic: Topic) -> Markup {
    let of_topic: Vec<&Finding> = report.findings.iter().filter(|f| f.topic == topic).collect();
    let (open, fine): (Vec<&Finding>, Vec<&Finding>) = of_topic.iter().partition(|f| f.level <= Level::Warn);
    let worst = of_topic.iter().map(|f| f.level).min();
    html! { @if let Some(worst) = worst {
        section.topic {
            h2 { (topic.heading()) " " (chip(worst)) }
            @for (index, finding) in open.iter().enumerate() {
                // The same check may speak of several channels: why is said once.
                @let is_first = index == 0 || open[index - 1].id != finding.id;
                article.card.finding id=[is_first.then_some(finding.id)] {
                    p { (chip(finding.level)) " " (finding.evidence) }
                    @if is_first { p.small.soft { (finding.why) } }
                    @for fix in &finding.fixes {
                        dl.facts.small {
                            dt { "In the app" } dd { (fix.app_path) }
                            @if let Some(command) = &fix.command { dt { "Command" } dd { code { (command) } } }
                        }
                    }
                }
            }
            @if !fine.is_empty() {
                details.fine { summary { span.small { (fine_words(&fine)) } }
                    ul { @for finding in fine { li { (chip(finding.level)) " " (finding.evidence) } } }
                }
            }
        }
    } }
}

fn fine_words(fine: &[&Finding]) -> String {
    let passed = fine.iter().filter(|f| f.level == Level::Pass).count();
    let points = |n: usize| if n == 1 { "1 point".to_owned() } else { format!("{n} points") };
    match (passed, fine.len() - passed) {
        (passed, 0) => format!("{} as it should be", points(passed)),
        (0, unknown) => format!("{} not in the file", points(unknown)),
        (passed, unknown) => format!("{} as it should be, {unknown} not in the file", points(passed)),
    }
}

fn chip(level: Level) -> Markup {
    let (class, word) = match level {
        Level::Fail => ("chip bad", "change"),
        Level::Warn => ("chip note", "think about"),
        Level::Unknown => ("chip off", "not in the file"),
        Level::Pass => ("chip good", "fine"),
    };
    html! { span class=(class) { (word) } }
}
