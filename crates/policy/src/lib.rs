//! Facts, sender and ledgers to decisions, by named rules in one order. Knows no sockets, files or clock.
