//! A seeded storm around the broker value: a virtual network, a virtual clock and clients that lose connections, read
//! slowly, freeze, take over from themselves and come back. After every step a ledger that knows what the broker owes
//! to whom checks the broker's promises.
//!
//! Everything comes from one seed: the same seed gives the same run, and `Report::digest` shows it. Knows no socket, no
//! clock and nothing of the broker but its public face.

mod calm;
mod client;
mod fault;
mod ledger;
mod owed;
mod people;
mod presence;
mod promise;
mod report;
mod restart;
mod scene;
mod store;
mod turn;
mod watch;
mod wire;
mod world;

pub use fault::Fault;
pub use promise::Promise;
pub use report::{Failure, Report};

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Events before the storm calms down.
    pub steps: u32,
    /// A fault to plant between the broker and its clients, which the ledger must notice.
    pub fault: Option<Fault>,
    /// Steps that a failure shows.
    pub steps_shown: usize,
}

/// Runs one storm to its end or to the first broken promise.
pub fn run(plan: Plan) -> Report {
    world::World::new(plan).run()
}
