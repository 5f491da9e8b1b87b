//! Who heard whom, in as few columns as that takes: for folds over windows that are too large to read whole.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use mesh::observe::Flags;
use policy::decision::Verdict;
use record::{Consent, KeyClass, Reception};
use rusqlite::Connection;

use crate::error::Error;
use crate::reader::Reader;
use crate::schema::Version;
use crate::search::Effort;
use crate::span;

/// Rows between two looks at the clock.
const LOOK_EVERY: u64 = 4_096;

/// What decides whether somebody may know of a reception. Many receptions share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// Whether the sender agreed.
    pub consent: Consent,
    /// How public the key of its channel is.
    pub key_class: KeyClass,
    /// What policy said.
    pub verdict: Verdict,
    /// Port number; `None` when it could not be opened.
    pub port: Option<u32>,
    /// Channel name.
    pub channel: Option<Arc<str>>,
}

impl Sort {
    /// The sort of a whole reception.
    pub fn of(reception: &Reception) -> Self {
        Self {
            consent: reception.consent,
            key_class: reception.key_class,
            verdict: reception.decision.verdict,
            port: reception.port,
            channel: reception.channel.clone(),
        }
    }
}

/// One reception of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HearingRow {
    /// When, Unix ms.
    pub at_ms: i64,
    /// Sender's node number.
    pub from: u32,
    /// Gateway's node number.
    pub gateway: u32,
    /// Packet id.
    pub packet: u32,
    /// Hops travelled; `None` when unknown.
    pub hops: Option<u8>,
    /// Whether it came by MQTT on its way.
    pub is_via_mqtt: bool,
    /// Signal-to-noise ratio, quarters of a dB.
    pub snr_quarters: Option<i32>,
}

/// How far back a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// Nothing earlier than this was looked at, Unix ms.
    pub since_ms: i64,
    /// Whether the effort ended before the window did.
    pub is_cut_short: bool,
    /// Whether the effort ended before all places, traceroutes and neighbours of the window were read.
    pub is_told_cut_short: bool,
    /// Receptions gone through.
    pub rows: u64,
}

impl Reader {
    /// Shows the receptions of packets in a window whose sort may be seen, newest first, until the effort ends. Files of
    /// version 1 are left out: they do not tell hops.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn hearings(
        &self,
        since_ms: i64,
        until_ms: i64,
        effort: Effort,
        may_see: &dyn Fn(&Sort) -> bool,
        visit: &mut dyn FnMut(HearingRow),
    ) -> Result<Walked, Error> {
        let began = Instant::now();
        let mut walked = Walked { since_ms, is_cut_short: false, is_told_cut_short: false, rows: 0 };
        for day in self.days_between(Some(since_ms), Some(until_ms))?.into_iter().rev() {
            let Some((connection, version)) = self.day(day)? else { continue };
            if version < Version::TWO {
                continue;
            }
            let mut reached_ms = until_ms;
            let flow = walk(&connection, since_ms, until_ms, may_see, &mut |row| {
                walked.rows += 1;
                reached_ms = row.0;
                if let Some(hearing) = row.1 {
                    visit(hearing);
                }
                let is_over = walked.rows >= effort.rows
                    || (walked.rows.is_multiple_of(LOOK_EVERY) && began.elapsed() >= effort.time);
                if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map_err(self.in_file(day))?;
            if flow.is_break() {
                return Ok(Walked { since_ms: reached_ms.max(since_ms), is_cut_short: true, ..walked });
            }
        }
        Ok(walked)
    }
}

fn walk(
    connection: &Connection,
    since_ms: i64,
    until_ms: i64,
    may_see: &dyn Fn(&Sort) -> bool,
    visit: &mut dyn FnMut((i64, Option<HearingRow>)) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    let (first, end) = span::numbers(connection, Some(since_ms), Some(until_ms))?;
    let mut statement = connection.prepare_cached(
        "SELECT at_ms, sender, packet, hops, snr_quarters, source, judgement FROM reception
         WHERE seq >= ?1 AND seq < ?2 AND at_ms >= ?3 AND at_ms < ?4 AND sender IS NOT NULL ORDER BY seq DESC",
    )?;
    let mut sorts: HashMap<(i64, i64), Option<(u32, bool)>> = HashMap::new();
    let mut rows = statement.query([first, end, since_ms, until_ms])?;
    while let Some(row) = rows.next()? {
        let at_ms: i64 = row.get(0)?;
        let key: (i64, i64) = (row.get(5)?, row.get(6)?);
        let known = match sorts.get(&key) {
            Some(known) => *known,
            None => {
                let (gateway, is_via_mqtt, sort) = sort_of(connection, key)?;
                let known = gateway.filter(|_| may_see(&sort)).map(|gateway| (gateway, is_via_mqtt));
                sorts.insert(key, known);
                known
            }
        };
        let hearing = match known {
            Some((gateway, is_via_mqtt)) => Some(HearingRow {
                at_ms,
                from: row.get(1)?,
                gateway,
                packet: row.get::<_, Option<u32>>(2)?.unwrap_or(0),
                hops: row.get(3)?,
                is_via_mqtt,
                snr_quarters: row.get(4)?,
            }),
            None => None,
        };
        if visit((at_ms, hearing)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn sort_of(connection: &Connection, key: (i64, i64)) -> rusqlite::Result<(Option<u32>, bool, Sort)> {
    let mut statement = connection.prepare_cached(
        "SELECT s.gateway, channel.text, j.verdict, j.port, j.consent, j.key_class, j.flags
         FROM source s JOIN judgement j ON j.id = ?2 LEFT JOIN word channel ON channel.id = s.channel WHERE s.id = ?1",
    )?;
    statement.query_row([key.0, key.1], |row| {
        let number = |column: usize| row.get::<_, i64>(column).map(|v| u32::try_from(v).ok());
        let flags = Flags(row.get::<_, i64>(6)? as u64);
        let sort = Sort {
            consent: Consent::from_code(row.get(4)?).unwrap_or(Consent::Unknown),
            key_class: KeyClass::from_code(row.get(5)?).unwrap_or(KeyClass::Unknown),
            // As where whole receptions are read: what cannot be understood was passed on to nobody.
            verdict: Verdict::from_code(row.get(2)?).unwrap_or(Verdict::RecordOnly),
            port: number(3)?,
            channel: row.get::<_, Option<String>>(1)?.map(Arc::from),
        };
        Ok((number(0)?, flags.contains(Flags::VIA_MQTT), sort))
    })
}
