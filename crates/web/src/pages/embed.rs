//! `/embed/map`: the map alone, for a frame in a community's own page. It shows what everybody may see.

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};

use crate::assets::{MAP, STYLE};
use crate::pages::map;
use crate::pages::survey_frame::Asked;
use crate::security;
use crate::site::Visit;

/// `GET /embed/map`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(&visit, query.as_deref());
    let mesh_name = &visit.site.info.mesh_name;
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Map · " (mesh_name) }
                link rel="stylesheet" href=(STYLE.address());
                script type="module" src=(MAP.address()) {}
            }
            body.embed {
                main {
                    h1.unseen { "Map of " (mesh_name) }
                    (map::canvas(&visit, &asked, true))
                }
                footer { a href=(asked.at("/map")) target="_blank" rel="noopener" { (mesh_name) } }
            }
        }
    };
    let mut response = body.into_response();
    map::allow_tiles(&visit, &mut response, security::FRAMED_CONTENT_SECURITY_POLICY);
    response.extensions_mut().insert(security::Framable);
    response
}
