//! Forgetting one node: nothing that any ledger knows of it is left, as sender, as gateway, or in what is known of others.

use super::Memory;

impl Memory {
    /// Forgets a node.
    pub fn forget_node(&mut self, node: u32) {
        let Self {
            seen,
            proofs,
            islands,
            reach,
            reports,
            airtime,
            uplink,
            volume,
            holds,
            nodes,
            profiles,
            movement,
            // Results only, by a hash of what was checked.
            signatures: _,
        } = self;
        seen.forget_node(node);
        proofs.forget_node(node);
        let island_becomes = islands.forget_node(node);
        reach.forget_node(node);
        reports.forget_node(node);
        airtime.forget_node(node, island_becomes);
        uplink.forget_node(node, island_becomes);
        volume.forget_node(node);
        holds.forget_node(node);
        nodes.forget_node(node);
        profiles.forget_node(node);
        movement.forget_node(node);
    }
}
