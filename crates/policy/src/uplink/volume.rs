//! How much is passed on: messages of a gateway, airtime of a node, kinds of packet, and who is held for too much.

use mesh::portnum::PortNum;

use super::{Objection, Uplink, heard_by, object, packet_key};
use crate::decision::Verdict;
use crate::memory::airtime::Account;
use crate::memory::holds::{Held, Hold};
use crate::memory::volume::{Kind, Rate};
use crate::release::variant;

/// How much may come from whom.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeSettings {
    /// Messages of one gateway.
    pub rate: Rate,
    /// Shortest time between measurements of one kind that needs no agreement, in ms.
    pub telemetry_ms: u64,
    /// The same for positions, in ms.
    pub position_ms: u64,
    /// The same for names and keys, in ms.
    pub node_info_ms: u64,
    /// Packets of one kind within ten minutes, beyond which they are a stream.
    pub stream_packets: u32,
    /// The same for large packets.
    pub stream_large: u32,
    /// Airtime of one node's packets, in thousandths of the hour.
    pub node_airtime: u32,
    /// Airtime of everything that one gateway hears, in thousandths of the hour.
    pub gateway_airtime: u32,
    /// Gateways and nodes that are never held.
    pub never_held: Vec<u32>,
}

impl Default for VolumeSettings {
    fn default() -> Self {
        Self {
            rate: Rate { per_minute: 600, at_once: 200 },
            telemetry_ms: 900_000,
            position_ms: 60_000,
            node_info_ms: 300_000,
            stream_packets: 60,
            stream_large: 20,
            node_airtime: 50,
            gateway_airtime: 1000,
            never_held: Vec::new(),
        }
    }
}

const THOUSANDTH_US: u64 = 3_600_000;

/// Frames from here on are large, bytes.
pub(crate) const LARGE_BYTES: u16 = 150;

/// The gateway that a message is counted for.
pub(crate) fn counted_for(up: &Uplink<'_>) -> Option<u32> {
    up.sender.gateway().or_else(|| heard_by(up.facts))
}

/// The flow that a packet belongs to.
pub(crate) fn kind_of(facts: &mesh::observe::Facts<'_>) -> Option<Kind> {
    let packet = facts.packet.as_ref()?;
    let port = facts.port.map_or(u32::MAX, |port| port.0);
    Some(Kind { node: packet.from.0, port, variant: variant(facts) })
}

/// Whether the packet is here for the first time: further copies of it say nothing of what its sender does.
fn is_first(up: &Uplink<'_>) -> bool {
    packet_key(up.facts).is_none_or(|key| !up.memory.seen.is_known(key))
}

pub(super) fn hold(settings: &VolumeSettings, up: &Uplink<'_>) -> Option<Objection> {
    let gateway = counted_for(up).map(Held::Gateway);
    let node = up.facts.packet.as_ref().map(|packet| Held::Node(packet.from.0));
    let find = |held: Option<Held>| -> Option<(Held, &Hold)> {
        let held = held?;
        let (Held::Gateway(number) | Held::Node(number)) = held;
        if settings.never_held.contains(&number) {
            return None;
        }
        let released = up.directory.hold_released_ms(number);
        Some((held, up.memory.holds.on(up.now, held, released)?))
    };
    let (held, hold) = find(gateway).or_else(|| find(node))?;
    let minutes = (hold.until_ms - up.now.unix_ms).max(0) / 60_000 + 1;
    let rule = hold.evidence.rule.name();
    let (verdict, who) = match held {
        Held::Gateway(_) => (Verdict::Refuse, "This gateway"),
        Held::Node(_) => (Verdict::RecordOnly, "The node that sent it"),
    };
    object(
        verdict,
        format!(
            "{who} is held for {minutes} more minutes, for the {} time: {} times too much in a short while (rule {rule}). \
             Ask the operator to end it early.",
            ordinal(hold.level),
            hold.evidence.objections
        ),
    )
}

const fn ordinal(level: u8) -> &'static str {
    match level {
        1 => "first",
        2 => "second",
        3 => "third",
        _ => "umpteenth",
    }
}

pub(super) fn message_rate(settings: &VolumeSettings, up: &Uplink<'_>) -> Option<Objection> {
    let gateway = counted_for(up)?;
    if up.memory.volume.has_token(up.now.mono_ms, gateway, settings.rate) {
        return None;
    }
    let Rate { per_minute, .. } = settings.rate;
    object(
        Verdict::Refuse,
        format!("This gateway publishes more than {per_minute} messages a minute; a radio hears fewer."),
    )
}

