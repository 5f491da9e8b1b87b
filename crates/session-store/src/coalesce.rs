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
                if let Some(added) = incoming.remove(&(*key, *packet_id)) {
                    (is_needed[added], is_needed[index]) = (false, false);
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
