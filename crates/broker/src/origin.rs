//! Where a Network Connection comes from, and what each way in allows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use policy::throttle::network;

/// Where a Network Connection comes from. The address is the client's: behind a proxy, the one that the proxy tells.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's network address.
    pub address: IpAddr,
    /// Number of the listener, in the order given to `Broker::with_listeners`.
    pub listener: u8,
    /// Common name of the client certificate that was checked during the TLS handshake.
    pub certificate_name: Option<Arc<str>>,
    /// Name of our own bridge whose connection it is.
    pub bridge: Option<Arc<str>>,
}

/// The first listener, without a certificate.
impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self { address, listener: 0, certificate_name: None, bridge: None }
    }
}

/// What one listener allows. Limits are inclusive and hold besides the broker's own.
#[derive(Debug, Clone)]
pub struct ListenerRules {
    /// Its name, for the operator.
    pub name: Arc<str>,
    /// Network Connections at a time.
    pub connections_max: usize,
    /// Network Connections at a time from one address; for IPv6, from one /64, which is what one household has.
    pub connections_per_address_max: Option<u32>,
    /// Largest control packet taken from a client, in bytes, fixed header included.
    pub packet_bytes_max: u32,
    /// Time from accept to CONNECT, in ms.
    pub connect_timeout_ms: u64,
    /// Whether programs on this machine may connect without a credential until the first one exists.
    pub allows_guests: bool,
    /// Whether the common name of a client certificate stands for user name and password.
    pub certificate_is_credential: bool,
}

impl ListenerRules {
    /// What the broker's limits allow, and nothing less.
    pub fn of(limits: &crate::Limits, name: &str) -> Self {
        Self {
            name: name.into(),
            connections_max: limits.connections_max,
            connections_per_address_max: None,
            packet_bytes_max: limits.packet_bytes_max,
            connect_timeout_ms: limits.connect_timeout_ms,
            allows_guests: true,
            certificate_is_credential: false,
        }
    }
}

/// One listener at one moment.
#[derive(Debug, Clone)]
pub struct ListenerSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Connections that are open.
    pub connections: usize,
    /// Connections let in since the start.
    pub opened: u64,
    /// Connections turned away at one of its limits since the start.
    pub refused: u64,
}

/// The listeners, and who is in through which.
#[derive(Debug)]
pub(crate) struct Entrances {
    rules: Vec<ListenerRules>,
    counts: Vec<Count>,
    /// Connections by listener and address, of listeners that limit them; absent when none.
    by_address: BTreeMap<(u8, IpAddr), u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    connections: usize,
    opened: u64,
    refused: u64,
}

impl Entrances {
    /// `rules` in the order of the listeners' numbers, one at least.
    pub fn new(rules: Vec<ListenerRules>) -> Self {
        let counts = vec![Count::default(); rules.len()];
        Self { rules, counts, by_address: BTreeMap::new() }
    }

    /// What a listener allows; a number that nobody was given is the first one's.
    pub fn rules(&self, listener: u8) -> &ListenerRules {
        self.rules.get(usize::from(listener)).unwrap_or(&self.rules[0])
    }

    /// Takes a connection in, unless a limit of its listener is reached.
    pub fn enter(&mut self, origin: &Origin) -> bool {
        let rules = self.rules(origin.listener);
        let (connections_max, per_address_max) = (rules.connections_max, rules.connections_per_address_max);
        let key = (origin.listener, network(origin.address));
        let Some(count) = self.counts.get_mut(usize::from(origin.listener)) else { return false };
        let neighbours = self.by_address.get(&key).copied().unwrap_or(0);
        if count.connections >= connections_max || per_address_max.is_some_and(|max| neighbours >= max) {
            count.refused += 1;
            return false;
        }
        count.connections += 1;
        count.opened += 1;
        if per_address_max.is_some() {
            self.by_address.insert(key, neighbours + 1);
        }
        true
    }

    /// A connection is gone.
    pub fn leave(&mut self, listener: u8, address: IpAddr) {
        if let Some(count) = self.counts.get_mut(usize::from(listener)) {
            count.connections = count.connections.saturating_sub(1);
        }
        let key = (listener, network(address));
        if let Some(neighbours) = self.by_address.get_mut(&key) {
            *neighbours -= 1;
            if *neighbours == 0 {
                self.by_address.remove(&key);
            }
        }
    }

    pub fn snapshot(&self) -> Vec<ListenerSnapshot> {
        let all = self.rules.iter().zip(&self.counts);
        all.map(|(rules, count)| ListenerSnapshot {
            name: rules.name.clone(),
            connections: count.connections,
            opened: count.opened,
            refused: count.refused,
        })
        .collect()
    }
}
