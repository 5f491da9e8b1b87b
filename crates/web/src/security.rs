//! What every response forbids the browser, and which POSTs are believed. Knows no pages.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::door::bearer;
use crate::pages::trouble;

/// Nothing from elsewhere, no inline script or style, no framing, forms to here only.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The same for what other sites may show in a frame.
pub const FRAMED_CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors *";

/// Marks an answer that other sites may show in a frame: it has nothing to press that changes anything, and shows what
/// everybody may see.
#[derive(Debug, Clone, Copy)]
pub struct Framable;

/// Adds the security headers to a response, and `no-store` unless the page said how long it keeps.
pub async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_framable = response.extensions().get::<Framable>().is_some();
    let headers = response.headers_mut();
    // A page may have said it for itself, as the map does.
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // `no-referrer` would make browsers send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        if !(is_framable && name == header::X_FRAME_OPTIONS) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    let isolated = [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", if is_framable { "cross-origin" } else { "same-origin" }),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ];
    for (name, value) in isolated {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a POST that another site made the browser send.
pub async fn refuse_foreign_posts(request: Request, next: Next) -> Response {
    // A browser sends no token by itself.
    let is_program = request.uri().path().starts_with("/api/") && bearer(request.headers()).is_some();
    if request.method() == Method::POST && !is_program && !is_from_here(request.headers()) {
        let page = trouble::page(
            "This form came from somewhere else",
            "The browser did not say that the form was sent from this site. Open the page here and send it again.",
        );
        return (StatusCode::FORBIDDEN, page).into_response();
    }
    next.run(request).await
}

/// Whether the browser vouches that a form was sent from one of our pages. `Sec-Fetch-Site` cannot be forged by a page;
/// browsers leave it out on plain HTTP, where `Origin` must name the host that was asked.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|a| a.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &'static str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        assert_eq!(is_from_here(&headers), expected, "{pairs:?}");
    }

    #[test]
    fn only_our_own_forms_are_believed() {
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], false);
        check(&[("origin", "http://mesh.local:8080"), ("host", "mesh.local:8080")], true);
        check(&[("origin", "http://evil.example"), ("host", "mesh.local:8080")], false);
        check(&[("origin", "null"), ("host", "mesh.local:8080")], false);
        check(&[("host", "mesh.local:8080")], false);
        check(&[], false);
    }
}
