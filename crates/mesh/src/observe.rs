//! Facts about one publish: what its topic and payload are, as far as we can see. Facts, never verdicts; what cannot
//! be seen stays unknown. Allocates nothing.

use crate::airtime::{FRAME_BYTES_MAX, HEADER_BYTES};
pub use crate::crypto::Scratch;
use crate::crypto::{ENCRYPTED_BYTES_MAX, apply_ctr, open_aead};
use crate::data::DataView;
use crate::envelope::EnvelopeView;
use crate::key::KeyClass;
use crate::keyring::Keyring;
use crate::node::NodeNum;
use crate::packet::{PacketHeader, Variant};
use crate::portnum::PortNum;
use crate::position::PositionFacts;
use crate::schema;
use crate::signature::SIGNATURE_BYTES;
use crate::topic::{MeshTopic, TopicKind};
use crate::wire::Fields;

/// Whether the payload is an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeState {
    /// It is.
    Ok,
    /// It is not.
    Malformed,
    /// There are no bytes.
    Empty,
}

/// How far the packet's payload can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadState {
    /// Opened with a key.
    Decrypted,
    /// Was never closed.
    Plaintext,
    /// Closed: no key of ours, or public-key encryption.
    Opaque,
    /// There is none.
    None,
}

/// Whether the sender agreed to MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The bit is set, or the gateway published a packet or map report of its own.
    Yes,
    /// The bit is clear.
    No,
    /// The packet is opaque, or its firmware has no such bit.
    Unknown,
}

/// Whether there is a signature worth checking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureState {
    /// None.
    None,
    /// There is one; checking it is the caller's choice.
    Unchecked,
    /// Neither 0 nor 64 bytes.
    Malformed,
}

/// Everything that is known about one publish without looking at any other.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The topic taken apart; `None` when it is none of the mesh's.
    pub topic: Option<MeshTopic<'a>>,
    /// Whether the payload is an envelope.
    pub envelope: EnvelopeState,
    /// Channel name in the envelope.
    pub channel_id: Option<&'a str>,
    /// Gateway id in the envelope, as text.
    pub gateway_id: Option<&'a str>,
    /// Gateway id in the envelope, when it is one.
    pub gateway: Option<NodeNum>,
    /// Header of the packet.
    pub packet: Option<PacketHeader>,
    /// How far its payload can be seen.
    pub payload: PayloadState,
    /// How public its key is.
    pub key_class: KeyClass,
    /// Port number, when open.
    pub port: Option<PortNum>,
    /// The open payload.
    pub data: Option<DataView<'a>>,
    /// Whether the sender agreed to MQTT.
    pub consent: Consent,
    /// Hops travelled (`NodeDB.cpp getHopsAway`).
    pub hops_away: Option<u8>,
    /// The position in it.
    pub position: Option<PositionFacts>,
    /// Whether it is signed.
    pub signature: SignatureState,
    /// Bytes on the air, LoRa header included.
    pub frame_bytes: Option<u16>,
    /// Offset in the payload of the hop limit's byte, when it can be lowered in place.
    pub hop_limit_at: Option<usize>,
    /// Remarkable things.
    pub flags: Flags,
}

impl Facts<'_> {
    /// Whether the gateway published a packet of its own.
    pub fn is_own_packet(&self) -> bool {
        self.gateway.is_some() && self.packet.map(|p| p.from) == self.gateway
    }
}

macro_rules! flags {
    ($($constant:ident = $bit:literal, $name:literal;)*) => {
        /// A set of remarkable things. The bits are stored: they are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Flags(pub u64);

        #[allow(missing_docs, reason = "the table gives each its name")]
        impl Flags { $(pub const $constant: Self = Self(1 << $bit);)* }

        const FLAG_NAMES: &[(u64, &str)] = &[$((1 << $bit, $name)),*];
    };
}

