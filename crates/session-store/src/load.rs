//! Reading everything at the start. Tables are read from end to end, each once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use broker::{Away, Head, Kept, KeptCopy, KeptSession, Message, Now, Queued, SessionKey, Subscription, Will};
use policy::principal::Principal;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::error::Error;
use crate::schema;
use crate::write::SessionStore;

impl SessionStore {
    /// Reads everything. Times become those of the broker's clock; what is past is due at `now`.
    ///
    /// # Errors
    /// When the file cannot be read or holds what this program does not write.
    pub fn load(&self, now: Now) -> Result<Kept, Error> {
        let failed = Error::sqlite(&self.file);
        // Retained messages are most of it. They are read on this thread and the rest beside them: glibc gives other
        // threads memory in small steps, which takes a quarter of the time.
        let beside = schema::open_for_reading(&self.file)?;
        std::thread::scope(|scope| {
            let sessions = scope.spawn(move || sessions(&beside, now));
            let retained = retained(&self.connection, now).map_err(&failed)?;
            let sessions = sessions
                .join()
                .map_err(|_| Error::Damaged(self.file.clone(), "reading the sessions panicked".to_owned()))?;
            Ok(Kept { sessions: sessions.map_err(&failed)?, retained })
        })
    }
}

fn retained(connection: &Connection, now: Now) -> rusqlite::Result<BTreeMap<Arc<str>, Arc<Message>>> {
    let sql = "SELECT topic, payload, qos, properties, expires_at_ms FROM retained ORDER BY topic";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let topic: Arc<str> = row.get_ref(0)?.as_str()?.into();
        let message = Message {
            topic: topic.clone(),
            payload: row.get_ref(1)?.as_blob()?.into(),
            qos: row.get(2)?,
            retain: true,
            properties: blob(row.get_ref(3)?)?.map(Into::into),
            expires_at_ms: time(row.get(4)?, now),
            hop_limit_at: None,
        };
        found.push((topic, Arc::new(message)));
    }
    // Sorted already, which makes building the map one pass.
    Ok(found.into_iter().collect())
}

fn sessions(connection: &Connection, now: Now) -> rusqlite::Result<BTreeMap<SessionKey, KeptSession>> {
    let mut sessions = BTreeMap::new();
    let sql = "SELECT key, client_id, role, username, gateway, prefix, generation, expiry_ms, receive_maximum, is_away,
                      ends_at_ms, will_due_ms, sent_to, topic, payload, qos, retain, delay_ms, expiry_s, properties
               FROM session LEFT JOIN will ON will.session = session.key";
    for_each(connection, sql, |row| {
        let mut session = KeptSession::new(Head {
            client_id: text(row, 1)?,
            principal: principal(row)?,
            generation: row.get(6)?,
            expiry_ms: row.get(7)?,
            receive_maximum: row.get(8)?,
            will: will(row)?,
        });
        if row.get(9)? {
            session.away = Some(Away {
                ends_at_ms: time(row.get(10)?, now),
                will_due_ms: time(row.get(11)?, now),
                sent_to: row.get(12)?,
            });
        }
        sessions.insert(SessionKey(row.get(0)?), session);
        Ok(())
    })?;
    let sql = "SELECT session, filter, qos, no_local, retain_as_published, identifier FROM subscription";
    for_each(connection, sql, |row| {
        if let Some(session) = sessions.get_mut(&SessionKey(row.get(0)?)) {
            let wanted = Subscription {
                qos: row.get(2)?,
                no_local: row.get(3)?,
                retain_as_published: row.get(4)?,
                identifier: row.get(5)?,
            };
            session.subscriptions.insert(row.get_ref(1)?.as_str()?.into(), wanted);
        }
        Ok(())
    })?;
    for_each(connection, "SELECT session, packet_id FROM incoming", |row| {
        if let Some(session) = sessions.get_mut(&SessionKey(row.get(0)?)) {
            session.incoming_qos2.insert(row.get(1)?);
        }
        Ok(())
    })?;
    copies(connection, now, &mut sessions)?;
    Ok(sessions)
}

