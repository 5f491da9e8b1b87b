//! What can be asked: one table of fields with their names, what their values are, and a line of help for each.

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A node by id or name, or `all`.
    Node,
    /// An island, by any of its gateways.
    Island,
    /// A channel's name.
    Channel,
    /// A port's word or number.
    Port,
    /// A verdict, or what became of a copy.
    Verdict,
    /// What became of a copy.
    Copy,
    /// A rule's id.
    Rule,
    /// yes, no, unknown.
    Consent,
    /// A key class.
    Key,
    /// A remarkable thing about a packet.
    Flag,
    /// A packet id.
    Packet,
    /// A number that can be compared.
    Number,
    /// A part of what was said.
    Text,
    /// The whole word, or its beginning and `*`.
    Name,
    /// A moment or an age.
    Time,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The name that is written back.
    pub name: &'static str,
    /// Other names that are understood.
    pub other_names: &'static [&'static str],
    /// What its values are.
    pub kind: Kind,
    /// What it asks, for people.
    pub doc: &'static str,
    /// An example that can be tried.
    pub example: &'static str,
    /// Whether only the operator may ask: the answer would tell who connects from where.
    pub is_operators: bool,
}

const fn field(
    name: &'static str,
    other_names: &'static [&'static str],
    kind: Kind,
    example: &'static str,
    doc: &'static str,
) -> Field {
    Field { name, other_names, kind, doc, example, is_operators: false }
}

const fn operators(field: Field) -> Field {
    Field { is_operators: true, ..field }
}

/// Every field, in the order of help and completion.
pub const FIELDS: &[Field] = &[
    field(
        "from",
        &["sender", "src"],
        Kind::Node,
        "from:!a5000001",
        "The node that sent the packet, by id or name.",
    ),
    field("to", &["dst", "dest"], Kind::Node, "to:all", "The node it is meant for, or `all`."),
    field("node", &[], Kind::Node, "node:!a5000001", "Sender or destination."),
    field("gw", &["gateway", "by"], Kind::Node, "gw:Liberty", "The gateway that heard it."),
    field(
        "island",
        &[],
        Kind::Island,
        "island:Liberty",
        "Any gateway that is on the same radio island as this one now.",
    ),
    field("channel", &["ch", "chan"], Kind::Channel, "channel:LongFast", "The channel's name."),
    field(
        "port",
        &["type"],
        Kind::Port,
        "port:text,position",
        "What the packet carries; `encrypted` when it stayed closed.",
    ),
    field(
        "verdict",
        &[],
        Kind::Verdict,
        "verdict:refuse",
        "What policy decided; also `withheld`, for some copy.",
    ),
    field("rule", &[], Kind::Rule, "rule:consent", "The rule that decided, or that withheld a copy."),
    field(
        "would",
        &["observed"],
        Kind::Rule,
        "would:public-key",
        "A rule in state observe that would have decided otherwise.",
    ),
    field("copy", &["copies"], Kind::Copy, "copy:dropped", "What became of at least one copy."),
    field("consent", &["ok"], Kind::Consent, "consent:no", "Whether the sender agreed to MQTT."),
    field("key", &[], Kind::Key, "key:default", "How public the channel's key is."),
    field("hops", &["hop"], Kind::Number, "hops<2", "Hops travelled, where known."),
    field("rssi", &[], Kind::Number, "rssi<-110", "Signal strength in dBm."),
    field("snr", &[], Kind::Number, "snr>-10", "Signal-to-noise ratio in dB."),
    field("bytes", &["size", "len"], Kind::Number, "bytes>200", "Bytes on the air."),
    field("airtime", &[], Kind::Number, "airtime>1000", "Time on air in milliseconds."),
    field("text", &["said"], Kind::Text, "text:\"net tonight\"", "A part of what somebody wrote."),
    field("id", &["packet"], Kind::Packet, "id:0x1a2b3c4d", "The packet's id."),
    field("flag", &["is"], Kind::Flag, "flag:via_mqtt", "Something remarkable about the packet."),
    operators(field("topic", &[], Kind::Name, "topic:msh/US/*", "The topic it was published on.")),
    operators(field("client", &[], Kind::Name, "client:gw-*", "The MQTT client identifier.")),
    operators(field(
        "user",
        &["username"],
        Kind::Name,
        "user:gw-7c5a0a01",
        "The credential it was published with.",
    )),
    field("last", &[], Kind::Time, "last 6h", "No older than that."),
    field(
        "since",
        &["after"],
        Kind::Time,
        "since 2026-11-23T20:00",
        "From that moment on (UTC), or from so long ago.",
    ),
    field("until", &["before"], Kind::Time, "until yesterday", "Before that moment (UTC)."),
    field("on", &[], Kind::Time, "on 2026-11-23", "That day (UTC)."),
];

/// Words between terms, with what they do.
pub const JOINERS: &[(&str, &str)] = &[
    ("or", "One of both sides holds."),
    ("not", "What follows does not hold; a minus before it says the same."),
    ("and", "Both sides hold, as they do without it."),
];

/// The field of that name, upper and lower case alike.
pub fn find(name: &str) -> Option<&'static Field> {
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    FIELDS.iter().find(|f| is(&f.name) || f.other_names.iter().any(is))
}

/// Every name that is understood, the main names first.
pub fn names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|f| f.name).chain(FIELDS.iter().flat_map(|f| f.other_names.iter().copied()))
}
