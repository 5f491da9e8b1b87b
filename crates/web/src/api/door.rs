//! Before every answer of the API: whose token came with the question, and whether too many came before it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use policy::throttle::network;

use super::wrong;
use crate::site::{Site, Visit};
use crate::who::Who;

/// Askers remembered; beyond that, those who asked longest ago are forgotten.
const ASKERS_MAX: usize = 10_000;
/// A token is short; anything longer is not looked up.
const TOKEN_BYTES_MAX: usize = 128;
/// Addresses beside the API that programs ask with their tokens.
const FOR_PROGRAMS_TOO: [&str; 2] = ["/metrics", "/export"];
const MINUTE_MS: i64 = 60_000;

/// Who asks, as far as questions are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asker {
    From(IpAddr),
    Named(String),
    /// Who sent tokens that do not work.
    Guessing(IpAddr),
}

/// How often each may ask: so many a minute on average, and as many at once.
#[derive(Debug)]
pub struct Limits {
    per_address: u32,
    per_name: u32,
    /// When each would have been let in had they asked at an even pace, in µs.
    due: Mutex<HashMap<Asker, i64>>,
}

/// What somebody has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    limit: u32,
    /// Further questions at this moment.
    remaining: u32,
    /// Seconds until another is let in; 0 when one is now.
    wait_s: u64,
}

impl Limits {
    /// Questions a minute from one address without a sign-in, and of one person or token.
    pub fn new(per_address: u32, per_name: u32) -> Self {
        Self { per_address, per_name, due: Mutex::default() }
    }

    /// Whether somebody has nothing left at this moment.
    fn is_exhausted(&self, asker: &Asker, now_ms: i64) -> bool {
        let due = self.due.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let each = MINUTE_MS * 1_000 / i64::from(self.per_address.max(1));
        due.get(asker).is_some_and(|at| at + each - now_ms * 1_000 > MINUTE_MS * 1_000)
    }

    /// Counts a question, unless it comes too early.
    fn count(&self, asker: &Asker, now_ms: i64) -> Left {
        let limit = match asker {
            Asker::From(_) | Asker::Guessing(_) => self.per_address,
            Asker::Named(_) => self.per_name,
        };
        let (now, each) = (now_ms * 1_000, MINUTE_MS * 1_000 / i64::from(limit.max(1)));
        let room = MINUTE_MS * 1_000;
        let mut due = self.due.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if due.len() >= ASKERS_MAX && !due.contains_key(asker) {
            due.retain(|_, at| *at > now);
            if due.len() >= ASKERS_MAX {
                due.clear();
            }
        }
        let at = due.get(asker).copied().unwrap_or(now).max(now);
        let next = at + each;
        if next - now > room {
            let wait_us = next - now - room;
            return Left { limit, remaining: 0, wait_s: (wait_us.max(0) as u64).div_ceil(1_000_000) };
        }
        due.insert(asker.clone(), next);
        Left { limit, remaining: u32::try_from((room - (next - now)) / each).unwrap_or(0), wait_s: 0 }
    }
}

/// Lets questions to the API in.
pub async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/v1/") && !FOR_PROGRAMS_TOO.contains(&path) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Ok(mut visit) = Visit::from_request_parts(&mut parts, &site).await;
    if let Some(offered) = bearer(&parts.headers) {
        // Whoever guesses too often is not looked up at all.
        let guessing = Asker::Guessing(network(visit.address));
        if site.limits.is_exhausted(&guessing, visit.now_ms) {
            return too_often();
        }
        match site.account.by_token(offered, visit.now_ms).await {
            Some(who) => {
                visit.sight = site.sight(who.visitor());
                visit.who = who;
            }
            None => {
                let left = site.limits.count(&guessing, visit.now_ms);
                let mut refused = match left.wait_s {
                    0 => wrong(
                        StatusCode::UNAUTHORIZED,
                        "this token does not work: it is wrong, revoked or too old",
                    ),
                    _ => too_often(),
                };
                refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                tell(&mut refused, left);
                return refused;
            }
        }
    }
    let asker = match &visit.who {
        Who::Anyone => Asker::From(network(visit.address)),
        somebody => Asker::Named(somebody.actor()),
    };
    let left = site.limits.count(&asker, visit.now_ms);
    let mut response = match left.wait_s {
        0 => {
            parts.extensions.insert(visit);
            next.run(Request::from_parts(parts, body)).await
        }
        _ => too_often(),
    };
    tell(&mut response, left);
    response
}

fn too_often() -> Response {
    wrong(StatusCode::TOO_MANY_REQUESTS, "too many questions at once; wait as `Retry-After` says")
}

fn tell(response: &mut Response, left: Left) {
    let headers = response.headers_mut();
    headers.insert("ratelimit-limit", HeaderValue::from(left.limit));
    headers.insert("ratelimit-remaining", HeaderValue::from(left.remaining));
    if left.wait_s > 0 {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(left.wait_s));
    }
}

/// Whether a program sent a token: then no browser was made to ask by another site.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=TOKEN_BYTES_MAX).contains(&token.len())).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_questions_may_come_at_once_and_then_at_an_even_pace() {
        let limits = Limits::new(60, 600);
        let (asker, other) = (Asker::From([192, 0, 2, 1].into()), Asker::Named("grafana".into()));
        let let_in = |now_ms: i64| (0..100).filter(|_| limits.count(&asker, now_ms).wait_s == 0).count();
        assert_eq!(let_in(0), 60);
        assert_eq!(limits.count(&asker, 0), Left { limit: 60, remaining: 0, wait_s: 1 });
        assert_eq!(limits.count(&other, 0), Left { limit: 600, remaining: 599, wait_s: 0 });
        assert_eq!((let_in(1_000), let_in(11_000), let_in(10 * MINUTE_MS)), (1, 10, 60));
    }

    #[test]
    fn who_guesses_runs_out_without_taking_from_who_asks() {
        let limits = Limits::new(60, 600);
        let address = IpAddr::from([192, 0, 2, 1]);
        let guessing = Asker::Guessing(address);
        assert!(!limits.is_exhausted(&guessing, 0));
        assert_eq!((0..60).filter(|_| limits.count(&guessing, 0).wait_s == 0).count(), 60);
        assert!(limits.is_exhausted(&guessing, 0) && !limits.is_exhausted(&guessing, 1_000));
        assert_eq!(limits.count(&Asker::From(address), 0).wait_s, 0);
    }

    #[test]
    fn many_askers_are_not_remembered_for_ever() {
        let limits = Limits::new(60, 600);
        for number in 0..30_000_u32 {
            limits.count(&Asker::From(IpAddr::from(number.to_be_bytes())), i64::from(number));
        }
        assert!(limits.due.lock().unwrap().len() <= ASKERS_MAX);
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc"), Some("abc".into()));
        assert_eq!(of("bearer  abc "), Some("abc".into()));
        for none in ["Basic abc", "Bearer", "Bearer ", "abc"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(of(&format!("Bearer {}", "x".repeat(129))), None);
    }
}
