//! Envelopes as gateways publish them, made up: a text on LongFast under the default key, consent given.

use mesh::crypto::apply_ctr;
use mesh::key::ChannelKey;
use mesh::node::NodeNum;
use mesh::wire::{put_bytes, put_fixed32, put_float, put_uint};

/// Node number of the first gateway; the others follow.
pub const FIRST_GATEWAY: u32 = 0xa500_0000;

/// Makes envelopes; keeps the key and the buffers between them.
pub struct Composer {
    key: ChannelKey,
    hash: u8,
    data: Vec<u8>,
    packet: Vec<u8>,
    /// The envelope composed last.
    pub envelope: Vec<u8>,
}

/// What differs between two envelopes.
pub struct Uplink {
    /// The gateway that heard it.
    pub gateway: u32,
    /// Sender's node number.
    pub from: u32,
    /// Packet id, not 0.
    pub id: u32,
    /// The gateway's clock, Unix seconds.
    pub rx_time: u32,
    /// Characters of the text; 120 make an envelope of 200 bytes.
    pub text_len: usize,
}

impl Default for Composer {
    /// A composer for LongFast with the published default key.
    fn default() -> Self {
        let key = ChannelKey::default_key();
        let hash = key.channel_hash("LongFast", false);
        Self { key, hash, data: Vec::new(), packet: Vec::new(), envelope: Vec::new() }
    }
}

impl Composer {
    /// Composes an envelope into `envelope`.
    pub fn compose(&mut self, uplink: &Uplink) {
        self.data.clear();
        put_uint(&mut self.data, 1, 1); // TEXT_MESSAGE_APP
        let text = [b'n'; 200];
        put_bytes(&mut self.data, 2, &text[..uplink.text_len.min(text.len())]);
        put_uint(&mut self.data, 9, 1); // bitfield: ok to MQTT
        apply_ctr(&self.key, NodeNum(uplink.from), uplink.id, &mut self.data);

        self.packet.clear();
        let packet = &mut self.packet;
        put_fixed32(packet, 1, uplink.from);
        put_fixed32(packet, 2, NodeNum::BROADCAST.0);
        put_uint(packet, 3, u64::from(self.hash));
        put_bytes(packet, 5, &self.data);
        put_fixed32(packet, 6, uplink.id);
        put_fixed32(packet, 7, uplink.rx_time);
        put_float(packet, 8, 6.25);
        put_uint(packet, 9, 3); // hop limit
        put_uint(packet, 12, -91i64 as u64); // RSSI
        put_uint(packet, 15, 3); // hop start
        put_uint(packet, 19, 0x10); // relay node
        put_uint(packet, 21, 1); // transport: LoRa

        self.envelope.clear();
        put_bytes(&mut self.envelope, 1, &self.packet);
        put_bytes(&mut self.envelope, 2, b"LongFast");
        put_bytes(&mut self.envelope, 3, gateway_id(uplink.gateway).as_bytes());
    }
}

/// A gateway's id as text.
pub fn gateway_id(gateway: u32) -> String {
    format!("!{gateway:08x}")
}

#[cfg(test)]
mod tests {
    use mesh::keyring::Keyring;
    use mesh::observe::{Consent, EnvelopeState, PayloadState, Scratch, observe};

    use super::*;

    #[test]
    fn what_is_composed_is_read_as_a_packet_with_consent() {
        let mut composer = Composer::default();
        composer.compose(&Uplink {
            gateway: 0xa500_0001,
            from: 0x1000_0002,
            id: 7,
            rx_time: 1,
            text_len: 120,
        });
        let mut keyring = Keyring::default();
        keyring.add("LongFast", ChannelKey::default_key());
        let mut scratch = Scratch::default();
        let facts = observe("msh/US/2/e/LongFast/!a5000001", &composer.envelope, &keyring, &mut scratch);
        assert_eq!((facts.envelope, facts.consent), (EnvelopeState::Ok, Consent::Yes));
        assert_eq!(facts.payload, PayloadState::Decrypted);
        assert_eq!(composer.envelope.len(), 200);
    }
}
