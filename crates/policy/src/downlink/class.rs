//! What a copy toward a gateway is worth: classes in the order in which copies leave, how long each stays worth sending,
//! and which copies are made pointless by a newer one.

use mesh::node::NodeNum;
use mesh::portnum::PortNum;

/// Class of a copy toward a gateway. The order is that of leaving; the numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// What somebody wrote or waits for: texts, acknowledgements, alerts, and what is for one node and cannot be read.
    Message = 0,
    /// Traceroutes and waypoints.
    Route = 1,
    /// Who a node is.
    NodeInfo = 2,
    /// Where a node is.
    Position = 3,
    /// What a node measures.
    Telemetry = 4,
    /// Everything else, what cannot be read included.
    Other = 5,
}

impl Class {
    /// Every class, in the order of leaving and of its stored number.
    pub const ALL: [Class; 6] =
        [Self::Message, Self::Route, Self::NodeInfo, Self::Position, Self::Telemetry, Self::Other];

    /// The class of a packet with this port, when it could be opened, for this node.
    pub const fn of(port: Option<u32>, to: u32) -> Self {
        let Some(port) = port else {
            // A direct message that only its two ends can read is most likely something that somebody wrote.
            return if to == NodeNum::BROADCAST.0 { Self::Other } else { Self::Message };
        };
        match PortNum(port) {
            PortNum::TEXT_MESSAGE
            | PortNum::TEXT_COMPRESSED
            | PortNum::ROUTING
            | PortNum::ALERT
            | PortNum::DETECTION_SENSOR
            | PortNum::KEY_VERIFICATION => Self::Message,
            PortNum::TRACEROUTE | PortNum::WAYPOINT => Self::Route,
            PortNum::NODEINFO => Self::NodeInfo,
            PortNum::POSITION => Self::Position,
            PortNum::TELEMETRY => Self::Telemetry,
            _ => Self::Other,
        }
    }

    /// The word used in configuration and pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Route => "route",
            Self::NodeInfo => "node-info",
            Self::Position => "position",
            Self::Telemetry => "telemetry",
            Self::Other => "other",
        }
    }

    /// The policy's key for how long it stays worth sending, in seconds.
    pub const fn age_key(self) -> &'static str {
        match self {
            Self::Message => "downlink_age_message_s",
            Self::Route => "downlink_age_route_s",
            Self::NodeInfo => "downlink_age_node_info_s",
            Self::Position => "downlink_age_position_s",
            Self::Telemetry => "downlink_age_telemetry_s",
            Self::Other => "downlink_age_other_s",
        }
    }

    /// The stored number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The class with that stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// How long a copy of each class stays worth sending, in ms, by stored number of the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeLimits(pub [u64; Class::ALL.len()]);

impl AgeLimits {
    /// The limit of a class, in ms.
    pub const fn of(&self, class: Class) -> u64 {
        self.0[class as usize]
    }
}

impl Default for AgeLimits {
    /// A text is worth reading ten minutes later; whoever asked for a route has given up after one; a position or a
    /// measurement is followed by the next before long.
    fn default() -> Self {
        Self([600_000, 60_000, 300_000, 120_000, 120_000, 60_000])
    }
}

/// What a newer copy replaces: the same node's word on the same subject to the same destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    from: u32,
    to: u32,
    port: u32,
    variant: u8,
}

impl Kind {
    /// The kind of a packet; `None` for what is never replaced: messages and routes, each of which counts, and what
    /// cannot be read. `variant` tells apart what one port carries, such as telemetry of the device and of the air.
    pub const fn of(from: u32, to: u32, port: Option<u32>, variant: u8) -> Option<Self> {
        match (Class::of(port, to), port) {
            (Class::Message | Class::Route, _) | (_, None) => None,
            (Class::NodeInfo | Class::Position | Class::Telemetry | Class::Other, Some(port)) => {
                Some(Self { from, to, port, variant })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u32 = 0xffff_ffff;

    #[test]
    fn ports_have_the_class_that_people_expect() {
        for (port, to, class) in [
            (Some(1), ALL, Class::Message),
            (Some(5), 7, Class::Message),
            (Some(11), ALL, Class::Message),
            (Some(70), 7, Class::Route),
            (Some(8), ALL, Class::Route),
            (Some(4), ALL, Class::NodeInfo),
            (Some(3), ALL, Class::Position),
            (Some(67), ALL, Class::Telemetry),
            (Some(71), ALL, Class::Other),
            (None, ALL, Class::Other),
            (None, 7, Class::Message),
        ] {
            assert_eq!(Class::of(port, to), class, "port {port:?} to {to:x}");
        }
    }

    #[test]
    fn numbers_go_both_ways_and_follow_the_order_of_leaving() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!((usize::from(class.code()), Class::from_code(class.code())), (index, Some(class)));
        }
        assert!(Class::ALL.is_sorted());
        assert_eq!(Class::from_code(6), None);
    }

    #[test]
    fn what_somebody_wrote_is_never_replaced() {
        for port in [1, 5, 7, 8, 11, 70] {
            assert_eq!(Kind::of(1, ALL, Some(port), 0), None, "port {port}");
        }
        assert_eq!(Kind::of(1, ALL, None, 0), None);
        assert_eq!(Kind::of(1, ALL, Some(3), 0), Kind::of(1, ALL, Some(3), 0));
        for (from, to, port, variant) in [(2, ALL, 67, 2), (1, 9, 67, 2), (1, ALL, 3, 2), (1, ALL, 67, 3)] {
            assert_ne!(Kind::of(1, ALL, Some(67), 2), Kind::of(from, to, Some(port), variant));
        }
    }
}
