//! Whether gateways stay where they are: from the positions they tell, their role, and the nodes they hear directly.
//! A gateway that has moved gets no downlink until the operator has looked at it.

use directory::{Directory, GatewayId};
use mesh::enums::{self, name_of};
use mesh::observe::Facts;
use serde::{Deserialize, Serialize};

use super::hearing::Hearing;
use super::node_table::NodeTable;
use super::nodes::heard_directly;
use super::place::Place;
use super::profiles::{Sighting, role_in, speaks_for_itself};
use crate::now::Now;
use crate::uplink::stationary::StationarySettings;

/// How long a gateway is remembered that says nothing.
const REMEMBERED_MS: i64 = 90 * 24 * 3_600_000;
/// Positions that follow each other within this time count once: a burst of them is one glitch of the receiver.
const REPORTS_APART_MS: i64 = 60_000;
/// How long a gateway must have told the same place to be called stationary.
const STATIONARY_AFTER_MS: i64 = 24 * 3_600_000;
/// Movements that wait to be told; more at once than this are not news.
const NEWS_MAX: usize = 64;

/// Roles that are carried about (`Config.DeviceConfig.Role`): TRACKER, LOST_AND_FOUND, TAK_TRACKER.
const MOBILE_ROLES: [u8; 3] = [5, 9, 10];
/// Roles that are often carried about: CLIENT_MUTE, TAK. One position less is enough to call it moved.
const PORTABLE_ROLES: [u8; 2] = [1, 7];

/// What tells that a gateway is not where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Its positions are elsewhere.
    Position {
        /// Metres from where it was, at least.
        metres: u32,
    },
    /// Its role is one that is carried about.
    Role(u8),
    /// It hears other nodes than before.
    Hearing {
        /// Of the nodes it hears directly otherwise, how many it still hears.
        known: u16,
        /// How many it should.
        of: u16,
    },
}

impl Why {
    /// It in one sentence, for owner and operator.
    pub fn sentence(self) -> String {
        match self {
            Self::Position { metres } if metres < 2_000 => {
                format!("Its positions are at least {metres} m from where it was.")
            }
            Self::Position { metres } => {
                format!("Its positions are at least {} km from where it was.", metres / 1_000)
            }
            Self::Role(role) => {
                let name = name_of(enums::ROLE, u32::from(role)).unwrap_or("unknown");
                format!("Its role is {name}, which is for nodes that are carried about.")
            }
            Self::Hearing { known, of } => {
                format!("Of {of} nodes that it hears directly otherwise, it hears {known}.")
            }
        }
    }

    /// It in one word, for events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Position { .. } => "positions",
            Self::Role(_) => "role",
            Self::Hearing { .. } => "hearing",
        }
    }
}

/// A gateway is not where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// When that was clear, Unix ms.
    pub at_ms: i64,
    /// What tells it.
    pub why: Why,
}

/// Whether a gateway stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It told nothing yet, or not for long enough.
    Unknown,
    /// It does.
    Stationary,
    /// It does not.
    Moved(Moved),
}

/// What is known of one gateway's whereabouts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Whereabouts {
    /// Where it was first, and when it told so first.
    home: Option<Sighting>,
    /// When it was there last, Unix ms.
    home_last_ms: i64,
    /// Where it was last, wherever that is.
    latest: Option<Place>,
    /// Positions in a row that were elsewhere, and when the last one that counted came.
    away: u8,
    away_ms: i64,
    role: Option<u8>,
    /// The role with which the operator has seen it.
    reviewed_role: Option<u8>,
    hearing: Hearing,
    moved: Option<Moved>,
    reviewed_ms: i64,
}

/// Whereabouts of gateways, and what has just become clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Movement {
    table: NodeTable<Whereabouts>,
    #[serde(skip)]
    news: Vec<(u32, Moved)>,
}

impl Movement {
    /// Nothing is known yet.
    pub fn new(gateways_max: usize, seed: u64) -> Self {
        Self { table: NodeTable::new(gateways_max, seed), news: Vec::new() }
    }

    /// Forgets a gateway, and that others hear it.
    pub fn forget_node(&mut self, gateway: u32) {
        self.table.remove(gateway);
        self.news.retain(|(of, _)| *of != gateway);
        self.table.values_mut().for_each(|known| known.hearing.forget_node(gateway));
    }

    /// Whether a gateway may have downlink; otherwise why not. Unknown gateways may: many never tell where they are.
    ///
    /// # Errors
    /// When it has moved and the operator has not looked at it since.
    pub fn may_have_downlink(&self, directory: &Directory, gateway: u32) -> Result<(), Moved> {
        let Some(moved) = self.table.get(gateway).and_then(|known| known.moved) else { return Ok(()) };
        let reviewed = directory.watch().reviewed_ms(GatewayId(gateway));
        if reviewed.is_some_and(|at_ms| at_ms >= moved.at_ms) { Ok(()) } else { Err(moved) }
    }

