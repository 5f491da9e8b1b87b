//! Reason Codes of MQTT 5.0 (§ 2.4), who may send them in which packet, and the CONNACK return codes of 3.1.1
//! (§ 3.2.2.3). Knows no packet's layout.

/// Packets that carry a Reason Code, as bits for the table of which may carry what. Success in DISCONNECT is called
/// Normal disconnection by the specification, and in SUBACK Granted QoS 0.
pub mod carrier {
    /// CONNACK.
    pub const CONNACK: u16 = 1;
    /// PUBACK and PUBREC.
    pub const PUBLISH_ACK: u16 = 1 << 1;
    /// PUBREL and PUBCOMP.
    pub const RELEASE_ACK: u16 = 1 << 2;
    /// SUBACK.
    pub const SUBACK: u16 = 1 << 3;
    /// UNSUBACK.
    pub const UNSUBACK: u16 = 1 << 4;
    /// DISCONNECT from a client.
    pub const CLIENT_DISCONNECT: u16 = 1 << 5;
    /// DISCONNECT from a server.
    pub const SERVER_DISCONNECT: u16 = 1 << 6;
    /// AUTH from a client.
    pub const CLIENT_AUTH: u16 = 1 << 7;
    /// AUTH from a server.
    pub const SERVER_AUTH: u16 = 1 << 8;
}

macro_rules! reason_codes {
    ($($variant:ident = $code:literal, $name:literal, $($carrier:ident)|*;)*) => {
        /// A Reason Code of MQTT 5.0. Codes below 0x80 say that it went well.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ReasonCode { $(#[doc = $name] $variant = $code,)* }

        impl ReasonCode {
            /// Every Reason Code.
            pub const ALL: &[ReasonCode] = &[$(Self::$variant),*];

            /// The name the specification gives it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            const fn carriers(self) -> u16 {
                use carrier::*;
                match self { $(Self::$variant => $($carrier)|*),* }
            }
        }
    };
}

reason_codes! {
    Success = 0x00, "Success", CONNACK | PUBLISH_ACK | RELEASE_ACK | SUBACK | UNSUBACK | CLIENT_DISCONNECT | SERVER_DISCONNECT | SERVER_AUTH;
    GrantedQos1 = 0x01, "Granted QoS 1", SUBACK;
    GrantedQos2 = 0x02, "Granted QoS 2", SUBACK;
    DisconnectWithWill = 0x04, "Disconnect with Will Message", CLIENT_DISCONNECT;
    NoMatchingSubscribers = 0x10, "No matching subscribers", PUBLISH_ACK;
    NoSubscriptionExisted = 0x11, "No subscription existed", UNSUBACK;
    ContinueAuthentication = 0x18, "Continue authentication", CLIENT_AUTH | SERVER_AUTH;
    ReAuthenticate = 0x19, "Re-authenticate", CLIENT_AUTH;
    UnspecifiedError = 0x80, "Unspecified error", CONNACK | PUBLISH_ACK | SUBACK | UNSUBACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    MalformedPacket = 0x81, "Malformed Packet", CONNACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    ProtocolError = 0x82, "Protocol Error", CONNACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    ImplementationSpecificError = 0x83, "Implementation specific error", CONNACK | PUBLISH_ACK | SUBACK | UNSUBACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version", CONNACK;
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid", CONNACK;
    BadUserNameOrPassword = 0x86, "Bad User Name or Password", CONNACK;
    NotAuthorized = 0x87, "Not authorized", CONNACK | PUBLISH_ACK | SUBACK | UNSUBACK | SERVER_DISCONNECT;
    ServerUnavailable = 0x88, "Server unavailable", CONNACK;
    ServerBusy = 0x89, "Server busy", CONNACK | SERVER_DISCONNECT;
    Banned = 0x8A, "Banned", CONNACK;
    ServerShuttingDown = 0x8B, "Server shutting down", SERVER_DISCONNECT;
    BadAuthenticationMethod = 0x8C, "Bad authentication method", CONNACK | SERVER_DISCONNECT;
    KeepAliveTimeout = 0x8D, "Keep Alive timeout", SERVER_DISCONNECT;
    SessionTakenOver = 0x8E, "Session taken over", SERVER_DISCONNECT;
    TopicFilterInvalid = 0x8F, "Topic Filter invalid", SUBACK | UNSUBACK | SERVER_DISCONNECT;
    TopicNameInvalid = 0x90, "Topic Name invalid", CONNACK | PUBLISH_ACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    PacketIdentifierInUse = 0x91, "Packet Identifier in use", PUBLISH_ACK | SUBACK | UNSUBACK;
    PacketIdentifierNotFound = 0x92, "Packet Identifier not found", RELEASE_ACK;
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded", CLIENT_DISCONNECT | SERVER_DISCONNECT;
    TopicAliasInvalid = 0x94, "Topic Alias invalid", CLIENT_DISCONNECT | SERVER_DISCONNECT;
    PacketTooLarge = 0x95, "Packet too large", CONNACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    MessageRateTooHigh = 0x96, "Message rate too high", CLIENT_DISCONNECT | SERVER_DISCONNECT;
    QuotaExceeded = 0x97, "Quota exceeded", CONNACK | PUBLISH_ACK | SUBACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    AdministrativeAction = 0x98, "Administrative action", CLIENT_DISCONNECT | SERVER_DISCONNECT;
    PayloadFormatInvalid = 0x99, "Payload format invalid", CONNACK | PUBLISH_ACK | CLIENT_DISCONNECT | SERVER_DISCONNECT;
    RetainNotSupported = 0x9A, "Retain not supported", CONNACK | SERVER_DISCONNECT;
    QosNotSupported = 0x9B, "QoS not supported", CONNACK | SERVER_DISCONNECT;
    UseAnotherServer = 0x9C, "Use another server", CONNACK | SERVER_DISCONNECT;
    ServerMoved = 0x9D, "Server moved", CONNACK | SERVER_DISCONNECT;
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported", SUBACK | SERVER_DISCONNECT;
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded", CONNACK | SERVER_DISCONNECT;
    MaximumConnectTime = 0xA0, "Maximum connect time", SERVER_DISCONNECT;
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported", SUBACK | SERVER_DISCONNECT;
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported", SUBACK | SERVER_DISCONNECT;
}

impl ReasonCode {
    /// The code on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The Reason Code with that number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.code() == code)
    }

    /// Whether a packet of that kind (a constant of [`carrier`]) may carry it (tables 2-6 and 3-10).
    pub const fn may_stand_in(self, carrier: u16) -> bool {
        self.carriers() & carrier != 0
    }

    /// The Reason Code with that number, when a packet of that kind may carry it.
    pub fn read(code: u8, carrier: u16) -> Option<Self> {
        Self::from_code(code).filter(|reason| reason.may_stand_in(carrier))
    }

    /// Whether it reports a failure.
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The CONNACK return code that tells an MQTT 3.1.1 client the same, as far as it can be told.
    pub const fn connack_v311(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned => 5,
            _ => 3,
        }
    }
}
