//! `/map`: the frame of the map. What it draws comes from the API, by `map.js`; the other tabs have it as tables.

use axum::extract::RawQuery;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::assets::{MAP, MAPLIBRE, MAPLIBRE_WORKER, OUTLINES};
use crate::layout::Section;
use crate::moment;
use crate::pages::survey_frame::Asked;
use crate::security;
use crate::site::Visit;

/// Where background pictures come from, when the operator wants some.
#[derive(Debug, Clone)]
pub struct MapTiles {
    /// Address with `{z}`, `{x}` and `{y}`.
    pub url: String,
    /// Whom to thank, as plain text.
    pub attribution: String,
}

impl MapTiles {
    /// Scheme and host, for what the browser may load; `None` when the address has none.
    fn origin(&self) -> Option<&str> {
        let start = self.url.find("://")? + 3;
        let end = self.url[start..].find('/').map_or(self.url.len(), |at| start + at);
        let origin = &self.url[..end];
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '.' | '-' | '[' | ']');
        (end > start && origin.chars().all(is_plain)).then_some(origin)
    }
}

/// `GET /map`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(&visit, query.as_deref());
    let body = html! {
        (asked.head(&visit, "/map", "Map", None))
        (canvas(&visit, &asked, false))
        section #map-log hidden {
            h2 { "Received in this time" }
            p.soft { a href="/log" data-follows="/log" { "All of it in the log" } }
            div #map-rows aria-live="off" {}
        }
        noscript { p { "The map needs JavaScript. " a href=(asked.at("/coverage")) { "Coverage" } ", " a href=(asked.at("/links")) { "links" }
            " and " a href=(asked.at("/topology")) { "topology" } " show the same without." } }
    };
    let mut response = visit.page(Section::Map, "Map", &[&MAP], &body).into_response();
    allow_tiles(&visit, &mut response, security::CONTENT_SECURITY_POLICY);
    response
}

/// The map with what is chosen on it. `is_public`: for everybody's eyes, whoever is signed in.
pub fn canvas(visit: &Visit, asked: &Asked, is_public: bool) -> Markup {
    let tiles = visit.site.info.map_tiles.as_ref().filter(|tiles| tiles.origin().is_some());
    let layers = [("hexagons", "Coverage"), ("links", "Links"), ("nodes", "Nodes"), ("circles", "Precision")];
    html! {
        p.soft #map-status role="status" { "Loading the map…" }
        div.map #map role="application" aria-label="Map of nodes, links and coverage"
            data-library=(MAPLIBRE.address()) data-worker=(MAPLIBRE_WORKER.address()) data-outlines=(OUTLINES.address())
            data-tiles=[tiles.map(|tiles| &tiles.url)] data-public=[is_public.then_some("yes")]
            data-since=(moment::iso(asked.window.since_ms)) data-until=(moment::iso(asked.window.until_ms)) {
            div.zoom #map-zoom hidden {
                button.button.plain type="button" data-zoom="1" aria-label="Closer" { "+" }
                button.button.plain type="button" data-zoom="-1" aria-label="Further away" { "−" }
            }
        }
        @if let Some(tiles) = tiles { p.soft { "Background: " (tiles.attribution) } }
        p.card #map-details role="status" hidden {}
        form.card #map-choices hidden {
            div.row {
                @for (layer, text) in layers {
                    label.inline { input type="checkbox" name="show" value=(layer) checked; " " (text) }
                }
                label.inline { "Coverage by " select name="by" {
                    option value="" { "best signal" }
                    option value="gateways" { "number of gateways" }
                } }
            }
            div.fields.wide {
                label { "From" input type="range" name="from"; }
                label { "To" input type="range" name="to"; }
            }
            div.row {
                p.soft { "Shown: " span #map-span {} " UTC. " }
                button.button.plain #map-play type="button" aria-pressed="false" { "Play" }
                button.button.plain #map-earlier type="button" { "Earlier" }
                button.button.plain #map-later type="button" { "Later" }
            }
        }
    }
}

/// Lets the answer load pictures from where the operator wants them, and from nowhere else.
pub fn allow_tiles(visit: &Visit, response: &mut Response, policy: &'static str) {
    let origin = visit.site.info.map_tiles.as_ref().and_then(MapTiles::origin);
    let policy = match origin {
        Some(origin) => format!("{policy}; img-src 'self' data: {origin}; connect-src 'self' {origin}"),
        None => policy.to_owned(),
    };
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_tiles_cannot_widen_the_policy() {
        let check = |url: &str, expected: Option<&str>| {
            let tiles = MapTiles { url: url.to_owned(), attribution: String::new() };
            assert_eq!(tiles.origin(), expected, "{url}");
        };
        check("https://tiles.example.org/{z}/{x}/{y}.png", Some("https://tiles.example.org"));
        check("http://localhost:8081/{z}/{x}/{y}.png", Some("http://localhost:8081"));
        check("https://a.example.org; script-src */x", None);
        check("https:///x", None);
        check("tiles/{z}", None);
    }
}
