//! Which sessions want a Topic Name: a tree of filter levels. Knows nothing of sessions but their number.

use std::collections::BTreeMap;

use crate::session::SessionId;

/// What a client asked for with one Topic Filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// Highest QoS it wants, 0–2.
    pub qos: u8,
    /// Not to get its own messages back. [MQTT-3.8.3-3]
    pub no_local: bool,
    /// Keep the RETAIN flag as the publisher set it.
    pub retain_as_published: bool,
    /// Subscription Identifier, 1 to 268,435,455; `None` when the client gave none.
    pub identifier: Option<u32>,
}

/// The tree. Every `(filter, session)` is in it at most once.
#[derive(Debug)]
pub struct SubscriptionTree {
    nodes: Vec<Node>,
    free: Vec<usize>,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<Box<str>, usize>,
    plus: Option<usize>,
    /// Subscriptions whose filter ends here.
    ends: Vec<(SessionId, Subscription)>,
    /// Subscriptions whose filter ends here with `#`.
    hashes: Vec<(SessionId, Subscription)>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.plus.is_none() && self.ends.is_empty() && self.hashes.is_empty()
    }
}

const ROOT: usize = 0;

impl Default for SubscriptionTree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new(), count: 0 }
    }
}

impl SubscriptionTree {
    /// Number of subscriptions.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Adds a subscription, or replaces the session's one with the same filter. The filter must be valid.
    /// Returns whether it replaced one. [MQTT-3.8.4-3]
    pub fn insert(&mut self, filter: &str, session: SessionId, subscription: Subscription) -> bool {
        let mut at = ROOT;
        let mut is_hash = false;
        for level in filter.split('/') {
            match level {
                "#" => is_hash = true,
                "+" => {
                    at = match self.nodes[at].plus {
                        Some(next) => next,
                        None => {
                            let next = self.allocate();
                            self.nodes[at].plus = Some(next);
                            next
                        }
                    }
                }
                name => {
                    at = match self.nodes[at].children.get(name) {
                        Some(next) => *next,
                        None => {
                            let next = self.allocate();
                            self.nodes[at].children.insert(name.into(), next);
                            next
                        }
                    }
                }
            }
        }
        let node = &mut self.nodes[at];
        let list = if is_hash { &mut node.hashes } else { &mut node.ends };
        match list.iter_mut().find(|(s, _)| *s == session) {
            Some(entry) => {
                entry.1 = subscription;
                true
            }
            None => {
                list.push((session, subscription));
                self.count += 1;
                false
            }
        }
    }

    /// Takes a subscription out; returns whether it was there.
    pub fn remove(&mut self, filter: &str, session: SessionId) -> bool {
        let mut path = Vec::with_capacity(8);
        let mut at = ROOT;
        let mut is_hash = false;
        for level in filter.split('/') {
            let next = match level {
                "#" => {
                    is_hash = true;
                    continue;
                }
                "+" => self.nodes[at].plus,
                name => self.nodes[at].children.get(name).copied(),
            };
            let Some(next) = next else { return false };
            path.push((at, level));
            at = next;
        }
        let node = &mut self.nodes[at];
        let list = if is_hash { &mut node.hashes } else { &mut node.ends };
        let Some(index) = list.iter().position(|(s, _)| *s == session) else { return false };
        list.swap_remove(index);
        self.count -= 1;
        for (parent, level) in path.into_iter().rev() {
            if !self.nodes[at].is_empty() {
                break;
            }
            match level {
                "+" => self.nodes[parent].plus = None,
                name => drop(self.nodes[parent].children.remove(name)),
            }
            self.nodes[at] = Node::default();
            self.free.push(at);
            at = parent;
        }
        true
    }

    /// Calls `found` for every subscription whose filter matches; a session with several is found several times.
    ///
    /// Filters that begin with a wildcard never match a Topic Name that begins with `$`. [MQTT-4.7.2-1]
    pub fn matching(&self, topic: &str, found: &mut impl FnMut(SessionId, Subscription)) {
        let below_dollar = topic.starts_with('$');
        self.descend(ROOT, Some(topic), !below_dollar, found);
    }

