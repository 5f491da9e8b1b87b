//! The program ends without a word and starts again from what was kept. The store is always up to date here: what it means
//! when it is not is the subject of the broker's own crash test.

use std::sync::Arc;

use crate::Promise;
use crate::fault::Fault;
use crate::ledger::{Kept, broken};
use crate::watch::Watch;
use crate::world::World;

/// Comparing looks at everything, so it is done once in so many turns.
const COMPARED_EVERY: u32 = 16;

impl World {
    /// The store keeps what changed, at once; what it was told amounts to what the broker has.
    pub fn keep(&mut self) -> Kept {
        while let Some(batch) = self.broker.take_changes(self.now) {
            if !self.strikes(Fault::ForgetChanges) {
                self.store.apply(&batch);
            }
            self.broker.kept(self.now, batch.last);
        }
        self.turns_kept += 1;
        if self.turns_kept.is_multiple_of(COMPARED_EVERY) { self.compare_kept() } else { Ok(()) }
    }

    /// Compares what the store was told with what the broker has.
    pub fn compare_kept(&self) -> Kept {
        let kept = self.broker.worth_keeping();
        if self.scene.keeps && self.store != kept {
            let what = format!("the store was told {:?}, the broker has {kept:?}", self.store);
            return Err(broken(Promise::Survives, what));
        }
        Ok(())
    }

    /// Another broker takes over what was kept of this one.
    pub fn restart(&mut self) -> Kept {
        // A turn is kept as a whole, and closing is part of it.
        self.carry_out_closings()?;
        if self.last_seq > self.ledger.durable {
            self.make_durable(self.last_seq);
            self.settle(None, &[])?;
        }
        self.keep()?;
        self.journal.note(format!("{} the broker starts again", self.now.mono_ms));
        self.closing.clear();
        for wire in self.wires.iter_mut().filter(|w| w.has_broker) {
            wire.end();
        }
        self.ledger.on_restart();
        let directory = Arc::new(self.directory.clone());
        self.broker = self.scene.broker(self.plan.seed, self.plan.fault, directory, self.last_seq);
        self.broker.restore(self.now, self.store.clone());
        // The watching client comes before the Wills that are due, or nobody would see them.
        self.watch = Watch::new(&mut self.broker, self.now, &self.scene);
        self.broker.catch_up(self.now);
        self.settle(None, &[])
    }
}
