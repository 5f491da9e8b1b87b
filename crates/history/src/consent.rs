//! One day counted by consent: what came in and was held back, gateway by gateway, and what went out, receiver by
//! receiver. Counts rows as they are stored; knows nobody's settings.

use std::collections::{BTreeMap, HashMap};

use policy::decision::{Outcome, Verdict};
use policy::rule::RuleId;
use record::{Consent, ReceiverKind};

use crate::copies;
use crate::error::Error;
use crate::files::{self, Day};
use crate::reader::Reader;

/// Receptions of mesh packets, by what their senders agreed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsentCounts {
    /// Receptions that held a packet.
    pub receptions: u64,
    /// Distinct packets; one without an id counts each time, since nothing tells it from another.
    pub packets: u64,
    /// Receptions whose sender agreed to MQTT.
    pub yes: u64,
    /// Receptions whose sender declined.
    pub no: u64,
    /// Receptions that do not say.
    pub unknown: u64,
    /// Receptions that the rule `consent` kept from everyone.
    pub withheld: u64,
}

/// Copies toward one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceiverCounts {
    /// Copies sent.
    pub delivered: u64,
    /// Of those, copies whose sender is not known to have agreed.
    pub without_consent: u64,
    /// Copies that the rule `outside-consent` kept back.
    pub withheld: u64,
}

/// A day, UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentDay {
    /// All gateways together; a packet that several heard counts once among the packets.
    pub all: ConsentCounts,
    /// Receptions without a packet: online messages, refused junk, a service's own topics.
    pub no_packet: u64,
    /// By node number of the gateway.
    pub by_gateway: BTreeMap<u32, ConsentCounts>,
    /// By kind and name of the receiver.
    pub by_receiver: BTreeMap<(u8, String), ReceiverCounts>,
}

impl Reader {
    /// Counts a day by consent.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn consent_of_day(&self, day: Day) -> Result<ConsentDay, Error> {
        let (since_ms, until_ms) = (files::start_of(day), files::start_of(day + 1));
        let mut counted = ConsentDay::default();
        let mut packets: Vec<(u64, Option<u32>)> = Vec::new();
        for file in self.days_between(Some(since_ms), Some(until_ms))? {
            let Some((connection, _)) = self.day(file)? else { continue };
            let window = (since_ms, until_ms);
            let mut count = |connection: &rusqlite::Connection| {
                let judgements = judgements(connection)?;
                counted.take_receptions(connection, &judgements, window, &mut packets)?;
                counted.take_releases(connection, &judgements, window)
            };
            count(&connection).map_err(self.in_file(file))?;
        }
        counted.count_distinct(packets);
        Ok(counted)
    }
}

/// From a moment, and before another, Unix ms.
type Window = (i64, i64);

/// What consent was found, and whether the rule `consent` kept the packet from everyone.
type Judged = (Consent, bool);

/// Stands for a judgement of a kind that this program does not know: nobody has agreed then.
const UNREADABLE: Judged = (Consent::Unknown, false);

fn judgements(connection: &rusqlite::Connection) -> rusqlite::Result<HashMap<i64, Judged>> {
    let mut statement = connection.prepare("SELECT id, consent, verdict, rule FROM judgement")?;
    let rows = statement.query_map([], |row| {
        let code = |column: usize| row.get::<_, i64>(column).map(|code| u8::try_from(code).ok());
        let consent = code(1)?.and_then(Consent::from_code).unwrap_or(Consent::Unknown);
        let is_kept =
            matches!(code(2)?.and_then(Verdict::from_code), Some(Verdict::RecordOnly | Verdict::Refuse));
        let rule = code(3)?.and_then(RuleId::from_code);
        Ok((row.get(0)?, (consent, is_kept && rule == Some(RuleId::Consent))))
    })?;
    rows.collect()
}

impl ConsentCounts {
    fn take(&mut self, (consent, is_withheld): Judged, is_nameless: bool) {
        self.receptions += 1;
        self.packets += u64::from(is_nameless);
        match consent {
            Consent::Yes => self.yes += 1,
            Consent::No => self.no += 1,
            Consent::Unknown => self.unknown += 1,
        }
        self.withheld += u64::from(is_withheld);
    }
}

