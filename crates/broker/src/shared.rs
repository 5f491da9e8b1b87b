//! Shared Subscriptions (§ 4.8.2): groups of sessions that get each message once between them.
//!
//! A group is one `$share/{name}/{filter}`. Its filter stands in a tree of its own, whose receivers are groups. The
//! member is chosen per message: in turn among those who can take it at once, then among those who are behind, then
//! among those who are away and whose session is kept.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use policy::decision::Outcome;

use crate::downlink::{Copies, Settled};
use crate::message::Message;
use crate::session::{Queued, SessionId, Step};
use crate::subscription_tree::{Subscription, SubscriptionTree};
use crate::{Broker, Now};

/// Number of a group. Numbers of groups that are gone come back only after four billion others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(NonZeroU32);

/// All groups. Every `(group, session)` is in it at most once; a group without members does not exist.
#[derive(Debug, Default)]
pub(crate) struct SharedGroups {
    groups: BTreeMap<GroupId, Group>,
    /// By share name and filter, as the client wrote them.
    by_filter: BTreeMap<Box<str>, GroupId>,
    /// The tree's receivers are groups; what a member asked for is in the group.
    tree: SubscriptionTree,
    last: u32,
    memberships: usize,
}

#[derive(Debug, Default)]
struct Group {
    members: Vec<(SessionId, Subscription)>,
    /// Whose turn it is: an index into `members`, to be taken modulo their number.
    turn: usize,
}

/// How soon a member could get a message; the order is that of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// Connected, and would get it at once.
    Now,
    /// Connected, and would get it after what waits for it already.
    Later,
    /// Away, and would get it after coming back.
    Away,
}

impl Readiness {
    const ALL: [Self; 3] = [Self::Now, Self::Later, Self::Away];
}

impl SharedGroups {
    /// Number of memberships.
    pub const fn len(&self) -> usize {
        self.memberships
    }

    /// Adds a member, or replaces what it asked for. `filter` is the whole one, `topics` the part after the share name;
    /// both must be valid. Returns whether it replaced.
    pub fn join(&mut self, filter: &str, topics: &str, who: SessionId, subscription: Subscription) -> bool {
        let id = match self.by_filter.get(filter) {
            Some(id) => *id,
            None => {
                let id = self.fresh_id();
                self.by_filter.insert(filter.into(), id);
                self.tree.insert(topics, receiver(id), subscription);
                id
            }
        };
        let members = &mut self.groups.entry(id).or_default().members;
        match members.iter_mut().find(|(member, _)| *member == who) {
            Some(member) => {
                member.1 = subscription;
                true
            }
            None => {
                members.push((who, subscription));
                self.memberships += 1;
                false
            }
        }
    }

    /// Takes a member out; returns whether it was there.
    pub fn leave(&mut self, filter: &str, topics: &str, who: SessionId) -> bool {
        let Some(id) = self.by_filter.get(filter).copied() else { return false };
        let Some(group) = self.groups.get_mut(&id) else { return false };
        let Some(index) = group.members.iter().position(|(member, _)| *member == who) else { return false };
        group.members.remove(index);
        self.memberships -= 1;
        if index < group.turn {
            group.turn -= 1; // the others keep their turns
        }
        if group.members.is_empty() {
            self.groups.remove(&id);
            self.by_filter.remove(filter);
            self.tree.remove(topics, receiver(id));
        }
        true
    }

    /// The groups whose filter matches.
    pub fn matching(&self, topic: &str) -> Vec<GroupId> {
        let mut found = Vec::new();
        if self.memberships > 0 {
            self.tree.matching(topic, &mut |SessionId(number), _| {
                found.extend(NonZeroU32::new(number).map(GroupId));
            });
        }
        found
    }

    fn fresh_id(&mut self) -> GroupId {
        loop {
            self.last = self.last.wrapping_add(1);
            if let Some(id) = NonZeroU32::new(self.last).map(GroupId)
                && !self.groups.contains_key(&id)
            {
                return id;
            }
        }
    }
}

/// A group as a receiver of the tree.
const fn receiver(id: GroupId) -> SessionId {
    SessionId(id.0.get())
}

