//! What a node reports of itself, as far as policy looks at it: NodeInfo, map report, utilisation. Numbers only.

use std::fmt;

use crate::airtime::ModemPreset;
use crate::wire::{Content, Fields, WireError};

/// Bytes of an x25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// The parts of a User message (NodeInfo) that say who a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserReport {
    /// Role, the protocol's number; absent means 0, CLIENT.
    pub role: u32,
    /// x25519 public key; `None` when it is missing, has another length or is all zero.
    pub public_key: Option<[u8; PUBLIC_KEY_BYTES]>,
}

impl UserReport {
    /// Reads a User message.
    ///
    /// # Errors
    /// When the bytes are not protobuf.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let mut user = Self::default();
        for field in Fields::of(payload) {
            let field = field?;
            match (field.number, field.content) {
                (7, Content::Varint(role)) => user.role = role as u32,
                (8, Content::Bytes(key)) => {
                    user.public_key = key.try_into().ok().filter(|key| *key != [0; PUBLIC_KEY_BYTES]);
                }
                _ => {}
            }
        }
        Ok(user)
    }
}

/// A firmware version, without the build behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Firmware {
    /// The 2 of 2.7.26.
    pub major: u8,
    /// The 7 of 2.7.26.
    pub minor: u8,
    /// The 26 of 2.7.26.
    pub patch: u8,
}

impl Firmware {
    /// Reads `2.7.26.54e0d8d` and `2.7.26`; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse::<u8>);
        let (major, minor, patch) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        Some(Self { major, minor, patch })
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The parts of a MapReport that nothing else says. Its position is a [`crate::position::PositionFacts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MapReportFacts {
    /// Role, the protocol's number.
    pub role: u32,
    /// Firmware version, when it reads as one.
    pub firmware: Option<Firmware>,
    /// Region, the protocol's number; 0 is unset.
    pub region: u32,
    /// Modem preset, the protocol's number; absent means 0, LONG_FAST.
    pub preset: u32,
}

impl MapReportFacts {
    /// Reads a MapReport message.
    ///
    /// # Errors
    /// When the bytes are not protobuf.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let mut report = Self::default();
        for field in Fields::of(payload) {
            let field = field?;
            match (field.number, field.content) {
                (3, Content::Varint(role)) => report.role = role as u32,
                (5, Content::Bytes(text)) => {
                    report.firmware = std::str::from_utf8(text).ok().and_then(Firmware::parse);
                }
                (6, Content::Varint(region)) => report.region = region as u32,
                (7, Content::Varint(preset)) => report.preset = preset as u32,
                _ => {}
            }
        }
        Ok(report)
    }
}

/// The preset with that number of the protocol; `None` for one that is not known here.
pub fn preset_of(number: u32) -> Option<ModemPreset> {
    ModemPreset::ALL.iter().copied().find(|preset| *preset as u32 == number)
}

/// How busy a node finds the air, in percent from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Utilisation {
    /// Share of time that the channel was busy.
    pub channel: f32,
    /// Share of the last hour that the node itself transmitted.
    pub transmitting: f32,
}

impl Utilisation {
    /// Reads it from a Telemetry message, out of DeviceMetrics (2) or LocalStats (6). `None` when it says nothing of the
    /// kind, or no percentage.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let metrics = Fields::of(payload).flatten().find_map(|field| match (field.number, field.content) {
            (2, Content::Bytes(metrics)) => Some((metrics, [3, 4])),
            (6, Content::Bytes(metrics)) => Some((metrics, [2, 3])),
            _ => None,
        });
        let (metrics, numbers) = metrics?;
        let percent = |number| {
            let found = Fields::of(metrics).flatten().find(|field| field.number == number)?;
            let Content::Fixed32(bits) = found.content else { return None };
            Some(f32::from_bits(bits)).filter(|share| (0.0..=100.0).contains(share))
        };
        let channel = percent(numbers[0])?;
        Some(Self { channel, transmitting: percent(numbers[1]).unwrap_or(0.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;
    use crate::node::NodeNum;

    #[test]
    fn nodeinfo_says_role_and_key() {
        let payload = compose::nodeinfo_with_key(NodeNum(9), "North", "N", 43, 5, &[7; 32]).1;
        assert_eq!(UserReport::parse(&payload), Ok(UserReport { role: 5, public_key: Some([7; 32]) }));
        let blank = compose::nodeinfo_with_key(NodeNum(9), "North", "N", 43, 0, &[0; 32]).1;
        assert_eq!(UserReport::parse(&blank), Ok(UserReport::default()));
        assert!(UserReport::parse(&[0xff]).is_err());
    }

    #[test]
    fn map_reports_say_firmware_region_and_preset() {
        let mut payload = Vec::new();
        crate::wire::put_uint(&mut payload, 3, 2);
        crate::wire::put_bytes(&mut payload, 5, b"2.8.1.0123abc");
        crate::wire::put_uint(&mut payload, 6, 1);
        crate::wire::put_uint(&mut payload, 7, 4);
        let report = MapReportFacts::parse(&payload).expect("is protobuf");
        assert_eq!(
            (report.role, report.region, preset_of(report.preset)),
            (2, 1, Some(ModemPreset::MediumFast))
        );
        assert_eq!(report.firmware.map(|f| f.to_string()).as_deref(), Some("2.8.1"));
        assert_eq!(preset_of(2), None);
        for strange in ["", "2", "2.x.1", "999.1.1", "v2.7.1"] {
            assert_eq!(Firmware::parse(strange), None, "{strange}");
        }
    }

    #[test]
    fn utilisation_is_a_percentage_or_nothing() {
        let of = |channel, transmitting| {
            Utilisation::parse(&compose::device_telemetry(1, 90, 4.0, channel, transmitting, 60).1)
        };
        assert_eq!(of(31.5, 2.25), Some(Utilisation { channel: 31.5, transmitting: 2.25 }));
        assert_eq!(of(f32::NAN, 1.0), None);
        assert_eq!(of(130.0, 1.0), None);
        assert_eq!(Utilisation::parse(&compose::environment_telemetry(1, 20.0, 50.0, 990.0).1), None);
    }
}
