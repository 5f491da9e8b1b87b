//! `/about`: what this is, in which version, and whose work is inside, with licences.

use axum::response::{IntoResponse, Response};
use maud::html;

use crate::layout::Section;
use crate::moment;
use crate::site::Visit;

/// Crates inside the program, one in a line: name, version, licence. `cargo xtask licences` writes it.
const LICENCES: &str = include_str!("../../assets/licences.txt");
/// What else is inside: files of others beside the pages, with where they come from.
const VENDORED: [(&str, &str, &str); 2] = [
    ("MapLibre GL JS", "BSD-3-Clause", "draws the map"),
    ("us-atlas and world-atlas, of US Census Bureau and Natural Earth data", "ISC", "outlines under the map"),
];

/// `GET /about`
pub async fn page(visit: Visit) -> Response {
    let crates = || {
        LICENCES.lines().filter_map(|line| {
            let mut parts = line.split('\t');
            Some((parts.next()?, parts.next()?, parts.next()?))
        })
    };
    let body = html! {
        h1 { "About" }
        p.lead { "Backhaul is the controlled MQTT backhaul of a community LoRa mesh: it carries packets between gateways by rules that everybody can read, and remembers why." }
        div.card { dl.facts.flush {
            dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) }
            dt { "Running since" } dd { (moment::clock(visit.site.info.started_ms, visit.now_ms)) " " (moment::age(visit.site.info.started_ms, visit.now_ms)) }
            dt { "Licence" } dd { (env!("CARGO_PKG_LICENSE")) }
        } }
        p { "Three promises: nothing that enters by MQTT can drown the radio; nothing leaves that its sender did not agree to share; every decision can be looked up afterwards." }
        div.row { a.button.plain href="/policy" { "The rules" } a.button.plain href="/retention" { "What is kept" } a.button.plain href="/api" { "API" } }
        h2 { "What others made" }
        p.soft { "The program contains " (crates().count()) " crates of others, and these files:" }
        div.scroll.stack { table {
            thead { tr { th scope="col" { "What" } th scope="col" { "Licence" } th scope="col" { "For" } } }
            tbody { @for (name, licence, purpose) in VENDORED { tr { th scope="row" { (name) } td data-label="Licence" { span.cell { (licence) } } td data-label="For" { span.cell { (purpose) } } } } }
        } }
        details.fold {
            summary { "The crates with their licences" }
            div.scroll tabindex="0" role="group" aria-label="Crates" { table {
                thead { tr { th scope="col" { "Crate" } th scope="col" { "Version" } th scope="col" { "Licence" } } }
                tbody { @for (name, version, licence) in crates() { tr { th.mono scope="row" { (name) } td.mono { (version) } td { (licence) } } } }
            } }
        }
    };
    visit.page(Section::About, "About", &[], &body).into_response()
}
