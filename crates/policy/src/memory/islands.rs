//! Which gateways are on one island: they hear the same packets over the radio, directly or through the mesh.
//!
//! Two gateways that uplink the same packet within a minute have something in common. What they have in common fades
//! with the hours, and they are on one island while it is enough and a fair share of what the quieter of the two hears:
//! a packet that the weather carried into the next city once joins nothing. It takes more to join than to stay, but two
//! gateways that both go on hearing and have nothing in common any more part soon: one of them was carried elsewhere.

use std::collections::BTreeMap;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// Number of an island: the node number of the gateway that it began with. It stays when others come and go.
pub type IslandId = u32;

/// What it takes to be on one island.
#[derive(Debug, Clone, PartialEq)]
pub struct IslandSettings {
    /// Packets in common, fading, from which two gateways are on one island.
    pub join_packets: f32,
    /// Share of what the quieter of two hears that must be in common, 0–1.
    pub join_share: f32,
    /// Packets in common below which they are not any more.
    pub stay_packets: f32,
    /// The share below which they are not any more.
    pub stay_share: f32,
    /// Time after which half of what was in common counts, in ms.
    pub half_life_ms: u64,
    /// Packets that each of two heard since the last that was in common, from which they part at once. A quiet night
    /// does not count.
    pub part_packets: u32,
    /// Gateways whose island the operator knows better.
    pub pinned: BTreeMap<u32, IslandId>,
}

impl Default for IslandSettings {
    fn default() -> Self {
        Self {
            join_packets: 4.0,
            join_share: 0.05,
            stay_packets: 0.5,
            stay_share: 0.01,
            half_life_ms: 6 * 3_600_000,
            part_packets: 50,
            pinned: BTreeMap::new(),
        }
    }
}

/// Gateways remembered; the one that was silent longest makes room.
const GATEWAYS_MAX: usize = 1_024;
/// Pairs remembered; the weakest make room.
const LINKS_MAX: usize = 8_192;
/// How much more the gateway counts whose number an island has.
const FOUNDER_WEIGHT: u64 = 8;
/// How soon islands are drawn anew when two gateways may have come together, in ms.
const REDRAW_MS: u64 = 30_000;
/// How soon they are when nothing new was in common: what fades and who parts takes hours.
const REDRAW_UNCHANGED_MS: u64 = 300_000;
/// Receptions of one packet that are further apart did not come by the same flood, in ms.
pub const COMMON_WITHIN_MS: u64 = 60_000;

/// An amount that fades.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Fading {
    amount: f32,
    at_ms: u64,
}

impl Fading {
    fn now(self, now_ms: u64, half_life_ms: u64) -> f32 {
        let half_lives = now_ms.saturating_sub(self.at_ms) as f32 / half_life_ms.max(1) as f32;
        self.amount * (-half_lives).exp2()
    }

