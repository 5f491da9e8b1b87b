//! `/bridges`: the other brokers that packets are exchanged with, what crossed and what did not.

use axum::response::{IntoResponse, Redirect, Response};
use bridge::status::Connection;
use bridge::{LaneStatus, Status};
use maud::{Markup, html};

use crate::layout::Section;
use crate::site::Visit;
use crate::words::number;

/// `GET /bridges`
pub async fn page(visit: Visit) -> Response {
    if !visit.sight.is_operator() {
        return Redirect::to("/login").into_response();
    }
    let all = (visit.site.bridges)();
    let body = html! {
        h1 { "Bridges" }
        p.lead { "Other brokers that packets are exchanged with. Only what its sender agreed to leaves, and no packet crosses twice." }
        @if all.is_empty() { (none_yet()) }
        @for status in &all { (one(status)) }
    };
    visit.page(Section::Bridges, "Bridges", &[], &body).into_response()
}

fn none_yet() -> Markup {
    html! {
        p { "There is none. A bridge is a table in the configuration file:" }
        pre { code {
            "[[bridge]]\nname = \"topeka\"\nhost = \"mqtt.example.org\"\nusername = \"bridge-kc\"\npassword_file = \"topeka.password\"\nroot_there = \"msh/US/KS\"\n"
        } }
        p { "It carries texts both ways until you say otherwise. For another Backhaul that should come in here, "
            code { "backhaul bridge add NAME" } " makes a credential." }
    }
}

fn one(status: &Status) -> Markup {
    let is_up = status.there == Connection::Up && status.here == Connection::Up;
    html! {
        section.card {
            h2 { (status.name) " " @if is_up { span.chip.good { "up" } } @else { span.chip.bad { (status.there.word()) } } }
            @if let Some(trouble) = status.trouble.as_deref().filter(|_| !is_up) {
                div.banner.bad { p { (trouble) " It is tried again by itself." } }
            }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Direction" }
                    th.n scope="col" { "Crossed" }
                    th.n scope="col" { "Waiting" }
                    th.n scope="col" { "Airtime of the last hour" }
                    th scope="col" { "Did not cross" }
                } }
                tbody { (lane("Out", &status.outward)) (lane("In", &status.inward)) }
            } }
        }
    }
}

fn lane(direction: &str, lane: &LaneStatus) -> Markup {
    html! { tr {
        th scope="row" { (direction) }
        @if lane.is_open {
            td.n { (number(lane.crossed)) }
            td.n { (number(lane.waiting as u64)) }
            td.n { (number(lane.airtime_ms / 1000)) " s" }
            td {
                @if lane.held.is_empty() { span.soft { "everything did" } }
                @else { ul.plain { @for (why, count) in &lane.held { li { (number(*count)) ": " (why.sentence()) } } } }
            }
        } @else { td colspan="4" { span.soft { "Nothing crosses in this direction." } } }
    } }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bridge::Held;

    use super::*;

    #[test]
    fn a_bridge_that_is_down_says_what_to_do() {
        let status = Status {
            name: "topeka".into(),
            there: Connection::Down,
            here: Connection::Up,
            since_ms: 0,
            trouble: Some("`mqtt.example.org` is not found.".into()),
            outward: LaneStatus {
                is_open: true,
                crossed: 1_234,
                held: BTreeMap::from([(Held::Consent, 5)]),
                ..LaneStatus::default()
            },
            inward: LaneStatus::default(),
        };
        let text = one(&status).into_string();
        for part in
            ["topeka", "down", "is not found", "234", "5: its sender has not agreed", "Nothing crosses"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
