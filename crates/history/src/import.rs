//! Receptions read from lines of text: Backhaul's own JSON Lines, and captures as `mosquitto_sub` prints them. Each line says
//! by itself what it is. A line that is not understood is an error with a reason, and never a guess.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Flags, Scratch, observe};
use mesh::tree::from_hex;
use policy::decision::{Decision, Outcome, Verdict};
use policy::downlink::details::{BudgetOf, CopyDetails, Why};
use policy::rule::{RuleId, RuleSet};
use record::{Consent, KeyClass, PacketSummary, ReceiverKind, Reception, Release, ReleasedCopy};
use serde::Deserialize;

/// Longest line taken, bytes: an MQTT packet's payload in hexadecimal, and what is said about it.
pub const LINE_BYTES_MAX: usize = 4 << 20;
/// Longest payload taken, bytes.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// What is said of receptions that nobody here judged.
const NOT_JUDGED: &str = "Imported from a capture; it was not judged.";
/// Who stands for the sender where a capture does not say.
const NOBODY: &str = "capture";

/// Why a line is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It is too long.
    TooLong,
    /// It is neither of the kinds of line that are read.
    Unknown,
    /// It is JSON, and something in it is missing or no JSON of ours.
    Json(String),
    /// A value of it makes no sense.
    Value(&'static str),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {LINE_BYTES_MAX} bytes"),
            Self::Unknown => f.write_str(
                "it is neither a line of `backhaul export` nor of `mosquitto_sub -F '%I %t %x'` or `-F '%U %t %x'`",
            ),
            Self::Json(why) => write!(f, "it is no line of `backhaul export`: {why}"),
            Self::Value(name) => write!(f, "`{name}` makes no sense"),
        }
    }
}

impl std::error::Error for Wrong {}

/// Reads one line after the other. Numbers are given anew, from 1.
#[derive(Debug)]
pub struct Lines {
    keyring: Keyring,
    preset: ModemPreset,
    last_seq: u64,
}

impl Lines {
    /// Opens what captures hold with these keys; times on air are on this preset where a channel's name does not tell.
    pub fn new(keyring: Keyring, preset: ModemPreset) -> Self {
        Self { keyring, preset, last_seq: 0 }
    }

    /// The reception of a line with what became of its copies; `None` for an empty one.
    ///
    /// # Errors
    /// When the line is not understood.
    pub fn read(&mut self, line: &str) -> Result<Option<(Reception, Option<Release>)>, Wrong> {
        if line.len() > LINE_BYTES_MAX {
            return Err(Wrong::TooLong);
        }
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        let seq = self.last_seq + 1;
        let read = match line.starts_with('{') {
            true => {
                let line: Line =
                    serde_json::from_str(line).map_err(|error| Wrong::Json(error.to_string()))?;
                line.into_records(seq)?
            }
            false => (self.captured(line, seq)?, None),
        };
        self.last_seq = seq;
        Ok(Some(read))
    }

    /// `TIME TOPIC HEX`: a time as `%I` or `%U` prints it. A topic may hold spaces.
    fn captured(&self, line: &str, seq: u64) -> Result<Reception, Wrong> {
        let (time, rest) = line.split_once(' ').ok_or(Wrong::Unknown)?;
        let at_ms = moment(time).ok_or(Wrong::Unknown)?;
        let (topic, hex) = rest.rsplit_once(' ').ok_or(Wrong::Unknown)?;
        let payload = from_hex(hex).ok_or(Wrong::Unknown)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Wrong::Value("payload"));
        }
        if topic.is_empty() || topic.len() > 65_535 || topic.contains(['\0', '+', '#']) {
            return Err(Wrong::Value("topic"));
        }
        let mut scratch = Scratch::default();
        let facts = observe(topic, &payload, &self.keyring, &mut scratch);
        let in_topic = facts.topic.as_ref().and_then(|parsed| parsed.gateway_node());
        let gateway = in_topic.or(facts.gateway).map(|node| node.0);
        let channel = facts.channel_id.or(facts.topic.as_ref().and_then(|parsed| parsed.channel));
        let preset = channel.and_then(ModemPreset::of_channel_name).unwrap_or(self.preset);
        Ok(Reception {
            seq,
            at_ms,
            client_id: gateway.map_or(NOBODY.into(), |node| NodeNum(node).to_string().into()),
            username: None,
            gateway,
            topic: topic.into(),
            qos: 0,
            retain: false,
            packet: facts.packet.as_ref().map(|header| PacketSummary::of(header, &facts)),
            channel: channel.map(Arc::from),
            port: facts.port.map(|port| port.0),
            consent: facts.consent.into(),
            key_class: facts.key_class.into(),
            flags: facts.flags.0,
            frame_bytes: facts.frame_bytes,
            airtime_us: facts.frame_bytes.map(|bytes| preset.time_on_air_us(usize::from(bytes))),
            decision: Decision {
                verdict: Verdict::RecordOnly,
                rule: None,
                sentence: NOT_JUDGED.into(),
                observed: RuleSet::default(),
                off: RuleSet::default(),
            },
            payload: payload.into(),
        })
    }
}

