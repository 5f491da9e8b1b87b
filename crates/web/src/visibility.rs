//! Who may see what. Every page and the live stream ask here; nothing else decides what the public sees.
//!
//! The public sees a reception when its sender agreed to MQTT, anyone can read its channel anyway, and policy passed it
//! on. Of such a reception it sees what was said, never where somebody is to better than `PUBLIC_POSITION_BITS`, and
//! never who connected from where. The operator sees everything that is kept; secrets are not kept.

use std::sync::Arc;

use history::{Eyes, Sort};
use mesh::portnum::PortNum;
use mesh::position::PositionFacts;
use policy::decision::Verdict;
use record::{Consent, KeyClass, Reception};

/// Bits of latitude and longitude that the public sees at most: about 1.5 km.
pub const PUBLIC_POSITION_BITS: u32 = 14;

/// Who looks at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// Anyone.
    Public,
    /// Signed in as observer, operator or admin. What they may change is `who.rs`'s subject.
    Operator,
}

/// What a visitor may see.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Who looks.
    pub visitor: Visitor,
    /// Channels with a key of the operator's whose traffic the operator has declared public.
    pub public_channels: Arc<[Box<str>]>,
}

impl Sight {
    /// Whether the visitor may see everything that is kept.
    pub fn is_operator(&self) -> bool {
        self.visitor == Visitor::Operator
    }

    /// Whether the visitor may know that this reception exists.
    pub fn allows(&self, reception: &Reception) -> bool {
        match self.visitor {
            Visitor::Operator => true,
            Visitor::Public => self.is_public(reception),
        }
    }

    fn is_public(&self, reception: &Reception) -> bool {
        self.allows_sort(&Sort::of(reception))
    }

    /// Whether the visitor may know that receptions of this sort exist.
    pub fn allows_sort(&self, sort: &Sort) -> bool {
        self.is_operator()
            || (sort.consent == Consent::Yes
                && self.is_readable_by_anyone(sort)
                && matches!(sort.verdict, Verdict::Accept | Verdict::Rewrite))
    }

    fn is_readable_by_anyone(&self, sort: &Sort) -> bool {
        let is_declared_public = || {
            let channel = sort.channel.as_deref();
            channel.is_some_and(|name| self.public_channels.iter().any(|c| **c == *name))
        };
        match sort.key_class {
            KeyClass::Unencrypted | KeyClass::Default | KeyClass::Simple | KeyClass::Known => true,
            KeyClass::Private => is_declared_public(),
            // Map reports are uplinked in clear, for public maps, by nodes whose owners turned them on.
            KeyClass::Unknown => sort.port == Some(PortNum::MAP_REPORT.0),
            KeyClass::Pki => false,
        }
    }

    /// Whether the visitor may see the bytes of a reception it may see, and everything decoded from them. Bytes on a
    /// public channel can be opened by anyone, so bytes that hold a place are as exact as the place.
    pub fn allows_bytes(&self, port: Option<PortNum>, payload: &[u8]) -> bool {
        match self.visitor {
            Visitor::Operator => true,
            Visitor::Public => port.is_some_and(|port| is_placeless(port, payload)),
        }
    }

    /// The finest hexagons of coverage that the visitor may see, a resolution of H3.
    pub fn hexagons_max(&self) -> u8 {
        if self.is_operator() { insight::coverage::FINEST } else { PUBLIC_HEXAGONS_MAX }
    }

    /// The position as the visitor may see it.
    pub fn position(&self, position: PositionFacts) -> PositionFacts {
        match self.visitor {
            Visitor::Operator => position,
            Visitor::Public => PositionFacts { altitude_m: None, ..position.coarsened(PUBLIC_POSITION_BITS) },
        }
    }
}

/// The finest hexagons of coverage that the public sees, about as large as a place of `PUBLIC_POSITION_BITS`.
pub const PUBLIC_HEXAGONS_MAX: u8 = 7;

/// What surveys of coverage and links take in.
impl Eyes for Sight {
    fn may_see(&self, sort: &Sort) -> bool {
        self.allows_sort(sort)
    }

    fn place(&self, position: PositionFacts) -> PositionFacts {
        self.position(position)
    }
}

