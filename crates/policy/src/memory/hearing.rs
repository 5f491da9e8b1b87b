//! Which nodes a gateway hears directly, window after window: whoever hears quite other nodes than usual is elsewhere.

use serde::{Deserialize, Serialize};

use super::movement::Why;
use crate::uplink::stationary::StationarySettings;

/// Nodes remembered as usual.
const USUAL_MAX: usize = 128;
/// Unusual nodes counted in a window.
const UNUSUAL_MAX: usize = 64;
/// Windows in which a node must have been heard to be usual.
const USUAL_AFTER: u16 = 2;
/// Fewer usual nodes than this say nothing of a place.
const NODES_MIN: usize = 8;
/// Windows in a row that must be different: one may be a cable that came loose.
const WINDOWS_MIN: u8 = 2;
/// How long a node stays usual that is not heard.
const FORGOTTEN_S: u32 = 14 * 24 * 3_600;

/// A node that was heard in earlier windows.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Usual {
    node: u32,
    /// Unix seconds.
    last_s: u32,
    /// Windows in which it was heard.
    windows: u16,
}

/// What one gateway hears directly.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Hearing {
    usual: Vec<Usual>,
    unusual: Vec<u32>,
    window_s: u32,
    strange_windows: u8,
}

impl Hearing {
    /// Whether it has heard the same nodes for long enough to know its place by them.
    pub fn is_settled(&self) -> bool {
        self.strange_windows == 0 && self.settled().count() >= NODES_MIN
    }

    /// Forgets a node.
    pub fn forget_node(&mut self, node: u32) {
        self.usual.retain(|usual| usual.node != node);
        self.unusual.retain(|unusual| *unusual != node);
    }

    /// Notes a node that was heard directly. At the end of a window it may turn out that all of them are others.
    pub fn note(&mut self, settings: &StationarySettings, now_ms: i64, node: u32) -> Option<Why> {
        let now_s = u32::try_from(now_ms.div_euclid(1000)).unwrap_or(0);
        let length_s = u32::from(settings.hearing_window_h) * 3_600;
        let is_over = self.window_s == 0 || now_s.saturating_sub(self.window_s) >= length_s;
        let why = if is_over { self.begin_window(settings, now_s) } else { None };
        if let Some(usual) = self.usual.iter_mut().find(|usual| usual.node == node) {
            usual.last_s = now_s;
        } else if self.unusual.len() < UNUSUAL_MAX && !self.unusual.contains(&node) {
            self.unusual.push(node);
        }
        why
    }

    fn settled(&self) -> impl Iterator<Item = &Usual> {
        self.usual.iter().filter(|usual| usual.windows >= USUAL_AFTER)
    }

    fn begin_window(&mut self, settings: &StationarySettings, now_s: u32) -> Option<Why> {
        let began_s = std::mem::replace(&mut self.window_s, now_s);
        let (mut known, mut settled) = (0, 0);
        for usual in self.settled() {
            settled += 1;
            known += usize::from(usual.last_s >= began_s);
        }
        let heard = self.usual.iter().filter(|usual| usual.last_s >= began_s).count() + self.unusual.len();
        // Of those it hears otherwise, as many as it can have heard. Strangers alone prove nothing: anybody can make some up.
        let of = settled.min(heard);
        let is_strange = of >= NODES_MIN && known * 100 < of * usize::from(settings.hearing_same_percent);
        if is_strange {
            self.strange_windows = self.strange_windows.saturating_add(1);
            self.unusual.clear();
            let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
            let is_sure = self.strange_windows >= WINDOWS_MIN;
            return is_sure.then_some(Why::Hearing { known: count(known), of: count(of) });
        }
        self.strange_windows = 0;
        self.take_over(began_s, now_s);
        None
    }

    /// What was heard in the window is a little more usual.
    fn take_over(&mut self, began_s: u32, now_s: u32) {
        self.usual.retain(|usual| now_s.saturating_sub(usual.last_s) <= FORGOTTEN_S);
        for usual in self.usual.iter_mut().filter(|usual| usual.last_s >= began_s) {
            usual.windows = usual.windows.saturating_add(1);
        }
        for node in self.unusual.drain(..) {
            let one = Usual { node, last_s: began_s, windows: 1 };
            if self.usual.len() < USUAL_MAX {
                self.usual.push(one);
            } else if let Some(least) =
                self.usual.iter_mut().min_by_key(|usual| (usual.windows, usual.last_s))
                && least.windows < USUAL_AFTER
            {
                *least = one;
            }
        }
    }
}