    fn add(&mut self, now_ms: u64, half_life_ms: u64) {
        *self = Self { amount: self.now(now_ms, half_life_ms) + 1.0, at_ms: now_ms };
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Member {
    number: u32,
    island: IslandId,
    /// The island before that; its own number at first.
    former: IslandId,
    heard: Fading,
    /// Packets heard since it is known.
    count: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Link {
    common: Fading,
    /// How many packets each of the two, the smaller number first, had heard when one was in common last.
    counts: (u64, u64),
    is_joined: bool,
}

/// Islands as they are kept across a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptIslands {
    members: Vec<Member>,
    links: Vec<((u32, u32), Link)>,
}

/// All islands.
#[derive(Debug)]
pub struct Islands {
    settings: IslandSettings,
    /// Place of each gateway in `members`.
    index: HashMap<u32, usize, FixedState>,
    members: Vec<Member>,
    /// By node numbers, the smaller first.
    links: HashMap<(u32, u32), Link, FixedState>,
    drawn_ms: u64,
    /// Whether two gateways had something in common since that are not joined.
    has_news: bool,
    parts: Parts,
    /// Part, island, and how much speaks for the part being called so.
    claims: Vec<(usize, IslandId, u64)>,
    named: Vec<(usize, IslandId)>,
}

/// Why a gateway is on its island: what it has in common with another gateway of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InCommon {
    /// The other gateway.
    pub with: u32,
    /// Packets in common, fading.
    pub packets: f32,
    /// Share of what the quieter of the two hears, 0–1.
    pub share: f32,
    /// Whether it is enough to be on one island.
    pub is_joined: bool,
}

impl Islands {
    /// No islands yet.
    pub fn new(settings: IslandSettings, seed: u64) -> Self {
        Self {
            settings,
            index: HashMap::with_hasher(FixedState::with_seed(seed)),
            members: Vec::new(),
            links: HashMap::with_hasher(FixedState::with_seed(seed)),
            drawn_ms: 0,
            has_news: true,
            parts: Parts::default(),
            claims: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Another choice of what an island is; what was heard stays, and counts by it from then on.
    pub fn set_settings(&mut self, settings: IslandSettings) {
        self.settings = settings;
    }

    /// Islands as they are kept across a restart.
    pub fn kept(&self) -> KeptIslands {
        let mut links: Vec<_> = self.links.iter().map(|(pair, link)| (*pair, *link)).collect();
        links.sort_unstable_by_key(|(pair, _)| *pair);
        KeptIslands { members: self.members.clone(), links }
    }

    /// Takes over what an earlier run knew.
    pub fn take_over(&mut self, kept: KeptIslands) {
        self.members = kept.members;
        self.members.truncate(GATEWAYS_MAX);
        self.index.clear();
        self.index.extend(self.members.iter().enumerate().map(|(place, member)| (member.number, place)));
        self.links.clear();
        self.links.extend(kept.links.into_iter().take(LINKS_MAX));
        self.drawn_ms = 0;
        self.has_news = true;
    }

    /// A gateway heard a packet over the radio that these others had heard just before.
    pub fn note_heard(&mut self, now_ms: u64, gateway: u32, others: impl Iterator<Item = u32>) {
        let half_life_ms = self.settings.half_life_ms;
        let place = self.place_of(now_ms, gateway);
        self.members[place].heard.add(now_ms, half_life_ms);
        self.members[place].count += 1;
        for other in others.filter(|other| *other != gateway) {
            if self.links.len() >= LINKS_MAX {
                self.forget_weak_links(now_ms);
            }
            let both = pair(gateway, other);
            let counts = (self.count_of(both.0), self.count_of(both.1));
            let link = self.links.entry(both).or_default();
            link.common.add(now_ms, half_life_ms);
            link.counts = counts;
            self.has_news |= !link.is_joined;
        }
        let since_ms = now_ms.saturating_sub(self.drawn_ms);
        if since_ms >= if self.has_news { REDRAW_MS } else { REDRAW_UNCHANGED_MS } {
            self.draw(now_ms);
        }
    }

    /// A gateway is not where it was: what it had in common with others says nothing any more.
    pub fn forget(&mut self, gateway: u32) {
        self.links.retain(|(a, b), _| *a != gateway && *b != gateway);
        self.drawn_ms = 0;
        self.has_news = true;
    }

    /// Forgets a gateway. An island that was called after it is called after another of its gateways, which is returned.
    pub fn forget_node(&mut self, gateway: u32) -> Option<IslandId> {
        self.links.retain(|(a, b), _| *a != gateway && *b != gateway);
        self.members.retain(|member| member.number != gateway);
        self.index = HashMap::with_hasher(self.index.hasher().clone());
        for (place, member) in self.members.iter_mut().enumerate() {
            self.index.insert(member.number, place);
        }
        let orphans = self.members.iter().filter(|member| member.island == gateway);
        let becomes = orphans.map(|member| member.number).min();
        if let Some(name) = becomes {
            for member in &mut self.members {
                for island in [&mut member.island, &mut member.former] {
                    if *island == gateway {
                        *island = name;
                    }
                }
            }
        }
        for member in &mut self.members {
            if member.former == gateway {
                member.former = member.number;
            }
        }
        self.drawn_ms = 0;
        self.has_news = true;
        becomes
    }

    /// The island of a gateway; `None` when it has heard nothing yet.
    pub fn island_of(&self, gateway: u32) -> Option<IslandId> {
        let pinned = self.settings.pinned.get(&gateway).copied();
        pinned.or_else(|| self.drawn_island_of(gateway))
    }

    fn drawn_island_of(&self, gateway: u32) -> Option<IslandId> {
        self.index.get(&gateway).map(|place| self.members[*place].island)
    }

    /// Every gateway with its island.
    pub fn members(&self) -> impl Iterator<Item = (u32, IslandId)> + '_ {
        let pinned = &self.settings.pinned;
        self.members.iter().map(|m| (m.number, pinned.get(&m.number).copied().unwrap_or(m.island)))
    }

    /// What a gateway has in common with others, most first.
    pub fn in_common(&self, now_ms: u64, gateway: u32) -> Vec<InCommon> {
        let of_gateway = self.links.iter().filter(|((a, b), _)| *a == gateway || *b == gateway);
        let mut found: Vec<InCommon> = of_gateway
            .map(|((a, b), link)| InCommon {
                with: if *a == gateway { *b } else { *a },
                packets: link.common.now(now_ms, self.settings.half_life_ms),
                share: self.share(now_ms, *a, *b, link),
                is_joined: link.is_joined,
            })
            .collect();
        found.sort_by(|a, b| b.packets.total_cmp(&a.packets).then(a.with.cmp(&b.with)));
        found
    }

    fn count_of(&self, gateway: u32) -> u64 {
        self.index.get(&gateway).map_or(0, |place| self.members[*place].count)
    }

    /// Whether both went on hearing and nothing was in common.
    fn have_parted(&self, (a, b): (u32, u32), link: &Link) -> bool {
        let since = |gateway, then: u64| self.count_of(gateway).saturating_sub(then);
        since(a, link.counts.0).min(since(b, link.counts.1)) >= u64::from(self.settings.part_packets)
    }

    fn place_of(&mut self, now_ms: u64, gateway: u32) -> usize {
        if let Some(place) = self.index.get(&gateway) {
            return *place;
        }
        let member = Member {
            number: gateway,
            island: gateway,
            former: gateway,
            heard: Fading { amount: 0.0, at_ms: now_ms },
            count: 0,
        };
        if self.members.len() < GATEWAYS_MAX {
            self.members.push(member);
            self.index.insert(gateway, self.members.len() - 1);
            return self.members.len() - 1;
        }
        let silent = self.members.iter().enumerate().min_by_key(|(_, m)| (m.heard.at_ms, m.number));
        let place = silent.map_or(0, |(place, _)| place);
        let gone = std::mem::replace(&mut self.members[place], member);
        self.index.remove(&gone.number);
        self.links.retain(|(a, b), _| *a != gone.number && *b != gone.number);
        self.index.insert(gateway, place);
        place
    }

    /// Half of the links make room, the weakest.
    fn forget_weak_links(&mut self, now_ms: u64) {
        let half_life_ms = self.settings.half_life_ms;
        let mut weights: Vec<f32> = self.links.values().map(|l| l.common.now(now_ms, half_life_ms)).collect();
        let middle = weights.len() / 2;
        let (_, median, _) = weights.select_nth_unstable_by(middle, f32::total_cmp);
        let median = *median;
        self.links.retain(|_, link| link.common.now(now_ms, half_life_ms) > median);
    }

    fn share(&self, now_ms: u64, a: u32, b: u32, link: &Link) -> f32 {
        let half_life_ms = self.settings.half_life_ms;
        let heard = |gateway: &u32| {
            self.index.get(gateway).map_or(0.0, |place| self.members[*place].heard.now(now_ms, half_life_ms))
        };
        let quieter = heard(&a).min(heard(&b)).max(1.0);
        (link.common.now(now_ms, half_life_ms) / quieter).min(1.0)
    }

    /// Draws the islands anew. An island keeps its number as long as any of its gateways is on it: where one falls
    /// apart, the part keeps it that hears most, or has the gateway of that number; where two become one, the larger's stays.
    fn draw(&mut self, now_ms: u64) {
        self.drawn_ms = now_ms;
        self.has_news = false;
        let half_life_ms = self.settings.half_life_ms;
        // Lists are kept from one time to the next, so that nothing is allocated on the way of a packet.
        let mut parts = std::mem::take(&mut self.parts);
        parts.begin(self.members.len());
        let no_links = HashMap::with_hasher(self.links.hasher().clone());
        let mut links = std::mem::replace(&mut self.links, no_links);
        links.retain(|pair, link| {
            let packets = link.common.now(now_ms, half_life_ms);
            let share = self.share(now_ms, pair.0, pair.1, link);
            let (enough, fair) = match link.is_joined {
                true => (self.settings.stay_packets, self.settings.stay_share),
                false => (self.settings.join_packets, self.settings.join_share),
            };
            link.is_joined = packets >= enough && share >= fair && !self.have_parted(*pair, link);
            if link.is_joined
                && let (Some(a), Some(b)) = (self.index.get(&pair.0), self.index.get(&pair.1))
            {
                parts.join(*a, *b);
            }
            link.is_joined || packets > 0.05
        });
        self.links = links;
        self.name(now_ms, &mut parts);
        self.parts = parts;
    }

    fn name(&mut self, now_ms: u64, parts: &mut Parts) {
        let (mut claims, mut named) = (std::mem::take(&mut self.claims), std::mem::take(&mut self.named));
        claims.clear();
        named.clear();
        // How much those of each part hear who were on each island before; whose number it is counts for more, so that
        // two islands which were one for a while get back what they were called.
        for (place, member) in self.members.iter().enumerate() {
            let part = parts.root(place);
            // Whole packets, so that a moment more or less decides nothing.
            let hears = 1 + member.heard.now(now_ms, self.settings.half_life_ms).round() as u64;
            let weight = if member.number == member.island { hears * FOUNDER_WEIGHT } else { hears };
            match claims.iter_mut().find(|(p, island, _)| (*p, *island) == (part, member.island)) {
                Some((.., sum)) => *sum += weight,
                None => claims.push((part, member.island, weight)),
            }
        }
        claims.sort_unstable_by_key(|(part, island, weight)| (std::cmp::Reverse(*weight), *island, *part));
        for (part, island, _) in &claims {
            if named.iter().all(|(p, i)| p != part && i != island) {
                named.push((*part, *island));
            }
        }
        for place in 0..self.members.len() {
            let part = parts.root(place);
            let island = named.iter().find(|(p, _)| *p == part).map(|(_, island)| *island);
            let island = island.unwrap_or_else(|| {
                let number = self.new_name(parts, part, &named);
                named.push((part, number));
                number
            });
            let member = &mut self.members[place];
            if member.island != island {
                member.former = member.island;
                member.island = island;
            }
        }
        (self.claims, self.named) = (claims, named);
    }

    /// A part whose old number another kept is called what most of it was called before, or begins with its first gateway.
    fn new_name(&self, parts: &mut Parts, part: usize, named: &[(usize, IslandId)]) -> IslandId {
        let members: Vec<&Member> = (0..self.members.len())
            .filter(|place| parts.root(*place) == part)
            .map(|p| &self.members[p])
            .collect();
        let is_free = |island: &IslandId| named.iter().all(|(_, taken)| taken != island);
        let formers = members.iter().map(|member| member.former).filter(is_free);
        let count = |island: IslandId| members.iter().filter(|member| member.former == island).count();
        let former = formers.max_by_key(|island| (count(*island), std::cmp::Reverse(*island)));
        former.or_else(|| members.first().map(|member| member.number)).unwrap_or_default()
    }
}

fn pair(a: u32, b: u32) -> (u32, u32) {
    (a.min(b), a.max(b))
}

/// Disjoint sets of places.
#[derive(Debug, Default)]
struct Parts(Vec<usize>);

impl Parts {
    /// Every place is a set of its own.
    fn begin(&mut self, count: usize) {
        self.0.clear();
        self.0.extend(0..count);
    }

