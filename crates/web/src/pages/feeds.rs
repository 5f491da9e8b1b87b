//! What others may show or follow without asking: places of nodes as GeoJSON, what happened as Atom. Always what everybody may
//! see, whoever is signed in.

use atom_syndication::{Content, Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use history::Came;
use insight::geojson;
use mesh::node::NodeNum;
use serde_json::json;

use crate::moment;
use crate::pages::incidents;
use crate::site::Visit;
use crate::visibility::Visitor;
use crate::window::Window;

const DAY_MS: i64 = 86_400_000;
/// How far back places are looked for.
const PLACES_SINCE_MS: i64 = 7 * DAY_MS;
/// How far back the feed of what happened goes.
const HAPPENED_SINCE_MS: i64 = 30 * DAY_MS;
/// A gateway that is away for less is not worth an entry.
const AWAY_MS: i64 = 15 * 60_000;
/// Entries of the feed.
const ENTRIES_MAX: usize = 60;
/// Changes of one gateway's connection that are looked at.
const CHANGES_MAX: usize = 200;

/// `GET /feeds/nodes.geojson`
pub async fn nodes(visit: Visit, asked: HeaderMap) -> Response {
    let sight = visit.site.sight(Visitor::Public);
    let until_ms = visit.now_ms.div_euclid(60_000) * 60_000 + 60_000;
    let window = Window { since_ms: until_ms - PLACES_SINCE_MS, until_ms };
    let site = &visit.site;
    let Ok(surveyed) = site.surveys.of(&site.archive, window, &sight, visit.now_ms).await else {
        return visit.history_failed();
    };
    let names = crate::site::read(&site.names);
    let name = |node| names.of(node, Visitor::Public).map(|name| name.shown().to_owned());
    let mut told = geojson::collection(geojson::nodes(&surveyed.survey, &name));
    drop(names);
    told["attribution"] = json!(site.info.mesh_name);
    for_everybody(&asked, "application/geo+json", told.to_string())
}

/// `GET /feeds/status.atom`
pub async fn happened(visit: Visit, asked: HeaderMap) -> Response {
    let since_ms = visit.now_ms - HAPPENED_SINCE_MS;
    let start = visit.site.info.public_url.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
    let mut told: Vec<Told> = Vec::new();
    let Ok(incidents) = visit.site.account.at_the_desk(|store| store.incidents()).await else {
        return visit.history_failed();
    };
    for incident in incidents.iter().filter(|incident| incident.form.is_public) {
        told.push(Told {
            id: format!("incident-{}", incident.number),
            at_ms: incident.closed_ms.unwrap_or(incident.made_ms).max(incident.made_ms),
            title: format!(
                "{}{}",
                if incident.closed_ms.is_some() { "Closed: " } else { "" },
                incident.form.title
            ),
            words: incident.form.notes.clone(),
            path: incidents::address(incident.number),
        });
    }
    let Ok(changes) = visit.site.archive.policy_changes(since_ms, visit.now_ms + 1).await else {
        return visit.history_failed();
    };
    told.extend(changes.iter().map(|change| Told {
        id: format!("policy-{}", change.at_ms),
        at_ms: change.at_ms,
        title: "The policy was changed".to_owned(),
        words: change.changes.join("\n"),
        path: "/policy".to_owned(),
    }));
    match away(&visit, since_ms).await {
        Ok(away) => told.extend(away),
        Err(_) => return visit.history_failed(),
    }
    told.retain(|one| one.at_ms >= since_ms);
    told.sort_by_key(|one| std::cmp::Reverse(one.at_ms));
    told.truncate(ENTRIES_MAX);
    let address = |path: &str| format!("{start}{path}");
    let mesh_name = visit.site.info.mesh_name.clone();
    let feed = Feed {
        title: Text::plain(mesh_name.clone()),
        id: format!("urn:backhaul:{}", if start.is_empty() { &mesh_name } else { &start }),
        updated: date(told.first().map_or(visit.site.info.started_ms, |one| one.at_ms)),
        authors: vec![Person { name: mesh_name, ..Person::default() }],
        generator: Some(Generator { value: "Backhaul".to_owned(), ..Generator::default() }),
        links: vec![
            Link { href: address("/feeds/status.atom"), rel: "self".to_owned(), ..Link::default() },
            Link { href: address("/"), ..Link::default() },
        ],
        entries: told.into_iter().map(|one| one.entry(&start)).collect(),
        ..Feed::default()
    };
    for_everybody(&asked, "application/atom+xml; charset=utf-8", feed.to_string())
}

/// Something that happened.
struct Told {
    id: String,
    at_ms: i64,
    title: String,
    words: String,
    path: String,
}

impl Told {
    fn entry(self, start: &str) -> Entry {
        Entry {
            title: Text::plain(self.title),
            id: format!("urn:backhaul:{start}:{}", self.id),
            updated: date(self.at_ms),
            links: vec![Link { href: format!("{start}{}", self.path), ..Link::default() }],
            content: (!self.words.is_empty()).then(|| Content {
                value: Some(self.words),
                content_type: Some("text".to_owned()),
                ..Content::default()
            }),
            ..Entry::default()
        }
    }
}

/// Gateways that went and came back, or have not yet.
async fn away(visit: &Visit, since_ms: i64) -> Result<Vec<Told>, crate::archive::Unreadable> {
    let until_ms = visit.now_ms + 1;
    let (gateways, _) = visit.heard();
    let mut told = Vec::new();
    for gateway in gateways {
        let changes = visit
            .site
            .archive
            .ask(move |reader| reader.connections_of(gateway, since_ms, until_ms, CHANGES_MAX))
            .await?;
        let name = {
            let names = crate::site::read(&visit.site.names);
            names
                .of(gateway, Visitor::Public)
                .map_or_else(|| NodeNum(gateway).to_string(), |name| name.shown().to_owned())
        };
        let path = format!("/gateway/{}", NodeNum(gateway));
        // Newest first: what follows a change is the one before it in the list.
        let mut next_in_ms = None;
        for change in &changes {
            match change.came {
                Came::In => next_in_ms = Some(change.at_ms),
                Came::Out => {
                    let back_ms = next_in_ms.take();
                    let lasted_ms = back_ms.unwrap_or(visit.now_ms) - change.at_ms;
                    if lasted_ms >= AWAY_MS {
                        let (title, at_ms) = match back_ms {
                            Some(back_ms) => {
                                (format!("{name} is back after {}", moment::duration(lasted_ms)), back_ms)
                            }
                            None => (format!("{name} went away"), change.at_ms),
                        };
                        told.push(Told {
                            id: format!("away-{}-{}", NodeNum(gateway), change.at_ms),
                            at_ms,
                            title,
                            words: String::new(),
                            path: path.clone(),
                        });
                    }
                }
                Came::Refused | Came::Moved => {}
            }
        }
    }
    Ok(told)
}

fn date(at_ms: i64) -> FixedDateTime {
    moment::iso(at_ms).parse().unwrap_or_default()
}

/// An answer that any page may read and any cache may keep for a minute.
fn for_everybody(asked: &HeaderMap, kind: &'static str, body: String) -> Response {
    let tag = crate::api::tag_of(body.as_bytes());
    let mut response = match crate::api::has_it(asked, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, kind)], body).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}
