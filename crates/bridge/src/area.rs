//! Where nodes are, as far as a bridge needs it: inside an agreed circle or not.

use std::collections::BTreeMap;

use mesh::position::PositionFacts;

/// A circle on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Latitude of its middle, 1e-7 degrees.
    pub latitude_i: i32,
    /// Longitude of its middle, 1e-7 degrees.
    pub longitude_i: i32,
    /// Radius, m.
    pub radius_m: u32,
}

impl Area {
    /// Whether a place lies in it. Accurate to half a percent, which is finer than what positions are worth.
    pub fn holds(&self, latitude_i: i32, longitude_i: i32) -> bool {
        const EARTH_M: f64 = 6_371_000.0;
        let radians = |v: i32| f64::from(v) * 1e-7_f64.to_radians();
        let (a, b) = (radians(self.latitude_i), radians(latitude_i));
        let half = |v: f64| (v / 2.0).sin().powi(2);
        let across = radians(longitude_i) - radians(self.longitude_i);
        let chord = half(b - a) + a.cos() * b.cos() * half(across);
        2.0 * EARTH_M * chord.sqrt().min(1.0).asin() <= f64::from(self.radius_m)
    }
}

/// Nodes whose last place is remembered.
const NODES_MAX: usize = 20_000;

/// The last place of every node whose positions came by.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<u32, (i32, i32)>);

impl Places {
    pub fn learn(&mut self, node: u32, position: Option<&PositionFacts>) {
        let Some((Some(latitude), Some(longitude))) = position.map(|p| (p.latitude_i, p.longitude_i)) else {
            return;
        };
        if self.0.len() >= NODES_MAX && !self.0.contains_key(&node) {
            return;
        }
        self.0.insert(node, (latitude, longitude));
    }

    /// Whether the node is known to be in the area.
    pub fn is_in(&self, node: u32, area: &Area) -> bool {
        self.0.get(&node).is_some_and(|(latitude, longitude)| area.holds(*latitude, *longitude))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBERTY: Area = Area { latitude_i: 392_461_000, longitude_i: -944_191_000, radius_m: 30_000 };

    #[test]
    fn liberty_holds_kansas_city_and_not_topeka() {
        assert!(LIBERTY.holds(390_997_000, -945_786_000));
        assert!(!LIBERTY.holds(390_473_000, -956_752_000));
    }

    #[test]
    fn who_has_not_said_where_he_is_is_in_no_area() {
        let mut places = Places::default();
        assert!(!places.is_in(1, &LIBERTY));
        places.learn(1, None);
        assert!(!places.is_in(1, &LIBERTY));
        let there = PositionFacts {
            latitude_i: Some(390_997_000),
            longitude_i: Some(-945_786_000),
            ..Default::default()
        };
        places.learn(1, Some(&there));
        assert!(places.is_in(1, &LIBERTY));
    }

    #[test]
    fn the_date_line_is_no_border() {
        let fiji = Area { latitude_i: -170_000_000, longitude_i: 1_799_000_000, radius_m: 50_000 };
        assert!(fiji.holds(-170_000_000, -1_799_000_000));
    }
}
