//! Routes of topics published lately: the answer of the subscription tree, merged, kept until a subscription changes.
//!
//! A mesh publishes the same few hundred topics over and over. Nothing here decides anything: a topic that is not known is
//! looked up in the tree.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::deliver::Route;

/// The routes of some topics.
#[derive(Debug)]
pub(crate) struct RouteCache {
    routes: HashMap<Box<str>, Arc<[Route]>, FixedState>,
    /// Routes in it, over all topics.
    count: usize,
}

/// Topics remembered; a client that publishes to ever new ones must not fill the memory.
const TOPICS_MAX: usize = 32_768;
/// Routes remembered, over all topics.
const ROUTES_MAX: usize = 262_144;
/// Longer topics are always looked up in the tree.
const TOPIC_BYTES_MAX: usize = 256;

impl RouteCache {
    /// An empty one. The seed makes the order of topics in memory unpredictable.
    pub fn new(seed: u64) -> Self {
        Self { routes: HashMap::with_hasher(FixedState::with_seed(seed)), count: 0 }
    }

    /// The routes of a topic, if they are known.
    pub fn get(&self, topic: &str) -> Option<Arc<[Route]>> {
        self.routes.get(topic).cloned()
    }

    /// Remembers the routes of a topic.
    pub fn put(&mut self, topic: &str, routes: &Arc<[Route]>) {
        if topic.len() > TOPIC_BYTES_MAX || routes.len() > ROUTES_MAX {
            return;
        }
        if self.routes.len() >= TOPICS_MAX || self.count + routes.len() > ROUTES_MAX {
            self.forget();
        }
        self.count += routes.len();
        self.routes.insert(topic.into(), routes.clone());
    }

    /// A subscription came or went.
    pub fn forget(&mut self) {
        self.routes.clear();
        self.count = 0;
    }
}