    fn root(&mut self, mut place: usize) -> usize {
        while self.0[place] != place {
            self.0[place] = self.0[self.0[place]];
            place = self.0[place];
        }
        place
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn islands() -> Islands {
        Islands::new(IslandSettings::default(), 0)
    }

    /// `count` packets that all of these hear, one a minute.
    fn hear(islands: &mut Islands, from_ms: u64, count: u64, gateways: &[u32]) -> u64 {
        for packet in 0..count {
            let now_ms = from_ms + packet * 60_000;
            for (place, gateway) in gateways.iter().enumerate() {
                islands.note_heard(now_ms + place as u64 * 500, *gateway, gateways[..place].iter().copied());
            }
        }
        from_ms + count * 60_000
    }

    #[test]
    fn gateways_that_hear_the_same_are_on_one_island_and_others_are_not() {
        let mut islands = islands();
        let now = hear(&mut islands, 0, 20, &[1, 2, 3]);
        let now = hear(&mut islands, now, 20, &[8, 9]);
        hear(&mut islands, now, 1, &[1, 2, 3]);
        assert_eq!([1, 2, 3].map(|g| islands.island_of(g)), [Some(1); 3]);
        assert_eq!([8, 9].map(|g| islands.island_of(g)), [Some(8); 2]);
        assert_eq!(islands.island_of(5), None);
        let common = islands.in_common(now, 1);
        assert!(common[0].is_joined && common[0].share > 0.9, "{common:?}");
    }

    #[test]
    fn a_packet_that_the_weather_carried_joins_nothing() {
        let mut islands = islands();
        let mut now = 0;
        for _ in 0..10 {
            now = hear(&mut islands, now, 20, &[1, 2]);
            now = hear(&mut islands, now, 20, &[8, 9]);
        }
        let now = hear(&mut islands, now, 3, &[1, 8]);
        hear(&mut islands, now, 2, &[1, 2]);
        assert_ne!(islands.island_of(1), islands.island_of(8));
    }

    #[test]
    fn an_island_that_was_joined_stays_so_in_a_quiet_night_and_falls_apart_in_days() {
        let mut islands = islands();
        let now = hear(&mut islands, 0, 60, &[1, 2]);
        // Each hears its own neighbours only.
        let mut now = now;
        for _ in 0..8 {
            now = hear(&mut islands, now + HOUR_MS, 5, &[1]);
            now = hear(&mut islands, now, 5, &[2]);
        }
        assert_eq!(islands.island_of(2), Some(1), "it takes less to stay than to join");
        for _ in 0..72 {
            now = hear(&mut islands, now + HOUR_MS, 5, &[1]);
            now = hear(&mut islands, now, 5, &[2]);
        }
        assert_eq!((islands.island_of(1), islands.island_of(2)), (Some(1), Some(2)));
    }

    #[test]
    fn a_gateway_that_was_carried_to_another_island_leaves_its_own_soon() {
        let mut islands = islands();
        let mut now = 0;
        for _ in 0..20 {
            now = hear(&mut islands, now, 5, &[1, 2, 3]);
            now = hear(&mut islands, now, 5, &[7, 8, 9]);
        }
        for _ in 0..20 {
            now = hear(&mut islands, now, 5, &[1, 2]);
            now = hear(&mut islands, now, 5, &[3, 7, 8, 9]);
        }
        assert_eq!([1, 2].map(|g| islands.island_of(g)), [Some(1); 2]);
        assert_eq!([3, 7, 8, 9].map(|g| islands.island_of(g)), [Some(7); 4]);
    }

    #[test]
    fn one_that_is_known_to_have_moved_leaves_at_once() {
        let mut islands = islands();
        let now = hear(&mut islands, 0, 30, &[1, 2, 3]);
        islands.forget(3);
        hear(&mut islands, now, 1, &[1, 2]);
        assert_eq!([1, 2, 3].map(|g| islands.island_of(g)), [Some(1), Some(1), Some(3)]);
    }

    #[test]
    fn the_number_of_an_island_stays_when_its_first_gateway_goes_and_yields_to_one_that_is_there() {
        let mut islands = islands();
        let now = hear(&mut islands, 0, 30, &[1, 2, 3]);
        let now = hear(&mut islands, now, 30, &[8, 9]);
        let mut now = now;
        for _ in 0..96 {
            now = hear(&mut islands, now + HOUR_MS, 5, &[2, 3]);
            now = hear(&mut islands, now, 5, &[8, 9]);
        }
        assert_eq!([2, 3].map(|g| islands.island_of(g)), [Some(1); 2], "1 is silent, its island is not");
        let now = hear(&mut islands, now, 60, &[2, 3, 8]);
        let now = hear(&mut islands, now, 60, &[8, 9]);
        hear(&mut islands, now, 1, &[2, 3]);
        assert_eq!([2, 3, 8, 9].map(|g| islands.island_of(g)), [Some(8); 4], "8 is there, 1 is not");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut islands = islands();
        for gateway in 0..3_000u32 {
            islands.note_heard(u64::from(gateway), gateway, gateway.saturating_sub(9)..gateway);
        }
        assert!(islands.members.len() <= GATEWAYS_MAX && islands.index.len() == islands.members.len());
        assert!(islands.links.len() <= LINKS_MAX);
        assert!(islands.island_of(2_999).is_some() && islands.island_of(0).is_none());
    }
}
