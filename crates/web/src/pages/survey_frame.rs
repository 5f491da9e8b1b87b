//! What the pages about coverage and links share: their tabs, the choice of a time, how far back they came.

use std::sync::Arc;

use axum::response::Response;
use maud::{Markup, html};
use mesh::node::NodeNum;

use crate::moment;
use crate::site::Visit;
use crate::surveys::Surveyed;
use crate::window::Window;
use crate::words::count;

/// The pages, in the order of their tabs.
const TABS: [(&str, &str); 6] = [
    ("/map", "Map"),
    ("/coverage", "Coverage"),
    ("/links", "Links"),
    ("/compare", "Compare"),
    ("/traceroutes", "Traceroutes"),
    ("/topology", "Topology"),
];
/// Times to choose from.
const SPANS: [(&str, &str, i64); 5] = [
    ("1h", "1 h", 3_600_000),
    ("6h", "6 h", 21_600_000),
    ("24h", "24 h", 86_400_000),
    ("3d", "3 d", 259_200_000),
    ("7d", "7 d", 604_800_000),
];

/// A page's question, taken out of its address.
pub struct Asked {
    /// The window.
    pub window: Window,
    /// What was not understood.
    pub trouble: Option<String>,
    pairs: Vec<(String, String)>,
}

impl Asked {
    /// Reads an address.
    pub fn parse(visit: &Visit, query: Option<&str>) -> Self {
        let query = query.unwrap_or_default();
        let (window, trouble) = Window::parse(visit, query);
        Self { window, trouble, pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
    }

    /// The same question about the time before.
    pub fn before(&self) -> Self {
        Self { window: self.window.before(), trouble: None, pairs: self.pairs.clone() }
    }

    /// A parameter, when it says something.
    pub fn get(&self, wanted: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(name, _)| name == wanted)?;
        Some(found.1.trim()).filter(|value| !value.is_empty())
    }

    /// A parameter that names a node.
    pub fn node(&self, wanted: &str) -> Option<u32> {
        self.get(wanted).and_then(NodeNum::parse).map(|node| node.0)
    }

    /// This view at a path with some parameters set; those set to nothing are left out.
    pub fn with(&self, path: &str, set: &[(&str, &str)]) -> String {
        let kept = self.pairs.iter().filter(|(name, _)| set.iter().all(|(other, _)| other != name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        address(path, kept.chain(set.iter().copied()))
    }

    /// This time at another path, without what else is asked for.
    pub fn at(&self, path: &str) -> String {
        let is_time = |name: &str| matches!(name, "since" | "until");
        let pairs = self.pairs.iter().filter(|(name, _)| is_time(name));
        address(path, pairs.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Hidden fields of a form that keep the time.
    pub fn hidden_time(&self) -> Markup {
        html! {
            @for name in ["since", "until"] {
                @if let Some(value) = self.get(name) { input type="hidden" name=(name) value=(value); }
            }
        }
    }

    /// What whoever asks may see of the window.
    pub async fn survey(&self, visit: &Visit) -> Result<Arc<Surveyed>, Response> {
        let site = &visit.site;
        site.surveys
            .of(&site.archive, self.window, &visit.sight, visit.now_ms)
            .await
            .map_err(|_| visit.history_failed())
    }

    /// Tabs, times and how far back the page came.
    pub fn head(&self, visit: &Visit, path: &str, title: &str, surveyed: Option<&Surveyed>) -> Markup {
        let span = self.window.until_ms - self.window.since_ms;
        let log = address("/log", self.window.pairs().iter().map(|(name, value)| (*name, value.as_str())));
        html! {
            h1 { (title) }
            nav.tabs aria-label="Coverage and links" {
                @for (address, text) in TABS {
                    a href=(self.at(address)) aria-current=[(address == path).then_some("page")] { (text) }
                }
            }
            nav.tabs.small aria-label="Time" {
                @for (since, text, ms) in SPANS {
                    @let is_it = (span - ms).abs() <= 60_000 && self.get("until").is_none();
                    a href=(self.with(path, &[("since", since), ("until", ""), ("q", "")])) aria-current=[is_it.then_some("true")] { (text) }
                }
                a href=(log) { "Log of this time" }
            }
            @if let Some(trouble) = &self.trouble { p.wrong role="status" { (trouble) } }
            p.soft {
                (moment::clock(self.window.since_ms, visit.now_ms)) " to " (moment::clock(self.window.until_ms, visit.now_ms)) " UTC"
                @if let Some(surveyed) = surveyed {
                    ": " (count(surveyed.walked.rows, "reception")) " looked at"
                    @if surveyed.walked.is_cut_short {
                        ". " strong { "This is too much for one page: it shows what came after "
                            (moment::clock(surveyed.walked.since_ms, visit.now_ms)) "." } " Choose an earlier time to see what came before."
                    }
                    @if surveyed.survey.beyond() > 0 { " " (count(surveyed.survey.beyond(), "thing")) " beyond the limits of a page left out." }
                }
            }
        }
    }
}

fn address<'a>(path: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    pairs.filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| {
        query.append_pair(name, value);
    });
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Metres as people read them.
pub fn distance(metres: f64) -> String {
    if metres < 1000.0 { format!("{metres:.0} m") } else { format!("{:.1} km", metres / 1000.0) }
}

/// Signal-to-noise ratio, or a dash where nobody measured it.
pub fn snr(snr: Option<f64>) -> String {
    snr.map_or_else(|| "–".to_owned(), |snr| format!("{snr:.1} dB").replace('-', "−"))
}
