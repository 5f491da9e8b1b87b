//! What gateways do: what they hear goes up as the firmware sends it up, what comes down goes through its checks.

use mesh::compose::{Closed, Content, Packet, envelope};
use mesh::crypto::apply_ctr;
use mesh::data::DataView;
use mesh::envelope::EnvelopeView;
use mesh::node::NodeNum;
use mesh::packet::Variant;
use mesh::portnum::PortNum;
use mesh::topic::map_topic;

use crate::letter::{CHANNEL, Kind, Letter};
use crate::misfit::Manner;
use crate::radio::Signal;
use crate::radio_node::Frame;
use crate::simulation::City;

/// Highest hop limit and hop start that the firmware takes from MQTT.
const HOPS_MAX: u32 = 7;

impl City {
    /// A gateway heard a packet over the radio for the first time.
    pub(crate) fn uplink_heard(&mut self, node: usize, relay: usize, frame: &Frame, signal: Signal) {
        let Some(letter) = self.letters.get(&frame.key) else { return };
        let copy = Packet {
            hop_limit: frame.hop_limit,
            rx_time: self.now_s(),
            rx_snr: (signal.snr_db * 4.0).round() / 4.0,
            rx_rssi: signal.rssi_dbm.round() as i32,
            relay_node: self.residents[relay].num.0 as u8,
            transport: 1,
            ..letter.packet.clone()
        };
        let bytes = letter.envelope(&copy, &self.key, self.residents[node].num);
        let topic = self.topic(letter.channel(), node);
        self.publish(node, topic, bytes, frame.key);
    }

    /// What a gateway says itself goes up when it is said.
    pub(crate) fn uplink_own(&mut self, node: usize, letter: &Letter) {
        let copy = Packet { rx_time: self.now_s(), ..letter.packet.clone() };
        let bytes = letter.envelope(&copy, &self.key, self.residents[node].num);
        let topic = self.topic(letter.channel(), node);
        self.publish(node, topic, bytes, letter.key());
    }

    pub(crate) fn uplink_map_report(&mut self, node: usize, (port, payload): (PortNum, Vec<u8>)) {
        let gateway = self.residents[node].num;
        let packet = Packet { from: gateway, to: NodeNum::BROADCAST, ..Packet::default() };
        let content = Content { port: port.0, payload, ..Content::default() };
        let bytes = envelope(&packet, &content, CHANNEL, Closed::Decoded(0), gateway);
        let topic = map_topic(&self.plan.root);
        let what = (gateway.0, u32::try_from(self.now_ms).unwrap_or(0));
        self.publish(node, topic, bytes, what);
    }

    /// A copy came down from the broker to a gateway (firmware's `onReceiveProto`): its own packet is an implicit
    /// acknowledgement, what it uplinked or has had is ignored, what is for it is kept; the rest it transmits while hops
    /// are left, marked as having crossed MQTT.
    pub fn downlink(&mut self, gateway: NodeNum, payload: &[u8]) {
        let Some(node) = self.residents.iter().position(|r| r.num == gateway) else { return };
        self.report.downlinks += 1;
        let Ok(view) = EnvelopeView::parse(payload) else { return };
        let (uplinked_by, packet) = (view.gateway_id, view.packet);
        let Some(packet) = packet else { return };
        let (header, Variant::Encrypted(body)) = (packet.header, packet.variant) else { return };
        let is_own_uplink = uplinked_by.and_then(NodeNum::parse) == Some(gateway);
        if is_own_uplink || header.from == gateway || header.hop_limit.max(header.hop_start) > HOPS_MAX {
            return;
        }
        let key = (header.from.0, header.id);
        if self.manners[node] == Manner::Bridge && self.plan.misfits.has_bridge {
            self.uplink_again(node, key, header.hop_limit);
        }
        if !self.radios[node].note(key) {
            return;
        }
        self.report.downlinks_used += 1;
        self.arrive(node, key);
        let is_for_it = header.to == gateway;
        if is_for_it && !self.letters.contains_key(&key) {
            self.answer_stranger(node, header.from, header.id, body);
        }
        if header.hop_limit == 0 || is_for_it || header.to == NodeNum::BROADCAST_NO_LORA {
            return;
        }
        let hop_limit = header.hop_limit - 1;
        self.put_in_line(node, Frame { key, hop_limit, via_mqtt: true, is_relay: false });
    }

