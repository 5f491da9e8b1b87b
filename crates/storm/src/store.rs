//! The store beside the broker: it is told what must survive a restart, keeps it at once, and what it was told amounts to
//! what the broker has.

use broker::Broker;

use crate::Promise;
use crate::fault::Fault;
use crate::ledger::{Kept, broken};
use crate::world::World;

/// What a store has been told.
#[derive(Default)]
pub(crate) struct Store {
    is_on: bool,
    pub told: broker::Kept,
    turns: u32,
}

/// Comparing looks at everything, so it is done once in so many turns.
const COMPARED_EVERY: u32 = 16;

impl Store {
    /// A store that keeps, or none.
    pub fn new(is_on: bool, broker: &mut Broker, now: broker::Now) -> Self {
        if is_on {
            broker.restore(now, broker::Kept::default());
        }
        Self { is_on, ..Self::default() }
    }
}

impl World {
    /// The store keeps what changed, and the broker hears of it.
    pub fn keep(&mut self) -> Kept {
        if !self.store.is_on {
            return Ok(());
        }
        while let Some(batch) = self.broker.take_changes(self.now) {
            if !self.strikes(Fault::ForgetChanges) {
                self.store.told.apply(&batch);
            }
            self.broker.kept(self.now, batch.last);
        }
        self.store.turns += 1;
        if self.store.turns.is_multiple_of(COMPARED_EVERY) { self.compare_kept() } else { Ok(()) }
    }

    /// Compares what the store was told with what the broker has.
    pub fn compare_kept(&self) -> Kept {
        let kept = self.broker.worth_keeping();
        if self.store.is_on && self.store.told != kept {
            let what = format!("the store was told {:?}, the broker has {kept:?}", self.store.told);
            return Err(broken(Promise::Survives, what));
        }
        Ok(())
    }
}
