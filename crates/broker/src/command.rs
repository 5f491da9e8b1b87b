//! JSON commands of services that may send: what they ask for becomes a packet of the broker's own node, which is recorded
//! and goes through the release rules like any other. The command itself is passed on to nobody.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mesh::compose::{Closed, Content, Packet, envelope, position, text};
use mesh::json_command::{Asked, JsonCommand, parse};
use mesh::key::KeyClass;
use mesh::node::NodeNum;
use mesh::observe::{Scratch, observe};
use mesh::topic::{MeshTopic, envelope_topic};
use policy::decision::{Decision, Verdict};
use policy::principal::Principal;
use policy::rule::RuleId;
use policy::uplink::{pass_asked, refuse_command};
use record::{Reception, Record};

use crate::downlink::{Bound, Copies};
use crate::message::Message;
use crate::observe::write_down;
use crate::tell::NOBODY;
use crate::verify::{OWN_CLIENT, packet_id};
use crate::{Broker, Now};

/// The broker's own packets agree to MQTT.
const AGREES: u32 = 1;
/// Firmware delivers nothing with a higher QoS.
const QOS: u8 = 1;
const HOUR_MS: u64 = 3_600_000;
/// Bits of a position on a channel that anyone can read: about a square kilometre, as firmware 2.8 cuts it.
const PUBLIC_POSITION_BITS: u32 = 15;
const EXACT_BITS: u32 = 32;

/// When services had something sent within the last hour, by user name. As many moments as a service may have, and as many
/// services as the directory allows.
#[derive(Debug, Default)]
pub(crate) struct SentForServices(BTreeMap<Arc<str>, VecDeque<u64>>);

impl SentForServices {
    /// Counts one more, unless it is too much.
    fn count(&mut self, service: &Arc<str>, per_hour: u32, now_ms: u64) -> bool {
        let moments = self.0.entry(service.clone()).or_default();
        while moments.front().is_some_and(|first| now_ms.saturating_sub(*first) >= HOUR_MS) {
            moments.pop_front();
        }
        if moments.len() >= per_hour as usize {
            return false;
        }
        moments.push_back(now_ms);
        true
    }
}

/// A packet that a service asked for.
#[derive(Debug)]
pub(crate) struct AskedFor {
    service: Arc<str>,
    root: String,
    channel: String,
    command: JsonCommand,
}

impl Broker {
    /// Understands a command that policy let through; one that cannot be carried out is refused with the reason.
    pub(crate) fn understand_command(
        &mut self,
        now: Now,
        sender: &Principal,
        topic: &str,
        payload: &[u8],
        decision: Decision,
    ) -> (Decision, Option<AskedFor>) {
        let is_command =
            decision.rule == Some(RuleId::JsonCommand) && decision.verdict == Verdict::RecordOnly;
        let Some(service) = sender.username().filter(|_| is_command) else { return (decision, None) };
        match self.asked_for(now, service, topic, payload) {
            Ok(asked) => (decision, Some(asked)),
            Err(why) => (refuse_command(decision, why), None),
        }
    }

    fn asked_for(
        &mut self,
        now: Now,
        service: &Arc<str>,
        topic: &str,
        payload: &[u8],
    ) -> Result<AskedFor, String> {
        let own = self.policy.memory.proofs.own_node();
        if own == 0 {
            return Err("The broker has no node of its own, so nothing can be sent.".to_owned());
        }
        let own = NodeNum(own);
        let command =
            parse(payload, own).map_err(|why| format!("{why} The broker's own node is {}, {own}.", own.0))?;
        let sending =
            self.options.directory.sending(service).ok_or("This service may not have anything sent.")?;
        let channel = sending.channels.get(command.channel).ok_or_else(|| {
            let known = sending.channels.join(", ");
            format!(
                "This service may send on {known} and no further channel, but asks for index {}.",
                command.channel
            )
        })?;
        if self.options.keyring.key_of(channel).is_none() {
            return Err(format!(
                "The broker has no key for the channel `{channel}`; a `[[channel]]` in the configuration gives it one."
            ));
        }
        let root = MeshTopic::parse(topic).map(|topic| topic.root.to_owned()).unwrap_or_default();
        let (channel, per_hour) = (channel.clone(), sending.per_hour);
        if !self.sent_for_services.count(service, per_hour, now.mono_ms) {
            return Err(format!(
                "This service may have {per_hour} packets sent within an hour, and has had them."
            ));
        }
        Ok(AskedFor { service: service.clone(), root, channel, command })
    }

