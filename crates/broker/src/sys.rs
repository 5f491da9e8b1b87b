//! `$SYS`: what the broker says of itself, on the topics that mosquitto has made usual and on some of its own. Told at an
//! interval, and only what changed. Holds nothing of any client.

use std::borrow::Cow;
use std::sync::Arc;

use policy::decision::Verdict;

use crate::counters::MALFORMED_REASONS;
use crate::message::Message;
use crate::retained::Retained;
use crate::tell::Of;
use crate::{Broker, Now};

/// Sessions that are looked at one by one to add up what waits for them. With more of them the sums are not told: the look
/// would delay everybody's messages.
const SESSIONS_LOOKED_AT_MAX: usize = 20_000;
/// Topics there can be: those below and two for every rule, with room to spare.
const TOPICS_MAX: usize = 512;
/// As mosquitto publishes them.
const QOS: u8 = 2;

/// What was told so far.
#[derive(Debug)]
pub(crate) struct Sys {
    /// Kept apart from what clients retain: it takes nothing of their room, and nobody can overwrite it.
    retained: Retained,
    /// When the broker began, on its clock; `None` until the first look.
    began_ms: Option<u64>,
    next_ms: u64,
    last_ms: u64,
    averages: [Average; LOADS.len()],
}

impl Default for Sys {
    fn default() -> Self {
        Self {
            retained: Retained::new(TOPICS_MAX),
            began_ms: None,
            next_ms: 0,
            last_ms: 0,
            averages: Default::default(),
        }
    }
}

impl Sys {
    /// The messages for a new subscription.
    pub fn matching(&self, filter: &str, now_ms: u64) -> Vec<Arc<Message>> {
        if filter.starts_with("$SYS") { self.retained.matching(filter, now_ms) } else { Vec::new() }
    }
}

/// Events per minute, averaged over 1, 5 and 15 minutes, each weighing less the longer it is ago.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    total: u64,
    per_minute: [f64; SPANS.len()],
}

const SPANS: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];

impl Average {
    /// Takes in what the total has grown to within `seconds`, more than 0.
    fn take_in(&mut self, total: u64, seconds: f64) {
        let lately = total.saturating_sub(self.total) as f64 * 60.0 / seconds;
        self.total = total;
        for (average, (_, span)) in self.per_minute.iter_mut().zip(SPANS) {
            *average = lately + (-seconds / span).exp() * (*average - lately);
        }
    }
}

