//! What the measuring programs share. Not part of the product.

pub mod envelope;
pub mod machine;
pub mod statistics;

/// Anything that keeps a measurement from being made.
pub type Failure = Box<dyn std::error::Error>;
