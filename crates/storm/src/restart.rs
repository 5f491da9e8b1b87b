//! The program ends without a word and starts again from what was kept. The store is always up to date here: what it means
//! when it is not is the subject of the broker's own crash test.

use std::sync::Arc;

use crate::ledger::Kept;
use crate::watch::Watch;
use crate::world::World;

impl World {
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
        self.broker.restore(self.now, self.store.told.clone());
        // The watching client comes before the Wills that are due, or nobody would see them.
        self.watch = Watch::new(&mut self.broker, self.now, &self.scene);
        self.broker.catch_up(self.now);
        self.settle(None, &[])
    }
}
