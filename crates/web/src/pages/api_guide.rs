//! `/api`: the questions that programs can ask, from the table that the routes come from.

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::api::{ENDPOINTS, Endpoint};
use crate::layout::Section;
use crate::site::Visit;

/// `GET /api`
pub async fn page(visit: Visit) -> Response {
    let body = html! {
        h1 { "API" }
        p.lead { "What these pages show, for programs. Answers are JSON, for the same eyes as the pages." }
        p { "Filters are those of the log. " code { "cursor" } " leads from page to page, streams go on where they were left, and "
            a href="/api/v1/openapi.json" { "openapi.json" } " describes everything for generators." }
        @for endpoint in ENDPOINTS { (one(endpoint)) }
    };
    visit.page(Section::None, "API", &[], &body).into_response()
}

fn one(endpoint: &Endpoint) -> Markup {
    html! {
        section.card {
            h2.mono { a href=(example(endpoint)) { (endpoint.path) } }
            p { (endpoint.summary) }
            @if !endpoint.parameters.is_empty() {
                dl.facts { @for parameter in endpoint.parameters {
                    dt.mono { (parameter.name) }
                    dd { (parameter.doc) }
                } }
            }
        }
    }
}

/// An address that works, with every parameter that stands in the path.
fn example(endpoint: &Endpoint) -> String {
    endpoint.parameters.iter().fold(endpoint.path.to_owned(), |path, parameter| {
        path.replace(&format!("{{{}}}", parameter.name), parameter.example)
    })
}
