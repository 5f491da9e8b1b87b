//! Topic Aliases of one Network Connection, both ways (§ 3.3.2.3.4): numbers that stand for Topic Names.

use std::collections::BTreeMap;
use std::sync::Arc;

use mqtt::{DecodeError, ReasonCode};

/// What the client's aliases stand for. Holds no memory until the client uses one.
#[derive(Debug, Default)]
pub(crate) struct IncomingAliases {
    /// By alias, less one.
    topics: Vec<Option<Arc<str>>>,
}

impl IncomingAliases {
    /// The topic of a PUBLISH that carries an alias, of those up to `max`; a topic that comes with it is what the alias
    /// stands for from now on. [MQTT-3.3.2-9] [MQTT-3.3.2-12]
    pub fn resolve(&mut self, alias: u32, topic: &str, max: u16) -> Result<Arc<str>, DecodeError> {
        const INVALID: ReasonCode = ReasonCode::TopicAliasInvalid;
        if alias == 0 || alias > u32::from(max) {
            return Err(DecodeError::with(
                INVALID,
                "Topic Alias is 0 or above the maximum that CONNACK told",
            ));
        }
        let index = alias as usize - 1;
        if topic.is_empty() {
            let known = self.topics.get(index).cloned().flatten();
            return known.ok_or(DecodeError::with(INVALID, "Topic Alias stands for no topic yet"));
        }
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        let topic: Arc<str> = topic.into();
        self.topics[index] = Some(topic.clone());
        Ok(topic)
    }
}

/// Aliases given to topics that were sent to the client. First come, first served: to give an alias away again would
/// cost a whole topic each time, for a client whose topics are more than its aliases even at every message.
#[derive(Debug)]
pub(crate) struct OutgoingAliases {
    by_topic: BTreeMap<Arc<str>, u16>,
    max: u16,
}

/// How a topic is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As it is.
    Topic,
    /// With this alias, which the client does not know yet.
    Both(u16),
    /// As this alias only.
    Alias(u16),
}

/// Bytes that a Topic Alias takes in a PUBLISH: identifier and number. A shorter topic is better off without.
const ALIAS_BYTES: usize = 3;

impl OutgoingAliases {
    /// For a client that takes aliases up to `max`; `None` when it takes none.
    pub fn new(max: u16) -> Option<Box<Self>> {
        (max > 0).then(|| Box::new(Self { by_topic: BTreeMap::new(), max }))
    }

    /// How to write a topic.
    pub fn spelling(&self, topic: &str) -> Spelling {
        match self.by_topic.get(topic) {
            Some(alias) => Spelling::Alias(*alias),
            None if topic.len() > ALIAS_BYTES && self.by_topic.len() < usize::from(self.max) => {
                let next = u16::try_from(self.by_topic.len() + 1).unwrap_or(self.max);
                Spelling::Both(next)
            }
            None => Spelling::Topic,
        }
    }

    /// The topic was written with an alias that the client had not known.
    pub fn note_told(&mut self, topic: &Arc<str>, alias: u16) {
        self.by_topic.insert(topic.clone(), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stands_for_the_last_topic_it_came_with() {
        let mut aliases = IncomingAliases::default();
        let invalid = |result: Result<Arc<str>, DecodeError>| result.unwrap_err().reason;
        assert_eq!(invalid(aliases.resolve(1, "", 4)), ReasonCode::TopicAliasInvalid, "unknown");
        assert_eq!(invalid(aliases.resolve(0, "a", 4)), ReasonCode::TopicAliasInvalid);
        assert_eq!(invalid(aliases.resolve(5, "a", 4)), ReasonCode::TopicAliasInvalid);
        assert_eq!(aliases.topics.capacity(), 0, "nothing is kept for what was not valid");
        assert_eq!(&*aliases.resolve(4, "a/b", 4).unwrap(), "a/b");
        assert_eq!(&*aliases.resolve(4, "", 4).unwrap(), "a/b");
        assert_eq!(&*aliases.resolve(4, "c", 4).unwrap(), "c");
        assert_eq!(&*aliases.resolve(4, "", 4).unwrap(), "c");
        assert_eq!(invalid(aliases.resolve(3, "", 4)), ReasonCode::TopicAliasInvalid);
    }

    #[test]
    fn the_first_topics_get_aliases_and_short_ones_none() {
        assert!(OutgoingAliases::new(0).is_none());
        let mut aliases = OutgoingAliases::new(2).unwrap();
        assert_eq!(aliases.spelling("abc"), Spelling::Topic);
        for (topic, alias) in [("first", 1), ("second", 2)] {
            assert_eq!(aliases.spelling(topic), Spelling::Both(alias));
            aliases.note_told(&topic.into(), alias);
        }
        assert_eq!(aliases.spelling("first"), Spelling::Alias(1));
        assert_eq!(aliases.spelling("third"), Spelling::Topic);
    }
}
