//! Numbers as Prometheus reads them (text format 0.0.4). Labels have few values, all known beforehand but for gateways
//! and listeners, which are bounded; no name, address or text of anybody is in them.

use std::fmt::Write;

use automation::alert::board::Board;
use automation::alert::rule::Severity;
use broker::{DOOR_REASONS, MALFORMED_REASONS, Snapshot};
use policy::decision::Verdict;
use record::ReceiverKind;

use crate::HistoryHealth;

/// Media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Gateways that have lines of their own. The others are in the sums.
const GATEWAYS_MAX: usize = 500;

/// All of them.
pub fn text(
    snapshot: &Snapshot,
    history: &HistoryHealth,
    bridges: &[bridge::Status],
    alerts: Option<&Board>,
    started_ms: i64,
) -> String {
    let mut out = Exposition::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    out.gauge("build_info", "What runs; the value is always 1.").with(&version, 1);
    out.gauge("start_time_seconds", "When the program started, Unix time.").is(seconds(started_ms));
    connections(&mut out, snapshot);
    messages(&mut out, snapshot);
    policy(&mut out, snapshot);
    gateways(&mut out, snapshot);
    storage(&mut out, snapshot, history);
    of_bridges(&mut out, bridges);
    if let Some(board) = alerts {
        of_alerts(&mut out, board);
    }
    out.0
}

fn connections(out: &mut Exposition, snapshot: &Snapshot) {
    let counters = &snapshot.counters;
    out.gauge("connections", "Network connections that are open.").is(snapshot.connections);
    let mut clients = out.gauge("clients", "Clients that are connected or whose session is kept.");
    for kind in ReceiverKind::ALL {
        for (state, is_connected) in [("connected", true), ("absent", false)] {
            let of_kind =
                snapshot.clients.iter().filter(|c| c.kind == kind && c.is_connected == is_connected);
            clients.with(&[("kind", kind.word()), ("state", state)], of_kind.count());
        }
    }
    out.counter("connects_total", "CONNECT packets accepted.").is(counters.connected);
    out.counter("connections_refused_total", "Connections turned away before a byte was read.")
        .is(counters.connections_refused);
    out.counter("connections_timed_out_total", "Connections closed for their silence.")
        .is(counters.timed_out);
    out.counter("sign_ins_refused_total", "CONNECT packets with a wrong, unknown or missing credential.")
        .is(counters.authentication_failed);
    let mut doors =
        out.counter("handshakes_failed_total", "Connections that failed before their first packet.");
    for (reason, count) in DOOR_REASONS.iter().zip(counters.doors) {
        doors.with(&[("reason", reason)], count);
    }
    let mut malformed = out.counter("packets_refused_total", "Connections closed for what they sent.");
    for (reason, count) in MALFORMED_REASONS.iter().zip(counters.malformed) {
        malformed.with(&[("reason", reason)], count);
    }
    let mut limits = out.counter("limits_reached_total", "How often a limit stood in a client's way.");
    for (limit, count) in counters.reached.clone().iter() {
        limits.with(&[("limit", limit)], count);
    }
    let mut listeners = out.gauge("listener_connections", "Connections that are open, by listener.");
    for listener in &snapshot.listeners {
        listeners.with(&[("listener", &listener.name)], listener.connections);
    }
}

fn messages(out: &mut Exposition, snapshot: &Snapshot) {
    let counters = &snapshot.counters;
    let mut messages = out.counter("messages_total", "PUBLISH packets.");
    messages.with(&[("direction", "in")], counters.messages_in);
    messages.with(&[("direction", "out")], counters.messages_out);
    let mut bytes = out.counter("bytes_total", "Bytes of control packets.");
    bytes.with(&[("direction", "in")], counters.bytes_in);
    bytes.with(&[("direction", "out")], counters.bytes_out);
    out.counter("copies_dropped_total", "Copies lost because a client reads too slowly.")
        .is(counters.dropped);
    out.counter("messages_expired_total", "Messages whose time passed in a queue.").is(counters.expired);
    out.counter("subscriptions_refused_total", "Subscriptions refused.").is(counters.subscriptions_refused);
    out.counter("messages_unacknowledged_total", "Acknowledgements that the history could not back.")
        .is(counters.unacknowledged);
    out.counter("automation_messages_total", "Messages published for home automation.").is(counters.told);
    out.counter("replayed_messages_total", "Messages of the past that were put back.").is(counters.replayed);
    out.counter("automation_lost_total", "Records that home automation was not told of.").is(counters.untold);
    out.counter("erased_total", "Messages and connections of erased nodes that went nowhere.")
        .is(counters.erased);
    out.gauge("subscriptions", "Subscriptions.").is(snapshot.subscriptions);
    out.gauge("retained_messages", "Retained messages.").is(snapshot.retained);
}

fn policy(out: &mut Exposition, snapshot: &Snapshot) {
    let counters = &snapshot.counters;
    let mut verdicts = out.counter("receptions_total", "Receptions, by what policy said of them.");
    for (verdict, count) in Verdict::ALL.iter().zip(counters.by_verdict) {
        verdicts.with(&[("verdict", verdict.word())], count);
    }
    let mut decided = out.counter("rule_decisions_total", "Receptions decided and copies withheld, by rule.");
    for (rule, count) in counters.by_rule.iter() {
        decided.with(&[("rule", rule.name())], count);
    }
    let mut would_have =
        out.counter("rule_observations_total", "What rules in state observe would have decided otherwise.");
    for (rule, count) in counters.would_have.iter() {
        would_have.with(&[("rule", rule.name())], count);
    }
    out.counter("downlink_unacknowledged_total", "Copies that a gateway did not acknowledge in time.")
        .is(counters.downlink_unacknowledged);
}

