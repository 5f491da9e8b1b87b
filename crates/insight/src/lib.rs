//! Coverage and links: what receptions say about who hears whom, and where.
//!
//! Folds over values, in any order: `survey` takes what was heard and said, `coverage` and `compare` are computed from
//! it. What a visitor may see is decided before anything is taken in; nothing here makes a place finer than it was given.

pub mod alone;
pub mod compare;
pub mod coverage;
pub mod geojson;
pub mod link;
pub mod place;
pub mod survey;
pub mod traceroute;

pub use h3o::CellIndex;
pub use link::{Link, LinkKey, Source};
pub use place::Place;
pub use survey::{Hearing, Survey};
