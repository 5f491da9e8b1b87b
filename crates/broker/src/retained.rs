//! Retained messages: the last one of each Topic Name. Bounded; knows nothing of sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::message::Message;

/// The retained messages, by Topic Name.
#[derive(Debug)]
pub struct Retained {
    messages: BTreeMap<Arc<str>, Arc<Message>>,
    /// Those that expire, by when.
    expiring: BTreeSet<(u64, Arc<str>)>,
    count_max: usize,
    bytes_max: usize,
    /// Topic and payload bytes of all of them.
    bytes: usize,
    /// Messages that were not retained because there were too many.
    pub refused_total: u64,
}

impl Retained {
    /// A store for at most `count_max` messages, with as many bytes as they like.
    pub fn new(count_max: usize) -> Self {
        Self::bounded(count_max, usize::MAX)
    }

    /// A store for at most `count_max` messages whose topics and payloads have at most `bytes_max` bytes together.
    pub fn bounded(count_max: usize, bytes_max: usize) -> Self {
        let (messages, expiring) = (BTreeMap::new(), BTreeSet::new());
        Self { messages, expiring, count_max, bytes_max, bytes: 0, refused_total: 0 }
    }

    /// Keeps the message as the last of its topic, or forgets the topic when the payload is empty.
    /// [MQTT-3.3.1-5] [MQTT-3.3.1-6]
    /// Says whether that changed anything.
    pub fn apply(&mut self, message: &Arc<Message>) -> bool {
        if message.payload.is_empty() {
            self.remove(&message.topic)
        } else if self.has_room_for(message) {
            self.remove(&message.topic);
            self.bytes += bytes_of(message);
            if let Some(at_ms) = message.expires_at_ms {
                self.expiring.insert((at_ms, message.topic.clone()));
            }
            self.messages.insert(message.topic.clone(), message.clone());
            true
        } else {
            self.refused_total += 1;
            false
        }
    }

    fn remove(&mut self, topic: &Arc<str>) -> bool {
        let Some(old) = self.messages.remove(topic) else { return false };
        self.bytes -= bytes_of(&old);
        if let Some(at_ms) = old.expires_at_ms {
            self.expiring.remove(&(at_ms, topic.clone()));
        }
        true
    }

    /// Whether it fits, in place of the one that it replaces.
    fn has_room_for(&self, message: &Message) -> bool {
        let old = self.messages.get(&message.topic);
        let bytes_left = self.bytes_max - self.bytes + old.map_or(0, |old| bytes_of(old));
        (old.is_some() || self.messages.len() < self.count_max) && bytes_of(message) <= bytes_left
    }

    /// The messages whose topic matches the filter, in the order of their topics, without the expired.
    ///
    /// Topics are visited in order, and those below a level that cannot match are leapt over: `+/status` among a million
    /// topics of a thousand devices costs two lookups per device.
    pub fn matching(&self, filter: &str, now_ms: u64) -> Vec<Arc<Message>> {
        if !filter.contains(['+', '#']) {
            let found = self.messages.get(filter).filter(|m| !m.is_expired(now_ms));
            return found.cloned().into_iter().collect();
        }
        // Everything that can match begins with what stands before the first wildcard; `a/#` also matches `a`.
        let prefix = filter.split(['+', '#']).next().unwrap_or_default().trim_end_matches('/');
        let mut found = Vec::new();
        let mut topics = self.messages.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        while let Some((topic, message)) = topics.next().filter(|(topic, _)| topic.starts_with(prefix)) {
            if mqtt::topic::matches(filter, topic) {
                if !message.is_expired(now_ms) {
                    found.push(message.clone());
                }
            } else if let Some(next) = next_that_may_match(filter, topic) {
                topics = self.messages.range::<str, _>((Bound::Included(&*next), Bound::Unbounded));
            }
        }
        found
    }

    /// Every retained message, in the order of the topics.
    pub const fn all(&self) -> &BTreeMap<Arc<str>, Arc<Message>> {
        &self.messages
    }

    /// Takes over what was kept, as if each had been retained again.
    pub fn restore(&mut self, messages: BTreeMap<Arc<str>, Arc<Message>>) {
        (self.bytes, self.expiring) = (0, BTreeSet::new());
        for message in messages.values() {
            self.bytes += bytes_of(message);
            self.expiring.extend(message.expires_at_ms.map(|at_ms| (at_ms, message.topic.clone())));
        }
        self.messages = messages;
    }

    /// Forgets expired messages and says which.
    pub fn forget_expired(&mut self, now_ms: u64, gone: &mut impl FnMut(Arc<str>)) {
        while let Some((at_ms, _)) = self.expiring.first()
            && *at_ms <= now_ms
        {
            if let Some((_, topic)) = self.expiring.pop_first() {
                self.bytes -= self.messages.remove(&topic).map_or(0, |old| bytes_of(&old));
                gone(topic);
            }
        }
    }

    /// Topic and payload bytes of all retained messages.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of retained messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }
}

/// Topic and payload bytes.
fn bytes_of(message: &Message) -> usize {
    message.topic.len() + message.payload.len()
}

