//! `/mqtt`: MQTT over WebSocket on the port of the pages. The connection is upgraded here and given away; from then on
//! it is none of the pages'.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use doorway::upgrade::{self, Refusal};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

use crate::site::{Site, Visit};

/// A connection that speaks WebSocket from its next byte on.
pub struct MqttConnection {
    /// Its socket; does not block.
    pub stream: std::net::TcpStream,
    /// TLS on it.
    pub tls: Option<ServerConnection>,
    /// Bytes of WebSocket frames that were read already.
    pub ahead: Vec<u8>,
    /// The client's address.
    pub address: IpAddr,
}

/// Answers the handshake and gives the connection away once the answer is written.
pub async fn upgrade(
    State(site): State<std::sync::Arc<Site>>,
    visit: Visit,
    mut request: Request,
) -> Response {
    let Some(take) = site.mqtt.clone() else {
        return (StatusCode::NOT_FOUND, "MQTT is not spoken here\n").into_response();
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let response = match upgrade::accept(&axum::http::Request::from_parts(parts, ())) {
        Ok(response) => response,
        Err(Refusal { status, why }) => return (status, format!("{why}\n")).into_response(),
    };
    tokio::spawn(async move {
        // A client that goes away before the answer is no failure of ours.
        let Ok(upgraded) = upgraded.await else { return };
        match disassembled(upgraded, visit.address) {
            Ok(connection) => take(connection),
            Err(error) => tracing::warn!(%error, "a WebSocket connection could not be handed over"),
        }
    });
    response.map(|()| axum::body::Body::empty())
}

/// The socket, TLS and bytes read ahead behind an upgraded connection, which is one of the two that are served.
fn disassembled(upgraded: hyper::upgrade::Upgraded, address: IpAddr) -> std::io::Result<MqttConnection> {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let (stream, ahead) = (parts.io.into_inner().into_std()?, parts.read_buf.to_vec());
            return Ok(MqttConnection { stream, tls: None, ahead, address });
        }
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
        Ok(parts) => {
            let (stream, tls) = parts.io.into_inner().into_inner();
            let (stream, ahead) = (stream.into_std()?, parts.read_buf.to_vec());
            Ok(MqttConnection { stream, tls: Some(tls), ahead, address })
        }
        Err(_) => Err(std::io::Error::other("an unknown kind of connection")),
    }
}
