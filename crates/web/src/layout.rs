//! The frame of every page: head, navigation, foot. Knows no content.

use maud::{DOCTYPE, Markup, html};

use crate::assets::{Asset, ICON, STYLE};
use crate::navigation::navigation;
use crate::who::Who;

/// Where in the site a page belongs, for the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Status.
    Status,
    /// Log and what it leads to.
    Log,
    /// Who there is.
    Nodes,
    /// Who uplinks.
    Gateways,
    /// What is spoken on.
    Channels,
    /// What was said.
    Chat,
    /// Who should change a setting.
    Misconfigured,
    /// How the program is set up.
    Settings,
    /// Versions and licences.
    About,
    /// What happened, and seeing it again.
    Incidents,
    /// Who hears a node that sends a code.
    Reach,
    /// Who hears whom, and where.
    Map,
    /// The rules.
    Policy,
    /// What wants the operator's eye.
    Watch,
    /// Is a node fit to become a gateway?
    Check,
    /// What left with whose agreement.
    Consent,
    /// What somebody must know.
    Alerts,
    /// Other brokers.
    Bridges,
    /// What downlink has used up.
    Airtime,
    /// Who wants to connect a gateway.
    Requests,
    /// Which programs ask.
    Tokens,
    /// Who may sign in.
    People,
    /// Signing in.
    SignIn,
    /// None of them.
    None,
}

/// What the frame shows around a page.
pub struct Frame<'a> {
    /// Title of the page, without the mesh's name.
    pub title: &'a str,
    /// Name of the mesh; empty when a page is made without knowing it.
    pub mesh_name: &'a str,
    /// Who looks.
    pub who: &'a Who,
    /// Where the page belongs.
    pub section: Section,
    /// When the page was made, Unix ms, so that ages on it can go on; `None` when it has none.
    pub now_ms: Option<i64>,
    /// Scripts of the page.
    pub scripts: &'a [&'a Asset],
}

/// A whole document.
pub fn document(frame: &Frame<'_>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-now=[frame.now_ms] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (frame.title) @if !frame.mesh_name.is_empty() { " · " (frame.mesh_name) } }
                link rel="stylesheet" href=(STYLE.address());
                link rel="icon" type="image/svg+xml" href=(ICON.address());
                link rel="alternate" type="application/atom+xml" title="What happened" href="/feeds/status.atom";
                @for script in frame.scripts { script type="module" src=(script.address()) {} }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.top { div.page { (brand(frame.mesh_name)) (navigation(frame)) } }
                main.page #content { (body) }
                footer.foot { div.page {
                    p { "Times are UTC. " (statement(frame.who)) }
                    p { "Backhaul " (env!("CARGO_PKG_VERSION")) " · " a href="/join" { "Connect a gateway" } " · " a href="/retention" { "What is kept" } " · " a href="/api" { "API" } }
                } }
            }
        }
    }
}

fn statement(who: &Who) -> String {
    let public = "These pages show packets whose senders agreed to MQTT, on channels that anyone can read. \
                  Positions are cut to about 1.5 km.";
    match who {
        Who::Anyone => public.to_owned(),
        Who::Owner(gateway) => format!("You are signed in as the owner of {gateway}. {public}"),
        Who::Person(name, role) => {
            format!("You are signed in as {name} ({role}) and see everything that is kept.")
        }
        Who::Program(name, scope) => format!("This is for {name}, which may {scope}."),
    }
}

fn brand(mesh_name: &str) -> Markup {
    html! {
        a.brand href="/" {
            // Three up-chirps: what a LoRa symbol looks like over time.
            svg viewBox="0 0 26 26" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" aria-hidden="true" {
                path d="M3 22 9 4M10 22l6-18M17 22l6-18" {}
            }
            span { @if mesh_name.is_empty() { "Backhaul" } @else { (mesh_name) " " small { "backhaul" } } }
        }
    }
}