/// Where to go on after a topic that does not match: past everything below the level at which it differs from the filter,
/// or to the filter's own name of that level if that comes later. `None` for the topic after this one.
fn next_that_may_match(filter: &str, topic: &str) -> Option<String> {
    let mut end = 0; // of the level that is looked at, in the topic
    for wanted in filter.split('/') {
        let start = end;
        let rest = topic.get(start..)?;
        let level = rest.split('/').next()?;
        end = start + level.len() + 1;
        if wanted == "#" {
            return None; // a topic that begins with `$`
        }
        if wanted == "+" || wanted == level {
            continue;
        }
        // `a!` sorts between `a` and `a/x`, so there are two places where the wanted level may stand.
        let its_own = format!("{}{wanted}", &topic[..start]);
        let below_it = format!("{its_own}/");
        if let Some(next) = [its_own, below_it].into_iter().find(|next| **next > *topic) {
            return Some(next);
        }
        // Past the parent: its topics continue with `/`, and `0` is the byte after that.
        let parent = topic.get(..start.checked_sub(1)?)?;
        return Some(format!("{parent}0"));
    }
    // The topic is deeper than the filter: nothing below it matches either.
    let below = topic.get(..end.checked_sub(1)?)?;
    (end <= topic.len()).then(|| format!("{below}0"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(topic: &str, payload: &str, expires_at_ms: Option<u64>) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: payload.as_bytes().into(),
            qos: 0,
            retain: true,
            properties: None,
            expires_at_ms,
            hop_limit_at: None,
        })
    }

    fn found(retained: &Retained, filter: &str) -> Vec<String> {
        retained.matching(filter, 0).iter().map(|m| m.topic.to_string()).collect()
    }

    #[test]
    fn an_empty_payload_clears_the_topic() {
        let mut retained = Retained::new(10);
        retained.apply(&message("a/b", "1", Some(5)));
        retained.apply(&message("a/b", "", None));
        assert_eq!((retained.len(), retained.expiring.len()), (0, 0));
    }

    #[test]
    fn a_full_store_still_replaces_but_takes_no_further_topic() {
        let mut retained = Retained::new(1);
        retained.apply(&message("a", "1", None));
        retained.apply(&message("b", "1", None));
        retained.apply(&message("a", "2", None));
        assert_eq!((retained.len(), retained.refused_total), (1, 1));
        assert_eq!(&*retained.matching("a", 0)[0].payload, b"2");
    }

    #[test]
    fn bytes_are_counted_and_bounded() {
        let mut retained = Retained::bounded(10, 10);
        assert!(
            retained.apply(&message("a", "1234", None)) && retained.apply(&message("b", "1234", Some(5)))
        );
        assert_eq!(retained.bytes(), 10, "exactly at the limit");
        assert!(!retained.apply(&message("a", "12345", None)), "one over");
        assert!(retained.apply(&message("a", "4321", None)), "in place of the other");
        retained.forget_expired(5, &mut |_| ());
        retained.apply(&message("a", "", None));
        assert_eq!((retained.bytes(), retained.refused_total), (0, 1));
    }

    #[test]
    fn what_expires_goes_and_what_replaced_it_stays() {
        let mut retained = Retained::new(10);
        retained.apply(&message("a", "1", Some(5)));
        retained.apply(&message("b", "1", Some(5)));
        retained.apply(&message("b", "2", Some(50)));
        retained.forget_expired(5, &mut |topic| assert_eq!(&*topic, "a"));
        assert_eq!(found(&retained, "+"), ["b"]);
        retained.forget_expired(50, &mut |_| ());
        assert_eq!((retained.len(), retained.expiring.len()), (0, 0));
    }

    #[test]
    fn filters_find_what_they_match() {
        let mut retained = Retained::new(10);
        for topic in ["a", "a/b", "a/b/c", "ab", "b", "$SYS/x"] {
            retained.apply(&message(topic, "1", None));
        }
        assert_eq!(found(&retained, "a/#"), ["a", "a/b", "a/b/c"]);
        assert_eq!(found(&retained, "+"), ["a", "ab", "b"]);
        assert_eq!(found(&retained, "#"), ["a", "a/b", "a/b/c", "ab", "b"]);
        assert_eq!(found(&retained, "$SYS/#"), ["$SYS/x"]);
        assert_eq!(found(&retained, "a/+/c"), ["a/b/c"]);
    }

    fn levels(of: &'static [&'static str]) -> impl Strategy<Value = String> {
        let level = prop::sample::select(of);
        prop::collection::vec(level, 1..5)
            .prop_map(|l| l.join("/"))
            .prop_filter("not empty", |t| !t.is_empty())
    }

    proptest! {
        #[test]
        fn leaping_finds_what_visiting_every_topic_finds(
            topics in prop::collection::btree_set(levels(&["a", "a!", "b", "", "é", "$x", "0"]), 1..60),
            filter in levels(&["a", "a!", "b", "", "0", "+", "+"]),
            is_hash in any::<bool>(),
        ) {
            let filter = if is_hash { format!("{filter}/#") } else { filter };
            let mut retained = Retained::new(1000);
            topics.iter().for_each(|topic| assert!(retained.apply(&message(topic, "1", None))));
            let expected: Vec<String> =
                topics.iter().filter(|topic| mqtt::topic::matches(&filter, topic)).cloned().collect();
            prop_assert_eq!(found(&retained, &filter), expected);
        }
    }
}
