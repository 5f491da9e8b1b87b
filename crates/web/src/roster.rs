//! Every node that was heard lately, folded from receptions: when, how, and what it says of itself. What the public may
//! know of a node is folded only from what the public may see. Holds no text and no place; the time is an argument.

use std::collections::HashMap;

use mesh::keyring::Keyring;
use mesh::observe::Facts;
use mesh::portnum::PortNum;
use mesh::report::{MapReportFacts, UserReport, Utilisation};
use mesh::wire::{Content, Fields};
use record::{Consent, KeyClass, Reception};

use crate::habits::Habits;
use crate::reading;
use crate::visibility::{Sight, Visitor};

/// Nodes remembered for each kind of visitor. Further ones have no line until others are forgotten.
const NODES_MAX: usize = 50_000;
/// Nodes that were not heard for this long are forgotten, ms.
const REMEMBERED_MS: i64 = 30 * 24 * 3_600_000;

/// Nodes by number, as each kind of visitor may know them.
#[derive(Debug, Default)]
pub struct Roster {
    public: HashMap<u32, Seen>,
    operator: HashMap<u32, Seen>,
    habits: HashMap<u32, Habits>,
}

/// What was seen of one node. What nobody has seen is `None`.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When it was heard last, Unix ms.
    pub last_ms: i64,
    /// The gateway that heard it last.
    pub heard_by: Option<u32>,
    /// Hops that its last packet had travelled.
    pub hops_away: Option<u8>,
    /// Whether it uplinks itself.
    pub is_gateway: bool,
    /// Role, the protocol's number.
    pub role: Option<u32>,
    /// Hardware model, the protocol's number.
    pub hardware: Option<u32>,
    /// Channel of its last packet.
    pub channel: Option<Box<str>>,
    /// Key class of its last packet.
    pub key_class: Option<KeyClass>,
    /// Whether its last packet that another node heard agreed to MQTT; a gateway's own uplink agrees by being sent.
    pub consent: Option<Consent>,
    /// Battery in percent as it says; over 100 is mains.
    pub battery_percent: Option<u64>,
    /// Utilisation of the channel in percent, as it says.
    pub utilisation_percent: Option<f32>,
}

impl Roster {
    /// Takes in one reception; any order will do. `public` is the sight of the public.
    pub fn take(&mut self, reception: &Reception, keyring: &Keyring, public: &Sight) {
        let Some(from) = reception.packet.map(|packet| packet.from) else { return };
        let told = Told::of(reception, keyring);
        if public.allows(reception) {
            remember(&mut self.public, from, reception, &told);
        }
        remember(&mut self.operator, from, reception, &told);
        if self.operator.contains_key(&from) {
            self.habits.entry(from).or_default().take(reception, told.precision_bits);
        }
        // How a gateway uplinks says something of the gateway, whoever spoke.
        if let Some(gateway) = reception.gateway.filter(|gateway| *gateway != from)
            && self.operator.contains_key(&gateway)
        {
            self.habits.entry(gateway).or_default().take_uplink(reception);
        }
    }

    /// Every node that this visitor may know of, in no promised order.
    pub fn all(&self, visitor: Visitor) -> impl Iterator<Item = (u32, &Seen)> {
        self.of(visitor).iter().map(|(node, seen)| (*node, seen))
    }

    /// One node, when this visitor may know of it.
    pub fn get(&self, node: u32, visitor: Visitor) -> Option<&Seen> {
        self.of(visitor).get(&node)
    }

    /// How each node behaves, with what else was seen of it. For the operator.
    pub fn habits(&self) -> impl Iterator<Item = (u32, &Seen, &Habits)> {
        self.habits.iter().filter_map(|(node, habits)| Some((*node, self.operator.get(node)?, habits)))
    }

    /// Forgets a node.
    pub fn forget_node(&mut self, node: u32) {
        self.public.remove(&node);
        self.operator.remove(&node);
        self.habits.remove(&node);
        for seen in self.public.values_mut().chain(self.operator.values_mut()) {
            seen.heard_by = seen.heard_by.filter(|gateway| *gateway != node);
        }
    }

    /// Forgets who was not heard for long.
    pub fn forget(&mut self, now_ms: i64) {
        let is_known = |seen: &Seen| now_ms - seen.last_ms <= REMEMBERED_MS;
        self.public.retain(|_, seen| is_known(seen));
        self.operator.retain(|_, seen| is_known(seen));
        self.habits.retain(|node, _| self.operator.contains_key(node));
    }

    fn of(&self, visitor: Visitor) -> &HashMap<u32, Seen> {
        match visitor {
            Visitor::Public => &self.public,
            Visitor::Operator => &self.operator,
        }
    }
}

