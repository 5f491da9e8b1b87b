//! The configuration file: one table of keys with type, default and words, and what reads it.
