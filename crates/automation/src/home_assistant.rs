//! Nodes as devices of Home Assistant, by its MQTT discovery: what is told of them is retained, renewed when a node
//! changes its name, and taken back when a node is not to be shown any more.

mod entities;

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::node::NodeNum;
use mesh::observe::Facts;
use mesh::portnum::PortNum;
use record::{ConnectionEvent, ConnectionWhat, Consent, Reception};
use serde_json::{Map, Value as Json, json};

use crate::known_nodes::{KnownNode, KnownNodes};
use crate::packet_json::place;
use crate::settings::{HomeAssistantSettings, Who};
use crate::teller::Told;
use entities::{ENTITIES, Entity, Source};

/// Devices shown: each has up to a few dozen retained topics. Further nodes are left out until one is forgotten.
const DEVICES_MAX: usize = 200;
/// Consenting nodes that were silent for this long are taken back, ms.
const FORGOTTEN_MS: i64 = 14 * 24 * 3_600_000;
/// What changes with every packet (signal, time heard) is told this often at most, ms.
const STATE_INTERVAL_MS: i64 = 60_000;
/// Gateways whose connections are counted.
const LINKED_MAX: usize = 2_000;
/// Connections of one gateway that are counted: the node's own, and phones that act for it.
const LINKS_MAX: usize = 8;

/// The devices told of.
#[derive(Debug)]
pub struct HomeAssistant {
    settings: HomeAssistantSettings,
    devices: BTreeMap<u32, Device>,
    /// Clients connected for a gateway, by its node number.
    links: BTreeMap<u32, Vec<Arc<str>>>,
}

/// What was told of one node.
#[derive(Debug, Default)]
struct Device {
    heard_ms: i64,
    state_told_ms: i64,
    is_online: bool,
    state: Map<String, Json>,
    /// The description that its entities were announced with.
    described_as: Json,
    /// Entities announced, by their name in `ENTITIES`.
    announced: Vec<&'static str>,
}

impl HomeAssistant {
    /// Nobody told of yet.
    pub fn new(settings: HomeAssistantSettings) -> Self {
        Self { settings, devices: BTreeMap::new(), links: BTreeMap::new() }
    }

    /// Filters of the topics that it retains.
    pub fn retained_filters(settings: &HomeAssistantSettings) -> [String; 2] {
        [format!("{}/+/+/+/config", settings.prefix), "backhaul/1/node/+/+".to_owned()]
    }