    /// The work per level is one lookup and at most two branches; depth is bounded by the limit on topic levels.
    fn descend(
        &self,
        at: usize,
        rest: Option<&str>,
        wildcards: bool,
        found: &mut impl FnMut(SessionId, Subscription),
    ) {
        let node = &self.nodes[at];
        if wildcards {
            // `sport/#` matches `sport` as well. [MQTT-4.7.1-2]
            node.hashes.iter().for_each(|(s, sub)| found(*s, *sub));
        }
        let Some(rest) = rest else {
            node.ends.iter().for_each(|(s, sub)| found(*s, *sub));
            return;
        };
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        if let Some(next) = node.children.get(level) {
            self.descend(*next, rest, true, found);
        }
        if wildcards && let Some(next) = node.plus {
            self.descend(next, rest, true, found);
        }
    }

    fn allocate(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sub(qos: u8) -> Subscription {
        Subscription { qos, no_local: false, retain_as_published: false, identifier: None }
    }

    fn found(tree: &SubscriptionTree, topic: &str) -> Vec<u32> {
        let mut sessions = Vec::new();
        tree.matching(topic, &mut |s, _| sessions.push(s.0));
        sessions.sort_unstable();
        sessions
    }

    #[test]
    fn wildcards_match_as_the_specification_says() {
        for (filter, topic, matches) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/#", "sport", true),
            ("#", "sport/tennis", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$SYS/+", "$SYS/uptime", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("a//b", "a//b", true),
            ("a/+/b", "a//b", true),
        ] {
            let mut tree = SubscriptionTree::default();
            tree.insert(filter, SessionId(1), sub(0));
            assert_eq!(!found(&tree, topic).is_empty(), matches, "{filter} against {topic}");
        }
    }

    #[test]
    fn the_same_filter_again_replaces() {
        let mut tree = SubscriptionTree::default();
        assert!(!tree.insert("a/+", SessionId(1), sub(0)));
        assert!(tree.insert("a/+", SessionId(1), sub(2)));
        assert_eq!(tree.len(), 1);
        tree.matching("a/b", &mut |_, s| assert_eq!(s.qos, 2));
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just("+"), Just(""), Just("$x")];
        (prop::collection::vec(level, 1..4), any::<bool>())
            .prop_map(|(levels, hash)| levels.join("/") + if hash { "/#" } else { "" })
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just(""), Just("$x")], 1..5)
            .prop_map(|l| l.join("/"))
            .prop_filter("a Topic Name has a character", |t| !t.is_empty())
    }

    proptest! {
        #[test]
        fn the_tree_agrees_with_matching_one_filter_at_a_time(
            edits in prop::collection::vec((filter(), 0u32..5, any::<bool>()), 0..40),
            topics in prop::collection::vec(topic(), 1..10),
        ) {
            let mut tree = SubscriptionTree::default();
            let mut model = std::collections::BTreeSet::new();
            for (filter, session, add) in edits {
                if add {
                    let replaced = tree.insert(&filter, SessionId(session), sub(1));
                    prop_assert_eq!(replaced, !model.insert((filter, session)));
                } else {
                    prop_assert_eq!(tree.remove(&filter, SessionId(session)), model.remove(&(filter, session)));
                }
            }
            prop_assert_eq!(tree.len(), model.len());
            for topic in topics {
                let mut expected: Vec<u32> = model.iter()
                    .filter(|(f, _)| mqtt::topic::matches(f, &topic)).map(|(_, s)| *s).collect();
                expected.sort_unstable();
                prop_assert_eq!(found(&tree, &topic), expected, "{}", topic);
            }
            for (filter, session) in model {
                tree.remove(&filter, SessionId(session));
            }
            prop_assert_eq!(tree.free.len() + 1, tree.nodes.len(), "nodes leak");
        }
    }
}
