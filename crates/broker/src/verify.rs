//! The round trip that proves downlink: the broker's own node asks a gateway's node for a traceroute, on a channel that the
//! gateway has subscribed to and whose key we hold. The answer comes back as an uplink like any other, and policy's memory
//! recognises it. A traceroute is what firmware answers always, at once, and under the channel's key.

use std::sync::Arc;

use directory::{GatewayId, IslandNumber};
use mesh::compose::{Closed, Content, Packet, Route, envelope, traceroute};
use mesh::node::NodeNum;
use mesh::observe::{Scratch, observe};
use mesh::topic::{MeshTopic, TopicKind, envelope_topic};
use policy::decision::Outcome;
use policy::downlink::details::Why;
use policy::rule::{RuleId, RuleSet, RuleState};
use record::{Reception, Record, Release};

use crate::downlink::{Bound, Leaving, released};
use crate::message::Message;
use crate::observe::write_down;
use crate::session::{Identifiers, SessionId};
use crate::{Broker, Now};

/// A node that has just connected is left in peace for a moment, in ms.
const SETTLE_MS: u64 = 5_000;
/// When it is tried again where nothing may go down at the moment, in ms.
const LATER_MS: u64 = 60_000;
/// How long a request is worth repeating to a gateway that comes back, in ms.
const REQUEST_AGE_MS: u64 = 60_000;
/// What the history calls the client that sent the broker's own packets.
pub(crate) const OWN_CLIENT: &str = "backhaul";
/// Bits of the bitfield: agrees to MQTT, wants a response.
const BITFIELD: u32 = 3;

/// Where and how a gateway can be asked.
struct Way {
    root: String,
    channel: String,
    qos: u8,
}

impl Broker {
    /// Gives the broker a node number of its own; without one nobody is asked for anything.
    pub fn set_own_node(&mut self, node: u32) {
        self.policy.memory.proofs.set_own_node(node);
    }

    /// Sees to it that a gateway is asked when the next round trip is due. To be called when something about that changed:
    /// it connected, it subscribed, the operator asks.
    pub(crate) fn plan_round_trip(&mut self, now: Now, id: SessionId) {
        let Some((gateway, _)) = self.askable(id) else { return };
        let wait_ms = u64::try_from(self.round_trip_due_ms(gateway).saturating_sub(now.unix_ms)).unwrap_or(0);
        self.ask_at(now, id, wait_ms.max(SETTLE_MS));
    }

    /// Asks a gateway, if it is time.
    pub(crate) fn verify_downlink(&mut self, now: Now, to: SessionId) {
        let Some(downlink) = self.session(to).and_then(|s| s.downlink.as_mut()) else { return };
        if downlink.ask_at_ms.is_none_or(|at| at > now.mono_ms) {
            return;
        }
        downlink.ask_at_ms = None;
        let Some((gateway, way)) = self.askable(to) else { return };
        if self.round_trip_due_ms(gateway) > now.unix_ms {
            return self.plan_round_trip(now, to);
        }
        if !self.is_reading(to) || self.is_stopped_for(gateway) {
            return self.ask_at(now, to, LATER_MS);
        }
        self.ask(now, to, gateway, &way);
        self.plan_round_trip(now, to);
    }

    /// The operator has asked for round trips.
    pub(crate) fn plan_demanded(&mut self, now: Now, old: &directory::Directory) {
        let asked = &self.options.directory.downlink().asked;
        if *asked == old.downlink().asked {
            return;
        }
        let is_new = |gateway: u32| {
            let id = GatewayId(gateway);
            asked.get(&id).is_some_and(|at| old.downlink().asked.get(&id) != Some(at))
        };
        let sessions = self.sessions.iter().filter(|(_, s)| s.principal.gateway().is_some_and(is_new));
        let ids: Vec<_> =
            sessions.filter_map(|(index, _)| u32::try_from(index).ok().map(SessionId)).collect();
        for id in ids {
            if self.askable(id).is_some() {
                self.ask_at(now, id, 0);
            }
        }
    }

    /// When the next round trip is due, Unix ms: by the schedule, or when the operator has asked since the last one.
    fn round_trip_due_ms(&self, gateway: u32) -> i64 {
        let settings = self.policy.settings();
        let proof = self.policy.memory.proofs.of(gateway);
        let demanded = self.options.directory.downlink().asked.get(&GatewayId(gateway));
        let demanded = demanded.and_then(|at| i64::try_from(*at).ok());
        if let Some(at) = demanded.filter(|at| proof.asked_ms.is_none_or(|asked| asked < *at)) {
            return at;
        }
        match settings.state(RuleId::DownlinkVerified) {
            RuleState::Off => i64::MAX,
            RuleState::Observe | RuleState::Enforce => proof.due_ms(&settings.proof),
        }
    }

