//! The filter language of the log, the command line, the API and alerts: text in, a condition on receptions out. Knows no
//! files, no pages and no clock.
//!
//! Reading order: `field` is the table of what can be asked, `pieces` and `parse` read it, `expr` is what was read and
//! writes it back, `bind` gives names and ages their meaning, `condition` is the answer for one reception.

mod bind;
mod complete;
mod condition;
mod expr;
mod field;
mod fold;
mod moment;
mod near;
mod parse;
mod pieces;
mod problem;
mod values;

pub use bind::{Island, NodeName, Surroundings, nodes_called};
pub use complete::{Completion, Vocabulary, complete};
pub use condition::{Compare, Condition, CopyFate, Evidence, Measure, Needs, Test};
pub use expr::{Expr, NodeRef, Query, Role, Term};
pub use field::{FIELDS, Field, Kind};
pub use fold::fold;
pub use moment::{Moment, When};
pub use problem::Problem;

/// Bytes of a filter's text at most.
pub const TEXT_BYTES_MAX: usize = 2_000;
/// Terms of a filter at most.
pub const TERMS_MAX: usize = 64;
/// Parentheses and `not` within each other at most.
pub const DEPTH_MAX: usize = 16;