    /// Somebody who is no node of the city, such as the broker itself, asks a gateway for a traceroute: firmware answers
    /// always and at once.
    fn answer_stranger(&mut self, node: usize, from: NodeNum, id: u32, body: &[u8]) {
        let mut bytes = body.to_vec();
        apply_ctr(&self.key, from, id, &mut bytes);
        let Ok(data) = DataView::parse(&bytes) else { return };
        if data.port == PortNum::TRACEROUTE && data.want_response {
            let route = mesh::compose::traceroute(Default::default(), Default::default());
            self.say(node, Kind::TracerouteReply, from, route, Some((from.0, id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh::key::ChannelKey;
    use mesh::keyring::Keyring;
    use mesh::observe::{Scratch, observe};

    use crate::plan::Plan;
    use crate::simulation::Uplink;

    use super::*;

    #[test]
    fn a_downlink_is_transmitted_once_and_never_uplinked_again() {
        let mut city = City::new(Plan::default());
        let uplinks = city.live_until(3_600_000);
        let from_island_0 = |city: &City, gateway: NodeNum| {
            city.residents().iter().any(|r| r.num == gateway && r.island == 0)
        };
        let foreign = uplinks
            .iter()
            .find(|u| {
                let header = EnvelopeView::parse(&u.payload).unwrap().packet.unwrap().header;
                let is_recent = u.at_ms > 1_900_000;
                is_recent
                    && u.topic.contains("/e/")
                    && header.to == NodeNum::BROADCAST
                    && header.hop_limit > 1
                    && from_island_0(&city, u.gateway)
            })
            .unwrap()
            .clone();
        let key = {
            let header = EnvelopeView::parse(&foreign.payload).unwrap().packet.unwrap().header;
            (header.from, header.id)
        };
        let other = city.gateways().find(|r| r.island == 1).unwrap().num;
        city.downlink(other, &foreign.payload);
        assert_eq!((city.report().downlinks, city.report().downlinks_used), (1, 1));
        let later = city.live_until(3_660_000);
        assert!(city.report().downlink_transmissions > 1, "nobody relays");
        assert!(later.iter().all(|u| {
            let header = EnvelopeView::parse(&u.payload).unwrap().packet.unwrap().header;
            (header.from, header.id) != key
        }));
        let once = city.report().clone();
        city.downlink(other, &foreign.payload);
        city.live_until(3_720_000);
        assert_eq!(city.report().downlinks_used, once.downlinks_used);
    }

    #[test]
    fn a_traceroute_to_a_gateway_is_answered_on_the_air_and_uplinked() {
        let mut city = City::new(Plan::default());
        let gateway = city.gateways().next().unwrap().num;
        let (port, payload) = mesh::compose::traceroute(Default::default(), Default::default());
        let packet =
            Packet { from: NodeNum(0x5e00_0007), to: gateway, id: 77, hop_limit: 1, ..Packet::default() };
        let content = Content { port: port.0, payload, want_response: true, ..Content::default() };
        let key = ChannelKey::default_key();
        let request = envelope(&packet, &content, CHANNEL, Closed::Encrypted(&key), packet.from);
        city.downlink(gateway, &request);
        let answers = |uplinks: Vec<Uplink>| {
            let mut by = Vec::new();
            for uplink in uplinks {
                let (keyring, mut scratch) = (Keyring::default(), Scratch::default());
                let facts = observe(&uplink.topic, &uplink.payload, &keyring, &mut scratch);
                if facts.data.is_some_and(|data| data.request_id == 77) {
                    let header = facts.packet.unwrap();
                    assert_eq!((header.from, header.to), (gateway, packet.from));
                    by.push(uplink.gateway);
                }
            }
            by
        };
        assert!(answers(city.live_until(10_000)).contains(&gateway));
        city.downlink(gateway, &request);
        assert!(answers(city.live_until(20_000)).is_empty(), "once is enough");
    }
}
