//! A place as coarse as it was told: a cell, and how far two cells are apart at least.

use mesh::position::PositionFacts;
use serde::{Deserialize, Serialize};

/// Metres in one unit of a coordinate (1e-7°) along a meridian.
const UNIT_M: f64 = 0.011_132;
/// Half and whole turn in units of a coordinate.
const HALF_TURN: i64 = 1_800_000_000;

/// A cell on the map that holds the true place. Positions cut to few bits are large cells; exact ones are points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Latitude of its middle, 1e-7°.
    pub latitude_i: i32,
    /// Longitude of its middle, 1e-7°.
    pub longitude_i: i32,
    /// Bits of a coordinate that are known, 1–32; 32 is a point.
    pub bits: u8,
}

impl Place {
    /// The place that a position tells; `None` when it tells none. A position that claims to be cut and is not is taken
    /// for what it is: exact.
    pub fn of(position: &PositionFacts) -> Option<Self> {
        let (latitude_i, longitude_i) = (position.latitude_i?, position.longitude_i?);
        let is_on_earth = latitude_i.unsigned_abs() <= 900_000_000
            && i64::from(longitude_i).abs() <= HALF_TURN
            && (latitude_i, longitude_i) != (0, 0);
        let bits = match position.precision_bits {
            bits @ 1..=31 if position.is_honest() => bits as u8,
            _ => 32,
        };
        is_on_earth.then_some(Self { latitude_i, longitude_i, bits })
    }

    /// Metres between the two cells where they are nearest: what the true places are apart at least. Never more than the
    /// truth but for the roundness of the earth, which is why it is compared with distances that leave room.
    pub fn gap_m(self, other: Self) -> f64 {
        let halves = self.half() + other.half();
        let apart = |a: i32, b: i32| (i64::from(a) - i64::from(b)).abs();
        let latitude = (apart(self.latitude_i, other.latitude_i) - halves).max(0);
        let longitude = apart(self.longitude_i, other.longitude_i);
        let longitude = (longitude.min((2 * HALF_TURN - longitude).abs()) - halves).max(0);
        // Meridians converge: where they are nearest within the two cells counts.
        let poleward =
            i64::from(self.latitude_i.unsigned_abs().max(other.latitude_i.unsigned_abs())) + halves;
        let shrunk = (poleward.min(900_000_000) as f64 * 1e-7).to_radians().cos();
        (latitude as f64 * UNIT_M).hypot(longitude as f64 * UNIT_M * shrunk)
    }

    /// Half the side of the cell, in units of a coordinate.
    const fn half(self) -> i64 {
        match self.bits {
            bits @ 1..=31 => 1 << (31 - bits),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh::position::truncate;
    use proptest::prelude::*;

    use super::*;

    fn place(latitude_i: i32, longitude_i: i32, bits: u32) -> Place {
        let cut = |v| Some(truncate(v, bits));
        let (latitude_i, longitude_i) = (cut(latitude_i), cut(longitude_i));
        Place::of(&PositionFacts { latitude_i, longitude_i, altitude_m: None, precision_bits: bits })
            .expect("is on earth")
    }

    #[test]
    fn what_is_no_place_is_none() {
        let at = |latitude_i, longitude_i| {
            let position = PositionFacts { latitude_i, longitude_i, ..PositionFacts::default() };
            Place::of(&position)
        };
        assert_eq!(at(None, Some(5)), None);
        assert_eq!(at(Some(0), Some(0)), None, "a receiver without a fix");
        assert_eq!(at(Some(900_000_001), Some(5)), None);
        assert_eq!(at(Some(5), Some(1_800_000_001)), None);
    }

    #[test]
    fn who_claims_to_be_coarse_and_is_not_is_taken_at_his_word() {
        let position = PositionFacts {
            latitude_i: Some(391_234_567),
            longitude_i: Some(-944_000_001),
            altitude_m: None,
            precision_bits: 13,
        };
        assert_eq!(Place::of(&position).map(|place| place.bits), Some(32));
    }

    #[test]
    fn distances_are_those_of_a_map() {
        let (liberty, lawrence) =
            (place(392_461_000, -944_191_000, 32), place(389_717_000, -952_353_000, 32));
        let km = liberty.gap_m(lawrence) / 1000.0;
        assert!((75.0..80.0).contains(&km), "{km} km");
        let (east, west) = (place(100, 1_799_999_000, 32), place(100, -1_799_999_000, 32));
        assert!(east.gap_m(west) < 30.0, "the date line is no distance");
    }

    proptest! {
        /// Wherever a cell lies, two positions in it or in neighbouring ones are not apart.
        #[test]
        fn what_was_cut_is_never_farther_than_the_truth(
            latitude in -800_000_000i32..800_000_000, longitude in -1_700_000_000i32..1_700_000_000,
            north in -5_000_000i32..5_000_000, east in -5_000_000i32..5_000_000, one in 10u32..=32, two in 10u32..=32,
        ) {
            let exact = |a, b| place(a, b, 32);
            let truth = exact(latitude, longitude).gap_m(exact(latitude + north, longitude + east));
            let told = place(latitude, longitude, one).gap_m(place(latitude + north, longitude + east, two));
            prop_assert!(told <= truth + 1.0, "told {told} m, truth {truth} m");
        }
    }
}