    /// Takes over what was retained before a restart, and takes back what is not to be shown any more. Nobody is
    /// connected at a start.
    pub fn restore<'a>(
        &mut self,
        now_ms: i64,
        retained: impl Iterator<Item = (&'a str, &'a [u8])>,
        nodes: &mut KnownNodes,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        for (topic, payload) in retained {
            let Some((node, what)) = whose(topic) else { continue };
            if !self.is_chosen(node) {
                told.push(Told::forget(topic.to_owned()));
                continue;
            }
            let message = || serde_json::from_slice::<Json>(payload).ok();
            let device = self.devices.entry(node).or_default();
            device.heard_ms = now_ms;
            match what {
                Retained::Config(name) => {
                    let Some(entity) = ENTITIES.iter().find(|entity| entity.name == name) else {
                        told.push(Told::forget(topic.to_owned()));
                        continue;
                    };
                    device.announced.push(entity.name);
                    if let Some(described) = message().and_then(|m| m.get("device").cloned()) {
                        nodes.restore(node, known_from(&described, node));
                        device.described_as = described;
                    }
                }
                Retained::State("state") => {
                    if let Some(Json::Object(state)) = message() {
                        device.state = state;
                    }
                }
                Retained::State("online") => device.is_online = payload == b"ON",
                Retained::State("link") => told.push(Told::kept_word(topic.to_owned(), "OFF")),
                Retained::State(_) => {}
            }
        }
        told
    }

    /// Learns from a reception that may be told, the first of its packet.
    pub fn take(
        &mut self,
        reception: &Reception,
        facts: &Facts<'_>,
        nodes: &KnownNodes,
        told: &mut Vec<Told>,
    ) {
        let (Some(packet), Some(data)) = (facts.packet, facts.data) else { return };
        let node = packet.from.0;
        let is_linked = self.links.contains_key(&node);
        let Some(device) = self.device(node) else { return };
        device.heard_ms = reception.at_ms;
        let before = device.state.clone();
        entities::learn(&mut device.state, data.port, data.payload);
        let is_new_value = device.state != before;
        device.state.insert("last_heard".into(), json!(reception.at_ms / 1000));
        if packet.rx_rssi != 0 {
            device.state.insert("rssi".into(), json!(packet.rx_rssi));
            device.state.insert("snr".into(), mesh::tree::float_to_json(packet.rx_snr));
        }
        if let Some(hops_away) = facts.hops_away {
            device.state.insert("hops_away".into(), json!(hops_away));
        }
        let mut happened = Happened { is_online: !device.is_online, ..Happened::default() };
        device.is_online = true;
        happened.link = (is_linked && !device.announced.contains(&"link")).then_some(true);
        happened.position = facts.position.and_then(|position| place(&position)).map(|place| {
            json!({
                "latitude": place["latitude"],
                "longitude": place["longitude"],
                "altitude": place["altitude_m"],
                // Where a sender claims no precision, its receiver gave the place as exactly as it could.
                "gps_accuracy": place.get("accuracy_m").cloned().unwrap_or(json!(10)),
            })
        });
        if data.port == PortNum::TEXT_MESSAGE && packet.to == NodeNum::BROADCAST {
            happened.text = std::str::from_utf8(data.payload).ok().map(
                |text| json!({ "event_type": "text", "text": text, "channel": reception.channel.as_deref() }),
            );
        }
        let is_due = reception.at_ms - device.state_told_ms >= STATE_INTERVAL_MS;
        happened.state = is_new_value || is_due;
        if happened.state {
            device.state_told_ms = reception.at_ms;
        }
        self.announce(node, nodes, &happened, told);
        self.tell(node, happened, told);
    }

    /// Learns from a reception that may not be told. A node that declines is not shown any longer.
    pub fn take_refusal(&mut self, reception: &Reception, told: &mut Vec<Told>) {
        let Some(packet) = reception.packet.filter(|_| reception.consent == Consent::No) else { return };
        if self.devices.contains_key(&packet.from) {
            self.take_back(packet.from, told);
        }
    }

    /// Learns that a node was erased: it is shown no longer, and nothing is remembered of it.
    pub fn take_erased(&mut self, node: u32, told: &mut Vec<Told>) {
        self.links.remove(&node);
        self.take_back(node, told);
    }

    /// Learns that a gateway's client came or went. Of a gateway that has to consent first, it is told with its first packet.
    pub fn take_connection(&mut self, event: &ConnectionEvent, nodes: &KnownNodes, told: &mut Vec<Told>) {
        let Some(gateway) = event.gateway.filter(|gateway| self.is_chosen(*gateway)) else { return };
        if self.links.len() >= LINKED_MAX && !self.links.contains_key(&gateway) {
            return;
        }
        let links = self.links.entry(gateway).or_default();
        let was_linked = !links.is_empty();
        match event.what {
            ConnectionWhat::Connected(_) if links.len() < LINKS_MAX && !links.contains(&event.client_id) => {
                links.push(event.client_id.clone());
            }
            ConnectionWhat::Disconnected(_) => links.retain(|client_id| *client_id != event.client_id),
            ConnectionWhat::Connected(_) | ConnectionWhat::Refused(_) | ConnectionWhat::Moved(_) => {}
        }
        let is_linked = !links.is_empty();
        if !is_linked {
            self.links.remove(&gateway);
        }
        if is_linked == was_linked {
            return;
        }
        if self.settings.who == Who::Chosen && !self.devices.contains_key(&gateway) {
            let Some(device) = self.device(gateway) else { return };
            device.heard_ms = event.at_ms;
        }
        if self.devices.contains_key(&gateway) {
            let happened = Happened { link: Some(is_linked), ..Happened::default() };
            self.announce(gateway, nodes, &happened, told);
            self.tell(gateway, happened, told);
        }
    }

    /// Shows as offline who has been silent, and takes back who has been for long.
    pub fn tick(&mut self, now_ms: i64) -> Vec<Told> {
        let mut told = Vec::new();
        let mut gone = Vec::new();
        for (node, device) in &mut self.devices {
            let silent_ms = now_ms - device.heard_ms;
            if device.is_online && silent_ms >= self.settings.silent_ms {
                device.is_online = false;
                told.push(Told::kept_word(topic(*node, "online"), "OFF"));
            }
            if self.settings.who == Who::Consenting && silent_ms >= FORGOTTEN_MS {
                gone.push(*node);
            }
        }
        gone.into_iter().for_each(|node| self.take_back(node, &mut told));
        told
    }

    fn is_chosen(&self, node: u32) -> bool {
        match self.settings.who {
            Who::Nobody => false,
            Who::Chosen => self.settings.nodes.contains(&node),
            Who::Consenting => true,
        }
    }

    /// The node's device, when it is to have one and there is room.
    fn device(&mut self, node: u32) -> Option<&mut Device> {
        let has_room = self.devices.len() < DEVICES_MAX || self.devices.contains_key(&node);
        (has_room && self.is_chosen(node)).then(|| self.devices.entry(node).or_default())
    }

    /// Announces entities of which there is a first value, and all of them again when the node calls itself otherwise.
    fn announce(&mut self, node: u32, nodes: &KnownNodes, happened: &Happened, told: &mut Vec<Told>) {
        let Some(device) = self.devices.get_mut(&node) else { return };
        let described = description(node, nodes.of(node));
        let is_renamed = device.described_as != described;
        for entity in ENTITIES {
            let is_announced = device.announced.contains(&entity.name);
            let has_value = match entity.source {
                Source::State => device.state.contains_key(entity.name),
                Source::Online => true,
                Source::Link => happened.link.is_some(),
                Source::Position => happened.position.is_some(),
                Source::Text => happened.text.is_some(),
            };
            if !is_announced && has_value {
                device.announced.push(entity.name);
            }
            if (is_announced && is_renamed) || (!is_announced && has_value) {
                let config = entity.config(node, &described);
                told.push(Told::kept(config_topic(&self.settings.prefix, entity, node), &config));
            }
        }
        device.described_as = described;
    }

    fn tell(&self, node: u32, happened: Happened, told: &mut Vec<Told>) {
        let Some(device) = self.devices.get(&node) else { return };
        if happened.is_online {
            told.push(Told::kept_word(topic(node, "online"), "ON"));
        }
        if happened.state {
            told.push(Told::kept(topic(node, "state"), &Json::Object(device.state.clone())));
        }
        told.extend(
            happened
                .link
                .map(|is_linked| Told::kept_word(topic(node, "link"), if is_linked { "ON" } else { "OFF" })),
        );
        told.extend(happened.position.map(|place| Told::kept(topic(node, "position"), &place)));
        // An event that is kept would happen again at each subscription.
        told.extend(happened.text.map(|text| Told::once(topic(node, "text"), &text)));
    }

    fn take_back(&mut self, node: u32, told: &mut Vec<Told>) {
        let Some(device) = self.devices.remove(&node) else { return };
        for entity in ENTITIES.iter().filter(|entity| device.announced.contains(&entity.name)) {
            told.push(Told::forget(config_topic(&self.settings.prefix, entity, node)));
        }
        for what in ["state", "online", "position", "link"] {
            told.push(Told::forget(topic(node, what)));
        }
    }
}

