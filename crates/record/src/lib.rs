//! What happened to a packet: the one thing that everything above the broker learns from.