flags! {
    NOT_OK_TO_MQTT = 0, "not_ok_to_mqtt";
    NO_BITFIELD = 1, "no_bitfield";
    DECODED_ON_WIRE = 2, "decoded_on_wire";
    PRECISE_POSITION = 3, "precise_position";
    ADMIN = 4, "admin";
    REMOTE_SHELL = 5, "remote_shell";
    RANGE_TEST = 6, "range_test";
    BULK = 7, "bulk";
    NO_LORA = 8, "no_lora";
    PKI = 9, "pki";
    PKI_PLAINTEXT_LEAK = 10, "pki_plaintext_leak";
    CLEARTEXT_IN_ENCRYPTED = 11, "cleartext_in_encrypted_field";
    LICENSED = 12, "licensed";
    AEAD = 13, "aead";
    AEAD_AUTH_FAILED = 14, "aead_auth_failed";
    SIGNED = 15, "signed";
    SIG_LAYOUT_V0 = 16, "sig_layout_v0";
    SIG_LAYOUT_V1 = 17, "sig_layout_v1";
    SIG_INVALID = 18, "sig_invalid";
    SIG_MALFORMED = 19, "sig_malformed";
    DUPLICATE = 20, "duplicate";
    VIA_MQTT = 21, "via_mqtt";
    HOP_START_HIGH = 22, "hop_start_high";
    HOP_INVALID = 23, "hop_invalid";
    HOP_INCONSISTENT = 24, "hop_inconsistent";
    FROM_INVALID = 25, "from_invalid";
    TO_INVALID = 26, "to_invalid";
    ID_ZERO = 27, "id_zero";
    TOPIC_GATEWAY_MISMATCH = 28, "topic_gateway_mismatch";
    TOPIC_CHANNEL_MISMATCH = 29, "topic_channel_mismatch";
    LEGACY_TOPIC = 30, "legacy_topic";
    NO_GATEWAY_ID = 31, "no_gateway_id";
    NO_CHANNEL_ID = 32, "no_channel_id";
    NO_PACKET = 33, "no_packet";
    NO_PAYLOAD = 34, "no_payload";
    OVERSIZE_PACKET = 35, "oversize_packet";
    MALFORMED = 36, "malformed";
    EMPTY = 37, "empty";
    APP_PAYLOAD_INVALID = 38, "app_payload_invalid";
    OPAQUE = 39, "opaque";
}

impl Flags {
    /// Whether all of these are set.
    pub const fn contains(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    /// Sets these when the condition holds.
    pub fn set(&mut self, flag: Self, condition: bool) {
        if condition {
            self.0 |= flag.0;
        }
    }

    fn clear(&mut self, flag: Self) {
        self.0 &= !flag.0;
    }

    /// The flag with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        FLAG_NAMES.iter().find(|(_, known)| *known == name).map(|(bit, _)| Self(*bit))
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        FLAG_NAMES.iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| *name)
    }
}

/// Positions finer than this are marked: it is the finest that the public broker passes.
pub const PRECISION_BITS_MARKED: u32 = 16;

/// A hop start from here on is marked; firmware's default is 3.
const HOP_START_HIGH: u32 = 6;

/// Looks at topic and payload. `scratch` holds the opened packet.
pub fn observe<'a>(
    topic: &'a str,
    payload: &'a [u8],
    keyring: &Keyring,
    scratch: &'a mut Scratch,
) -> Facts<'a> {
    let topic = MeshTopic::parse(topic);
    let mut facts = Facts {
        topic,
        envelope: if payload.is_empty() { EnvelopeState::Empty } else { EnvelopeState::Malformed },
        channel_id: None,
        gateway_id: None,
        gateway: None,
        packet: None,
        payload: PayloadState::None,
        key_class: KeyClass::Unknown,
        port: None,
        data: None,
        consent: Consent::Unknown,
        hops_away: None,
        position: None,
        signature: SignatureState::None,
        frame_bytes: None,
        hop_limit_at: None,
        flags: Flags::default(),
    };
    let carries_envelope = topic
        .is_some_and(|t| matches!(t.kind, TopicKind::Envelope | TopicKind::LegacyEnvelope | TopicKind::Map));
    if !carries_envelope {
        return facts;
    }
    facts.flags.set(Flags::LEGACY_TOPIC, topic.is_some_and(|t| t.kind == TopicKind::LegacyEnvelope));
    match EnvelopeView::parse(payload) {
        Ok(envelope) => look_into(&mut facts, &envelope, keyring, scratch),
        Err(_) => {
            facts.flags.set(Flags::EMPTY, payload.is_empty());
            facts.flags.set(Flags::MALFORMED, !payload.is_empty());
        }
    }
    facts
}