    /// Whether a gateway stays where it is.
    pub fn standing(&self, directory: &Directory, gateway: u32) -> Standing {
        if let Err(moved) = self.may_have_downlink(directory, gateway) {
            return Standing::Moved(moved);
        }
        let Some(known) = self.table.get(gateway) else { return Standing::Unknown };
        let told_ms = known.home.map_or(0, |home| known.home_last_ms.saturating_sub(home.at_ms));
        if told_ms >= STATIONARY_AFTER_MS || known.hearing.is_settled() {
            Standing::Stationary
        } else {
            Standing::Unknown
        }
    }

    /// The gateways that have moved and were not looked at since.
    pub fn moved<'a>(&'a self, directory: &'a Directory) -> impl Iterator<Item = (u32, Moved)> + 'a {
        self.table.iter().filter_map(|(gateway, _, _)| {
            self.may_have_downlink(directory, gateway).err().map(|moved| (gateway, moved))
        })
    }

    /// What has become clear since this was asked last.
    pub fn take_news(&mut self) -> Vec<(u32, Moved)> {
        std::mem::take(&mut self.news)
    }

    /// Whether there is something to take.
    pub const fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Learns from one reception; says whether it is what tells that the gateway has moved. Places and roles count from the
    /// gateway's own uplink only.
    pub fn learn(
        &mut self,
        settings: &StationarySettings,
        now: Now,
        facts: &Facts<'_>,
        directory: &Directory,
        gateway: u32,
    ) -> bool {
        let now_ms = now.unix_ms;
        let (is_own, is_direct) = (speaks_for_itself(facts), heard_directly(facts));
        if !is_own && !is_direct {
            return false;
        }
        self.table.forget_one(now_ms - REMEMBERED_MS);
        let known = self.table.heard(now_ms, gateway);
        if let Some(reviewed_ms) = directory.watch().reviewed_ms(GatewayId(gateway))
            && reviewed_ms > known.reviewed_ms
        {
            known.accept(reviewed_ms);
        }
        let mut why = None;
        if is_direct && let Some(packet) = &facts.packet {
            why = known.hearing.note(settings, now_ms, packet.from.0);
        }
        if is_own {
            if let Some(place) = facts.position.as_ref().and_then(Place::of) {
                why = why.or(known.note_place(settings, now_ms, place));
            }
            if let Some(role) = role_in(facts) {
                known.role = Some(role);
                let is_new = known.reviewed_role != Some(role);
                why = why.or((MOBILE_ROLES.contains(&role) && is_new).then_some(Why::Role(role)));
            }
        }
        let Some(why) = why.filter(|_| known.moved.is_none()) else { return false };
        let moved = Moved { at_ms: now_ms, why };
        known.moved = Some(moved);
        if self.news.len() < NEWS_MAX {
            self.news.push((gateway, moved));
        }
        true
    }
}

impl Whereabouts {
    /// The operator has looked at it: where it is now is where it belongs.
    fn accept(&mut self, reviewed_ms: i64) {
        self.reviewed_ms = reviewed_ms;
        if self.moved.is_some_and(|moved| moved.at_ms > reviewed_ms) {
            return; // it moved again since
        }
        self.moved = None;
        self.home = self.latest.map(|place| Sighting { place, at_ms: reviewed_ms });
        self.home_last_ms = reviewed_ms;
        self.away = 0;
        self.reviewed_role = self.role;
        self.hearing = Hearing::default();
    }

    fn note_place(&mut self, settings: &StationarySettings, now_ms: i64, place: Place) -> Option<Why> {
        self.latest = Some(place);
        let Some(home) = &mut self.home else {
            self.home = Some(Sighting { place, at_ms: now_ms });
            self.home_last_ms = now_ms;
            return None;
        };
        let gap_m = home.place.gap_m(place);
        if gap_m <= f64::from(settings.moved_distance_m) {
            // The same place told more exactly is a better measure.
            if gap_m == 0.0 && place.bits > home.place.bits {
                home.place = place;
            }
            self.home_last_ms = now_ms;
            self.away = 0;
            return None;
        }
        if self.away == 0 || now_ms.saturating_sub(self.away_ms) >= REPORTS_APART_MS {
            self.away = self.away.saturating_add(1);
            self.away_ms = now_ms;
        }
        let is_portable = self.role.is_some_and(|role| PORTABLE_ROLES.contains(&role));
        let enough = settings.moved_reports.saturating_sub(u8::from(is_portable)).max(1);
        (self.away >= enough).then_some(Why::Position { metres: gap_m as u32 })
    }
}
