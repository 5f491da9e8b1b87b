//! What stands between a TCP connection and MQTT, as bytes and values: PROXY headers, and WebSocket's opening
//! handshake and frames. Knows no sockets, no TLS and no MQTT beyond its WebSocket subprotocol.

pub mod proxy_header;
pub mod upgrade;
pub mod websocket;