    fn is_stopped_for(&self, gateway: u32) -> bool {
        let island = self.policy.memory.islands.island_of(gateway).unwrap_or(gateway);
        self.options.directory.downlink().is_stopped_for(Some(IslandNumber(island)))
    }

    fn ask_at(&mut self, now: Now, id: SessionId, wait_ms: u64) {
        if wait_ms > i64::MAX as u64 / 2 {
            return;
        }
        if let Some(session) = self.session(id) {
            let downlink = session.downlink.get_or_insert_default();
            downlink.ask_at_ms = Some(now.mono_ms.saturating_add(wait_ms));
        }
        self.watch_downlink(now, id);
    }

    /// The gateway of a session and a way to ask it: an envelope filter as firmware writes it, with a channel that is ours
    /// to speak on.
    fn askable(&self, id: SessionId) -> Option<(u32, Way)> {
        if self.options.lab || self.policy.memory.proofs.own_node() == 0 {
            return None;
        }
        let session = self.sessions.get(id.index())?;
        let gateway = session.principal.gateway()?;
        let way = session.subscriptions.iter().find_map(|(filter, wanted)| {
            let topic = MeshTopic::parse(filter).filter(|topic| topic.kind == TopicKind::Envelope)?;
            let channel = topic.channel.filter(|name| !name.contains(['+', '#']) && *name != "PKI")?;
            self.options.keyring.key_of(channel)?;
            let is_plain = topic.gateway == Some("+") && !topic.root.contains(['+', '#', '$']);
            let (root, channel) = (topic.root.to_owned(), channel.to_owned());
            is_plain.then_some(Way { root, channel, qos: wanted.qos.min(1) })
        })?;
        Some((gateway, way))
    }

    /// Sends the request and writes it down like every packet.
    fn ask(&mut self, now: Now, to: SessionId, gateway: u32, way: &Way) {
        let Some(key) = self.options.keyring.key_of(&way.channel) else { return };
        let own = NodeNum(self.policy.memory.proofs.own_node());
        self.round_trips += 1;
        let packet = Packet {
            from: own,
            to: NodeNum(gateway),
            id: packet_id(self.options.seed, now, self.round_trips),
            // It is for the gateway's own node, which transmits nothing of it; the answer starts with one hop.
            hop_limit: 1,
            hop_start: 1,
            rx_time: u32::try_from(now.unix_ms / 1000).unwrap_or(0),
            ..Packet::default()
        };
        let (port, payload) = traceroute(Route::default(), Route::default());
        let bitfield = Some(BITFIELD);
        let content = Content { port: port.0, payload, want_response: true, bitfield, ..Content::default() };
        let payload = envelope(&packet, &content, &way.channel, Closed::Encrypted(key), own);
        let topic = envelope_topic(&way.root, &way.channel, own);
        let mut scratch = Scratch::default();
        let facts = observe(&topic, &payload, &self.options.keyring, &mut scratch);
        let observed = write_down(&facts, self.options.preset);
        let message = Arc::new(Message {
            topic: topic.as_str().into(),
            payload: payload.as_slice().into(),
            qos: way.qos,
            retain: false,
            properties: None,
            expires_at_ms: None,
            hop_limit_at: None,
        });
        let (decision, permit) = policy::uplink::pass_own_request();
        self.last_seq += 1;
        let reception = Reception {
            seq: self.last_seq,
            at_ms: now.unix_ms,
            client_id: OWN_CLIENT.into(),
            username: None,
            gateway: Some(own.0),
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: way.qos,
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
        self.policy.memory.proofs.note_asked(now, gateway, packet.id);
        let bound = Bound {
            seq: Some(self.last_seq),
            permit,
            uplinked_by: Some(own.0),
            observed,
            can_lower: false,
            mqtt_packet_bytes: crate::deliver::packet_bytes(&message),
        };
        let Some(passing) = bound.passing() else { return };
        let copy = Leaving {
            message,
            qos: way.qos,
            retain: false,
            identifiers: Identifiers::new(),
            age_left_ms: REQUEST_AGE_MS,
        };
        let mut settled = self.send_down(now, to, &passing, copy, Outcome::Delivered, RuleSet::default());
        settled.details.why = Why::RoundTrip;
        self.count_copy(&settled);
        let copies: Vec<_> =
            self.sessions.get(to.index()).map(|s| released(s, settled)).into_iter().collect();
        let release = Release { reception_seq: self.last_seq, at_ms: now.unix_ms, copies };
        self.records.push(Record::Release(Arc::new(release)));
    }
}

/// A packet id that nobody guesses who has not read the request (SplitMix64's finalizer); never 0.
pub(crate) fn packet_id(seed: u64, now: Now, serial: u64) -> u32 {
    let mut mixed = seed ^ now.mono_ms.rotate_left(32) ^ serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) as u32).max(1)
}
