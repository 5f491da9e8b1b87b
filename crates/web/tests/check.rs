//! The preflight page: what it takes, what it answers, and what it must not say.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use town::Town;
use town::browser::{Answer, ask, get};
use web::Pages;

const SECRETS: [&str; 4] = ["example-mqtt-secret", "example-wifi-secret", "203.0.113.9", "ICEiIyQl"];

/// A form as browsers send it.
async fn send(pages: &Pages, parts: &[(&str, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head = match *name {
            "file" => {
                "form-data; name=\"file\"; filename=\"node.yaml\"\r\nContent-Type: application/octet-stream"
            }
            "text" => "form-data; name=\"text\"",
            _ => "form-data; name=\"other\"",
        };
        body.extend(format!("--edge\r\nContent-Disposition: {head}\r\n\r\n").bytes());
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    let request = Request::post("/check")
        .header(header::HOST, "mesh.local")
        .header(header::ORIGIN, "http://mesh.local")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
    ask(&pages.router, request.body(Body::from(body)).unwrap()).await
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../testdata/config/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[tokio::test]
async fn a_chosen_file_is_answered_point_by_point_without_its_secrets() {
    let pages = Town::new().pages().await;
    let answer = send(&pages, &[("file", &sample("bad_everything.yaml")), ("text", b"")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    for shown in [
        "must be changed first",
        "The region is EU_868 and not US.",
        "meshtastic --set mqtt.encryption_enabled true",
        "Module configuration › Range Test",
        "# Preflight check",
    ] {
        assert!(answer.body.contains(shown), "{shown} is missing");
    }
    for secret in SECRETS {
        assert!(!answer.body.contains(secret), "{secret} is shown");
    }
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn what_was_pasted_counts_when_no_file_was_chosen() {
    let pages = Town::new().pages().await;
    let text = sample("good_fixed_private_channel.yaml");
    let answer = send(&pages, &[("file", b""), ("text", &text), ("other", b"x")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains("Ready"), "{}", answer.body);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_so_beside_the_form() {
    let pages = Town::new().pages().await;
    let too_large = vec![b'a'; 256 * 1024 + 1];
    let far_too_large = vec![b'a'; 600 * 1024];
    for (content, status, said) in [
        (&b""[..], StatusCode::UNPROCESSABLE_ENTITY, "Choose a file"),
        (b"\x89PNG\r\n\x1a\n\0\xff", StatusCode::UNPROCESSABLE_ENTITY, "neither an export"),
        (&too_large, StatusCode::UNPROCESSABLE_ENTITY, "larger than 256 KB"),
        (&far_too_large, StatusCode::PAYLOAD_TOO_LARGE, "larger than 256 KB"),
    ] {
        let answer = send(&pages, &[("file", content)]).await;
        assert_eq!(answer.status, status, "{said}");
        assert!(answer.body.contains(said) && answer.body.contains("name=\"file\""), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_form_from_elsewhere_or_of_another_kind_is_not_taken() {
    let pages = Town::new().pages().await;
    let foreign = Request::post("/check")
        .header(header::HOST, "mesh.local")
        .header(header::ORIGIN, "http://evil.example")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
    let foreign = ask(&pages.router, foreign.body(Body::empty()).unwrap()).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let plain = town::browser::post(&pages, "/check", "text=x").await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn other_forms_stay_small() {
    let pages = Town::new().pages().await;
    let answer = town::browser::post(&pages, "/login", &format!("password={}", "a".repeat(5_000))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_page_is_linked_from_everywhere() {
    let pages = Town::new().pages().await;
    assert!(get(&pages, "/").await.body.contains("href=\"/check\""));
    let page = get(&pages, "/check").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("multipart/form-data") && page.body.contains("Kansas City mesh"));
}
