//! A condition on receptions, with nothing left to look up: what the history turns into SQL, and the answer for one
//! reception in memory.

use policy::decision::{Outcome, Verdict};
use policy::rule::RuleId;
use record::{Consent, KeyClass, Reception, Release};

use crate::fold::fold;

/// A condition. `Not` stands before single tests only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of these; empty holds always.
    All(Vec<Condition>),
    /// One of these at least; empty holds never.
    Any(Vec<Condition>),
    /// This.
    Is(Test),
    /// Not this. What is not known is not this either.
    Not(Test),
}

/// One test of a reception. What is not known fails it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Sent by one of these nodes.
    From(Vec<u32>),
    /// Meant for one of these nodes; `0xffff_ffff` is everyone.
    To(Vec<u32>),
    /// Uplinked by one of these gateways.
    Gateway(Vec<u32>),
    /// The packet's id.
    Packet(u32),
    /// Channel name, upper and lower case of ASCII letters alike.
    Channel(String),
    /// Topic Name: whole, or the beginning before `*`.
    Topic(String),
    /// MQTT client identifier: whole, or the beginning before `*`.
    Client(String),
    /// Credential's name: whole, or the beginning before `*`.
    User(String),
    /// Port; `None`: the packet could not be opened.
    Port(Option<u32>),
    /// Verdict.
    Verdict(Verdict),
    /// The rule that decided.
    Rule(RuleId),
    /// A rule that withheld a copy.
    WithheldBy(RuleId),
    /// A rule in state `observe` that would have decided otherwise.
    Would(RuleId),
    /// What became of at least one copy.
    Copy(CopyFate),
    /// Consent.
    Consent(Consent),
    /// Key class.
    Key(KeyClass),
    /// A bit of `mesh`'s flag set.
    Flag(u64),
    /// A measurement against thousandths.
    Measure(Measure, Compare, i64),
    /// A part of what was said, folded.
    Text(String),
    /// Arrived then or later, Unix ms.
    Since(i64),
    /// Arrived before then, Unix ms.
    Until(i64),
}

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFate {
    /// Sent, as it came or with a lower hop limit.
    Delivered,
    /// Sent with a lower hop limit.
    Lowered,
    /// Not sent, by a rule.
    Withheld,
    /// Not sent: the receiver reads too slowly.
    Dropped,
}

/// A number that a reception has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Hops travelled.
    Hops,
    /// Signal strength, dBm.
    Rssi,
    /// Signal-to-noise ratio, dB.
    Snr,
    /// Bytes on the air.
    Bytes,
    /// Time on air, milliseconds.
    Airtime,
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Equal.
    Equal,
    /// More or equal.
    AtLeast,
    /// More.
    More,
}

/// A reception with what a condition may need beside it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The reception.
    pub reception: &'a Reception,
    /// What was said; `None` when nothing was, or it could not be opened.
    pub said: Option<&'a str>,
    /// What became of its copies; `None` when that is not known.
    pub release: Option<&'a Release>,
}

/// What a condition needs beside the reception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// What was said.
    pub said: bool,
    /// What became of the copies.
    pub release: bool,
}

impl Condition {
    /// Holds always.
    pub const ALWAYS: Self = Self::All(Vec::new());

