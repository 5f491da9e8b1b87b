//! Nodes, gateways, owners and credentials as values. Knows no files and no clock.
