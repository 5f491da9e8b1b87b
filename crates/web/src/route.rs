//! One address of the site with what it needs, and the gate that asks. Knows no pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{self, MethodRouter};

use crate::site::{Site, Visit};
use crate::who::{Needs, Who};

/// One address of the site.
pub struct Route {
    /// How it is asked.
    pub method: Method,
    /// Its path; parts in braces are parameters.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    handler: MethodRouter<Arc<Site>>,
}

/// An address that is read.
pub fn get<H, T>(path: &'static str, needs: Needs, handler: H) -> Route
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    Route { method: Method::GET, path, needs, handler: routing::get(handler) }
}

/// An address that forms are sent to.
pub fn post<H, T>(path: &'static str, needs: Needs, handler: H) -> Route
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    Route { method: Method::POST, path, needs, handler: routing::post(handler) }
}

impl Route {
    /// The same, for forms of up to so many bytes.
    pub fn up_to(self, bytes: usize) -> Self {
        Self { handler: self.handler.layer(DefaultBodyLimit::max(bytes)), ..self }
    }

    /// Puts it behind its gate and onto the site.
    pub fn onto(self, site: &Arc<Site>, router: Router<Arc<Site>>) -> Router<Arc<Site>> {
        let gate = from_fn_with_state((site.clone(), self.needs), ask_at_the_gate);
        router.route(self.path, self.handler.route_layer(gate))
    }
}

/// Lets a request through to its page when whoever asks may.
async fn ask_at_the_gate(
    State((site, needs)): State<(Arc<Site>, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    if needs == Needs::Nothing {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Ok(visit) = Visit::from_request_parts(&mut parts, &site).await;
    if visit.who.may(needs) {
        // The page need not look the sign-in up again.
        parts.extensions.insert(visit);
        return next.run(Request::from_parts(parts, body)).await;
    }
    if parts.uri.path().starts_with("/api/") {
        return crate::api::wrong(
            if visit.who == Who::Anyone { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN },
            &format!("this is for the role {} and above, or a token that may as much", needs.word()),
        );
    }
    refusal(&visit, needs)
}

fn refusal(visit: &Visit, needs: Needs) -> Response {
    let role = match &visit.who {
        // Nobody learns from outside what there is.
        Who::Anyone => return visit.not_here("page"),
        Who::Owner(_) => "the owner of a gateway",
        Who::Person(_, role) => role.word(),
        Who::Program(_, scope) => scope.word(),
    };
    let text = format!("You are signed in as {role}. This is for the role {} and above.", needs.word());
    visit.trouble(StatusCode::FORBIDDEN, "Not for your role", &text)
}