    /// Both must hold.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(mut parts), Self::All(more)) => {
                parts.extend(more);
                Self::All(parts)
            }
            (Self::All(mut parts), other) | (other, Self::All(mut parts)) => {
                parts.push(other);
                Self::All(parts)
            }
            (one, other) => Self::All(vec![one, other]),
        }
    }

    /// The opposite.
    pub fn negated(self) -> Self {
        match self {
            Self::All(parts) => Self::Any(parts.into_iter().map(Self::negated).collect()),
            Self::Any(parts) => Self::All(parts.into_iter().map(Self::negated).collect()),
            Self::Is(test) => Self::Not(test),
            Self::Not(test) => Self::Is(test),
        }
    }

    /// Sender or destination is this node.
    pub fn node(node: u32) -> Self {
        Self::Any(vec![Self::Is(Test::From(vec![node])), Self::Is(Test::To(vec![node]))])
    }

    /// The packet with that sender and id.
    pub fn packet(from: u32, id: u32) -> Self {
        Self::All(vec![Self::Is(Test::From(vec![from])), Self::Is(Test::Packet(id))])
    }

    /// What anyone may see: its sender agreed, it was passed on, and anyone can read it anyway. Map reports are meant for
    /// everyone.
    pub fn public() -> Self {
        let any = |tests: Vec<Test>| Self::Any(tests.into_iter().map(Self::Is).collect());
        let public_keys = KeyClass::ALL.iter().filter(|k| k.is_public()).map(|k| Test::Key(*k));
        let map_report = Test::Port(Some(mesh::portnum::PortNum::MAP_REPORT.0));
        Self::All(vec![
            Self::Is(Test::Consent(Consent::Yes)),
            any(vec![Test::Verdict(Verdict::Accept), Test::Verdict(Verdict::Rewrite)]),
            any(public_keys.chain([map_report]).collect()),
        ])
    }

    /// Whether it holds.
    pub fn holds(&self, evidence: &Evidence<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(evidence)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(evidence)),
            Self::Is(test) => test.holds(evidence),
            Self::Not(test) => !test.holds(evidence),
        }
    }

    /// What it needs beside the reception.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        self.each_test(&mut |test| match test {
            Test::Text(_) => needs.said = true,
            Test::Copy(_) | Test::WithheldBy(_) => needs.release = true,
            _ => {}
        });
        needs
    }

    /// Shows every test.
    pub fn each_test<'a>(&'a self, visit: &mut impl FnMut(&'a Test)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each_test(visit)),
            Self::Is(test) | Self::Not(test) => visit(test),
        }
    }

    /// Moments between which everything lies that fulfils it: from, inclusive, and to, exclusive, Unix ms. `None` is open.
    pub fn time_range(&self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Is(Test::Since(at)) | Self::Not(Test::Until(at)) => (Some(*at), None),
            Self::Is(Test::Until(at)) | Self::Not(Test::Since(at)) => (None, Some(*at)),
            Self::Is(_) | Self::Not(_) => (None, None),
            Self::All(parts) => {
                parts.iter().map(Self::time_range).fold((None, None), |(since, until), part| {
                    let earlier = match (until, part.1) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                    (since.max(part.0), earlier)
                })
            }
            Self::Any(parts) => {
                let mut ranges = parts.iter().map(Self::time_range);
                let Some(first) = ranges.next() else { return (None, None) };
                // `None` is less than every moment, as it should be here; for the end it is the other way round.
                ranges.fold(first, |(since, until), part| {
                    (since.min(part.0), until.zip(part.1).map(|(a, b)| a.max(b)))
                })
            }
        }
    }
}