/// A topic and its number.
type Number = (&'static str, fn(&Broker) -> u64);

/// Topics below `$SYS/broker/load` and the totals that they are averages of.
const LOADS: [Number; 9] = [
    ("messages/received", |b| b.counters.packets_in),
    ("messages/sent", |b| b.counters.packets_out),
    ("publish/received", |b| b.counters.messages_in),
    ("publish/sent", |b| b.counters.messages_out),
    ("publish/dropped", |b| b.counters.dropped),
    ("bytes/received", |b| b.counters.bytes_in),
    ("bytes/sent", |b| b.counters.bytes_out),
    ("sockets", |b| b.connections_made),
    ("connections", |b| b.counters.connected),
];

/// Topics below `$SYS/broker` that are numbers known at once.
const NUMBERS: [Number; 21] = [
    ("clients/total", |b| b.sessions.len() as u64),
    ("clients/connected", connected),
    ("clients/active", connected),
    ("clients/disconnected", disconnected),
    ("clients/inactive", disconnected),
    ("clients/maximum", |b| b.counters.connections_most),
    ("clients/expired", |b| b.counters.sessions_expired),
    ("messages/received", |b| b.counters.packets_in),
    ("messages/sent", |b| b.counters.packets_out),
    ("publish/messages/received", |b| b.counters.messages_in),
    ("publish/messages/sent", |b| b.counters.messages_out),
    ("publish/messages/dropped", |b| b.counters.dropped),
    ("publish/bytes/received", |b| b.counters.payload_bytes_in),
    ("publish/bytes/sent", |b| b.counters.payload_bytes_out),
    ("bytes/received", |b| b.counters.bytes_in),
    ("bytes/sent", |b| b.counters.bytes_out),
    ("retained messages/count", |b| b.retained.len() as u64),
    ("subscriptions/count", |b| (b.subscriptions.len() + b.shared.len()) as u64),
    ("shared_subscriptions/count", |b| b.shared.len() as u64),
    ("connections/socket/count", |b| b.connections.len() as u64),
    ("messages/expired", |b| b.counters.expired),
];

/// Topics below `$SYS/backhaul`: refusals and losses by name.
const REFUSALS: [Number; 11] = [
    ("connections/refused", |b| b.counters.connections_refused),
    ("connections/timed-out", |b| b.counters.timed_out),
    ("sign-ins/refused", |b| b.counters.authentication_failed),
    ("subscriptions/refused", |b| b.counters.subscriptions_refused),
    ("messages/unacknowledged", |b| b.counters.unacknowledged),
    ("downlink/unacknowledged", |b| b.counters.downlink_unacknowledged),
    ("store/refused", |b| b.counters.unkept),
    ("store/waiting", |b| b.journal.behind()),
    ("retained/refused", |b| b.retained.refused_total),
    ("automation/lost", |b| b.counters.untold),
    ("erased/refused", |b| b.counters.erased),
];

fn connected(broker: &Broker) -> u64 {
    broker.connections.len() as u64
}

fn disconnected(broker: &Broker) -> u64 {
    broker.sessions.len().saturating_sub(broker.connections.len()) as u64
}

impl Broker {
    /// Tells what changed, when it is time.
    pub(crate) fn tell_sys(&mut self, now: Now) {
        let interval_ms = u64::from(self.options.limits.sys_interval_s) * 1000;
        let began_ms = *self.sys.began_ms.get_or_insert(now.mono_ms);
        self.sys.last_ms = self.sys.last_ms.max(began_ms);
        if interval_ms == 0 || now.mono_ms < self.sys.next_ms {
            return;
        }
        self.sys.next_ms = now.mono_ms + interval_ms;
        self.tell(now, "broker/version", concat!("Backhaul ", env!("CARGO_PKG_VERSION")).to_owned());
        self.tell(now, "broker/uptime", format!("{} seconds", (now.mono_ms - began_ms) / 1000));
        for (topic, number) in NUMBERS {
            let number = number(self);
            self.tell(now, format!("broker/{topic}"), number.to_string());
        }
        self.tell_what_waits(now);
        self.tell_loads(now);
        self.tell_refusals(now);
    }

    fn tell_what_waits(&mut self, now: Now) {
        if self.sessions.len() > SESSIONS_LOOKED_AT_MAX {
            return;
        }
        let (mut inflight, mut count, mut bytes) = (0, self.retained.len(), self.retained.bytes());
        for (_, session) in &self.sessions {
            inflight += session.inflight.len();
            count += session.inflight.len() + session.queue.len();
            bytes += session.queued_bytes;
        }
        self.tell(now, "broker/messages/inflight", inflight.to_string());
        self.tell(now, "broker/messages/stored", count.to_string());
        self.tell(now, "broker/store/messages/count", count.to_string());
        self.tell(now, "broker/store/messages/bytes", bytes.to_string());
    }

    fn tell_loads(&mut self, now: Now) {
        let seconds = now.mono_ms.saturating_sub(self.sys.last_ms).max(1) as f64 / 1000.0;
        self.sys.last_ms = now.mono_ms;
        for (index, (topic, total)) in LOADS.into_iter().enumerate() {
            let total = total(self);
            let average = &mut self.sys.averages[index];
            average.take_in(total, seconds);
            let per_minute = average.per_minute;
            for ((span, _), value) in SPANS.into_iter().zip(per_minute) {
                self.tell(now, format!("broker/load/{topic}/{span}"), format!("{value:.2}"));
            }
        }
    }

    fn tell_refusals(&mut self, now: Now) {
        for (topic, number) in REFUSALS {
            let number = number(self);
            self.tell(now, format!("backhaul/{topic}"), number.to_string());
        }
        for (limit, number) in self.counters.reached.clone().iter() {
            self.tell(now, format!("backhaul/limits/{limit}"), number.to_string());
        }
        for (reason, number) in MALFORMED_REASONS.into_iter().zip(self.counters.malformed) {
            let topic = format!("backhaul/packets/{}", reason.replace(' ', "-"));
            self.tell(now, topic, number.to_string());
        }
        if self.options.lab {
            return; // There is no policy to tell of.
        }
        for (verdict, number) in Verdict::ALL.into_iter().zip(self.counters.by_verdict) {
            let topic = format!("backhaul/verdicts/{}", verdict.word().replace(' ', "-"));
            self.tell(now, topic, number.to_string());
        }
        let (decided, would_have) = (self.counters.by_rule.clone(), self.counters.would_have.clone());
        for (kind, counts) in [("rules", decided), ("would-have", would_have)] {
            for (rule, number) in counts.iter().filter(|(_, number)| *number > 0) {
                self.tell(now, format!("backhaul/{kind}/{}", rule.name()), number.to_string());
            }
        }
    }

    /// Tells whether a bridge is up, on the topic that mosquitto uses for its own.
    pub fn tell_bridge(&mut self, now: Now, name: &str, is_up: bool) {
        // A name may hold what a topic may not.
        let level: String = name.chars().map(|c| if "+#/".contains(c) { '-' } else { c }).collect();
        self.tell(now, format!("broker/connection/{level}/state"), u8::from(is_up).to_string());
    }

    /// Publishes one value, unless it is what was told last.
    fn tell(&mut self, now: Now, topic: impl Into<Cow<'static, str>>, value: String) {
        let topic: Arc<str> = format!("$SYS/{}", topic.into()).into();
        let told = self.sys.retained.matching(&topic, now.mono_ms);
        if told.first().is_some_and(|message| *message.payload == *value.as_bytes()) {
            return;
        }
        let message = Arc::new(Message {
            topic,
            payload: value.as_bytes().into(),
            qos: QOS,
            retain: true,
            properties: None,
            expires_at_ms: None,
            hop_limit_at: None,
        });
        self.sys.retained.apply(&message);
        self.deliver_own(now, &message, Of::Present);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_nears_what_happens_and_forgets_what_happened() {
        let mut average = Average::default();
        for minute in 1..=120 {
            average.take_in(minute * 600, 60.0);
        }
        assert!(average.per_minute.iter().all(|value| (value - 600.0).abs() < 1.0), "{average:?}");
        average.take_in(120 * 600, 60.0);
        let [one, five, fifteen] = average.per_minute;
        assert!(one < five && five < fifteen && fifteen < 600.0, "{average:?}");
        assert!((one - 600.0 / std::f64::consts::E).abs() < 1.0, "a minute ago weighs 1/e: {one}");
    }
}