/// `2026-11-23T20:15:00+0000`, with or without a fraction and a colon, or seconds since 1970 with a fraction; Unix ms.
fn moment(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        return (ms.is_finite() && ms.abs() < 253_402_300_799_000.0).then_some(ms as i64);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    // `%I` has no colon between hours and minutes of the offset.
    let (before, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
    format!("{before}:{minutes}").parse::<Timestamp>().ok().map(|at| at.as_millisecond())
}

/// A line of our own export.
#[derive(Deserialize)]
struct Line {
    v: u32,
    at_ms: i64,
    client_id: String,
    username: Option<String>,
    gateway: Option<String>,
    topic: String,
    payload_hex: String,
    qos: u8,
    retain: bool,
    packet: Option<Packet>,
    channel: Option<String>,
    port: Option<u32>,
    consent: String,
    key_class: String,
    flags: Vec<String>,
    frame_bytes: Option<u16>,
    airtime_ms: Option<f64>,
    verdict: String,
    rule: Option<String>,
    sentence: String,
    would_have: Vec<String>,
    #[serde(default)]
    copies: Vec<Copy>,
}

#[derive(Deserialize)]
struct Packet {
    from: String,
    to: String,
    id: u32,
    hop_limit: u8,
    hop_start: u8,
    hops_away: Option<u8>,
    rx_rssi_dbm: Option<i32>,
    rx_snr_db: Option<f32>,
    rx_time_s: u32,
    relay_node: u8,
    next_hop: u8,
    want_ack: bool,
    request_id: u32,
}

#[derive(Deserialize)]
struct Copy {
    receiver: String,
    kind: String,
    outcome: String,
    hop_limit: Option<u8>,
    rule: Option<String>,
    would_have: Vec<String>,
    details: Details,
}

#[derive(Deserialize)]
struct Details {
    island: Option<String>,
    airtime_us: u32,
    #[serde(default)]
    wanted_us: u32,
    budget_left_us: Option<u64>,
    #[serde(default)]
    budget_of: Option<String>,
    waited_ms: u32,
    why: String,
}

fn node(text: &str, name: &'static str) -> Result<u32, Wrong> {
    NodeNum::parse(text).map(|node| node.0).ok_or(Wrong::Value(name))
}

fn rules(names: &[String]) -> Result<RuleSet, Wrong> {
    let mut rules = RuleSet::default();
    for name in names {
        rules.insert(RuleId::from_name(name).ok_or(Wrong::Value("would_have"))?);
    }
    Ok(rules)
}

impl Line {
    fn into_records(self, seq: u64) -> Result<(Reception, Option<Release>), Wrong> {
        if self.v != 1 {
            return Err(Wrong::Value("v"));
        }
        let payload = from_hex(&self.payload_hex).filter(|bytes| bytes.len() <= PAYLOAD_BYTES_MAX);
        let mut flags = 0;
        for name in &self.flags {
            flags |= Flags::from_name(name).ok_or(Wrong::Value("flags"))?.0;
        }
        let airtime_us = match self.airtime_ms {
            None => None,
            Some(ms) if (0.0..=4_000_000.0).contains(&ms) => Some((ms * 1000.0).round() as u32),
            Some(_) => return Err(Wrong::Value("airtime_ms")),
        };
        let rule = self.rule.map(|name| RuleId::from_name(&name).ok_or(Wrong::Value("rule"))).transpose()?;
        let reception = Reception {
            seq,
            at_ms: self.at_ms,
            client_id: self.client_id.into(),
            username: self.username.map(Arc::from),
            gateway: self.gateway.map(|id| node(&id, "gateway")).transpose()?,
            topic: self.topic.into(),
            payload: payload.ok_or(Wrong::Value("payload_hex"))?.into(),
            qos: Some(self.qos).filter(|qos| *qos <= 2).ok_or(Wrong::Value("qos"))?,
            retain: self.retain,
            packet: self.packet.map(Packet::into_summary).transpose()?,
            channel: self.channel.map(Arc::from),
            port: self.port,
            consent: Consent::from_word(&self.consent).ok_or(Wrong::Value("consent"))?,
            key_class: KeyClass::from_word(&self.key_class).ok_or(Wrong::Value("key_class"))?,
            flags,
            frame_bytes: self.frame_bytes,
            airtime_us,
            decision: Decision {
                verdict: Verdict::from_word(&self.verdict).ok_or(Wrong::Value("verdict"))?,
                rule,
                sentence: self.sentence.into(),
                observed: rules(&self.would_have)?,
                off: RuleSet::default(),
            },
        };
        let copies: Vec<ReleasedCopy> =
            self.copies.into_iter().map(Copy::into_released).collect::<Result<_, _>>()?;
        let release =
            (!copies.is_empty()).then_some(Release { reception_seq: seq, at_ms: reception.at_ms, copies });
        Ok((reception, release))
    }
}

impl Packet {
    fn into_summary(self) -> Result<PacketSummary, Wrong> {
        Ok(PacketSummary {
            from: node(&self.from, "from")?,
            to: node(&self.to, "to")?,
            id: self.id,
            hop_limit: self.hop_limit,
            hop_start: self.hop_start,
            hops_away: self.hops_away,
            rx_rssi: self.rx_rssi_dbm,
            rx_snr: self.rx_snr_db,
            rx_time: self.rx_time_s,
            relay_node: self.relay_node,
            next_hop: self.next_hop,
            want_ack: self.want_ack,
            request_id: self.request_id,
        })
    }
}

impl Copy {
    fn into_released(self) -> Result<ReleasedCopy, Wrong> {
        let rule = self.rule.as_deref().map(|name| RuleId::from_name(name).ok_or(Wrong::Value("rule")));
        let outcome = match (self.outcome.as_str(), self.hop_limit, rule.transpose()?) {
            ("delivered", Some(hops @ 0..=7), _) => Outcome::DeliveredWithHopLimit(hops),
            ("delivered", None, _) => Outcome::Delivered,
            ("withheld", _, Some(rule)) => Outcome::Withheld(rule),
            ("dropped", ..) => Outcome::Dropped,
            _ => return Err(Wrong::Value("outcome")),
        };
        let Details { island, airtime_us, wanted_us, budget_left_us, budget_of, waited_ms, why } =
            self.details;
        Ok(ReleasedCopy {
            receiver: self.receiver.into(),
            kind: ReceiverKind::from_word(&self.kind).ok_or(Wrong::Value("kind"))?,
            outcome,
            observed: rules(&self.would_have)?,
            details: CopyDetails {
                island: island.map(|id| node(&id, "island")).transpose()?,
                airtime_us,
                wanted_us,
                budget_left_us,
                budget_of: budget_of
                    .and_then(|word| BudgetOf::ALL.into_iter().find(|one| one.word() == word)),
                waited_ms,
                why: Why::ALL.into_iter().find(|known| known.words() == why).ok_or(Wrong::Value("why"))?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines() -> Lines {
        Lines::new(Keyring::default(), ModemPreset::LongFast)
    }

    const CAPTURED: &str = "2026-11-23T20:15:00+0000 msh/US/2/e/LongFast/!7c5a0a01 0a00";

    #[test]
    fn captures_are_read_with_every_kind_of_time() {
        let mut lines = lines();
        for (line, at_ms) in [
            (CAPTURED, 1_795_464_900_000),
            ("2026-11-23T14:15:00-06:00 a b c 0A0b", 1_795_464_900_000),
            ("1795464900.123456789 a 00", 1_795_464_900_123),
        ] {
            let (reception, release) = lines.read(line).unwrap().unwrap();
            assert_eq!((reception.at_ms, release.is_none()), (at_ms, true), "{line}");
        }
        let (reception, _) = lines.read(CAPTURED).unwrap().unwrap();
        assert_eq!((reception.seq, reception.gateway), (4, Some(0x7c5a_0a01)));
        assert_eq!((&*reception.payload, reception.decision.verdict), (&[10, 0][..], Verdict::RecordOnly));
        let (spaced, _) = lines.read("1795464900 a b c 0A0b").unwrap().unwrap();
        assert_eq!((&*spaced.topic, &*spaced.payload), ("a b c", &[10, 11][..]));
        assert!(lines.read("  ").unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut lines = lines();
        for (line, why) in [
            ("msh/US/2/e/LongFast/!7c5a0a01 0a00", "neither"),
            ("1795464900 topic 0a0", "neither"),
            ("1795464900 msh/# 00", "`topic` makes no sense"),
            ("NaN topic 00", "neither"),
            ("{\"v\":1}", "missing field `at_ms`"),
            ("{", "EOF"),
        ] {
            let wrong = lines.read(line).unwrap_err().to_string();
            assert!(wrong.contains(why), "{line}: {wrong}");
        }
        assert_eq!(lines.read(&"x".repeat(LINE_BYTES_MAX + 1)).unwrap_err(), Wrong::TooLong);
    }

    proptest! {
        #[test]
        fn junk_does_not_panic(line in ".{0,200}", time in 0u64..2_000_000_000, hex in "[0-9a-f]{0,120}") {
            let mut lines = lines();
            let _ = lines.read(&line);
            let _ = lines.read(&format!("{time} msh/US/2/e/LongFast/!7c5a0a01 {hex}"));
            let _ = lines.read(&format!("{{\"v\":1,\"at_ms\":{time},\"topic\":{line:?}}}"));
        }
    }
}