    /// Sends what was asked for: steps 4 and 6 to 9 of a packet's journey.
    pub(crate) fn send_asked(&mut self, now: Now, asked: &AskedFor) {
        let AskedFor { service, root, channel, command } = asked;
        if self.is_erased(command.to.0) {
            self.counters.erased += 1;
            return;
        }
        let Some(key) = self.options.keyring.key_of(channel) else { return };
        let own = NodeNum(self.policy.memory.proofs.own_node());
        self.round_trips += 1;
        let packet = Packet {
            from: own,
            to: command.to,
            id: packet_id(self.options.seed, now, self.round_trips),
            hop_limit: u32::from(command.hop_limit),
            hop_start: u32::from(command.hop_limit),
            rx_time: u32::try_from(now.unix_ms / 1000).unwrap_or(0),
            ..Packet::default()
        };
        let (port, payload) = match &command.what {
            Asked::Text(words) => text(words),
            Asked::Position { latitude_i, longitude_i, altitude_m, time } => {
                let is_private = key.class() == KeyClass::Private;
                let bits = if is_private { EXACT_BITS } else { PUBLIC_POSITION_BITS };
                let time = if *time == 0 { packet.rx_time } else { *time };
                position(*latitude_i, *longitude_i, *altitude_m, time, bits)
            }
        };
        let content = Content { port: port.0, payload, bitfield: Some(AGREES), ..Content::default() };
        let payload = envelope(&packet, &content, channel, Closed::Encrypted(key), own);
        let topic = envelope_topic(root, channel, own);
        let mut scratch = Scratch::default();
        let facts = observe(&topic, &payload, &self.options.keyring, &mut scratch);
        let observed = write_down(&facts, self.options.preset);
        let message = Arc::new(Message {
            topic: topic.as_str().into(),
            payload: payload.as_slice().into(),
            qos: QOS,
            retain: false,
            properties: None,
            expires_at_ms: None,
            hop_limit_at: observed.hop_limit_at,
        });
        let (decision, permit) = pass_asked(service);
        self.last_seq += 1;
        self.counters.by_verdict[usize::from(decision.verdict.code())] += 1;
        let reception = Reception {
            seq: self.last_seq,
            at_ms: now.unix_ms,
            client_id: OWN_CLIENT.into(),
            username: Some(service.clone()),
            gateway: Some(own.0),
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: QOS,
            retain: false,
            packet: observed.packet,
            channel: observed.channel.clone(),
            port: observed.port,
            consent: observed.consent,
            key_class: observed.key_class,
            flags: observed.flags,
            frame_bytes: observed.frame_bytes,
            airtime_us: observed.airtime_us,
            decision,
        };
        self.records.push(Record::Reception(Arc::new(reception)));
        let (seq, key) = (Some(self.last_seq), observed.key);
        let bound = Bound {
            seq,
            permit,
            uplinked_by: Some(own.0),
            observed,
            can_lower: message.hop_limit_at.is_some(),
            mqtt_packet_bytes: crate::deliver::packet_bytes(&message),
        };
        let routes = self.route(&message.topic, NOBODY);
        let mut copies = Copies::new(&message, Some(&bound), routes.len());
        for route in routes.iter() {
            self.release_copy(now, route, &mut copies);
        }
        self.deliver_to_groups(now, &mut copies);
        let settled = copies.settled;
        self.account(now, seq, settled, key, permit);
    }
}