fn copies(
    connection: &Connection,
    now: Now,
    sessions: &mut BTreeMap<SessionKey, KeptSession>,
) -> rusqlite::Result<()> {
    let mut messages: HashMap<i64, Arc<Message>> = HashMap::new();
    let sql = "SELECT id, topic, payload, qos, retain, properties, expires_at_ms, hop_limit_at FROM message";
    for_each(connection, sql, |row| {
        let message = Message {
            topic: text(row, 1)?,
            payload: row.get_ref(2)?.as_blob()?.into(),
            qos: row.get(3)?,
            retain: row.get(4)?,
            properties: blob(row.get_ref(5)?)?.map(Into::into),
            expires_at_ms: time(row.get(6)?, now),
            hop_limit_at: row.get(7)?,
        };
        messages.insert(row.get(0)?, Arc::new(message));
        Ok(())
    })?;
    let sql = "SELECT session, place, message, qos, retain, hop_limit, identifiers FROM copy";
    for_each(connection, sql, |row| {
        let Some(session) = sessions.get_mut(&SessionKey(row.get(0)?)) else { return Ok(()) };
        let order: u64 = row.get(1)?;
        let copy = match row.get::<_, Option<i64>>(2)? {
            None => KeptCopy::Released,
            Some(id) => KeptCopy::Message(Queued {
                order,
                message: messages.get(&id).ok_or_else(|| nonsense(2, "a copy of no message"))?.clone(),
                qos: row.get(3)?,
                retain: row.get(4)?,
                hop_limit: row.get(5)?,
                identifiers: identifiers(blob(row.get_ref(6)?)?),
                group: None,
                stale_at_ms: None,
            }),
        };
        session.copies.insert(order, copy);
        Ok(())
    })
}

fn principal(row: &Row<'_>) -> rusqlite::Result<Principal> {
    let username = || text(row, 3);
    Ok(match row.get_ref(2)?.as_str()? {
        "gateway" => Principal::Gateway { username: username()?, gateway: row.get(4)? },
        "observer" => Principal::Observer { username: username()? },
        "service" => Principal::Service { username: username()?, prefix: text(row, 5)? },
        "guest" => Principal::Guest { gateway: row.get(4)? },
        "bridge" => Principal::Bridge { username: username()? },
        "lab" => Principal::Lab,
        _ => return Err(nonsense(2, "an unknown role")),
    })
}

fn will(row: &Row<'_>) -> rusqlite::Result<Option<Arc<Will>>> {
    if row.get_ref(13)? == ValueRef::Null {
        return Ok(None);
    }
    Ok(Some(Arc::new(Will {
        topic: row.get_ref(13)?.as_str()?.into(),
        payload: row.get_ref(14)?.as_blob()?.into(),
        qos: row.get(15)?,
        retain: row.get(16)?,
        delay_ms: row.get(17)?,
        expiry_s: row.get(18)?,
        properties: blob(row.get_ref(19)?)?.map(Into::into),
    })))
}

fn for_each(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

fn blob(value: ValueRef<'_>) -> rusqlite::Result<Option<&[u8]>> {
    Ok(value.as_blob_or_null()?)
}

fn identifiers(bytes: Option<&[u8]>) -> broker::Identifiers {
    let bytes = bytes.unwrap_or_default();
    bytes.chunks_exact(4).map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]])).collect()
}

/// Unix milliseconds as a time on the broker's clock; what is past is now.
fn time(unix_ms: Option<i64>, now: Now) -> Option<u64> {
    unix_ms.map(|at| {
        let ahead = at.saturating_sub(now.unix_ms);
        now.mono_ms.saturating_add(u64::try_from(ahead).unwrap_or(0))
    })
}

fn nonsense(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, what.into())
}
