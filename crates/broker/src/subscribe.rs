//! SUBSCRIBE and UNSUBSCRIBE: each filter is judged and answered by itself.

use mqtt::property::id;
use mqtt::subscribe::{Options, Subscribe, Unsubscribe, encode_suback, encode_unsuback};
use mqtt::{ReasonCode, topic};
use policy::response::is_own_response_filter;
use policy::subscribe::{decide_share, decide_subscribe};

use crate::journal::Change;
use crate::reached::Reached;
use crate::reason::Explains;
use crate::session::{Identifiers, Queued, SessionId};
use crate::subscription_tree::Subscription;
use crate::{Broker, ConnectionId, Now};

impl Broker {
    pub(crate) fn on_subscribe(
        &mut self,
        now: Now,
        id: ConnectionId,
        who: SessionId,
        packet: &Subscribe<'_>,
    ) {
        let identifier = packet.properties.number(id::SUBSCRIPTION_IDENTIFIER);
        let mut codes = Vec::new();
        let mut why = String::new();
        let mut wanted = Vec::new();
        for (filter, options) in packet.filters() {
            match self.subscribe_one(who, filter, options, identifier) {
                Ok(is_new) => {
                    codes.push(options.qos);
                    if wants_retained(filter, options, is_new) {
                        wanted.push((filter, options));
                    }
                }
                Err((reason, sentence)) => {
                    self.counters.subscriptions_refused += 1;
                    codes.push(reason.code());
                    explain(&mut why, filter, sentence);
                }
            }
        }
        self.write_why(id, Explains::IfAsked, &why, |out, version, why| {
            encode_suback(out, version, packet.packet_id, &codes, why);
        });
        self.bar(id, self.latest_change_of(who));
        for (filter, options) in wanted {
            self.send_retained(now, who, filter, options, identifier);
        }
        self.plan_round_trip(now, who);
    }

    /// Adds one subscription; says whether it is new. [MQTT-3.8.4-3]
    fn subscribe_one(
        &mut self,
        who: SessionId,
        filter: &str,
        options: Options,
        identifier: Option<u32>,
    ) -> Result<bool, (ReasonCode, &'static str)> {
        let limits = &self.options.limits;
        let (levels_max, subscriptions_max) = (limits.topic_levels_max, limits.subscriptions_max);
        let topics = topics_of(filter).ok_or((ReasonCode::TopicFilterInvalid, BAD_SHARE))?;
        if limits.why_not_topic(topics).is_some() {
            self.counters.reached.add(Reached::Topic);
            return Err((ReasonCode::TopicFilterInvalid, BAD_FILTER));
        }
        if !topic::is_valid_filter(topics, levels_max) {
            return Err((ReasonCode::TopicFilterInvalid, BAD_FILTER));
        }
        let is_full = self.subscriptions.len() + self.shared.len() >= limits.subscriptions_total_max;
        let Some(session) = self.sessions.get_mut(who.index()) else {
            return Err((ReasonCode::UnspecifiedError, "the session is gone"));
        };
        let refused = |sentence| (ReasonCode::NotAuthorized, sentence);
        if topic::is_shared(filter) {
            decide_share(&session.principal).map_err(refused)?;
        }
        if !is_own_response_filter(&session.principal, &session.client_id, topics) {
            decide_subscribe(&session.principal, topics).map_err(refused)?;
        }
        let key = session.kept_key();
        if key.is_some() && self.journal.is_full() {
            self.refuse_change();
            return Err((ReasonCode::QuotaExceeded, "the disk of the server does not keep up"));
        }
        let is_new = !session.subscriptions.contains_key(filter);
        if is_new && (session.subscriptions.len() >= subscriptions_max || is_full) {
            self.counters.reached.add(Reached::Subscriptions);
            return Err((ReasonCode::QuotaExceeded, "there are as many subscriptions as there may be"));
        }
        let subscription = Subscription {
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            identifier,
        };
        if let Some(key) = key {
            self.journal.note(Change::Subscribed(key, filter.into(), subscription));
        }
        self.add_subscription(filter, who, subscription);
        Ok(is_new)
    }

