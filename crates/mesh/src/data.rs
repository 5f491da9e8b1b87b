//! Data: what a packet carries once it is open.

use crate::portnum::PortNum;
use crate::wire::{Content, Fields, WireError};

/// The parts of a Data message (`mesh.proto`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataView<'a> {
    /// What the payload is.
    pub port: PortNum,
    /// Payload, at most 233 bytes from firmware.
    pub payload: &'a [u8],
    /// Whether an answer is wanted.
    pub want_response: bool,
    /// Id of the packet this answers; 0 none.
    pub request_id: u32,
    /// Id of the message this replies to; 0 none.
    pub reply_id: u32,
    /// Whether the text is an emoji reaction; 0 no.
    pub emoji: u32,
    /// Bit 0: ok to MQTT. Bit 1: copy of `want_response`. Absent before firmware 2.5.
    pub bitfield: Option<u32>,
    /// XEdDSA signature: 0 or 64 bytes when valid.
    pub signature: &'a [u8],
}

/// `bitfield` bit 0: the sender agrees to MQTT (`src/mesh/Router.h`).
pub const BITFIELD_OK_TO_MQTT: u32 = 1;

impl<'a> DataView<'a> {
    /// Looks at the bytes of a Data message. A port number of 0 counts as not decrypted, as in firmware.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut data = Self {
            port: PortNum(0),
            payload: &[],
            want_response: false,
            request_id: 0,
            reply_id: 0,
            emoji: 0,
            bitfield: None,
            signature: &[],
        };
        for field in Fields::of(bytes) {
            let field = field?;
            match (field.number, field.content) {
                (1, Content::Varint(v)) => data.port = PortNum(v as u32),
                (2, Content::Bytes(v)) => data.payload = v,
                (3, Content::Varint(v)) => data.want_response = v != 0,
                (6, Content::Fixed32(v)) => data.request_id = v,
                (7, Content::Fixed32(v)) => data.reply_id = v,
                (8, Content::Fixed32(v)) => data.emoji = v,
                (9, Content::Varint(v)) => data.bitfield = Some(v as u32),
                (10, Content::Bytes(v)) => data.signature = v,
                // nanopb refuses a known field of the wrong type; junk from a wrong key often has one.
                (1..=10, _) if !matches!((field.number, field.content), (4 | 5, Content::Fixed32(_))) => {
                    return Err(WireError);
                }
                _ => {}
            }
        }
        if data.port == PortNum::UNKNOWN { Err(WireError) } else { Ok(data) }
    }

    /// The ok-to-MQTT bit; `None` when the sender's firmware has no bitfield.
    pub fn ok_to_mqtt(&self) -> Option<bool> {
        self.bitfield.map(|b| b & BITFIELD_OK_TO_MQTT != 0)
    }
}
