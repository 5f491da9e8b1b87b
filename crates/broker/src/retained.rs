//! Retained messages: the last one of each Topic Name. Bounded; knows nothing of sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::message::Message;

/// The retained messages, by Topic Name.
#[derive(Debug)]
pub struct Retained {
    messages: BTreeMap<Arc<str>, Arc<Message>>,
    count_max: usize,
    /// Messages that were not retained because there were too many.
    pub refused_total: u64,
}

impl Retained {
    /// A store for at most `count_max` messages.
    pub fn new(count_max: usize) -> Self {
        Self { messages: BTreeMap::new(), count_max, refused_total: 0 }
    }

    /// Keeps the message as the last of its topic, or forgets the topic when the payload is empty.
    /// [MQTT-3.3.1-5] [MQTT-3.3.1-6]
    /// Says whether that changed anything.
    pub fn apply(&mut self, message: &Arc<Message>) -> bool {
        if message.payload.is_empty() {
            self.messages.remove(&message.topic).is_some()
        } else if self.messages.len() < self.count_max || self.messages.contains_key(&message.topic) {
            self.messages.insert(message.topic.clone(), message.clone());
            true
        } else {
            self.refused_total += 1;
            false
        }
    }

    /// The messages whose topic matches the filter, in the order of their topics, without the expired.
    pub fn matching(&self, filter: &str, now_ms: u64) -> Vec<Arc<Message>> {
        if !filter.contains(['+', '#']) {
            return self
                .messages
                .get(filter)
                .filter(|m| !m.is_expired(now_ms))
                .cloned()
                .into_iter()
                .collect();
        }
        // Everything that can match begins with what stands before the first wildcard; `a/#` also matches `a`.
        let prefix = filter.split(['+', '#']).next().unwrap_or_default().trim_end_matches('/');
        self.messages
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .filter(|(topic, m)| mqtt::topic::matches(filter, topic) && !m.is_expired(now_ms))
            .map(|(_, m)| m.clone())
            .collect()
    }

    /// Forgets expired messages and says which.
    pub fn forget_expired(&mut self, now_ms: u64, gone: &mut impl FnMut(&Arc<str>)) {
        self.messages.retain(|topic, message| {
            let stays = !message.is_expired(now_ms);
            if !stays {
                gone(topic);
            }
            stays
        });
    }

    /// Every retained message, in the order of the topics.
    pub fn all(&self) -> &BTreeMap<Arc<str>, Arc<Message>> {
        &self.messages
    }

    /// Takes over what was kept, as if each had been retained again.
    pub fn restore(&mut self, messages: BTreeMap<Arc<str>, Arc<Message>>) {
        self.messages = messages;
    }

    /// Number of retained messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &str) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: payload.as_bytes().into(),
            qos: 0,
            retain: true,
            properties: None,
            expires_at_ms: None,
            hop_limit_at: None,
        })
    }

    #[test]
    fn an_empty_payload_clears_the_topic() {
        let mut retained = Retained::new(10);
        retained.apply(&message("a/b", "1"));
        retained.apply(&message("a/b", ""));
        assert_eq!(retained.len(), 0);
    }

    #[test]
    fn a_full_store_still_replaces_but_takes_no_further_topic() {
        let mut retained = Retained::new(1);
        retained.apply(&message("a", "1"));
        retained.apply(&message("b", "1"));
        retained.apply(&message("a", "2"));
        assert_eq!((retained.len(), retained.refused_total), (1, 1));
        assert_eq!(&*retained.matching("a", 0)[0].payload, b"2");
    }

    #[test]
    fn filters_find_what_they_match() {
        let mut retained = Retained::new(10);
        for topic in ["a", "a/b", "a/b/c", "ab", "b", "$SYS/x"] {
            retained.apply(&message(topic, "1"));
        }
        let found = |filter: &str| {
            let found = retained.matching(filter, 0);
            found.iter().map(|m| m.topic.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("a/#"), ["a", "a/b", "a/b/c"]);
        assert_eq!(found("+"), ["a", "ab", "b"]);
        assert_eq!(found("#"), ["a", "a/b", "a/b/c", "ab", "b"]);
        assert_eq!(found("$SYS/#"), ["$SYS/x"]);
        assert_eq!(found("a/+/c"), ["a/b/c"]);
    }
}
