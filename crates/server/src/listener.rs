//! A way in for MQTT: where it listens, what comes before MQTT there, and how its socket is made.

use std::net::{IpAddr, SocketAddr, TcpListener};

use broker::ListenerRules;
use doorway::proxy_header::Versions;
use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};

use crate::tls::TlsSettings;

/// One listener, as it is asked for.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Where it listens; port 0 picks one.
    pub address: SocketAddr,
    /// PROXY headers that connections must begin with; `None` for none.
    pub proxy: Option<ProxySettings>,
    /// TLS; `None` for none.
    pub tls: Option<TlsSettings>,
    /// Whether MQTT runs over WebSocket.
    pub is_websocket: bool,
    /// Its name, and what the broker allows through it.
    pub rules: ListenerRules,
}

impl ListenerSettings {
    /// MQTT over TCP and nothing else.
    pub const fn tcp(address: SocketAddr, rules: ListenerRules) -> Self {
        Self { address, proxy: None, tls: None, is_websocket: false, rules }
    }

    /// Whether connections are MQTT from their first byte, so that the core may take them without a doorman.
    pub(crate) const fn is_plain(&self) -> bool {
        self.proxy.is_none() && self.tls.is_none() && !self.is_websocket
    }

    /// What it speaks, in words for the operator.
    pub fn kind(&self) -> &'static str {
        match (self.is_websocket, self.tls.is_some()) {
            (false, false) if self.proxy.is_some() => "MQTT behind a proxy",
            (false, false) => "MQTT",
            (false, true) => "MQTT over TLS",
            (true, false) => "MQTT over WebSocket",
            (true, true) => "MQTT over WebSocket and TLS",
        }
    }
}

/// Who may send PROXY headers, and which.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Versions that are taken.
    pub versions: Versions,
    /// Addresses of the proxies. Connections from elsewhere are closed.
    pub from: Vec<IpNet>,
}

impl ProxySettings {
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(&peer))
    }
}

/// Connections that the system keeps until they are accepted: all gateways of a mesh come back at once.
const BACKLOG: i32 = 4096;

/// Makes the listening socket. An IPv6 address that is unspecified takes IPv4 too, whatever the system's default is.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait until connections of the run before are forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The IPv4 address behind an IPv4-mapped IPv6 one, so that loopback is recognised on a dual-stack listener.
pub(crate) const fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
