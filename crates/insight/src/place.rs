//! Where a node says it is, and how far that is from elsewhere.

use h3o::{CellIndex, LatLng, Resolution};
use mesh::position::{PositionFacts, error_max_m};

/// Mean radius of the Earth, m.
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// What a coordinate has to be multiplied with for degrees.
const UNIT_DEGREES: f64 = 1e-7;

/// A place as a node told it or as a visitor may know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Degrees north, −90 to 90.
    pub latitude: f64,
    /// Degrees east, −180 to 180.
    pub longitude: f64,
    /// How far the true place may lie from it along a meridian, m; 0 when nothing was cut.
    pub error_m: f64,
}

impl Place {
    /// The place a position tells; `None` when it tells none, or zero degrees both ways: a receiver without a fix.
    pub fn of(position: &PositionFacts) -> Option<Self> {
        let (latitude_i, longitude_i) = (position.latitude_i?, position.longitude_i?);
        let latitude = f64::from(latitude_i) * UNIT_DEGREES;
        let longitude = f64::from(longitude_i) * UNIT_DEGREES;
        let is_on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        let is_cut = (1..32).contains(&position.precision_bits);
        let error_m = if is_cut { error_max_m(position.precision_bits) } else { 0.0 };
        (is_on_earth && (latitude_i, longitude_i) != (0, 0)).then_some(Self { latitude, longitude, error_m })
    }

    /// Great-circle distance, m.
    pub fn distance_m(&self, other: &Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_lat = ((to - from) / 2.0).sin();
        let half_lon = ((other.longitude - self.longitude).to_radians() / 2.0).sin();
        let chord = half_lat * half_lat + from.cos() * to.cos() * half_lon * half_lon;
        2.0 * EARTH_RADIUS_M * chord.clamp(0.0, 1.0).sqrt().asin()
    }

    /// The hexagon around it.
    pub fn cell(&self, resolution: Resolution) -> Option<CellIndex> {
        LatLng::new(self.latitude, self.longitude).ok().map(|at| at.to_cell(resolution))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude_i: i32, longitude_i: i32, precision_bits: u32) -> Option<Place> {
        Place::of(&PositionFacts {
            latitude_i: Some(latitude_i),
            longitude_i: Some(longitude_i),
            altitude_m: None,
            precision_bits,
        })
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let liberty = at(392_461_000, -944_191_000, 32).expect("on Earth");
        let lees_summit = at(389_108_000, -943_822_000, 32).expect("on Earth");
        let distance = liberty.distance_m(&lees_summit);
        assert!((37_300.0..37_600.0).contains(&distance), "{distance}");
        assert_eq!(liberty.distance_m(&liberty), 0.0);
    }

    #[test]
    fn a_receiver_without_a_fix_is_nowhere() {
        assert_eq!(at(0, 0, 32), None);
        assert_eq!(at(910_000_000, 10, 32), None);
        assert_eq!(Place::of(&PositionFacts::default()), None);
        let coarse = at(392_461_000, -944_191_000, 14).expect("on Earth");
        assert!((1_400.0..1_500.0).contains(&coarse.error_m), "{coarse:?}");
    }
}