fn look_into<'a>(
    facts: &mut Facts<'a>,
    envelope: &EnvelopeView<'a>,
    keyring: &Keyring,
    scratch: &'a mut Scratch,
) {
    facts.envelope = EnvelopeState::Ok;
    facts.channel_id = envelope.channel_id;
    facts.gateway_id = envelope.gateway_id;
    facts.gateway = envelope.gateway_id.and_then(NodeNum::parse);
    facts.hop_limit_at = envelope.hop_limit_at();
    let flags = &mut facts.flags;
    flags.set(Flags::NO_GATEWAY_ID, envelope.gateway_id.is_none());
    flags.set(Flags::NO_CHANNEL_ID, envelope.channel_id.is_none());
    flags.set(Flags::NO_PACKET, envelope.packet.is_none());
    if let Some(topic) = facts.topic {
        let differs = |a: Option<&str>, b: Option<&str>| a.is_some() && b.is_some() && a != b;
        flags.set(Flags::TOPIC_GATEWAY_MISMATCH, differs(topic.gateway, envelope.gateway_id));
        flags.set(Flags::TOPIC_CHANNEL_MISMATCH, differs(topic.channel, envelope.channel_id));
    }
    let Some(packet) = envelope.packet else { return };
    let header = packet.header;
    facts.packet = Some(header);
    look_at_header(flags, &header);
    let channel = envelope.channel_id.or(facts.topic.and_then(|t| t.channel)).unwrap_or_default();
    let is_pki = channel == "PKI" || header.pki_encrypted;
    flags.set(Flags::PKI, is_pki);
    let payload_bytes = match packet.variant {
        Variant::None => {
            flags.set(Flags::NO_PAYLOAD, true);
            return;
        }
        Variant::Decoded(bytes) => {
            flags.set(Flags::DECODED_ON_WIRE, true);
            flags.set(Flags::PKI_PLAINTEXT_LEAK, is_pki || header.has_public_key);
            facts.payload = PayloadState::Opaque;
            if let Ok(data) = DataView::parse(bytes) {
                facts.payload = PayloadState::Plaintext;
                facts.data = Some(data);
            }
            bytes.len()
        }
        Variant::Encrypted(bytes) => {
            open(facts, bytes, channel, is_pki, keyring, scratch);
            bytes.len()
        }
    };
    let frame = payload_bytes + HEADER_BYTES;
    facts.frame_bytes = u16::try_from(frame).ok();
    facts.flags.set(Flags::OVERSIZE_PACKET, frame > FRAME_BYTES_MAX);
    facts.flags.set(Flags::OPAQUE, facts.payload == PayloadState::Opaque);
    look_at_data(facts);
    facts.hops_away = hops_away(&header, facts.data.is_some_and(|d| d.bitfield.is_some()));
}

fn look_at_header(flags: &mut Flags, header: &PacketHeader) {
    let is_invalid = header.hop_limit > 7 || header.hop_start > 7;
    flags.set(Flags::HOP_INVALID, is_invalid);
    flags.set(Flags::HOP_START_HIGH, !is_invalid && header.hop_start >= HOP_START_HIGH);
    flags.set(Flags::HOP_INCONSISTENT, header.hop_start != 0 && header.hop_start < header.hop_limit);
    flags.set(Flags::FROM_INVALID, !header.from.is_node());
    flags.set(Flags::TO_INVALID, header.to.0 == 0);
    flags.set(Flags::NO_LORA, header.to == NodeNum::BROADCAST_NO_LORA);
    flags.set(Flags::ID_ZERO, header.id == 0);
    flags.set(Flags::VIA_MQTT, header.via_mqtt);
}