impl Broker {
    /// Steps 7 and 8 for groups: each that wants the message gets it once. A member for which policy withholds the copy is
    /// passed over, and the message is not lost for the group. Returns how many groups wanted it.
    pub(crate) fn deliver_to_groups(&mut self, now: Now, copies: &mut Copies<'_>) -> usize {
        let groups = self.shared.matching(&copies.message.topic);
        let (mut noted, is_recorded) = (Vec::new(), copies.is_recorded());
        for id in &groups {
            let is_taken = self.offer(now, *id, copies.message, |broker, member| {
                let (outcome, observed) =
                    broker.decide_copy(now, member, copies.passing.as_ref(), copies.bound.is_some());
                if is_recorded {
                    noted.push((member, Settled::free(outcome, observed)));
                }
                outcome
            });
            if !is_taken {
                self.counters.dropped += 1;
                if let Some((_, settled)) = noted.last_mut()
                    && !matches!(settled.outcome, Outcome::Withheld(_))
                {
                    settled.outcome = Outcome::Dropped;
                }
            }
        }
        for (member, settled) in noted {
            self.note_copy(&mut copies.settled, member, settled);
        }
        groups.len()
    }

    /// Offers a message to the members of a group, the readiest first and in turn; returns whether one took it.
    pub(crate) fn offer(
        &mut self,
        now: Now,
        id: GroupId,
        message: &Arc<Message>,
        mut decide: impl FnMut(&mut Self, SessionId) -> Outcome,
    ) -> bool {
        for readiness in Readiness::ALL {
            let Some(group) = self.shared.groups.get(&id) else { return false };
            let (turn, count) = (group.turn, group.members.len());
            for index in (turn..turn + count).map(|index| index % count) {
                let member = self.shared.groups.get(&id).and_then(|g| g.members.get(index)).copied();
                let Some((member, subscription)) = member else { return false };
                let qos = subscription.qos.min(message.qos);
                if self.readiness(member, message, qos) != Some(readiness) {
                    continue;
                }
                let hop_limit = match decide(self, member) {
                    Outcome::Delivered => None,
                    Outcome::DeliveredWithHopLimit(hops) => Some(hops),
                    Outcome::Withheld(_) | Outcome::Dropped => continue,
                };
                let copy = Queued {
                    message: message.clone(),
                    qos,
                    retain: message.retain && subscription.retain_as_published,
                    hop_limit,
                    stale_at_ms: None,
                    identifiers: subscription.identifier.into_iter().collect(),
                    group: Some(id),
                    order: 0,
                };
                if let Some(group) = self.shared.groups.get_mut(&id) {
                    group.turn = (index + 1) % count;
                }
                // Where it does not fit into what the client takes at most, it counts as sent. [MQTT-3.1.2-25]
                self.deliver(now, member, copy);
                return true;
            }
        }
        false
    }

    /// How soon a member could get a message with this QoS; `None` for never.
    fn readiness(&self, member: SessionId, message: &Message, qos: u8) -> Option<Readiness> {
        let limits = &self.options.limits;
        let session = self.sessions.get(member.index())?;
        let bytes = message.topic.len() + message.payload.len();
        let fits = session.queue.len() + session.inflight.len() < limits.queue_messages_max
            && session.queued_bytes + bytes <= limits.queue_bytes_max;
        let connection = session.connection.and_then(|id| self.connections.get(id.index()));
        match connection.filter(|c| !c.is_closing) {
            Some(connection) => {
                let is_clogged = connection.outbox.len() >= limits.queue_bytes_max;
                if qos == 0 {
                    return (!is_clogged).then_some(Readiness::Now);
                }
                let is_free = !is_clogged && session.queue.is_empty() && session.has_room_in_flight();
                fits.then_some(if is_free { Readiness::Now } else { Readiness::Later })
            }
            None => (qos > 0 && fits && session.expiry_ms > 0).then_some(Readiness::Away),
        }
    }

