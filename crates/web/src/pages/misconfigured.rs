//! `/misconfigured`: nodes whose owners should change a setting, each with a friendly text to send.

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::Mode;
use crate::advice::{Advice, advice, letter};
use crate::assets::COPY;
use crate::layout::Section;
use crate::site::{Visit, read};
use crate::words::{Nodes, count};

/// Nodes listed at most.
const NODES_MAX: usize = 100;

/// `GET /misconfigured`
pub async fn page(visit: Visit) -> Response {
    let body = visit.with_nodes(|nodes| {
        let mut found: Vec<(u32, Vec<Advice>)> = {
            let roster = read(&visit.site.roster);
            let judged = roster.habits().map(|(node, seen, habits)| {
                let mut habits = habits.clone();
                if visit.site.info.mode == Mode::Demo {
                    // A simulated city has a time of its own, which runs ahead.
                    habits.wrong_time_ms = None;
                }
                (node, advice(seen, &habits, visit.now_ms))
            });
            judged.filter(|(_, advice)| !advice.is_empty()).collect()
        };
        found.sort_by_key(|(node, advice)| (std::cmp::Reverse(advice.len()), *node));
        show(&visit, nodes, &found)
    });
    visit.page(Section::Misconfigured, "Settings to mend", &[&COPY], &body).into_response()
}

fn show(visit: &Visit, nodes: Nodes<'_>, found: &[(u32, Vec<Advice>)]) -> Markup {
    html! {
        h1 { "Settings to mend" }
        p.lead { @match found.len() {
            0 => "Nothing that was heard within three days asks for a word with its owner.",
            n => { (count(n as u64, "node")) " would do everybody a favour with another setting. Most owners do not know; a friendly word helps." }
        } }
        @if found.len() > NODES_MAX { p.soft { "The first " (NODES_MAX) "." } }
        div.cards { @for (node, advice) in found.iter().take(NODES_MAX) { (one(visit, nodes, *node, advice)) } }
    }
}

fn one(visit: &Visit, nodes: Nodes<'_>, node: u32, advice: &[Advice]) -> Markup {
    let text = letter(&nodes.text(node), &visit.site.info.mesh_name, advice);
    html! {
        section.card {
            h2 { (nodes.link(node)) " " span.mono.soft.small { (mesh::node::NodeNum(node)) } }
            ul.changes { @for one in advice { li {
                p { strong { (one.topic) } " " span.soft { (one.evidence) } }
            } } }
            details {
                summary { "A text to send" }
                @let id = format!("letter-{node:08x}");
                pre.command id=(id) { (text) }
                div.row { button.button.plain type="button" data-copy=(id) hidden { "Copy" } }
            }
        }
    }
}
