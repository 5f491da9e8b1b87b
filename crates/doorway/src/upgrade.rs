//! WebSocket's opening handshake for MQTT: from a request's bytes to the bytes of its answer.

use tungstenite::Error;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, Response, create_response, write_response};
use tungstenite::http::{HeaderValue, StatusCode};

/// The subprotocol that a client must offer and is granted. [MQTT-6.0.0-3] [MQTT-6.0.0-4]
pub const SUBPROTOCOL: &str = "mqtt";

/// Longest request taken, in bytes: browsers with cookies stay below.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// What to do with the bytes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request is not whole yet.
    Wait,
    /// Send these bytes; WebSocket frames follow the first `request_bytes` bytes.
    Accept {
        /// The answer.
        response: Vec<u8>,
        /// Length of the request.
        request_bytes: usize,
    },
    /// Send these bytes and close.
    Refuse {
        /// The answer.
        response: Vec<u8>,
        /// Why, for the operator's log.
        why: &'static str,
    },
}

/// Answers the bytes that came so far on a fresh connection.
pub fn answer(bytes: &[u8]) -> Answer {
    match Request::try_parse(bytes) {
        Ok(Some((request_bytes, _))) if request_bytes > REQUEST_BYTES_MAX => too_long(),
        Ok(Some((request_bytes, request))) => match accept(&request) {
            Ok(response) => Answer::Accept { response: to_bytes(&response), request_bytes },
            Err(refusal) => refusal.to_answer(),
        },
        Ok(None) if bytes.len() >= REQUEST_BYTES_MAX => too_long(),
        Ok(None) => Answer::Wait,
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => {
            Refusal { status: StatusCode::METHOD_NOT_ALLOWED, why: "the method is not GET" }.to_answer()
        }
        Err(Error::Capacity(CapacityError::TooManyHeaders)) => too_long(),
        Err(_) => Refusal { status: StatusCode::BAD_REQUEST, why: "the request is not HTTP/1.1" }.to_answer(),
    }
}

fn too_long() -> Answer {
    const STATUS: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Refusal { status: STATUS, why: "the request is too long" }.to_answer()
}

/// Why a request is not upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// Why, as text for the client.
    pub why: &'static str,
}

/// The answer to a parsed request: 101 with the key's proof and the subprotocol.
///
/// # Errors
/// When it is no WebSocket handshake, or does not offer MQTT's subprotocol.
pub fn accept(request: &Request) -> Result<Response, Refusal> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let mut response = create_response(request).map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            Refusal { status: StatusCode::UPGRADE_REQUIRED, why: "the WebSocket version is not 13" }
        }
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => Refusal {
            status: StatusCode::UPGRADE_REQUIRED,
            why: "MQTT over WebSocket is spoken here: the request asks for no upgrade",
        },
        _ => Refusal { status: BAD, why: "the request is no WebSocket handshake" },
    })?;
    let offered = request.headers().get_all("Sec-WebSocket-Protocol");
    let offered = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    if !offered.into_iter().any(|name| name.trim() == SUBPROTOCOL) {
        return Err(Refusal { status: BAD, why: "the client does not offer the subprotocol `mqtt`" });
    }
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

impl Refusal {
    fn to_answer(self) -> Answer {
        let Self { status, why } = self;
        let extra = match status {
            StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            StatusCode::METHOD_NOT_ALLOWED => "Allow: GET\r\n",
            _ => "",
        };
        let response = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\n{extra}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{why}\n",
            why.len() + 1
        );
        Answer::Refuse { response: response.into_bytes(), why }
    }
}

fn to_bytes(response: &Response) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    write_response(&mut bytes, response).expect("a response made here has only text in its headers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: mesh.example.org\r\nUpgrade: websocket\r\n\
                        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";

    #[test]
    fn a_right_request_is_accepted_with_proof_and_subprotocol() {
        let bytes = [GOOD.as_bytes(), b"frames"].concat();
        let Answer::Accept { response, request_bytes } = answer(&bytes) else { panic!("not accepted") };
        assert_eq!(request_bytes, GOOD.len());
        let response = String::from_utf8(response).unwrap().to_lowercase();
        assert!(response.starts_with("http/1.1 101 "), "{response}");
        // The proof of RFC 6455, section 1.3.
        for line in ["sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=", "sec-websocket-protocol: mqtt"] {
            assert!(response.contains(&format!("\r\n{line}\r\n")), "{response}");
        }
        assert!(response.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_request_is_answered_when_it_is_whole() {
        for known in 0..GOOD.len() {
            assert_eq!(answer(&GOOD.as_bytes()[..known]), Answer::Wait, "{known}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let long = format!("X-Long: {}", "x".repeat(REQUEST_BYTES_MAX));
        let many = "A: b\r\n".repeat(200);
        for (from, to, status) in [
            ("mqttv3.1, mqtt", "mqttv3.1", 400),
            ("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", "", 400),
            ("mqttv3.1, mqtt", "MQTT", 400),
            ("Upgrade: websocket\r\n", "", 426),
            ("Version: 13", "Version: 8", 426),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
            ("HTTP/1.1", "HTTP/1.0", 400),
            ("GET", "POST", 405),
            ("GET /mqtt", "\x10\x0e", 400),
            ("Host: mesh.example.org", &long, 431),
            ("Host: mesh.example.org\r\n", &many, 431),
        ] {
            let request = GOOD.replacen(from, to, 1);
            let seen = answer(request.as_bytes());
            let Answer::Refuse { response, .. } = seen else { panic!("{to}: {seen:?}") };
            let response = String::from_utf8(response).unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {response}");
        }
    }
}
