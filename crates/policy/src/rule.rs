//! The rules: one ordered table with the id, stage, default state and meaning of each. Knows nothing of packets.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// When a rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Once for each reception, before it may be passed on.
    Uplink,
    /// Once for each receiver of an accepted packet.
    Release,
}

/// Whether a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleState {
    /// Not asked.
    Off,
    /// Asked; what it would have done is recorded beside the real verdict.
    Observe,
    /// Asked, and its answer stands.
    Enforce,
}

impl RuleState {
    /// The word used in the configuration and on pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }

    /// The state with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Off, Self::Observe, Self::Enforce].into_iter().find(|s| s.word() == word)
    }
}

/// One line of the table of rules.
#[derive(Debug, Clone, Copy)]
pub struct RuleInfo {
    /// Which rule.
    pub id: RuleId,
    /// The id as people see it: the same string in history, metrics, logs, configuration and pages.
    pub name: &'static str,
    /// When it is asked.
    pub stage: Stage,
    /// Its state unless the operator says otherwise.
    pub default: RuleState,
    /// What it does, in one sentence.
    pub doc: &'static str,
}

macro_rules! rules {
    ($($variant:ident = $code:literal, $name:literal, $stage:ident, $default:ident, $doc:literal;)*) => {
        /// A rule. The numbers are stored in the history: they are never reused, and do not give the order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RuleId { $(#[doc = $doc] $variant = $code,)* }

        /// Every rule, in the order in which rules are asked.
        pub const RULES: &[RuleInfo] = &[$(RuleInfo {
            id: RuleId::$variant, name: $name, stage: Stage::$stage, default: RuleState::$default, doc: $doc,
        },)*];
    };
}

