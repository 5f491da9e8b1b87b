//! One letter to one target, once. Errors say what to do, and never show an address or a secret.

use std::time::Duration;

use automation::alert::letter::{Letter, fill};
use automation::alert::rule::Severity;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use ureq::Agent;
use ureq::http::StatusCode;

use crate::mail;
use crate::target::{Secret, Way};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The header of a webhook's signature.
pub const SIGNATURE_HEADER: &str = "X-Backhaul-Signature";
/// Characters that Discord takes in one message.
const DISCORD_CHARS_MAX: usize = 1_900;

/// Sends by HTTP and SMTP.
pub struct Sender {
    agent: Agent,
}

impl Default for Sender {
    fn default() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            // Whoever answers does not decide where the letter goes.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("Backhaul/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into() }
    }
}

impl Sender {
    /// Sends a letter; what goes to this broker's own clients is not sent here.
    ///
    /// # Errors
    /// Why it did not arrive and what to do about it.
    pub fn send(&self, way: &Way, letter: &Letter, now_ms: i64) -> Result<(), String> {
        match way {
            Way::Webhook { url, template, content_type, key } => {
                let is_json = content_type.contains("json");
                let body =
                    template.as_deref().map_or_else(|| letter.json.clone(), |t| fill(t, letter, is_json));
                let mut headers = vec![("Content-Type", content_type.to_string())];
                headers.extend(key.as_ref().map(|key| (SIGNATURE_HEADER, signature(key, &body, now_ms))));
                self.post(url, &headers, &body)
            }
            Way::Ntfy { url, token } => {
                let priority = match letter.severity {
                    _ if letter.is_end => "2",
                    Severity::Info => "3",
                    Severity::Warning => "4",
                    Severity::Critical => "5",
                };
                let mut headers = vec![
                    ("Content-Type", "text/plain; charset=utf-8".to_owned()),
                    ("X-Title", header_text(&letter.title)),
                    ("X-Priority", priority.to_owned()),
                ];
                headers.extend(token.as_ref().map(|t| ("Authorization", format!("Bearer {}", t.reveal()))));
                self.post(url, &headers, &letter.text)
            }
            Way::Discord { url } => {
                let content: String = format!("**{}**\n{}", letter.title, letter.text)
                    .chars()
                    .take(DISCORD_CHARS_MAX)
                    .collect();
                // Nobody can make everybody's telephone ring by what he writes on the mesh.
                let body = json!({ "content": content, "allowed_mentions": { "parse": [] } }).to_string();
                self.post(url, &[("Content-Type", "application/json".to_owned())], &body)
            }
            Way::Mail(mail) => mail::send(mail, letter),
            Way::Mqtt { .. } => Ok(()),
        }
    }

    fn post(&self, url: &Secret, headers: &[(&str, String)], body: &str) -> Result<(), String> {
        let mut request = self.agent.post(url.reveal());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send(body).map_err(|error| in_words(&error))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(refused(status)) }
    }
}

/// `t=<Unix seconds>,v1=<HMAC-SHA-256 of "<t>.<body>", hex>`.
pub fn signature(key: &Secret, body: &str, now_ms: i64) -> String {
    let at = now_ms / 1000;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()).expect("HMAC takes keys of every length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body.as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Headers hold no line breaks, and what is not ASCII as RFC 2047 writes it, which ntfy reads.
fn header_text(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.is_ascii() {
        return line;
    }
    let bytes = line.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        b' ' => "_".to_owned(),
        _ => format!("={byte:02X}"),
    });
    format!("=?UTF-8?Q?{}?=", bytes.collect::<String>())
}

fn refused(status: StatusCode) -> String {
    let what = match status.as_u16() {
        300..=399 => "sends us elsewhere, which is not followed; write the final address",
        401 | 403 => "does not let us in; look at the token or secret",
        404 | 410 => "does not know the address; make the webhook anew, or correct its address",
        429 => "says that it was too much; it is tried again later",
        400..=499 => "does not take the message; look at the template and the content type",
        _ => "has trouble of its own; it is tried again later",
    };
    format!("the target answers {} and {what}", status.as_u16())
}

/// What went wrong without the address, which may be a secret.
fn in_words(error: &ureq::Error) -> String {
    use ureq::Error;
    match error {
        Error::HostNotFound => {
            "the host of the address is not known; look at its spelling, and at the DNS here".to_owned()
        }
        Error::ConnectionFailed => {
            "nobody listens there; is the target running, and is the port right?".to_owned()
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nobody listens there; is the target running, and is the port right?".to_owned()
        }
        Error::Io(error) => format!("the connection failed: {}", error.kind()),
        Error::Timeout(_) => format!("it took longer than {} s", PATIENCE.as_secs()),
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) => {
            "TLS fails; is the certificate one that browsers trust, and made for this name?".to_owned()
        }
        Error::BadUri(_) => "the address is not one; correct `url`".to_owned(),
        _ => "it failed on the way; try the address with another program".to_owned(),
    }
}
