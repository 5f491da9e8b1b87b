//! Every reception and release, kept in SQLite and found again.
