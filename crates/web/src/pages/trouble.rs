//! Pages for when something is not there or not right: each says what to do next.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::layout::{self, Frame, Section};
use crate::site::Visit;
use crate::who::Who;

/// The middle of such a page.
pub fn body(title: &str, what_to_do: &str, who: &Who) -> Markup {
    html! {
        h1 { (title) }
        p.lead { (what_to_do) }
        div.row {
            a.button href="/" { "Status" }
            a.button.plain href="/log" { "Log" }
            @if *who == Who::Anyone { a.button.plain href="/login" { "Sign in" } }
        }
    }
}

/// A whole page, made without knowing the site.
pub fn page(title: &str, what_to_do: &str) -> Markup {
    let (who, section) = (&Who::Anyone, Section::None);
    let frame = Frame { title, mesh_name: "", who, section, scripts: &[], now_ms: None };
    layout::document(&frame, &body(title, what_to_do, who))
}

/// Any address that is not in the site map.
pub async fn no_such_page(visit: Visit) -> Response {
    visit.trouble(
        StatusCode::NOT_FOUND,
        "No such page",
        "Nothing is at this address. Packets are at /packet/!sender/id and nodes at /node/!id, \
         where an id is ! and eight hexadecimal digits.",
    )
}

/// A method that an address does not have.
pub async fn wrong_method(visit: Visit) -> Response {
    visit.trouble(
        StatusCode::METHOD_NOT_ALLOWED,
        "This address does not work that way",
        "Open it from a page here: some addresses are only for forms, others only for reading.",
    )
}