fn of_bridges(out: &mut Exposition, bridges: &[bridge::Status]) {
    let mut up = out.gauge("bridge_up", "Whether a bridge to another broker is up.");
    for one in bridges {
        up.with(&[("bridge", &one.name)], u8::from(one.there == bridge::status::Connection::Up));
    }
    let lanes = || bridges.iter().flat_map(|b| [(b, "out", &b.outward), (b, "in", &b.inward)]);
    let mut crossed = out.counter("bridge_messages_total", "Messages that crossed a bridge.");
    for (one, direction, lane) in lanes() {
        crossed.with(&[("bridge", &one.name), ("direction", direction)], lane.crossed);
    }
    let mut waiting = out.gauge("bridge_waiting", "Messages that wait to cross a bridge.");
    for (one, direction, lane) in lanes() {
        waiting.with(&[("bridge", &one.name), ("direction", direction)], lane.waiting);
    }
    let mut held = out.counter("bridge_held_total", "Messages that did not cross a bridge, by why.");
    for (one, direction, lane) in lanes() {
        for (why, count) in &lane.held {
            let labels = [("bridge", &*one.name), ("direction", direction), ("reason", why.word())];
            held.with(&labels, *count);
        }
    }
}

fn of_alerts(out: &mut Exposition, board: &Board) {
    let mut firing = out.gauge("alerts_firing", "Alerts that fire.");
    for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
        let count = board.firing.iter().filter(|one| one.severity == severity).count();
        firing.with(&[("severity", severity.word())], count);
    }
    let mut works = out.gauge("alert_target_works", "Whether the last message to a target arrived.");
    for target in &board.targets {
        works.with(&[("target", &target.name)], u8::from(target.problem.is_none()));
    }
    out.counter("alerts_left_out_total", "Alerts that were not told because there were too many.")
        .is(board.left_out);
    out.counter("alerts_lost_total", "Receptions that no alert rule saw, because they could not keep up.")
        .is(board.lost);
    out.counter("alerts_unwatched_total", "Times that a rule had too many subjects to watch one more.")
        .is(board.unwatched);
}

fn gateways(out: &mut Exposition, snapshot: &Snapshot) {
    let mut gateways: Vec<_> = snapshot.clients.iter().filter_map(|c| Some((c.gateway?, c))).collect();
    // Those that have been there longest keep their lines.
    gateways.sort_by_key(|(gateway, client)| (*gateway, !client.is_connected));
    gateways.dedup_by_key(|(gateway, _)| *gateway);
    gateways.truncate(GATEWAYS_MAX);
    let mut connected = out.gauge("gateway_connected", "Whether a gateway is connected.");
    for (gateway, client) in &gateways {
        connected
            .with(&[("gateway", &mesh::node::NodeNum(*gateway).to_string())], u8::from(client.is_connected));
    }
    let mut messages = out.counter("gateway_messages_total", "PUBLISH packets of a gateway's session.");
    for (gateway, client) in &gateways {
        let gateway = mesh::node::NodeNum(*gateway).to_string();
        messages.with(&[("gateway", &gateway), ("direction", "in")], client.messages_in);
        messages.with(&[("gateway", &gateway), ("direction", "out")], client.messages_out);
    }
}

fn storage(out: &mut Exposition, snapshot: &Snapshot, history: &HistoryHealth) {
    out.gauge("history_queue_records", "Records waiting to be stored.").is(history.queued);
    out.counter("history_stored_total", "Records stored.").is(history.stored);
    out.counter("history_shed_total", "Records lost because the queue was full.").is(history.shed);
    out.gauge("history_stalled", "1 while the history cannot store.").is(u8::from(history.is_stalled()));
    out.gauge(
        "store_waiting_changes",
        "Changes of kept sessions and retained messages that wait for the disk.",
    )
    .is(snapshot.unkept_changes);
}

fn seconds(unix_ms: i64) -> String {
    format!("{}.{:03}", unix_ms.div_euclid(1000), unix_ms.rem_euclid(1000))
}

/// The text so far.
#[derive(Default)]
struct Exposition(String);

/// One family of numbers.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "counter")
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP backhaul_{name} {help}\n# TYPE backhaul_{name} {kind}\n");
        Family { text: &mut self.0, name }
    }
}

impl Family<'_> {
    fn is(mut self, value: impl std::fmt::Display) {
        self.with(&[], value);
    }

    fn with(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.text, "backhaul_{}", self.name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let (open, escaped) = (if index == 0 { '{' } else { ',' }, escape(text));
            let _ = write!(self.text, "{open}{label}=\"{escaped}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

/// Backslash, quote and line break are what the format cannot take as they are.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut out = Exposition::default();
        out.gauge("x", "Something.").with(&[("a", "q\"b\\c\nd"), ("e", "f")], 3);
        let lines: Vec<_> = out.0.lines().collect();
        assert_eq!(lines[2], r#"backhaul_x{a="q\"b\\c\nd",e="f"} 3"#);
    }
}
