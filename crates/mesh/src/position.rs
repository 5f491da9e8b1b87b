//! Positions and how precise they really are (`src/mesh/PositionPrecision.cpp`).

use crate::wire::{Content, Fields, WireError};

/// The parts of a Position that policy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PositionFacts {
    /// Latitude in 1e-7 degrees.
    pub latitude_i: Option<i32>,
    /// Longitude in 1e-7 degrees.
    pub longitude_i: Option<i32>,
    /// Altitude above sea level, m.
    pub altitude_m: Option<i32>,
    /// Bits the sender claims to have kept; 0 when it says nothing.
    pub precision_bits: u32,
}

impl PositionFacts {
    /// Reads a Position message.
    ///
    /// # Errors
    /// When the bytes are not protobuf.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        Self::parse_with(payload, [1, 2, 3, 23])
    }

    /// Reads the position inside a MapReport message.
    ///
    /// # Errors
    /// When the bytes are not protobuf.
    pub fn parse_map_report(payload: &[u8]) -> Result<Self, WireError> {
        Self::parse_with(payload, [9, 10, 11, 12])
    }

    fn parse_with(payload: &[u8], numbers: [u32; 4]) -> Result<Self, WireError> {
        let mut position = Self::default();
        for field in Fields::of(payload) {
            let field = field?;
            match field.content {
                Content::Fixed32(v) if field.number == numbers[0] => position.latitude_i = Some(v as i32),
                Content::Fixed32(v) if field.number == numbers[1] => position.longitude_i = Some(v as i32),
                Content::Varint(v) if field.number == numbers[2] => position.altitude_m = Some(v as i32),
                Content::Varint(v) if field.number == numbers[3] => position.precision_bits = v as u32,
                _ => {}
            }
        }
        Ok(position)
    }

    /// Whether both coordinates are cut to the claimed precision. Without a claim nothing is cut.
    pub fn is_honest(&self) -> bool {
        let cut = |v: Option<i32>| v.is_none_or(|v| is_cut_to(v, self.precision_bits));
        cut(self.latitude_i) && cut(self.longitude_i)
    }

    /// Whether it tells a place to better than `bits` allow: claimed finer, or not cut as claimed.
    pub fn is_finer_than(&self, bits: u32) -> bool {
        let has_place = self.latitude_i.is_some() && self.longitude_i.is_some();
        has_place && (self.precision_bits == 0 || self.precision_bits > bits || !self.is_honest())
    }

    /// The same place, no finer than `bits`.
    pub fn coarsened(mut self, bits: u32) -> Self {
        if self.is_finer_than(bits) {
            self.latitude_i = self.latitude_i.map(|v| truncate(v, bits));
            self.longitude_i = self.longitude_i.map(|v| truncate(v, bits));
            self.precision_bits = bits;
        }
        self
    }
}

/// Cuts a coordinate to its top `bits` bits and puts it in the middle of the cell that is left. Outside 1–31 nothing
/// is cut.
pub const fn truncate(coordinate: i32, bits: u32) -> i32 {
    if bits == 0 || bits >= 32 {
        return coordinate;
    }
    let kept = (coordinate as u32) & (u32::MAX << (32 - bits));
    kept.wrapping_add(1 << (31 - bits)) as i32
}

/// Whether the low bits are exactly the middle of a cell.
pub const fn is_cut_to(coordinate: i32, bits: u32) -> bool {
    if bits == 0 || bits >= 32 {
        return true;
    }
    (coordinate as u32) & !(u32::MAX << (32 - bits)) == 1 << (31 - bits)
}

/// Largest distance between the true place and the middle of the cell, in metres along a meridian.
pub fn error_max_m(bits: u32) -> f64 {
    // 1e-7 degrees of latitude are 11.13 mm.
    if bits >= 32 { 0.0 } else { 2f64.powi(31 - bits as i32) * 0.011_132 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_errors() {
        for (bits, metres) in
            [(10, 23_300.0), (12, 5_800.0), (13, 2_900.0), (14, 1_500.0), (16, 364.0), (19, 45.0)]
        {
            let error = error_max_m(bits);
            assert!((error - metres).abs() / metres < 0.03, "{bits} bits: {error} m");
        }
    }

    proptest! {
        #[test]
        fn cutting_is_honest_and_close(coordinate: i32, bits in 1u32..32) {
            let cut = truncate(coordinate, bits);
            prop_assert!(is_cut_to(cut, bits));
            prop_assert_eq!(truncate(cut, bits), cut);
            let distance = (i64::from(cut) - i64::from(coordinate)).abs();
            prop_assert!(distance <= 1 << (31 - bits));
        }
    }
}