    /// A member went away and its session is kept: what was not yet sent to it goes to members who are there. What was
    /// sent stays, since the client may have it.
    pub(crate) fn pass_on_unsent(&mut self, now: Now, from: SessionId) {
        let Some(session) = self.session(from) else { return };
        if !session.queue.iter().any(|copy| copy.group.is_some()) {
            return;
        }
        let waiting = std::mem::take(&mut session.queue);
        let mut kept = std::collections::VecDeque::new();
        for copy in waiting {
            let is_passed_on =
                copy.group.is_some_and(|id| self.is_attended(id) && self.pass_on(now, id, &copy));
            if !is_passed_on {
                kept.push_back(copy);
            } else if let Some(session) = self.session(from) {
                session.release_bytes(&copy);
                self.note_finished(from, copy.order);
            }
        }
        if let Some(session) = self.session(from) {
            // Where no other member has room, a message comes back to where it was.
            kept.append(&mut session.queue);
            session.queue = kept;
        }
    }

    /// A member's session is over: what waited for it and its QoS 1 messages without an answer go to others. A QoS 2
    /// message that was sent goes to nobody else. [MQTT-4.8.2-5]
    pub(crate) fn pass_on_all(&mut self, now: Now, session: &mut crate::session::Session) {
        let unanswered = session.inflight.drain(..).filter(|i| i.step == Step::Puback).filter_map(|i| i.copy);
        let copies: Vec<Queued> = unanswered.chain(session.queue.drain(..)).collect();
        for copy in copies {
            if let Some(id) = copy.group
                && !self.pass_on(now, id, &copy)
            {
                self.counters.dropped += 1;
            }
        }
    }

    fn pass_on(&mut self, now: Now, id: GroupId, copy: &Queued) -> bool {
        if copy.message.is_expired(now.mono_ms) {
            self.counters.expired += 1;
            return true;
        }
        // Policy judged the message for the first member; no member ends on a radio, where it could say otherwise.
        self.offer(now, id, &copy.message, |_, _| Outcome::Delivered)
    }

    /// Whether a member of the group is connected.
    fn is_attended(&self, id: GroupId) -> bool {
        let is_there = |session: SessionId| {
            let session = self.sessions.get(session.index());
            session.is_some_and(|s| s.connection.is_some())
        };
        self.shared.groups.get(&id).is_some_and(|g| g.members.iter().any(|(member, _)| is_there(*member)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Subscription =
        Subscription { qos: 1, no_local: false, retain_as_published: false, identifier: None };

    #[test]
    fn a_group_lives_as_long_as_it_has_members() {
        let mut groups = SharedGroups::default();
        assert!(!groups.join("$share/g/a/+", "a/+", SessionId(1), PLAIN));
        assert!(groups.join("$share/g/a/+", "a/+", SessionId(1), PLAIN), "again replaces");
        assert!(!groups.join("$share/g/a/+", "a/+", SessionId(2), PLAIN));
        assert!(!groups.join("$share/h/a/+", "a/+", SessionId(1), PLAIN), "another name is another group");
        assert_eq!((groups.len(), groups.matching("a/b").len()), (3, 2));
        assert!(groups.leave("$share/g/a/+", "a/+", SessionId(1)));
        assert!(!groups.leave("$share/g/a/+", "a/+", SessionId(1)));
        assert_eq!(groups.matching("a/b").len(), 2);
        assert!(groups.leave("$share/g/a/+", "a/+", SessionId(2)));
        assert!(groups.leave("$share/h/a/+", "a/+", SessionId(1)));
        assert_eq!((groups.len(), groups.matching("a/b").len(), groups.tree.len()), (0, 0, 0));
    }

    #[test]
    fn those_who_stay_keep_their_turn_when_one_leaves() {
        let mut groups = SharedGroups::default();
        for number in 0..4 {
            groups.join("$share/g/a", "a", SessionId(number), PLAIN);
        }
        let id = groups.matching("a")[0];
        groups.groups.get_mut(&id).unwrap().turn = 2;
        groups.leave("$share/g/a", "a", SessionId(0));
        let group = &groups.groups[&id];
        assert_eq!(group.members[group.turn].0, SessionId(2));
    }
}
