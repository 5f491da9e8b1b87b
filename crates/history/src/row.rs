//! Rows back into receptions and releases.

use std::sync::Arc;

use policy::decision::{Decision, Verdict};
use policy::rule::{RuleId, RuleSet};
use record::{Consent, KeyClass, Reception, Release, ReleasedCopy};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::payload::{self, Known};
use crate::schema::EVERYONE;
use crate::{copies, header};

/// Everything of a reception `r`; conditions follow.
pub const SELECT: &str = "SELECT r.seq, r.at_ms, client.text, username.text, s.gateway, topic.text, channel.text,
    j.verdict, j.rule, sentence.text, j.observed, j.off, j.port, j.consent, j.key_class, j.flags, j.qos, j.retain,
    r.sender, r.recipient, r.packet, l.content, b.content, r.content, r.header, r.frame_bytes, r.airtime_us
    FROM reception r
    JOIN source s ON s.id = r.source
    JOIN judgement j ON j.id = r.judgement
    JOIN word client ON client.id = s.client
    JOIN word topic ON topic.id = s.topic
    JOIN word sentence ON sentence.id = j.sentence
    LEFT JOIN word username ON username.id = s.username
    LEFT JOIN word channel ON channel.id = s.channel
    LEFT JOIN layout l ON l.id = r.layout
    LEFT JOIN body b ON b.id = r.body";

/// The receptions of a query that begins with `SELECT`.
pub fn select(
    connection: &Connection,
    query: &str,
    arguments: Vec<Value>,
) -> rusqlite::Result<Vec<Reception>> {
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map(params_from_iter(arguments), reception)?;
    rows.collect()
}

fn reception(row: &Row<'_>) -> rusqlite::Result<Reception> {
    let text = |column: usize| row.get::<_, String>(column).map(Arc::<str>::from);
    let optional_text = |column: usize| row.get::<_, Option<String>>(column).map(|t| t.map(Arc::<str>::from));
    // None is -1, and so is what a damaged file may hold.
    let optional_number = |column: usize| row.get::<_, i64>(column).map(|v| u32::try_from(v).ok());
    let bits = |column: usize| row.get::<_, i64>(column).map(|v| v as u64);
    let at_ms: i64 = row.get(1)?;
    let header_of = match row.get::<_, Option<u32>>(18)? {
        Some(from) => {
            let to = row.get::<_, Option<u32>>(19)?.unwrap_or(EVERYONE);
            Some(Known { from, to, id: row.get(20)?, at_s: at_ms.div_euclid(1000) })
        }
        None => None,
    };
    let payload = payload(row, header_of.unwrap_or_default())?;
    let told: Option<Vec<u8>> = row.get(24)?;
    let told = told.unwrap_or_default();
    let packet = header_of.map(|h| header::read(&told, &payload, h.from, h.to, h.id));
    Ok(Reception {
        seq: bits(0)?,
        at_ms,
        client_id: text(2)?,
        username: optional_text(3)?,
        gateway: optional_number(4)?,
        topic: text(5)?,
        payload: payload.into(),
        qos: row.get(16)?,
        retain: row.get(17)?,
        packet,
        channel: optional_text(6)?,
        port: optional_number(12)?,
        consent: Consent::from_code(row.get(13)?).unwrap_or(Consent::Unknown),
        key_class: KeyClass::from_code(row.get(14)?).unwrap_or(KeyClass::Unknown),
        flags: bits(15)?,
        frame_bytes: row.get(25)?,
        airtime_us: row.get(26)?,
        decision: Decision {
            // What no rule of ours decided was passed on to nobody.
            verdict: Verdict::from_code(row.get(7)?).unwrap_or(Verdict::RecordOnly),
            rule: optional_number(8)?.and_then(|v| u8::try_from(v).ok()).and_then(RuleId::from_code),
            sentence: row.get::<_, String>(9)?.into(),
            observed: RuleSet(bits(10)?),
            off: RuleSet(bits(11)?),
        },
    })
}

fn payload(row: &Row<'_>, known: Known) -> rusqlite::Result<Vec<u8>> {
    let content: Vec<u8> = row.get(23)?;
    let (Some(layout), Some(body)) = (row.get::<_, Option<Vec<u8>>>(21)?, row.get::<_, Option<Vec<u8>>>(22)?)
    else {
        return Ok(content);
    };
    payload::put_together(&layout, &content, &body, known).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(23, Type::Blob, "the payload is damaged".into())
    })
}

/// What became of the copies of a reception.
pub fn release(connection: &Connection, seq: u64) -> rusqlite::Result<Option<Release>> {
    let mut query = connection.prepare_cached("SELECT at_ms, copies FROM release WHERE seq = ?1")?;
    let found: Option<(i64, Vec<u8>)> =
        query.query_row([seq as i64], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((at_ms, bytes)) = found else { return Ok(None) };
    let mut word = connection.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
    let mut copies = Vec::new();
    for copy in copies::read(&bytes) {
        let receiver: String = word.query_row([copy.receiver], |row| row.get(0))?;
        let (kind, outcome, observed) = (copy.kind, copy.outcome, copy.observed);
        let details = copy.details;
        copies.push(ReleasedCopy { receiver: receiver.into(), kind, outcome, observed, details });
    }
    Ok(Some(Release { reception_seq: seq, at_ms, copies }))
}
