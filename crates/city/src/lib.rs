//! A seeded mesh of a city, simulated on a virtual clock: packets as gateways would uplink them.