/// What one packet or connection gives reason to tell.
#[derive(Debug, Default)]
struct Happened {
    is_online: bool,
    link: Option<bool>,
    state: bool,
    position: Option<Json>,
    text: Option<Json>,
}

/// What a retained topic of ours is.
enum Retained<'a> {
    /// The announcement of an entity.
    Config(&'a str),
    /// What was told of a node.
    State(&'a str),
}

/// Whose topic it is and what it holds; `None` for topics that are not ours.
fn whose(topic: &str) -> Option<(u32, Retained<'_>)> {
    if let Some(rest) = topic.strip_prefix("backhaul/1/node/") {
        let (node, what) = rest.split_once('/')?;
        return Some((NodeNum::parse(node)?.0, Retained::State(what)));
    }
    let (rest, name) = topic.strip_suffix("/config")?.rsplit_once('/')?;
    let digits = rest.rsplit('/').next()?.strip_prefix("backhaul_")?;
    Some((NodeNum::parse(&format!("!{digits}"))?.0, Retained::Config(name)))
}

fn topic(node: u32, what: &str) -> String {
    format!("backhaul/1/node/{}/{what}", NodeNum(node))
}

fn config_topic(prefix: &str, entity: &Entity, node: u32) -> String {
    format!("{prefix}/{}/backhaul_{node:08x}/{}/config", entity.component, entity.name)
}

/// The device as Home Assistant describes one.
fn description(node: u32, known: Option<&KnownNode>) -> Json {
    let id = NodeNum(node).to_string();
    let mut device = json!({
        "identifiers": [format!("backhaul_{node:08x}")],
        "name": known.map(|k| &*k.long_name).filter(|name| !name.is_empty()).unwrap_or(&id),
        "manufacturer": "Meshtastic",
    });
    for (name, text) in known.iter().flat_map(|k| [("model", &k.hardware), ("sw_version", &k.firmware)]) {
        if !text.is_empty() {
            device[name] = json!(text);
        }
    }
    device
}

/// What a description tells of a node.
fn known_from(device: &Json, node: u32) -> KnownNode {
    let text = |name: &str| device.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (mut known, id) = (KnownNode::default(), NodeNum(node).to_string());
    known.long_name = Some(text("name")).filter(|name| *name != id).unwrap_or_default();
    known.hardware = text("model");
    known.firmware = text("sw_version");
    known
}
