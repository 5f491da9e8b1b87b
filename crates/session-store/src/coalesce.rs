//! Changes that undo one another before they reach the disk: a message that was queued and finished meanwhile, a retained
//! message that was replaced. What is left has the same effect.

use std::collections::{HashMap, HashSet};

use broker::{Batch, Change, SessionKey};

/// The changes that are worth writing, in order.
pub fn coalesce(batches: &[Batch]) -> Vec<&Change> {
    let all: Vec<&Change> = batches.iter().flat_map(|batch| &batch.changes).collect();
    let mut is_needed = vec![true; all.len()];
    let mut ended: HashSet<SessionKey> = HashSet::new();
    let mut retained: HashSet<&str> = HashSet::new();
    // From the last to the first: what comes later decides whether an earlier one matters.
    for (index, change) in all.iter().enumerate().rev() {
        is_needed[index] = match change {
            Change::Retained(message) => retained.insert(&message.topic),
            Change::RetainedGone(topic) => retained.insert(topic),
            Change::SessionEnded(key) => ended.insert(*key),
            Change::SessionKept(key, _)
            | Change::SessionAway(key, _)
            | Change::WillGone(key)
            | Change::Subscribed(key, ..)
            | Change::Unsubscribed(key, _)
            | Change::Queued(key, _)
            | Change::Released(key, _)
            | Change::Finished(key, _)
            | Change::Incoming(key, _)
            | Change::IncomingDone(key, _) => !ended.contains(key),
        };
    }
    let mut queued: HashMap<(SessionKey, u64), Vec<usize>> = HashMap::new();
    let mut incoming: HashMap<(SessionKey, u16), usize> = HashMap::new();
    for (index, change) in all.iter().enumerate().filter(|(index, _)| is_needed[*index]).collect::<Vec<_>>() {
        match change {
            Change::Queued(key, copy) => drop(queued.insert((*key, copy.order), vec![index])),
            Change::Released(key, order) => {
                if let Some(changes) = queued.get_mut(&(*key, *order)) {
                    changes.push(index);
                }
            }
            Change::Finished(key, order) => {
                if let Some(changes) = queued.remove(&(*key, *order)) {
                    changes.into_iter().chain([index]).for_each(|index| is_needed[index] = false);
                }
            }
            Change::Incoming(key, packet_id) => drop(incoming.insert((*key, *packet_id), index)),
            Change::IncomingDone(key, packet_id) => {
                // This one stays: the Packet Identifier may have been in the store before.
                if let Some(added) = incoming.remove(&(*key, *packet_id)) {
                    is_needed[added] = false;
                }
            }
            Change::SessionKept(..)
            | Change::SessionAway(..)
            | Change::WillGone(_)
            | Change::SessionEnded(_)
            | Change::Subscribed(..)
            | Change::Unsubscribed(..)
            | Change::Retained(_)
            | Change::RetainedGone(_) => {}
        }
    }
    let needed = all.into_iter().zip(is_needed);
    needed.filter_map(|(change, is_needed)| is_needed.then_some(change)).collect()
}

#[cfg(test)]
mod tests {
    use broker::Now;

    use super::*;

    const KEY: SessionKey = SessionKey(1);

    fn needed(changes: Vec<Change>) -> Vec<Change> {
        let now = Now { mono_ms: 0, unix_ms: 0 };
        let batch = Batch { last: changes.len() as u64, changes, is_awaited: true, now };
        coalesce(&[batch]).into_iter().cloned().collect()
    }

    #[test]
    fn an_identifier_that_is_free_again_is_taken_out_even_if_it_was_there_before() {
        let changes = vec![Change::Incoming(KEY, 7), Change::IncomingDone(KEY, 7)];
        assert_eq!(needed(changes), [Change::IncomingDone(KEY, 7)]);
    }

    #[test]
    fn nothing_is_written_for_a_session_that_is_over_but_its_end() {
        let changes = vec![
            Change::Subscribed(
                KEY,
                "a".into(),
                broker::Subscription {
                    qos: 1,
                    no_local: false,
                    retain_as_published: false,
                    identifier: None,
                },
            ),
            Change::Incoming(KEY, 7),
            Change::SessionEnded(KEY),
            Change::Incoming(KEY, 8),
        ];
        assert_eq!(needed(changes), [Change::SessionEnded(KEY), Change::Incoming(KEY, 8)]);
    }
}