rules! {
    TopicRights = 1, "topic-rights", Uplink, Enforce,
        "A client publishes only on topics that its credential allows.";
    BlockedAddress = 15, "blocked-address", Uplink, Enforce,
        "Nothing is taken from network addresses that the operator has blocked.";
    BlockedGateway = 16, "blocked-gateway", Uplink, Enforce,
        "Nothing is taken from a gateway that the operator has blocked.";
    Hold = 36, "hold", Uplink, Enforce,
        "Who keeps sending too much is held: for 15 minutes, then an hour, then a day.";
    MessageRate = 32, "message-rate", Uplink, Enforce,
        "A gateway publishes no more messages a minute than a radio can hear.";
    JsonCommand = 2, "json-command", Uplink, Enforce,
        "JSON command topics make a node transmit, so only services that the operator allows publish there.";
    NotAnEnvelope = 3, "not-an-envelope", Uplink, Enforce,
        "What comes on an envelope topic must be a Meshtastic ServiceEnvelope.";
    Identity = 4, "identity", Uplink, Enforce,
        "The gateway named by the topic, by the envelope and by the credential must be the same.";
    NoPayload = 5, "no-payload", Uplink, Enforce,
        "A packet must carry something: header stubs without payload are not passed on.";
    Oversize = 18, "oversize", Uplink, Enforce,
        "A packet must fit into one frame of the radio, 255 bytes: a larger one never came over the air.";
    PkiOpened = 6, "pki-opened", Uplink, Enforce,
        "A direct message that a gateway opened before uplinking it is private text and is not passed on.";
    RemoteControl = 7, "remote-control", Uplink, Enforce,
        "Administration, remote shell and firmware updates never cross MQTT.";
    DecodedOnWire = 19, "decoded-on-wire", Uplink, Observe,
        "Gateways pass packets on as they were on the air, encrypted, and not opened.";
    GrantedPorts = 25, "granted-ports", Uplink, Enforce,
        "Range tests, serial, audio, tunnels and other bulk are passed on only with the operator's agreement.";
    ViaMqtt = 8, "via-mqtt", Uplink, Enforce,
        "A packet that already crossed MQTT must not be uplinked again: that is a loop.";
    ImpossibleHops = 9, "impossible-hops", Uplink, Enforce,
        "Hop limit and hop start are at most 7, and the limit never exceeds the start.";
    NoRadioEvidence = 27, "no-radio-evidence", Uplink, Enforce,
        "A packet of another node must show that it came over the radio: a signal strength or the way it arrived.";
    WrongTime = 26, "wrong-time", Uplink, Observe,
        "A packet is passed on when it is heard, not long after, and no clock runs ahead.";
    JsonUplink = 10, "json-uplink", Uplink, Enforce,
        "Firmware JSON carries decoded text without a consent bit, so it is recorded and not passed on.";
    Stat = 11, "stat", Uplink, Enforce,
        "Legacy online/offline messages mislead after a reconnect; they are recorded and not passed on.";
    BlockedNode = 17, "blocked-node", Uplink, Enforce,
        "What a node sends that the operator has blocked is recorded and not passed on.";
    Quarantined = 40, "quarantined", Uplink, Enforce,
        "What a node sends that the operator has put into quarantine is recorded and not passed on.";
    TwoKeys = 41, "two-keys", Uplink, Observe,
        "A node keeps its public key: one id with two keys is a reset, or somebody else.";
    SharedKey = 42, "shared-key", Uplink, Observe,
        "A public key belongs to one node: two ids with the same key are a copy.";
    Signature = 43, "signature", Uplink, Observe,
        "A signature is made with the node's key, and who signs (firmware 2.8) signs everything that has room for it.";
    OwnIdHeard = 44, "own-id-heard", Uplink, Observe,
        "A gateway never hears its own id over the air: whoever it hears is somebody else.";
    ImpossibleTravel = 45, "impossible-travel", Uplink, Observe,
        "No node is in two places between which nobody travels in that time.";
    TwoIslands = 46, "two-islands", Uplink, Observe,
        "No node is heard directly by two gateways at once that are too far apart for that.";
    MapReport = 24, "map-report", Uplink, Enforce,
        "A map report speaks for the gateway that sends it, with a coarse position.";
    Consent = 12, "consent", Uplink, Enforce,
        "A packet is passed on only as far as its sender agreed (the ok-to-MQTT bit).";
    ChannelGrant = 37, "channel-grant", Uplink, Enforce,
        "A gateway with a grant for some channels uplinks those and no others.";
    Stream = 35, "stream", Uplink, Enforce,
        "Many packets of one kind from one node in a short while are a stream, whatever they are called.";
    Interval = 34, "interval", Uplink, Enforce,
        "Measurements, positions and names come no more often than is ordinary, unless more was agreed.";
    UplinkAirtime = 33, "uplink-airtime", Uplink, Enforce,
        "What one node sends and one gateway hears within an hour stays within what is fair and possible.";
    PublicKey = 13, "public-key", Uplink, Observe,
        "A channel on the default or a one-byte key can be read by anyone.";
    Duplicate = 14, "duplicate", Uplink, Enforce,
        "Further copies of a packet go to observers only: each gateway gets a packet once.";
    OutsideConsent = 28, "outside-consent", Release, Enforce,
        "Receivers outside the community get a packet only when its sender agreed to MQTT.";
    DownlinkStopped = 56, "downlink-stopped", Release, Enforce,
        "Where the operator has stopped downlink, nothing goes down.";
    OwnNode = 61, "own-node", Release, Enforce,
        "A packet for the broker's own node has arrived, and goes down to nobody.";
    Echo = 20, "echo", Release, Enforce,
        "A gateway gets back its own packets, as an acknowledgement, and nothing else that it uplinked.";
    Moved = 47, "moved", Release, Enforce,
        "A gateway that is not where it was gets nothing until the operator has looked at it; it may go on uplinking.";
    AlreadyHeard = 21, "already-heard", Release, Enforce,
        "A gateway that heard a packet over the radio does not get it again over MQTT.";
    DownlinkGrant = 38, "downlink-grant", Release, Observe,
        "Only a gateway with a grant for downlink gets packets.";
    DownlinkChannel = 62, "downlink-channel", Release, Enforce,
        "A gateway with a grant for downlink of some channels gets packets of those and no others.";
    IslandHeard = 48, "island-heard", Release, Enforce,
        "A gateway does not get a packet that its island has already heard over the radio.";
    IslandOnce = 53, "island-once", Release, Enforce,
        "An island gets a packet through as few gateways as were asked for, not through all of them.";
    DirectTarget = 49, "direct-target", Release, Enforce,
        "A packet for one node goes to the gateways that heard the node lately, the best first.";
    UnknownDestination = 50, "unknown-destination", Release, Enforce,
        "A packet for a node that nobody heard lately goes down only where the operator said so.";
    DownlinkModel = 51, "downlink-model", Release, Enforce,
        "Each island and channel gets the kinds of packet that its model lets through.";
    DownlinkVerified = 57, "downlink-verified", Release, Observe,
        "A gateway gets packets only when it has proved by a round trip that what is sent down to it arrives.";
    DownlinkSize = 22, "downlink-size", Release, Enforce,
        "Nodes silently throw away MQTT packets over 1024 bytes, so those are not sent to gateways.";
    HopLimit = 23, "hop-limit", Release, Enforce,
        "A copy toward a gateway leaves with at most the hop limit the operator set, so it cannot flood the radio.";
    AirtimeBudget = 52, "airtime-budget", Release, Enforce,
        "What goes down stays within the airtime of the hour for island, gateway, channel, sender and kind.";
    RadioFirst = 60, "radio-first", Release, Enforce,
        "A copy waits a moment where the radio may bring the packet, and is not sent when it has.";
    NewestOnly = 59, "newest-only", Release, Enforce,
        "Of what a node says on one subject, only the newest of what waits for a gateway is sent.";
    DownlinkAge = 58, "downlink-age", Release, Enforce,
        "A copy that has waited longer than its kind stays of use is not sent.";
}