impl ConsentDay {
    fn take_receptions(
        &mut self,
        connection: &rusqlite::Connection,
        judgements: &HashMap<i64, Judged>,
        window: Window,
        packets: &mut Vec<(u64, Option<u32>)>,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "SELECT s.gateway, r.judgement, r.sender, r.packet FROM reception r
             JOIN source s ON s.id = r.source WHERE r.at_ms >= ?1 AND r.at_ms < ?2",
        )?;
        let mut rows = statement.query(window)?;
        while let Some(row) = rows.next()? {
            let gateway = u32::try_from(row.get::<_, i64>(0)?).ok();
            let judgement = judgements.get(&row.get::<_, i64>(1)?).copied().unwrap_or(UNREADABLE);
            let (Some(sender), Some(id)) = (row.get::<_, Option<u32>>(2)?, row.get::<_, Option<u32>>(3)?)
            else {
                self.no_packet += 1;
                continue;
            };
            let is_nameless = id == 0;
            if !is_nameless {
                packets.push((u64::from(sender) << 32 | u64::from(id), gateway));
            }
            self.all.take(judgement, is_nameless);
            if let Some(gateway) = gateway {
                self.by_gateway.entry(gateway).or_default().take(judgement, is_nameless);
            }
        }
        Ok(())
    }

    /// Reads every release of the day. One whose reception is missing counts as without consent: what cannot be shown
    /// to have been agreed to was not.
    fn take_releases(
        &mut self,
        connection: &rusqlite::Connection,
        judgements: &HashMap<i64, Judged>,
        window: Window,
    ) -> rusqlite::Result<()> {
        let mut names: HashMap<i64, String> = HashMap::new();
        let mut name = connection.prepare("SELECT text FROM word WHERE id = ?1")?;
        let mut statement = connection.prepare(
            "SELECT l.copies, r.judgement FROM release l LEFT JOIN reception r ON r.seq = l.seq
             WHERE l.at_ms >= ?1 AND l.at_ms < ?2",
        )?;
        let mut rows = statement.query(window)?;
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get(0)?;
            let judgement = row.get::<_, Option<i64>>(1)?.and_then(|id| judgements.get(&id));
            let has_agreed = judgement.is_some_and(|(consent, _)| *consent == Consent::Yes);
            for copy in copies::read(&bytes) {
                if let std::collections::hash_map::Entry::Vacant(unknown) = names.entry(copy.receiver) {
                    unknown.insert(name.query_row([copy.receiver], |row| row.get(0))?);
                }
                let key = (copy.kind.code(), names[&copy.receiver].clone());
                self.by_receiver.entry(key).or_default().take(copy.outcome, has_agreed);
            }
        }
        Ok(())
    }

    fn count_distinct(&mut self, mut packets: Vec<(u64, Option<u32>)>) {
        packets.sort_unstable();
        packets.dedup();
        let mut last = None;
        for (packet, gateway) in packets {
            self.all.packets += u64::from(last != Some(packet));
            last = Some(packet);
            if let Some(counts) = gateway.and_then(|gateway| self.by_gateway.get_mut(&gateway)) {
                counts.packets += 1;
            }
        }
    }

    /// The receivers in the order of kind and name.
    pub fn receivers(&self) -> impl Iterator<Item = (ReceiverKind, &str, ReceiverCounts)> {
        self.by_receiver.iter().filter_map(|((kind, name), counts)| {
            ReceiverKind::from_code(*kind).map(|kind| (kind, name.as_str(), *counts))
        })
    }
}

impl ReceiverCounts {
    fn take(&mut self, outcome: Outcome, has_agreed: bool) {
        match outcome {
            Outcome::Delivered | Outcome::DeliveredWithHopLimit(_) => {
                self.delivered += 1;
                self.without_consent += u64::from(!has_agreed);
            }
            Outcome::Withheld(rule) => self.withheld += u64::from(rule == RuleId::OutsideConsent),
            Outcome::Dropped => {}
        }
    }
}
