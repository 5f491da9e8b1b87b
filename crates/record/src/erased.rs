//! A node was erased: whoever has learned anything of it forgets that. Values only.

/// One node that is to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasedNode {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Its number. Kept by nobody.
    pub node: u32,
}
