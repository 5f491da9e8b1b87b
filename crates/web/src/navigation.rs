//! The way around the site: the pages that most visitors want in a line, and every page in a menu by group. The menu is a
//! popover of the browser's: it opens and closes by button, keyboard and a touch beside it without a script, and lies open
//! in the page where a browser knows no popovers.

use maud::{Markup, html};

use crate::layout::{Frame, Section};
use crate::who::{Needs, Who};

/// One page of the menu.
struct Entry {
    section: Section,
    address: &'static str,
    text: &'static str,
    needs: Needs,
}

const fn open(section: Section, address: &'static str, text: &'static str) -> Entry {
    Entry { section, address, text, needs: Needs::Nothing }
}

const fn inside(section: Section, address: &'static str, text: &'static str) -> Entry {
    Entry { section, address, text, needs: Needs::Observer }
}

/// What stands in the line where there is room.
const LINE: [Entry; 7] = [
    open(Section::Status, "/", "Status"),
    open(Section::Log, "/log", "Log"),
    open(Section::Map, "/map", "Map"),
    open(Section::Nodes, "/nodes", "Nodes"),
    open(Section::Gateways, "/gateways", "Gateways"),
    open(Section::Channels, "/channels", "Channels"),
    open(Section::Airtime, "/airtime", "Airtime"),
];

/// Every page, by what brings people to it.
const GROUPS: [(&str, &[Entry]); 5] = [
    (
        "The mesh",
        &[
            open(Section::Status, "/", "Status"),
            open(Section::Nodes, "/nodes", "Nodes"),
            open(Section::Gateways, "/gateways", "Gateways"),
            open(Section::Channels, "/channels", "Channels"),
            open(Section::Chat, "/chat", "Chat"),
            open(Section::Log, "/log", "Log of packets"),
            open(Section::Incidents, "/incidents", "Incidents"),
        ],
    ),
    (
        "Where it reaches",
        &[
            open(Section::Map, "/map", "Map"),
            open(Section::None, "/coverage", "Coverage"),
            open(Section::None, "/links", "Links"),
            open(Section::None, "/compare", "Compare gateways"),
            open(Section::None, "/topology", "Topology"),
            open(Section::None, "/traceroutes", "Traceroutes"),
        ],
    ),
    (
        "Take part",
        &[
            open(Section::None, "/join", "Connect a gateway"),
            open(Section::Check, "/check", "Check a node’s settings"),
            open(Section::Reach, "/reach", "Who hears me?"),
            open(Section::None, "/request", "State of a request"),
            open(Section::None, "/forget", "Forget my node"),
        ],
    ),
    (
        "The rules",
        &[
            open(Section::Policy, "/policy", "Policy"),
            open(Section::Airtime, "/airtime", "Airtime"),
            open(Section::None, "/retention", "What is kept"),
            open(Section::None, "/api", "API"),
            open(Section::About, "/about", "About"),
        ],
    ),
    (
        "Operation",
        &[
            inside(Section::Requests, "/requests", "Requests"),
            inside(Section::Watch, "/watch", "Watch"),
            inside(Section::Misconfigured, "/misconfigured", "Settings to mend"),
            inside(Section::None, "/replays", "Replays"),
            inside(Section::None, "/downlink", "Downlink"),
            inside(Section::None, "/grants", "Grants"),
            inside(Section::Consent, "/consent", "Consent"),
            inside(Section::Alerts, "/alerts", "Alerts"),
            inside(Section::Bridges, "/bridges", "Bridges"),
            Entry { section: Section::None, address: "/erasure", text: "Erasure", needs: Needs::Operator },
            inside(Section::Settings, "/settings", "Settings"),
            Entry { section: Section::Tokens, address: "/tokens", text: "Tokens", needs: Needs::Operator },
            Entry { section: Section::People, address: "/people", text: "People", needs: Needs::Admin },
        ],
    ),
];

/// The navigation of a page.
pub fn navigation(frame: &Frame<'_>) -> Markup {
    html! {
        nav aria-label="Pages" {
            div.line { @for entry in &LINE { (link(frame, entry)) } }
            button.menu type="button" popovertarget="menu" {
                svg viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true" {
                    path d="M3 5h14M3 10h14M3 15h14" {}
                }
                "Menu"
            }
            div #menu popover { (groups(frame)) }
        }
    }
}

fn groups(frame: &Frame<'_>) -> Markup {
    html! {
        div.groups {
            @for (heading, entries) in GROUPS {
                @if entries.iter().any(|entry| frame.who.may(entry.needs)) {
                    section {
                        p.heading { (heading) }
                        ul { @for entry in entries.iter().filter(|entry| frame.who.may(entry.needs)) {
                            li { (link(frame, entry)) }
                        } }
                    }
                }
            }
            section {
                p.heading { "You" }
                ul { (you(frame)) }
            }
        }
    }
}

fn you(frame: &Frame<'_>) -> Markup {
    html! {
        @match frame.who {
            Who::Anyone => li { (link(frame, &open(Section::SignIn, "/login", "Sign in"))) },
            Who::Owner(_) => li { a href="/mine" { "My gateway" } },
            Who::Person(..) | Who::Program(..) => {}
        }
        @if *frame.who != Who::Anyone {
            li { form method="post" action="/logout" { button.linklike { "Sign out" } } }
        }
    }
}

fn link(frame: &Frame<'_>, entry: &Entry) -> Markup {
    let is_here = entry.section != Section::None && frame.section == entry.section;
    html! { a href=(entry.address) aria-current=[is_here.then_some("page")] { (entry.text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_leads_to_a_page_that_is_not_for_fewer_than_it_is_shown_to() {
        let routes = crate::routes::site_map();
        for entry in LINE.iter().chain(GROUPS.iter().flat_map(|(_, entries)| entries.iter())) {
            let route = routes.iter().find(|route| route.path == entry.address && route.method == "GET");
            let route = route.unwrap_or_else(|| panic!("{} leads nowhere", entry.address));
            assert!(route.needs <= entry.needs, "{} is shown to some who may not see it", entry.address);
        }
    }
}
