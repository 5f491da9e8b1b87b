//! A window of the history as a survey: receptions in few columns, and what nodes told of places, routes and neighbours.

use std::collections::HashSet;

use insight::alone::Alone;
use insight::place::Place;
use insight::survey::{Hearing, Survey, Traced};
use insight::{compare, traceroute};
use mesh::observe::{Facts, Flags, Scratch, observe};
use mesh::portnum::PortNum;
use mesh::position::PositionFacts;
use query::{Condition, Test};
use record::Reception;

use crate::error::Error;
use crate::hearing::{HearingRow, Sort, Walked};
use crate::reader::Reader;
use crate::search::{Effort, ROWS_MAX, Search};

/// Places are taken from this long before the end of the window: fixed nodes tell theirs seldom.
const PLACES_SINCE_MS: i64 = 3 * 86_400_000;
/// Pages of told things that are read for one survey at most.
const PAGES_MAX: usize = 4;

/// What whoever asks may see of receptions and places.
pub trait Eyes {
    /// Whether they may know of receptions of this sort.
    fn may_see(&self, sort: &Sort) -> bool;
    /// A place as they may know it.
    fn place(&self, position: PositionFacts) -> PositionFacts;
}

/// Eyes that see everything: for the files' owner.
#[derive(Debug, Clone, Copy)]
pub struct Everything;

impl Eyes for Everything {
    fn may_see(&self, _: &Sort) -> bool {
        true
    }

    fn place(&self, position: PositionFacts) -> PositionFacts {
        position
    }
}

impl Reader {
    /// What a window says about who hears whom and where, to the eyes that ask, with how far back it came.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn survey(
        &self,
        since_ms: i64,
        until_ms: i64,
        effort: Effort,
        eyes: &dyn Eyes,
    ) -> Result<(Survey, Walked), Error> {
        let mut survey = Survey::default();
        let may_see = |sort: &Sort| eyes.may_see(sort);
        let mut walked = self.hearings(since_ms, until_ms, effort, &may_see, &mut |row| {
            survey.hear(&hearing(row));
        })?;
        let mut seen = HashSet::new();
        let port = |port: PortNum| Condition::Is(Test::Port(Some(port.0)));
        let told = Condition::Any(vec![port(PortNum::TRACEROUTE), port(PortNum::NEIGHBORINFO)]);
        let is_told_cut =
            self.each_told(told, walked.since_ms, until_ms, effort, eyes, &mut |reception, facts| {
                take_told(&mut survey, &mut seen, reception, facts);
            })?;
        let places = Condition::Any(vec![port(PortNum::POSITION), port(PortNum::MAP_REPORT)]);
        let places_since_ms = walked.since_ms.min(until_ms.saturating_sub(PLACES_SINCE_MS));
        let is_places_cut =
            self.each_told(places, places_since_ms, until_ms, effort, eyes, &mut |reception, facts| {
                let position = facts.position.map(|position| eyes.place(position));
                let (Some(place), Some(mut heard)) = (position.as_ref().and_then(Place::of), of(reception))
                else {
                    return;
                };
                if heard.at_ms < walked.since_ms {
                    // Where it is counts; that it was heard then does not.
                    heard.hops = None;
                }
                survey.place(&heard, place);
            })?;
        walked.is_told_cut_short = is_told_cut || is_places_cut;
        Ok((survey, walked))
    }

    /// What two gateways heard of the same window.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn compare_gateways(
        &self,
        (a, b): (u32, u32),
        since_ms: i64,
        until_ms: i64,
        effort: Effort,
        eyes: &dyn Eyes,
    ) -> Result<(compare::Gateways, Walked), Error> {
        let mut gateways = compare::Gateways::new(a, b);
        let may_see = |sort: &Sort| eyes.may_see(sort);
        let walked = self.hearings(since_ms, until_ms, effort, &may_see, &mut |row| {
            gateways.hear(&hearing(row));
        })?;
        Ok((gateways, walked))
    }

    /// What each gateway alone heard of a window.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn alone(
        &self,
        since_ms: i64,
        until_ms: i64,
        effort: Effort,
        eyes: &dyn Eyes,
    ) -> Result<(Alone, Walked), Error> {
        let mut alone = Alone::default();
        let may_see = |sort: &Sort| eyes.may_see(sort);
        let walked =
            self.hearings(since_ms, until_ms, effort, &may_see, &mut |row| alone.hear(&hearing(row)))?;
        Ok((alone, walked))
    }

    fn each_told(
        &self,
        told: Condition,
        since_ms: i64,
        until_ms: i64,
        effort: Effort,
        eyes: &dyn Eyes,
        visit: &mut dyn FnMut(&Reception, &Facts<'_>),
    ) -> Result<bool, Error> {
        let times = [Test::Since(since_ms), Test::Until(until_ms)].map(Condition::Is);
        let condition = times.into_iter().fold(told, Condition::and);
        let keep = |reception: &Reception| eyes.may_see(&Sort::of(reception));
        let mut before = None;
        let pages_max = if effort == Effort::UNBOUNDED { usize::MAX } else { PAGES_MAX };
        // All pages together cost what was allowed.
        let effort = Effort { rows: effort.rows / PAGES_MAX as u64, time: effort.time / PAGES_MAX as u32 };
        for _ in 0..pages_max {
            let search = Search { condition: &condition, keep: &keep, before, limit: ROWS_MAX, effort };
            let page = self.search(&search)?;
            for reception in &page.receptions {
                let mut scratch = Scratch::default();
                visit(reception, &observe(&reception.topic, &reception.payload, &self.keyring, &mut scratch));
            }
            before = page.next;
            if before.is_none() || page.is_cut_short {
                return Ok(page.is_cut_short);
            }
        }
        Ok(true)
    }
}

fn take_told(survey: &mut Survey, seen: &mut HashSet<(u32, u32)>, reception: &Reception, facts: &Facts<'_>) {
    let (Some(packet), Some(data)) = (reception.packet, facts.data) else { return };
    match data.port {
        PortNum::TRACEROUTE => {
            let Ok(route) = traceroute::route(data.payload, packet.from, packet.to, data.request_id) else {
                return;
            };
            let is_answer = data.request_id != 0;
            let (asked, wanted) = if is_answer { (packet.to, packet.from) } else { (packet.from, packet.to) };
            let traced = Traced { at_ms: reception.at_ms, asked, wanted, route, is_answer };
            survey.trace(packet.from, packet.id, traced);
        }
        PortNum::NEIGHBORINFO => {
            // Newest first, so that the copy that counts is the last; they all say the same.
            if let (true, Ok(hops)) =
                (seen.insert((packet.from, packet.id)), traceroute::neighbours(data.payload, packet.from))
            {
                survey.neighbours(reception.at_ms, &hops);
            }
        }
        _ => {}
    }
}

fn hearing(row: HearingRow) -> Hearing {
    Hearing {
        at_ms: row.at_ms,
        from: row.from,
        gateway: row.gateway,
        packet: row.packet,
        hops: row.hops,
        is_via_mqtt: row.is_via_mqtt,
        snr_quarters: row.snr_quarters,
    }
}

fn of(reception: &Reception) -> Option<Hearing> {
    let packet = reception.packet?;
    Some(Hearing {
        at_ms: reception.at_ms,
        from: packet.from,
        // A map report is the gateway's own, and says so in its topic only now and then.
        gateway: reception.gateway.unwrap_or(packet.from),
        packet: packet.id,
        hops: packet.hops_away,
        is_via_mqtt: Flags(reception.flags).contains(Flags::VIA_MQTT),
        snr_quarters: packet.rx_snr.and_then(traceroute::quarters),
    })
}