fn remember(nodes: &mut HashMap<u32, Seen>, node: u32, reception: &Reception, told: &Told) {
    if nodes.len() >= NODES_MAX && !nodes.contains_key(&node) {
        return;
    }
    nodes.entry(node).or_default().take(reception, told);
}

impl Seen {
    fn take(&mut self, reception: &Reception, told: &Told) {
        let own = is_own(reception);
        self.is_gateway |= own;
        let is_latest = reception.at_ms >= self.last_ms;
        if is_latest {
            self.last_ms = reception.at_ms;
            if !own {
                self.heard_by = reception.gateway;
                self.hops_away = reception.packet.and_then(|packet| packet.hops_away);
                self.consent = Some(reception.consent);
            }
            // Map reports have no channel, and direct messages under a key of their own say little of the node.
            if let Some(channel) =
                reception.channel.as_deref().filter(|_| reception.key_class != KeyClass::Pki)
            {
                if self.channel.as_deref() != Some(channel) {
                    self.channel = Some(channel.into());
                }
                self.key_class = Some(reception.key_class);
            }
        }
        keep(&mut self.role, told.role, is_latest);
        keep(&mut self.hardware, told.hardware, is_latest);
        keep(&mut self.battery_percent, told.battery_percent, is_latest);
        keep(&mut self.utilisation_percent, told.utilisation_percent, is_latest);
    }
}

/// Whether a gateway uplinked it for itself. A map report is always its sender's, and says so in its topic only now and
/// then.
pub fn is_own(reception: &Reception) -> bool {
    reception.port == Some(PortNum::MAP_REPORT.0)
        || reception.packet.is_some_and(|packet| reception.gateway == Some(packet.from))
}

/// The newer of two, where only one of them may be there.
fn keep<T>(known: &mut Option<T>, told: Option<T>, is_latest: bool) {
    if told.is_some() && (is_latest || known.is_none()) {
        *known = told;
    }
}

/// What a node says of itself in one packet.
#[derive(Debug, Default)]
struct Told {
    role: Option<u32>,
    hardware: Option<u32>,
    battery_percent: Option<u64>,
    utilisation_percent: Option<f32>,
    precision_bits: Option<u32>,
}

impl Told {
    fn of(reception: &Reception, keyring: &Keyring) -> Self {
        let port = reception.port.map(PortNum);
        let says_something = matches!(
            port,
            Some(PortNum::NODEINFO | PortNum::TELEMETRY | PortNum::POSITION | PortNum::MAP_REPORT)
        );
        // Most packets say nothing here, and are not opened again.
        if says_something { reading::look(reception, keyring, Self::read) } else { Self::default() }
    }

    fn read(facts: &Facts<'_>) -> Self {
        let mut told = Self::default();
        let Some(data) = facts.data else { return told };
        match data.port {
            PortNum::NODEINFO => {
                if let Ok(user) = UserReport::parse(data.payload) {
                    told.role = Some(user.role);
                    told.hardware = number(data.payload, HARDWARE_OF_USER).and_then(|n| n.try_into().ok());
                }
            }
            PortNum::MAP_REPORT => {
                told.role = MapReportFacts::parse(data.payload).ok().map(|report| report.role);
                told.precision_bits = precision(facts);
            }
            PortNum::POSITION => told.precision_bits = precision(facts),
            PortNum::TELEMETRY => {
                let metrics = part(data.payload, DEVICE_METRICS);
                told.battery_percent = metrics.and_then(|metrics| number(metrics, BATTERY_LEVEL));
                told.utilisation_percent = Utilisation::parse(data.payload).map(|both| both.channel);
            }
            _ => {}
        }
        told
    }
}

/// `mesh.proto`, User.
const HARDWARE_OF_USER: u32 = 5;
/// `telemetry.proto`, Telemetry.
const DEVICE_METRICS: u32 = 2;
/// `telemetry.proto`, DeviceMetrics.
const BATTERY_LEVEL: u32 = 1;

/// Bits of precision of a place that is there.
fn precision(facts: &Facts<'_>) -> Option<u32> {
    let position = facts.position.filter(|position| position.latitude_i.is_some())?;
    // 0 is what older firmware sends for exact places.
    Some(if position.precision_bits == 0 { 32 } else { position.precision_bits })
}

fn number(message: &[u8], wanted: u32) -> Option<u64> {
    Fields::of(message).map_while(Result::ok).find_map(|field| match field.content {
        Content::Varint(value) if field.number == wanted => Some(value),
        _ => None,
    })
}

fn part(message: &[u8], wanted: u32) -> Option<&[u8]> {
    Fields::of(message).map_while(Result::ok).find_map(|field| match field.content {
        Content::Bytes(bytes) if field.number == wanted => Some(bytes),
        _ => None,
    })
}
