//! A browser for tests: asks the pages and keeps what they answer.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests, each of which uses a part")]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;
use web::Pages;

use super::{Client, Copy, Town};

/// The operator's password.
pub const PASSWORD: &str = "correct horse battery";

/// What came back.
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: String,
}

/// Sends a request.
pub async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers, body: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// Opens an address as anyone.
pub async fn get(pages: &Pages, address: &str) -> Answer {
    ask(&pages.router, Request::get(address).body(Body::empty()).unwrap()).await
}

/// Opens an address with a cookie.
pub async fn get_as(pages: &Pages, cookie: &str, address: &str) -> Answer {
    let request = Request::get(address).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    ask(&pages.router, request).await
}

/// Sends a form from a page of ours.
pub async fn post(pages: &Pages, address: &str, body: &str) -> Answer {
    let request = Request::post(address)
        .header(header::HOST, "mesh.local")
        .header(header::ORIGIN, "http://mesh.local")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ask(&pages.router, request.body(Body::from(body.to_owned())).unwrap()).await
}

/// The same with a cookie.
pub async fn post_as(pages: &Pages, cookie: &str, address: &str, body: &str) -> Answer {
    let request = Request::post(address)
        .header(header::COOKIE, cookie)
        .header(header::HOST, "mesh.local")
        .header(header::ORIGIN, "http://mesh.local")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ask(&pages.router, request.body(Body::from(body.to_owned())).unwrap()).await
}

/// The cookie that an answer sets.
pub fn cookie_of(answer: &Answer) -> String {
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// Sets the password and signs in; the cookie.
pub async fn sign_in(pages: &Pages, town: &mut Town) -> String {
    let code = town.setup_code();
    let answer = post(pages, "/setup", &format!("token={code}&password={PASSWORD}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    cookie_of(&answer)
}

/// A packet is heard while the pages run.
pub fn tell(pages: &Pages, town: &mut Town, gateway: Client, copy: &Copy) {
    town.hear(gateway, copy).into_iter().for_each(|record| pages.take(record));
}

/// An open live stream, event by event.
pub struct Stream(Body);

impl Stream {
    pub async fn open(pages: &Pages, address: &str, cookie: Option<&str>) -> Self {
        let request = Request::get(address).header(header::COOKIE, cookie.unwrap_or_default());
        let response = pages.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self(response.into_body())
    }

    pub async fn next(&mut self) -> String {
        let frame = self.0.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }
}
