//! Kansas City: where its islands are and what its nodes are called. One table; names of places, none of people.

/// A place that an island forms around.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its name.
    pub name: &'static str,
    /// Latitude in 1e-7 degrees.
    pub latitude_i: i32,
    /// Longitude in 1e-7 degrees.
    pub longitude_i: i32,
}

const fn place(name: &'static str, latitude_i: i32, longitude_i: i32) -> Place {
    Place { name, latitude_i, longitude_i }
}

/// Places far enough from each other that suburban antennas on one do not hear the others; the first is Liberty,
/// whose Router 1 feeds the city's broker.
pub const PLACES: &[Place] = &[
    place("Liberty", 392_461_000, -944_191_000),
    place("Olathe", 388_814_000, -948_191_000),
    place("Lee's Summit", 389_108_000, -943_822_000),
    place("Leavenworth", 393_111_000, -949_225_000),
    place("Bonner Springs", 390_597_000, -948_836_000),
    place("Harrisonville", 386_533_000, -943_488_000),
    place("Excelsior Springs", 393_392_000, -942_261_000),
    place("Platte City", 393_703_000, -947_825_000),
];

/// Words that nodes are named after.
pub const NODE_WORDS: &[&str] = &[
    "Water Tower",
    "Ridge",
    "Attic",
    "Barn",
    "Church Hill",
    "Depot",
    "Elevator",
    "Fire Station",
    "Garage",
    "Hospital",
    "Jeep",
    "Kite",
    "Library",
    "Market",
    "North Lot",
    "Orchard",
    "Park Shelter",
    "Quarry",
    "River Bend",
    "School",
    "Tavern",
    "Union",
    "Viaduct",
    "West End",
    "Yard",
    "Zoo",
];

/// What people say on a mesh.
pub const TEXTS: &[&str] = &[
    "Good morning KC",
    "Anyone hear the Liberty router today?",
    "Radio check please",
    "Loud and clear",
    "Storm line over Leavenworth, moving east",
    "Net tonight at 20:00 on LongFast",
    "Testing a new antenna on the water tower",
    "Battery at 60 % after three cloudy days",
    "Who is near the stadium?",
    "Trail 4 is washed out",
    "Heading home, back in 30",
    "73 all",
];
