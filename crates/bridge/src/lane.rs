//! One direction: what waits to cross, what is on its way, and what became of the rest.

use std::collections::{BTreeMap, VecDeque};

use crate::quota::{Over, Quota, Spent};
use crate::status::{Held, LaneStatus};

/// A message that may cross.
#[derive(Debug, Clone)]
pub(crate) struct Crossing {
    /// Topic Name on the receiving side.
    pub topic: String,
    pub payload: Vec<u8>,
    /// User Properties, encoded.
    pub properties: Vec<u8>,
    pub came_ms: u64,
    /// Where to acknowledge it: connection and Packet Identifier on the side it came from.
    pub from: Option<(u64, u16)>,
}

/// One direction of a bridge.
#[derive(Debug)]
pub(crate) struct Lane {
    waiting: VecDeque<Crossing>,
    sent: BTreeMap<u64, Crossing>,
    next_ticket: u64,
    waiting_max: usize,
    stale_ms: u64,
    spent: Spent,
    crossed: u64,
    held: BTreeMap<Held, u64>,
}

impl Lane {
    pub fn new(waiting_max: usize, stale_ms: u64, quota: Quota) -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: BTreeMap::new(),
            next_ticket: 0,
            waiting_max: waiting_max.max(1),
            stale_ms,
            spent: Spent::new(quota),
            crossed: 0,
            held: BTreeMap::new(),
        }
    }

    /// Charges a message to the quota.
    pub fn charge(&mut self, now_ms: u64, airtime_us: u64) -> Result<(), Held> {
        self.spent.charge(now_ms, airtime_us).map_err(|over| match over {
            Over::Messages => Held::MessageQuota,
            Over::Airtime => Held::AirtimeQuota,
        })
    }

    pub fn hold(&mut self, why: Held) {
        *self.held.entry(why).or_default() += 1;
    }

    /// Takes a message in; returns the one that had to make room.
    pub fn push(&mut self, crossing: Crossing) -> Option<Crossing> {
        let evicted = if self.waiting.len() >= self.waiting_max { self.waiting.pop_front() } else { None };
        if evicted.is_some() {
            self.hold(Held::QueueFull);
        }
        self.waiting.push_back(crossing);
        evicted
    }

    /// Takes out everything that is too old.
    pub fn stale(&mut self, now_ms: u64) -> Vec<Crossing> {
        let mut stale = Vec::new();
        while self.waiting.front().is_some_and(|first| first.came_ms + self.stale_ms < now_ms) {
            stale.extend(self.waiting.pop_front());
            self.hold(Held::Stale);
        }
        stale
    }

    /// The next message to send, with the ticket that its answer will name.
    pub fn next(&mut self) -> Option<(u64, &Crossing)> {
        let crossing = self.waiting.pop_front()?;
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        Some((ticket, self.sent.entry(ticket).or_insert(crossing)))
    }

    /// The receiving broker has answered.
    pub fn settle(&mut self, ticket: u64, is_taken: bool) -> Option<Crossing> {
        let crossing = self.sent.remove(&ticket)?;
        if is_taken {
            self.crossed += 1;
        } else {
            self.hold(Held::Refused);
        }
        Some(crossing)
    }

    /// The receiving side is gone: what it has not answered is sent again, before everything else.
    pub fn take_back(&mut self) {
        for (_, crossing) in std::mem::take(&mut self.sent).into_iter().rev() {
            self.waiting.push_front(crossing);
        }
    }

    /// The side that messages come from is gone, and its Packet Identifiers with it.
    pub fn forget_origins(&mut self) {
        self.waiting.iter_mut().chain(self.sent.values_mut()).for_each(|crossing| crossing.from = None);
    }

    pub fn status(&mut self, now_ms: u64, is_open: bool) -> LaneStatus {
        LaneStatus {
            is_open,
            crossed: self.crossed,
            waiting: self.waiting.len() + self.sent.len(),
            held: self.held.clone(),
            airtime_ms: self.spent.airtime_us(now_ms) / 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossing(topic: &str, came_ms: u64) -> Crossing {
        Crossing { topic: topic.to_owned(), payload: vec![1], properties: Vec::new(), came_ms, from: None }
    }

    fn topics(lane: &mut Lane) -> Vec<String> {
        std::iter::from_fn(|| lane.next().map(|(_, crossing)| crossing.topic.clone())).collect()
    }

    #[test]
    fn the_newest_matter_when_there_is_no_room() {
        let mut lane = Lane::new(2, 1000, Quota::default());
        assert!(lane.push(crossing("a", 0)).is_none() && lane.push(crossing("b", 0)).is_none());
        assert_eq!(lane.push(crossing("c", 0)).unwrap().topic, "a");
        assert_eq!(lane.status(0, true).held, BTreeMap::from([(Held::QueueFull, 1)]));
        assert_eq!(topics(&mut lane), ["b", "c"]);
    }

    #[test]
    fn what_is_too_old_is_given_up() {
        let mut lane = Lane::new(9, 1000, Quota::default());
        lane.push(crossing("old", 0));
        lane.push(crossing("new", 500));
        assert_eq!(lane.stale(1001).len(), 1);
        assert_eq!(topics(&mut lane), ["new"]);
    }

    #[test]
    fn what_was_not_answered_goes_again_in_its_order() {
        let mut lane = Lane::new(9, 1000, Quota::default());
        ["a", "b", "c"].into_iter().for_each(|t| drop(lane.push(crossing(t, 0))));
        let (first, _) = lane.next().unwrap();
        lane.next().unwrap();
        lane.settle(first, true).unwrap();
        lane.take_back();
        assert_eq!(topics(&mut lane), ["b", "c"]);
        assert!(lane.settle(first, true).is_none(), "answered twice");
    }
}