pub(super) fn uplink_airtime(settings: &VolumeSettings, up: &Uplink<'_>) -> Option<Objection> {
    let (packet, now_ms) = (up.facts.packet.as_ref()?, up.now.mono_ms);
    // Used and limit in whole seconds, when it is used up.
    let used_up = |account, thousandths: u32| {
        let (used_us, limit_us) =
            (up.memory.uplink.used_us(now_ms, account), u64::from(thousandths) * THOUSANDTH_US);
        (used_us >= limit_us).then_some((used_us / 1_000_000, limit_us / 1_000_000))
    };
    let of_gateway =
        counted_for(up).and_then(|gateway| used_up(Account::Gateway(gateway), settings.gateway_airtime));
    if let Some((used_s, limit_s)) = of_gateway {
        return object(
            Verdict::RecordOnly,
            format!(
                "This gateway uplinked {used_s} s of airtime within the hour, more than the {limit_s} s that there are on one channel."
            ),
        );
    }
    if !is_first(up) {
        return None;
    }
    let (used_s, limit_s) = used_up(Account::Node(packet.from.0), settings.node_airtime)?;
    let from = packet.from;
    object(
        Verdict::RecordOnly,
        format!(
            "The node {from} took {used_s} s of airtime within the hour, and one node may take {limit_s} s."
        ),
    )
}

pub(super) fn interval(settings: &VolumeSettings, up: &Uplink<'_>) -> Option<Objection> {
    let (what, least_ms) = match up.facts.port? {
        PortNum::TELEMETRY => ("measurements of this kind", settings.telemetry_ms),
        PortNum::POSITION => ("positions", settings.position_ms),
        PortNum::NODEINFO => ("its name", settings.node_info_ms),
        _ => return None,
    };
    let is_answer = up.facts.data.as_ref().is_some_and(|data| data.request_id != 0);
    if is_answer || !is_first(up) {
        return None;
    }
    let granted = granted(up);
    if granted == Granted::Yes {
        return None;
    }
    let since_ms = up.memory.volume.flow(up.now.mono_ms, kind_of(up.facts)?).since_passed_ms?;
    // A clock that is a little fast is no offence.
    if since_ms >= least_ms - least_ms / 10 {
        return None;
    }
    let (since_s, least_s) = (since_ms / 1000, least_ms / 1000);
    object(
        Verdict::RecordOnly,
        match granted {
            Granted::UsedUp { s } => format!(
                "The {s} s of airtime an hour that were agreed for this gateway's measurements are used up, and this node sent \
                 {what} {since_s} s ago; every {least_s} s is ordinary."
            ),
            Granted::Yes | Granted::No => format!(
                "This node sent {what} {since_s} s ago; more often than every {least_s} s needs an agreement with the operator."
            ),
        },
    )
}

/// Whether more measurements than is ordinary were agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granted {
    Yes,
    No,
    /// They were, and the airtime of the hour is used up.
    UsedUp {
        s: u32,
    },
}

fn granted(up: &Uplink<'_>) -> Granted {
    let gateway = counted_for(up);
    let grant =
        gateway.and_then(|gateway| up.directory.grant(gateway, up.now.unix_ms)).filter(|g| g.telemetry);
    let Some((gateway, grant)) = gateway.zip(grant) else { return Granted::No };
    let Some(ms) = grant.telemetry_ms else { return Granted::Yes };
    match up.memory.uplink.used_us(up.now.mono_ms, Account::Granted(gateway)) < u64::from(ms) * 1_000 {
        true => Granted::Yes,
        false => Granted::UsedUp { s: ms / 1_000 },
    }
}

/// Whether a packet is of a kind that agreements about telemetry are about.
pub(crate) fn is_measured(facts: &mesh::observe::Facts<'_>) -> bool {
    matches!(facts.port, Some(PortNum::TELEMETRY | PortNum::POSITION | PortNum::NODEINFO))
}

pub(super) fn stream(settings: &VolumeSettings, up: &Uplink<'_>) -> Option<Objection> {
    if !is_first(up) {
        return None;
    }
    let flow = up.memory.volume.flow(up.now.mono_ms, kind_of(up.facts)?);
    if flow.packets < settings.stream_packets && flow.large < settings.stream_large {
        return None;
    }
    if is_measured(up.facts) && granted(up) == Granted::Yes {
        return None;
    }
    let what = up.facts.port.map_or("unreadable packets".into(), PortNum::word);
    object(
        Verdict::RecordOnly,
        format!(
            "{} packets of the kind `{what}` from one node in ten minutes, {} of them large, are a stream: {} or {} large ones are.",
            flow.packets, flow.large, settings.stream_packets, settings.stream_large
        ),
    )
}

pub(super) fn duplicate(up: &Uplink<'_>) -> Option<Objection> {
    let key = packet_key(up.facts)?;
    if !up.memory.seen.was_released(key) {
        return None;
    }
    object(
        Verdict::Accept,
        "Gateways already got this packet from another copy; observers get this copy too.",
    )
}