    /// Puts a subscription, shared or not, where messages find it and into its session.
    pub(crate) fn add_subscription(&mut self, filter: &str, who: SessionId, subscription: Subscription) {
        let Some(session) = self.sessions.get_mut(who.index()) else { return };
        session.subscriptions.insert(filter.into(), subscription);
        match topic::split_shared(filter) {
            Some((_, topics)) => self.shared.join(filter, topics, who, subscription),
            None => {
                self.route_cache.forget();
                self.subscriptions.insert(filter, who, subscription)
            }
        };
    }

    /// Takes a subscription, shared or not, out of where messages find it; returns whether it was there.
    pub(crate) fn remove_subscription(&mut self, filter: &str, who: SessionId) -> bool {
        match topic::split_shared(filter) {
            Some((_, topics)) => self.shared.leave(filter, topics, who),
            None => {
                self.route_cache.forget();
                self.subscriptions.remove(filter, who)
            }
        }
    }

    /// Retained messages for a new subscription. Of mesh traffic nothing is retained, so no radio is at stake.
    fn send_retained(
        &mut self,
        now: Now,
        who: SessionId,
        filter: &str,
        options: Options,
        identifier: Option<u32>,
    ) {
        let own = self.sys.matching(filter, now.mono_ms);
        for message in self.retained.matching(filter, now.mono_ms).into_iter().chain(own) {
            let copy = Queued {
                qos: options.qos.min(message.qos),
                retain: true, // [MQTT-3.3.1-8]
                hop_limit: None,
                stale_at_ms: None,
                identifiers: identifier.into_iter().collect::<Identifiers>(),
                group: None,
                order: 0,
                message,
            };
            self.deliver(now, who, copy);
        }
    }

    pub(crate) fn on_unsubscribe(&mut self, id: ConnectionId, who: SessionId, packet: &Unsubscribe<'_>) {
        let mut codes = Vec::new();
        let mut why = String::new();
        for filter in packet.filters() {
            if topics_of(filter).is_none_or(|topics| !topic::is_valid_filter(topics, usize::MAX)) {
                codes.push(ReasonCode::TopicFilterInvalid.code());
                explain(&mut why, filter, BAD_FILTER);
                continue;
            }
            let Some(session) = self.sessions.get_mut(who.index()) else { return };
            let (key, was_its) = (session.kept_key(), session.subscriptions.remove(filter).is_some());
            if let (Some(key), true) = (key, was_its) {
                self.journal.note(Change::Unsubscribed(key, filter.into()));
            }
            let was_there = self.remove_subscription(filter, who);
            let reason = if was_there { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
            codes.push(reason.code());
        }
        self.write_why(id, Explains::IfAsked, &why, |out, version, why| {
            encode_unsuback(out, version, packet.packet_id, &codes, why);
        });
        self.bar(id, self.latest_change_of(who));
    }
}

const BAD_FILTER: &str = "a filter has at least one character, `+` and `#` fill whole levels, `#` comes last, and there are not too many levels";
const BAD_SHARE: &str =
    "a shared subscription is written `$share/{name}/{filter}`, and the name has no wildcard";

/// Adds what was wrong with one filter to the Reason String of the answer, as long as that stays readable.
fn explain(why: &mut String, filter: &str, sentence: &str) {
    const BYTES_MAX: usize = 400;
    let before = if why.is_empty() { "" } else { "; " };
    if filter.len() + sentence.len() + why.len() < BYTES_MAX {
        *why += &format!("{before}`{filter}`: {sentence}");
    } else if why.is_empty() {
        *why += sentence;
    }
}

/// Whether retained messages are to be sent; a Shared Subscription gets none (§ 4.8.2). [MQTT-3.3.1-9..11]
fn wants_retained(filter: &str, options: Options, is_new: bool) -> bool {
    let asks = match options.retain_handling {
        0 => true,
        1 => is_new,
        _ => false,
    };
    asks && !topic::is_shared(filter)
}

/// The part of a filter that topics are matched with; `None` for a Shared Subscription that is not well formed.
fn topics_of(filter: &str) -> Option<&str> {
    if topic::is_shared(filter) {
        return topic::split_shared(filter).map(|(_, topics)| topics);
    }
    Some(filter)
}