/// The uplink rules, in the order in which they are asked: the table's lines are long, and these are read for every packet.
pub(crate) const UPLINK_RULES: [RuleId; uplink_rules()] = {
    let mut rules = [RULES[0].id; uplink_rules()];
    let (mut line, mut count) = (0, 0);
    while line < RULES.len() {
        if matches!(RULES[line].stage, Stage::Uplink) {
            rules[count] = RULES[line].id;
            count += 1;
        }
        line += 1;
    }
    rules
};

const fn uplink_rules() -> usize {
    let (mut line, mut count) = (0, 0);
    while line < RULES.len() {
        count += matches!(RULES[line].stage, Stage::Uplink) as usize;
        line += 1;
    }
    count
}

impl RuleId {
    /// Its line in the table.
    pub fn info(self) -> &'static RuleInfo {
        RULES.iter().find(|r| r.id == self).expect("the table and the enum come from one macro")
    }

    /// The id as people see it.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The stored number, below 64.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The rule with that stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        RULES.iter().map(|r| r.id).find(|r| r.code() == code)
    }

    /// The rule with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        RULES.iter().find(|r| r.name == name).map(|r| r.id)
    }
}

/// Kept as the stored number.
impl Serialize for RuleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u8::deserialize(deserializer)?;
        Self::from_code(code).ok_or_else(|| D::Error::custom("no rule has this number"))
    }
}

/// A set of rules, one bit for each stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleSet(pub u64);

impl RuleSet {
    /// Adds a rule.
    pub fn insert(&mut self, rule: RuleId) {
        self.0 |= 1 << rule.code();
    }

    /// Takes a rule out.
    pub fn remove(&mut self, rule: RuleId) {
        self.0 &= !(1 << rule.code());
    }

    /// Whether the rule is in the set.
    pub const fn contains(self, rule: RuleId) -> bool {
        self.0 & (1 << rule.code()) != 0
    }

    /// The rules of the set, in the order in which rules are asked.
    pub fn iter(self) -> impl Iterator<Item = RuleId> {
        RULES.iter().map(|r| r.id).filter(move |r| self.contains(*r))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_unique_and_fit_a_set() {
        for (i, a) in RULES.iter().enumerate() {
            assert!(a.id.code() < 64, "{} does not fit a RuleSet", a.name);
            assert_eq!(RuleId::from_code(a.id.code()), Some(a.id));
            assert_eq!(RuleId::from_name(a.name), Some(a.id));
            for b in &RULES[i + 1..] {
                assert!(a.name != b.name && a.id.code() != b.id.code(), "{} and {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn release_rules_come_after_uplink_rules() {
        let first_release = RULES.iter().position(|r| r.stage == Stage::Release).unwrap();
        assert!(RULES[first_release..].iter().all(|r| r.stage == Stage::Release));
    }

    #[test]
    fn a_set_keeps_what_was_put_in() {
        let mut set = RuleSet::default();
        set.insert(RuleId::Consent);
        set.insert(RuleId::TopicRights);
        assert_eq!(set.iter().collect::<Vec<_>>(), [RuleId::TopicRights, RuleId::Consent]);
    }
}