/// Whether a payload tells no place finer than the public may know. Only ports whose fields are known not to hold
/// coordinates count; of all others nobody can say.
fn is_placeless(port: PortNum, payload: &[u8]) -> bool {
    match port {
        PortNum::POSITION => {
            let position = PositionFacts::parse(payload);
            position.is_ok_and(|p| p.altitude_m.is_none() && !p.is_finer_than(PUBLIC_POSITION_BITS))
        }
        PortNum::TEXT_MESSAGE
        | PortNum::NODEINFO
        | PortNum::ROUTING
        | PortNum::TELEMETRY
        | PortNum::TRACEROUTE
        | PortNum::NEIGHBORINFO
        | PortNum::PAXCOUNTER
        | PortNum::ALERT
        | PortNum::DETECTION_SENSOR => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use policy::decision::Decision;
    use policy::rule::RuleSet;

    use super::*;

    fn reception(consent: Consent, key_class: KeyClass, verdict: Verdict) -> Reception {
        let decision = Decision {
            verdict,
            rule: None,
            sentence: Cow::Borrowed(""),
            observed: RuleSet::default(),
            off: RuleSet::default(),
        };
        Reception {
            seq: 1,
            at_ms: 0,
            client_id: "c".into(),
            username: None,
            gateway: None,
            topic: "t".into(),
            payload: Arc::from([]),
            qos: 0,
            retain: false,
            packet: None,
            channel: Some("Town".into()),
            port: None,
            consent,
            key_class,
            flags: 0,
            frame_bytes: None,
            airtime_us: None,
            decision,
        }
    }

    fn sight(visitor: Visitor, channels: &[&str]) -> Sight {
        Sight { visitor, public_channels: channels.iter().map(|c| Box::from(*c)).collect() }
    }

    #[test]
    fn the_public_sees_what_is_agreed_readable_and_passed_on_and_nothing_else() {
        for consent in Consent::ALL {
            for key in KeyClass::ALL {
                for verdict in Verdict::ALL {
                    let seen = sight(Visitor::Public, &[]).allows(&reception(*consent, *key, verdict));
                    let expected = *consent == Consent::Yes
                        && key.is_public()
                        && matches!(verdict, Verdict::Accept | Verdict::Rewrite);
                    assert_eq!(seen, expected, "{consent:?} {key:?} {verdict:?}");
                    assert!(sight(Visitor::Operator, &[]).allows(&reception(*consent, *key, verdict)));
                }
            }
        }
    }

    #[test]
    fn map_reports_are_public_when_they_were_passed_on() {
        let map_report = |verdict| Reception {
            port: Some(PortNum::MAP_REPORT.0),
            ..reception(Consent::Yes, KeyClass::Unknown, verdict)
        };
        assert!(sight(Visitor::Public, &[]).allows(&map_report(Verdict::Accept)));
        assert!(!sight(Visitor::Public, &[]).allows(&map_report(Verdict::Refuse)));
    }

    #[test]
    fn a_channel_declared_public_opens_private_keys_only() {
        let town = sight(Visitor::Public, &["Town"]);
        let check = |consent, key, expected| {
            assert_eq!(
                town.allows(&reception(consent, key, Verdict::Accept)),
                expected,
                "{consent:?} {key:?}"
            );
        };
        check(Consent::Yes, KeyClass::Private, true);
        check(Consent::No, KeyClass::Private, false);
        check(Consent::Yes, KeyClass::Pki, false);
        check(Consent::Yes, KeyClass::Unknown, false);
        let other = sight(Visitor::Public, &["Village"]);
        assert!(!other.allows(&reception(Consent::Yes, KeyClass::Private, Verdict::Accept)));
    }

    #[test]
    fn exact_places_stay_with_the_operator() {
        let exact = PositionFacts {
            latitude_i: Some(392_468_123),
            longitude_i: Some(-944_191_457),
            altitude_m: Some(263),
            precision_bits: 32,
        };
        let public = sight(Visitor::Public, &[]).position(exact);
        assert!(!public.is_finer_than(PUBLIC_POSITION_BITS));
        assert_eq!(public.altitude_m, None);
        assert_eq!(sight(Visitor::Operator, &[]).position(exact), exact);
    }

    #[test]
    fn bytes_with_a_place_are_withheld_from_the_public() {
        let position = |latitude: i32, longitude: i32, bits: u8| {
            let mut bytes = vec![0x0d];
            bytes.extend_from_slice(&latitude.to_le_bytes());
            bytes.push(0x15);
            bytes.extend_from_slice(&longitude.to_le_bytes());
            bytes.extend_from_slice(&[0xb8, 0x01, bits]);
            bytes
        };
        let cut = |v| mesh::position::truncate(v, 13);
        let check = |port, payload: &[u8], expected| {
            let public = sight(Visitor::Public, &[]);
            assert_eq!(public.allows_bytes(port, payload), expected, "{port:?} {payload:02x?}");
            assert!(sight(Visitor::Operator, &[]).allows_bytes(port, payload));
        };
        check(Some(PortNum::TEXT_MESSAGE), b"hello", true);
        check(Some(PortNum::POSITION), &position(392_468_123, -944_191_457, 32), false);
        check(Some(PortNum::POSITION), &position(392_468_123, -944_191_457, 13), false);
        check(Some(PortNum::POSITION), &position(cut(392_468_123), cut(-944_191_457), 13), true);
        check(Some(PortNum::POSITION), b"\xff", false);
        check(Some(PortNum::WAYPOINT), b"", false);
        check(Some(PortNum::MAP_REPORT), b"", false);
        check(Some(PortNum(300)), b"", false);
        check(None, b"", false);
    }
}
