//! Reason Strings: the sentence for a person beside a Reason Code, where the client wants it and can take it.

use mqtt::Version;
use mqtt::property::{Properties, id};
use mqtt::publish::{Ack, AckKind};
use mqtt::reason_code::ReasonCode;
use mqtt::server_packet::encode_disconnect;

use crate::connection::Connection;
use crate::{Broker, ConnectionId};

/// Packets that explain themselves, by when a client can forbid it (§ 3.1.2.11.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Explains {
    /// CONNACK and DISCONNECT: always.
    Always,
    /// All others: unless Request Problem Information is 0. [MQTT-3.1.2-29]
    IfAsked,
}

impl Connection {
    /// Takes over from CONNECT what decides how the client may be spoken to.
    pub fn note_how_to_speak(&mut self, version: Version, properties: Properties<'_>) {
        self.version = version;
        self.client_packet_bytes_max = properties.number(id::MAXIMUM_PACKET_SIZE).unwrap_or(u32::MAX);
        self.wants_problem_information = properties.number(id::REQUEST_PROBLEM_INFORMATION) != Some(0);
    }
}

impl Broker {
    /// Appends a packet that can say why. The sentence is left out where the client does not want it or the packet would be
    /// larger than it takes [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.14.2-3]; a packet that is too large without it is not
    /// sent at all [MQTT-3.1.2-24]. Returns whether one was sent.
    pub(crate) fn write_why(
        &mut self,
        id: ConnectionId,
        explains: Explains,
        why: &str,
        packet: impl Fn(&mut Vec<u8>, Version, Option<&str>),
    ) -> bool {
        let Some(connection) = self.connections.get_mut(id.index()).filter(|c| !c.is_closing) else {
            return false;
        };
        let (version, bytes_max) = (connection.version, connection.client_packet_bytes_max as usize);
        let is_wanted = explains == Explains::Always || connection.wants_problem_information;
        let told = (is_wanted && version == Version::V5 && !why.is_empty()).then_some(why);
        let out = connection.outbox.append(&mut self.spare_buffers);
        let start = out.len();
        packet(out, version, told);
        if told.is_some() && out.len() - start > bytes_max {
            out.truncate(start);
            packet(out, version, None);
        }
        let bytes = out.len() - start;
        let fits = bytes <= bytes_max;
        if fits {
            self.counters.packets_out += 1;
            self.counters.bytes_out += bytes as u64;
            self.memory.note(bytes);
            self.mark_dirty(id);
            self.check_unread(id);
        } else {
            out.truncate(start);
        }
        fits
    }

    pub(crate) fn send_ack(
        &mut self,
        id: ConnectionId,
        kind: AckKind,
        packet_id: u16,
        reason: ReasonCode,
        why: &str,
    ) {
        let ack = Ack { kind, packet_id, reason };
        self.write_why(id, Explains::IfAsked, why, |out, version, why| ack.encode_why(out, version, why));
    }

    pub(crate) fn send_disconnect(&mut self, id: ConnectionId, reason: ReasonCode, why: &str) {
        self.write_why(id, Explains::Always, why, |out, _, why| encode_disconnect(out, reason, why));
    }
}
