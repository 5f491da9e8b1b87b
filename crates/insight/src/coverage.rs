//! Hexagons (H3) from which somebody was heard directly: how well, by how many gateways, and where only one hears.

use std::collections::{BTreeMap, BTreeSet};

use h3o::{CellIndex, Resolution};

use crate::survey::Survey;

/// The finest hexagons that a page may ask for, about 200 m across the edge.
pub const FINEST: u8 = 9;
/// The coarsest, about 10 km across the edge.
pub const COARSEST: u8 = 5;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Size of the hexagons, the resolution of H3 from 5 to 9; what is outside counts as the nearest.
    pub resolution: u8,
    /// Only what this gateway heard.
    pub gateway: Option<u32>,
    /// Only what this node sent.
    pub node: Option<u32>,
}

/// One hexagon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hexagon {
    /// Gateways that heard from there.
    pub gateways: BTreeSet<u32>,
    /// Nodes heard from there.
    pub nodes: BTreeSet<u32>,
    /// Direct receptions.
    pub count: u64,
    /// Best signal-to-noise ratio, quarters of a dB.
    pub best_quarters: Option<i32>,
    /// Heard last, Unix ms.
    pub last_ms: i64,
}

impl Hexagon {
    /// The only gateway that hears from there: when it is off, nobody does.
    pub fn single(&self) -> Option<u32> {
        (self.gateways.len() == 1).then(|| self.gateways.first().copied()).flatten()
    }

    /// Best signal-to-noise ratio, dB.
    pub fn best_snr(&self) -> Option<f64> {
        self.best_quarters.map(|quarters| f64::from(quarters) / 4.0)
    }
}

/// The hexagons of a survey.
pub fn hexagons(survey: &Survey, wanted: Wanted) -> BTreeMap<CellIndex, Hexagon> {
    let resolution =
        Resolution::try_from(wanted.resolution.clamp(COARSEST, FINEST)).unwrap_or(Resolution::Seven);
    let mut found: BTreeMap<CellIndex, Hexagon> = BTreeMap::new();
    for ((node, gateway, cell), link) in survey.placed() {
        let is_wanted =
            wanted.gateway.is_none_or(|only| only == gateway) && wanted.node.is_none_or(|only| only == node);
        let Some(cell) = cell.parent(resolution).filter(|_| is_wanted) else { continue };
        let hexagon = found.entry(cell).or_default();
        hexagon.gateways.insert(gateway);
        hexagon.nodes.insert(node);
        hexagon.count += link.count;
        hexagon.best_quarters = hexagon.best_quarters.max(link.best_quarters);
        hexagon.last_ms = hexagon.last_ms.max(link.last_ms);
    }
    found
}