impl Test {
    fn holds(&self, evidence: &Evidence<'_>) -> bool {
        let r = evidence.reception;
        let copies = || evidence.release.iter().flat_map(|release| &release.copies);
        match self {
            Self::From(nodes) => r.packet.is_some_and(|p| nodes.contains(&p.from)),
            Self::To(nodes) => r.packet.is_some_and(|p| nodes.contains(&p.to)),
            Self::Gateway(nodes) => r.gateway.is_some_and(|g| nodes.contains(&g)),
            Self::Packet(id) => r.packet.is_some_and(|p| p.id == *id),
            Self::Channel(name) => r.channel.as_deref().is_some_and(|c| c.eq_ignore_ascii_case(name)),
            Self::Topic(pattern) => is_like(&r.topic, pattern),
            Self::Client(pattern) => is_like(&r.client_id, pattern),
            Self::User(pattern) => r.username.as_deref().is_some_and(|name| is_like(name, pattern)),
            Self::Port(port) => r.port == *port,
            Self::Verdict(verdict) => r.decision.verdict == *verdict,
            Self::Rule(rule) => r.decision.rule == Some(*rule),
            Self::WithheldBy(rule) => copies().any(|copy| copy.outcome == Outcome::Withheld(*rule)),
            Self::Would(rule) => r.decision.observed.iter().any(|observed| observed == *rule),
            Self::Copy(fate) => copies().any(|copy| fate.is_of(copy.outcome)),
            Self::Consent(consent) => r.consent == *consent,
            Self::Key(class) => r.key_class == *class,
            Self::Flag(bits) => r.flags & bits == *bits,
            Self::Measure(measure, compare, thousandths) => {
                measure.of(r).is_some_and(|value| compare.holds(value, *thousandths))
            }
            Self::Text(part) => evidence.said.is_some_and(|said| fold(said).contains(part.as_str())),
            Self::Since(at_ms) => r.at_ms >= *at_ms,
            Self::Until(at_ms) => r.at_ms < *at_ms,
        }
    }
}

/// Whether a word is the pattern, or begins with what stands before the pattern's last `*`.
fn is_like(word: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => word.starts_with(beginning),
        None => word == pattern,
    }
}

impl CopyFate {
    /// Every fate.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Lowered, Self::Withheld, Self::Dropped];

    /// The word in filters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Lowered => "lowered",
            Self::Withheld => "withheld",
            Self::Dropped => "dropped",
        }
    }

    /// The fate with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fate| fate.word().eq_ignore_ascii_case(word))
    }

    /// Whether a copy's outcome is this.
    pub const fn is_of(self, outcome: Outcome) -> bool {
        match self {
            Self::Delivered => matches!(outcome, Outcome::Delivered | Outcome::DeliveredWithHopLimit(_)),
            Self::Lowered => matches!(outcome, Outcome::DeliveredWithHopLimit(_)),
            Self::Withheld => matches!(outcome, Outcome::Withheld(_)),
            Self::Dropped => matches!(outcome, Outcome::Dropped),
        }
    }
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 5] = [Self::Hops, Self::Rssi, Self::Snr, Self::Bytes, Self::Airtime];

    /// The field's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hops => "hops",
            Self::Rssi => "rssi",
            Self::Snr => "snr",
            Self::Bytes => "bytes",
            Self::Airtime => "airtime",
        }
    }

    /// The measure with that field's name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.word() == word)
    }

    /// Units that may follow the number, lower case.
    pub const fn units(self) -> &'static [&'static str] {
        match self {
            Self::Hops => &["hops", "hop"],
            Self::Rssi => &["dbm"],
            Self::Snr => &["db"],
            Self::Bytes => &["bytes", "b"],
            Self::Airtime => &["ms"],
        }
    }

    /// The value of a reception in thousandths.
    pub fn of(self, r: &Reception) -> Option<i64> {
        match self {
            Self::Hops => r.packet?.hops_away.map(|hops| i64::from(hops) * 1_000),
            Self::Rssi => r.packet?.rx_rssi.map(|dbm| i64::from(dbm) * 1_000),
            Self::Snr => r.packet?.rx_snr.filter(|db| db.is_finite()).map(quarters),
            Self::Bytes => r.frame_bytes.map(|bytes| i64::from(bytes) * 1_000),
            Self::Airtime => r.airtime_us.map(i64::from),
        }
    }
}

/// Radios measure quarters of a decibel; the history keeps no more.
fn quarters(db: f32) -> i64 {
    (db * 4.0).round() as i64 * 250
}

impl Compare {
    /// Every comparison.
    pub const ALL: [Self; 5] = [Self::Less, Self::AtMost, Self::Equal, Self::AtLeast, Self::More];

    /// The sign, as it is written.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::More => ">",
        }
    }

    /// Whether the left is so to the right.
    pub const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::AtLeast => left >= right,
            Self::More => left > right,
        }
    }
}
