//! Tables of the MQTT 5.0 specification, written down a second time and by packet, to hold the codec against. Knows
//! nothing of how the codec keeps them.

use mqtt::property::place;

/// What a property holds, and which values it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A byte, 0 or 1.
    Flag,
    /// Two bytes, from this value on.
    Two(u16),
    /// Four bytes, from this value on.
    Four(u32),
    /// One to four bytes, from 1 on.
    Variable,
    /// A string.
    Text,
    /// Bytes.
    Binary,
    /// Two strings.
    Pair,
}

/// The properties of each place, from the section that describes the packet (§ 3.1.2.11 to § 3.15.2.2).
pub fn properties_of(place_bit: u32) -> &'static [u32] {
    match place_bit {
        place::CONNECT => &[0x11, 0x21, 0x27, 0x22, 0x19, 0x17, 0x26, 0x15, 0x16],
        place::WILL => &[0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26],
        place::CONNACK => &[
            0x11, 0x21, 0x24, 0x25, 0x27, 0x12, 0x22, 0x1f, 0x26, 0x28, 0x29, 0x2a, 0x13, 0x1a, 0x1c, 0x15,
            0x16,
        ],
        place::PUBLISH => &[0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x0b, 0x03],
        place::ACK | place::SUBACK => &[0x1f, 0x26],
        place::SUBSCRIBE => &[0x0b, 0x26],
        place::UNSUBSCRIBE => &[0x26],
        place::DISCONNECT => &[0x11, 0x1f, 0x26, 0x1c],
        place::AUTH => &[0x15, 0x16, 0x1f, 0x26],
        _ => panic!("no such place"),
    }
}

/// Table 2-4, the type of each property with the lowest value that its section allows; `None` when there is no such
/// property.
pub fn holds(id: u32) -> Option<Holds> {
    Some(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Holds::Flag,
        0x13 | 0x22 => Holds::Two(0),
        0x21 | 0x23 => Holds::Two(1),
        0x02 | 0x11 | 0x18 => Holds::Four(0),
        0x27 => Holds::Four(1),
        0x0b => Holds::Variable,
        0x03 | 0x08 | 0x12 | 0x15 | 0x1a | 0x1c | 0x1f => Holds::Text,
        0x09 | 0x16 => Holds::Binary,
        0x26 => Holds::Pair,
        _ => return None,
    })
}