fn open<'a>(
    facts: &mut Facts<'a>,
    encrypted: &[u8],
    channel: &str,
    is_pki: bool,
    keyring: &Keyring,
    scratch: &'a mut Scratch,
) {
    facts.payload = PayloadState::Opaque;
    let Some(header) = facts.packet else { return };
    if is_pki {
        facts.key_class = KeyClass::Pki;
        return;
    }
    if encrypted.len() > ENCRYPTED_BYTES_MAX {
        return;
    }
    let (flags, buffer) = (&mut facts.flags, &mut scratch.0[..encrypted.len()]);
    let opened = keyring.find(channel, header.channel, |candidate| {
        buffer.copy_from_slice(encrypted);
        let len = if candidate.is_aead {
            let len = open_aead(candidate.key, header.from, header.to, header.id, buffer);
            flags.set(Flags::AEAD_AUTH_FAILED, len.is_none() && !candidate.is_guess);
            len?
        } else {
            apply_ctr(candidate.key, header.from, header.id, buffer);
            buffer.len()
        };
        let data = DataView::parse(&buffer[..len]).ok()?;
        // A tag convinces by itself.
        let is_convincing = candidate.is_aead || !candidate.is_guess || is_convincing(&buffer[..len], &data);
        is_convincing.then(|| (len, candidate.is_aead, candidate.key.class()))
    });
    let Some((len, is_aead, key_class)) = opened else { return };
    facts.flags.clear(Flags::AEAD_AUTH_FAILED);
    facts.flags.set(Flags::AEAD, is_aead);
    facts.key_class = key_class;
    facts.data = DataView::parse(&scratch.0[..len]).ok();
    facts.payload = if key_class == KeyClass::Unencrypted {
        facts.flags.set(Flags::CLEARTEXT_IN_ENCRYPTED, true);
        PayloadState::Plaintext
    } else {
        PayloadState::Decrypted
    };
}

/// Whether bytes that a guessed key gave are what firmware writes: a known port first, then known fields in order, and
/// a payload that fits the port. Of the junk that a wrong key gives, less than one in 100,000 passes.
fn is_convincing(opened: &[u8], data: &DataView<'_>) -> bool {
    let mut last = 0;
    let is_in_order = Fields::of(opened).flatten().all(|field| {
        let follows = field.number > last && (last > 0 || field.number == 1) && field.number <= 10;
        last = field.number;
        follows
    });
    is_in_order && data.port.name().is_some() && schema::is_valid(data.port, data.payload)
}

fn look_at_data(facts: &mut Facts<'_>) {
    let is_own = facts.is_own_packet();
    let Some(data) = facts.data else {
        if is_own {
            facts.consent = Consent::Yes;
        }
        return;
    };
    facts.port = Some(data.port);
    let flags = &mut facts.flags;
    flags.set(Flags::NO_BITFIELD, data.bitfield.is_none());
    flags.set(Flags::NOT_OK_TO_MQTT, data.ok_to_mqtt() == Some(false));
    flags.set(Flags::ADMIN, data.port == PortNum::ADMIN);
    flags.set(Flags::REMOTE_SHELL, data.port == PortNum::REMOTE_SHELL);
    flags.set(Flags::RANGE_TEST, data.port == PortNum::RANGE_TEST);
    flags.set(Flags::BULK, data.port == PortNum::LORA_OTA);
    flags.set(Flags::APP_PAYLOAD_INVALID, !schema::is_valid(data.port, data.payload));
    flags.set(Flags::LICENSED, data.port == PortNum::NODEINFO && schema::is_licensed(data.payload));
    facts.position = match data.port {
        PortNum::POSITION => PositionFacts::parse(data.payload).ok(),
        PortNum::MAP_REPORT => PositionFacts::parse_map_report(data.payload).ok(),
        _ => None,
    };
    let is_precise = facts.position.is_some_and(|p| p.is_finer_than(PRECISION_BITS_MARKED));
    flags.set(Flags::PRECISE_POSITION, is_precise);
    facts.signature = match data.signature.len() {
        0 => SignatureState::None,
        SIGNATURE_BYTES => SignatureState::Unchecked,
        _ => SignatureState::Malformed,
    };
    flags.set(Flags::SIGNED, facts.signature == SignatureState::Unchecked);
    flags.set(Flags::SIG_MALFORMED, facts.signature == SignatureState::Malformed);
    facts.consent = match data.ok_to_mqtt() {
        _ if is_own => Consent::Yes,
        Some(true) => Consent::Yes,
        Some(false) => Consent::No,
        None => Consent::Unknown,
    };
}

fn hops_away(header: &PacketHeader, has_bitfield: bool) -> Option<u8> {
    let is_known = header.hop_start != 0 || has_bitfield;
    let hops = header.hop_start.checked_sub(header.hop_limit)?;
    if is_known { u8::try_from(hops).ok() } else { None }
}
