//! Records in, messages out: each reception is opened once, asked whether it may be told, and told in the chosen forms.

use mesh::keyring::Keyring;
use mesh::observe::{Facts, Scratch, observe};
use record::{Reception, Record};
use serde_json::Value as Json;

use crate::allowed::may_be_told;
use crate::home_assistant::HomeAssistant;
use crate::known_nodes::KnownNodes;
use crate::seen::Seen;
use crate::settings::{HowOften, Settings};
use crate::{firmware_json, packet_json};

/// A message to publish in the broker's own name, to everyone but gateways: it is made of what they sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Topic Name.
    pub topic: String,
    /// Payload; empty and retained: the topic is to be forgotten.
    pub payload: Vec<u8>,
    /// Whether it is kept for those who subscribe later.
    pub retain: bool,
}

impl Told {
    pub(crate) fn once(topic: String, message: &Json) -> Self {
        Self { topic, payload: message.to_string().into_bytes(), retain: false }
    }

    pub(crate) fn kept(topic: String, message: &Json) -> Self {
        Self { retain: true, ..Self::once(topic, message) }
    }

    pub(crate) fn kept_word(topic: String, word: &str) -> Self {
        Self { topic, payload: word.as_bytes().to_vec(), retain: true }
    }

    pub(crate) const fn forget(topic: String) -> Self {
        Self { topic, payload: Vec::new(), retain: true }
    }
}

/// Tells home automation what happens on the mesh.
#[derive(Debug)]
pub struct Teller {
    settings: Settings,
    keyring: Keyring,
    seen: Seen,
    nodes: KnownNodes,
    home_assistant: HomeAssistant,
}

impl Teller {
    /// A teller that knows nobody yet.
    pub fn new(settings: Settings, keyring: Keyring) -> Self {
        let home_assistant = HomeAssistant::new(settings.home_assistant.clone());
        Self { settings, keyring, seen: Seen::default(), nodes: KnownNodes::default(), home_assistant }
    }

    /// Filters of the topics that it retains.
    pub fn retained_filters(settings: &Settings) -> [String; 2] {
        HomeAssistant::retained_filters(&settings.home_assistant)
    }

    /// Takes over what it retained before a restart, and forgets what is not to be told any more.
    pub fn restore<'a>(
        &mut self,
        now_ms: i64,
        retained: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Vec<Told> {
        self.home_assistant.restore(now_ms, retained, &mut self.nodes)
    }

    /// Takes in what happened and says what to publish.
    pub fn take(&mut self, record: &Record) -> Vec<Told> {
        let mut told = Vec::new();
        match record {
            Record::Reception(reception) => self.take_reception(reception, &mut told),
            Record::Connection(event) => self.home_assistant.take_connection(event, &self.nodes, &mut told),
            Record::Erased(erased) => {
                self.nodes.forget(erased.node);
                self.home_assistant.take_erased(erased.node, &mut told);
            }
            Record::Release(_) | Record::PolicyChange(_) => {}
        }
        told
    }

    /// Says what is due by the clock.
    pub fn tick(&mut self, now_ms: i64) -> Vec<Told> {
        self.home_assistant.tick(now_ms)
    }

    fn take_reception(&mut self, reception: &Reception, told: &mut Vec<Told>) {
        if !may_be_told(&self.settings, reception) {
            return self.home_assistant.take_refusal(reception, told);
        }
        let mut scratch = Scratch::default();
        let facts = observe(&reception.topic, &reception.payload, &self.keyring, &mut scratch);
        let (Some(packet), Some(data)) = (facts.packet, facts.data) else { return };
        self.nodes.take(packet.from.0, data.port, data.payload, reception.at_ms);
        let is_first = self.seen.is_first(packet.from.0, packet.id, reception.at_ms);
        self.tell_packet(reception, &facts, is_first, told);
        if is_first {
            self.home_assistant.take(reception, &facts, &self.nodes, told);
        }
    }

    fn tell_packet(&self, reception: &Reception, facts: &Facts<'_>, is_first: bool, told: &mut Vec<Told>) {
        let is_due = |how_often| match how_often {
            HowOften::Never => false,
            HowOften::OncePerPacket => is_first,
            HowOften::PerReception => true,
        };
        let mut tell = |message: Option<(String, Json)>| {
            told.extend(message.map(|(topic, message)| Told::once(topic, &message)));
        };
        if is_due(self.settings.firmware_json) {
            tell(firmware_json::of(&self.settings, facts, &self.nodes));
        }
        if is_due(self.settings.packet_json) {
            tell(packet_json::of(reception, facts, &self.nodes));
        }
    }
}
