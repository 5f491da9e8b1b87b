//! `/api`: the questions that programs can ask, from the table that the routes come from.

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::api::{ENDPOINTS, Endpoint};
use crate::assets::COPY;
use crate::layout::Section;
use crate::site::Visit;

/// `GET /api`
pub async fn page(visit: Visit) -> Response {
    let body = html! {
        h1 { "API" }
        p.lead { "What these pages show, for programs. Answers are JSON, for the same eyes as the pages." }
        p { "Filters are those of the log. " code { "cursor" } " leads from page to page, streams go on where they were left, and "
            a href="/api/v1/openapi.json" { "openapi.json" } " describes everything for generators." }
        (feeds(&visit))
        h2 #questions { "Questions" }
        @for endpoint in ENDPOINTS { (one(endpoint)) }
    };
    visit.page(Section::None, "API", &[&COPY], &body).into_response()
}

/// What others can show or follow.
fn feeds(visit: &Visit) -> Markup {
    let start = visit.site.info.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    html! {
        h2 #feeds { "Feeds" }
        p { "For a community’s own page and for readers of news. They hold what everybody may see, whoever is signed in." }
        dl.facts {
            dt { a href="/feeds/status.atom" { "status.atom" } } dd { "What happened within thirty days: incidents, changes of the policy, gateways that went and came back." }
            dt { a href="/feeds/nodes.geojson" { "nodes.geojson" } } dd { "Where nodes say they are, within seven days, as GeoJSON." }
            dt { a href="/embed/map" { "The map alone" } } dd { "For a frame in another page. " code { "at=ZOOM/NORTH/EAST" } ", " code { "since=24h" } " and " code { "hide=links,circles" } " say what it shows:" }
        }
        pre.card.mono { "<iframe src=\"" (start) "/embed/map?since=24h\" width=\"100%\" height=\"480\" title=\"Map of the mesh\"></iframe>" }
    }
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
