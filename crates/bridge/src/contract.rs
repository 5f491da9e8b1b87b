//! What was agreed for one direction, and whether one message keeps to it.

use mesh::observe::{Consent, Facts};
use mesh::portnum::PortNum;
use mesh::topic::TopicKind;
use policy::uplink::packet_key;

use crate::area::{Area, Places};
use crate::crossed::Crossed;
use crate::quota::Quota;
use crate::status::Held;

/// What may cross in one direction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contract {
    /// Names of channels; none means every channel.
    pub channels: Vec<Box<str>>,
    /// Port numbers; none means every kind of packet, also those that cannot be opened.
    pub ports: Vec<PortNum>,
    /// Whether map reports cross too.
    pub map_reports: bool,
    /// Whether senders must have agreed. Outward they must, whatever stands here.
    pub needs_consent: bool,
    /// Only what is sent by nodes in this circle.
    pub area: Option<Area>,
    /// Highest hop limit; a packet with more is lowered to it.
    pub hop_limit_max: Option<u8>,
    /// How much.
    pub quota: Quota,
}

impl Contract {
    /// Ports of a text-only contract.
    pub const TEXT: [PortNum; 2] = [PortNum::TEXT_MESSAGE, PortNum::TEXT_COMPRESSED];

    /// Whether a message keeps to what was agreed, quotas aside. `places` must have learned from it before.
    pub(crate) fn objection(&self, facts: &Facts<'_>, places: &Places, crossed: &Crossed) -> Option<Held> {
        let Some((packet, kind)) = facts.packet.as_ref().zip(facts.topic.as_ref().map(|t| t.kind)) else {
            return Some(Held::NotAPacket);
        };
        match kind {
            TopicKind::Envelope => {}
            TopicKind::Map if self.map_reports => {}
            _ => return Some(Held::NotAPacket),
        }
        let Some(key) = packet_key(facts) else { return Some(Held::NoIdentity) };
        let channel = || facts.channel_id.or(facts.topic.as_ref().and_then(|t| t.channel));
        let is_agreed =
            |name: Option<&str>| name.is_some_and(|name| self.channels.iter().any(|c| **c == *name));
        let has_area = |area: &Area| places.is_in(packet.from.0, area);
        let objections = [
            (crossed.holds(key), Held::Crossed),
            (self.needs_consent && facts.consent != Consent::Yes, Held::Consent),
            (kind != TopicKind::Map && !self.channels.is_empty() && !is_agreed(channel()), Held::Channel),
            (
                !self.ports.is_empty() && !facts.port.is_some_and(|port| self.ports.contains(&port)),
                Held::Port,
            ),
            (self.area.as_ref().is_some_and(|area| !has_area(area)), Held::Area),
            (self.is_too_high(facts) && facts.hop_limit_at.is_none(), Held::HopLimit),
        ];
        objections.into_iter().find(|(objects, _)| *objects).map(|(_, held)| held)
    }

    /// The bytes as they cross: with a lower hop limit, if that is what was agreed.
    pub(crate) fn fitted(&self, facts: &Facts<'_>, payload: &[u8]) -> Vec<u8> {
        let mut bytes = payload.to_vec();
        if self.is_too_high(facts)
            && let Some((at, max)) = facts.hop_limit_at.zip(self.hop_limit_max)
        {
            mesh::packet::lower_hop_limit(&mut bytes, at, max);
        }
        bytes
    }

    fn is_too_high(&self, facts: &Facts<'_>) -> bool {
        let hop_limit = facts.packet.as_ref().map_or(0, |packet| packet.hop_limit);
        self.hop_limit_max.is_some_and(|max| hop_limit > u32::from(max))
    }
}
