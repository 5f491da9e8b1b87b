//! The residents: nodes with a place, a role, habits and a gateway's internet or not.

use fastrand::Rng;
use mesh::node::NodeNum;

use crate::map::{NODE_WORDS, PLACES, Place};
use crate::misfit::Manner;
use crate::plan::Plan;

/// One node.
#[derive(Debug, Clone)]
pub struct Resident {
    /// Its number.
    pub num: NodeNum,
    /// Long name, at most 39 bytes.
    pub long_name: String,
    /// Short name, at most 4 bytes.
    pub short_name: String,
    /// Index of its island.
    pub island: usize,
    /// Latitude in 1e-7 degrees.
    pub latitude_i: i32,
    /// Longitude in 1e-7 degrees.
    pub longitude_i: i32,
    /// Height above sea level, m.
    pub altitude_m: i32,
    /// What walls, trees and a short mast cost each of its links, dB.
    pub siting_loss_db: f32,
    /// Whether it has internet and MQTT.
    pub is_gateway: bool,
    /// Whether it relays before others do (role ROUTER).
    pub is_router: bool,
    /// Whether it agrees to MQTT.
    pub consents: bool,
    /// Bits of position it shares on the channel, 0 for none.
    pub precision_bits: u32,
    /// Whether it sends device telemetry.
    pub sends_telemetry: bool,
    /// Whether it has a weather sensor.
    pub has_sensor: bool,
    /// Whether it tells where it is every five minutes.
    pub is_tracker: bool,
    /// Hop limit it starts packets with.
    pub hop_limit: u32,
}

/// Settles a city: every island gets its share of nodes, and gateways among them.
pub fn settle(plan: &Plan, rng: &mut Rng) -> Vec<Resident> {
    let islands = plan.islands.clamp(1, PLACES.len());
    let mut residents = Vec::with_capacity(plan.nodes);
    for index in 0..plan.nodes {
        let island = index % islands;
        let number_on_island = index / islands;
        let is_gateway = index < plan.gateways;
        residents.push(resident(plan, rng, island, number_on_island, index, is_gateway));
    }
    for (resident, manner) in residents.iter_mut().zip(Manner::of_gateways(plan)) {
        if manner == Manner::Mobile {
            (resident.is_tracker, resident.precision_bits) = (true, 32);
        }
    }
    residents
}

fn resident(
    plan: &Plan,
    rng: &mut Rng,
    island: usize,
    nth: usize,
    index: usize,
    is_gateway: bool,
) -> Resident {
    let place = PLACES[island];
    let is_router = nth == 0;
    let (latitude_i, longitude_i) = somewhere_near(place, is_router, rng);
    let word = NODE_WORDS[(index * 7 + nth) % NODE_WORDS.len()];
    let long_name = match (island, nth) {
        (0, 0) => "Router 1 Liberty".to_owned(),
        (_, 0) => format!("Router {} {}", island + 1, place.name),
        _ => format!("{} {word}", place.name),
    };
    Resident {
        // The low digits tell island and order, which makes a log readable.
        num: NodeNum(0x4b00_0000 | (rng.u32(..) & 0x00ff_f000) | u32::try_from(index).unwrap_or(0)),
        short_name: format!("{}{:02}", &place.name[..2].to_uppercase(), nth % 100),
        long_name,
        island,
        latitude_i,
        longitude_i,
        altitude_m: 230 + rng.i32(0..90),
        siting_loss_db: if is_router { 4.0 } else { 10.0 + rng.f32() * 14.0 },
        is_gateway,
        is_router,
        consents: rng.u32(0..100) < plan.consenting_percent,
        precision_bits: *[0, 12, 13, 13, 13, 14, 32].get(rng.usize(0..7)).unwrap_or(&13),
        sends_telemetry: rng.u32(0..100) < 60,
        has_sensor: rng.u32(0..100) < 12,
        is_tracker: false,
        hop_limit: if rng.u32(0..10) == 0 { 7 } else { 3 },
    }
}

/// Within about 7 km of the place; routers stand in its middle.
fn somewhere_near(place: Place, is_router: bool, rng: &mut Rng) -> (i32, i32) {
    let spread = if is_router { 40_000 } else { 500_000 };
    // The sum of two draws crowds toward the middle, as towns do.
    let mut draw = || (rng.i32(-spread..=spread) + rng.i32(-spread..=spread)) / 2;
    (place.latitude_i + draw(), place.longitude_i + draw())
}
