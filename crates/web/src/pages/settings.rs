//! `/settings`: what is configured, for those who see everything. Secrets are no part of it.

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::Setting;
use crate::layout::Section;
use crate::site::Visit;
use crate::words::count;

/// `GET /settings`
pub async fn page(visit: Visit) -> Response {
    let settings = &visit.site.info.settings;
    let chosen = settings.iter().filter(|setting| !setting.is_default).count() as u64;
    let mut tables: Vec<&str> = settings.iter().map(|setting| setting.table).collect();
    tables.dedup();
    let body = html! {
        h1 { "Settings" }
        p.lead { (chosen) " of " (count(settings.len() as u64, "key")) " chosen, the others as they come. They are read from the configuration file when the program starts." }
        div.row {
            @if visit.site.policy_desk.is_some() { a.button.plain href="/policy/change" { "Change the policy" } }
            a.button.plain href="/people" { "People" }
            a.button.plain href="/alerts" { "Alerts" }
            a.button.plain href="/about" { "Versions" }
        }
        @if chosen > 0 {
            h2 { "As you chose" }
            (table(settings.iter().filter(|setting| !setting.is_default), true))
        }
        h2 { "All of them" }
        div.card.steps { @for name in tables {
            details {
                summary { @if name.is_empty() { "Before the first table" } @else { "[" (name) "]" } }
                (table(settings.iter().filter(|setting| setting.table == name), false))
            }
        } }
        p.soft.small { "Keys of channels, bridges and listeners are in the file only. " code { "backhaul config docs" } " prints every key." }
    };
    visit.page(Section::Settings, "Settings", &[], &body).into_response()
}

fn table<'a>(settings: impl Iterator<Item = &'a Setting>, with_table: bool) -> Markup {
    html! {
        div.scroll.stack { table {
            thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "What it does" } } }
            tbody { @for setting in settings { tr {
                th scope="row" { span.mono { @if with_table && !setting.table.is_empty() { (setting.table) "." } (setting.key) } }
                td data-label="Value" { span.cell.mono { (setting.value) @if !setting.is_default && !with_table { " " span.chip.note { "chosen" } } } }
                td data-label="What it does" { span.cell.small { (setting.doc) } }
            } } }
        } }
    }
}
