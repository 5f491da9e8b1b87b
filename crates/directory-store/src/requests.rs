//! The access desk's requests on disk. Contact data goes with its request, which retention deletes.

use directory::{
    Command, Grant, GrantCommand, Owner, REQUESTS_WAITING_MAX, Request, RequestDecision, RequestForm,
    RequestKind, RequestRefused, RequestState, Token, check_decision,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StoreError;
use crate::audit;
use crate::secret::random_token;
use crate::store::{Store, begin_write, read_directory, since_1970, write_change};

/// After so long a request that nobody decided has expired: 60 days, in milliseconds.
const EXPIRES_AFTER_MS: i64 = 60 * 24 * 3_600_000;

const COLUMNS: &str =
    "number, kind, node, owner, contact, place, is_fixed, power, height, internet, channels,
    wants_downlink, wants_telemetry, reason, state, asked_ms, decided_ms, decided_by, answer";

/// What the owner of an approved gateway is shown once.
pub struct Fetched {
    /// The request.
    pub request: Request,
    /// The gateway's user name.
    pub username: String,
    /// Its password; every earlier one is void.
    pub password: Token,
}

impl Store {
    /// Takes a request, and gives the code with which its author asks after it; only the code's hash is stored.
    ///
    /// # Errors
    /// When too many wait or the node has one that waits, or the file cannot be written.
    pub fn take_request(&mut self, form: &RequestForm, now_ms: i64) -> Result<(i64, Token), StoreError> {
        self.expire_requests(now_ms)?;
        let code = random_token()?;
        let hash = self.token_key().hash_setup(code.reveal().as_bytes());
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let open: Vec<u32> = writing
            .prepare("SELECT node FROM request WHERE state IN ('waiting', 'asked-back')")
            .and_then(|mut nodes| nodes.query_map([], |row| row.get(0))?.collect())
            .map_err(failed)?;
        if open.contains(&form.node.0) {
            return Err(StoreError::Request(RequestRefused::Twice));
        }
        if open.len() >= REQUESTS_WAITING_MAX {
            return Err(StoreError::Request(RequestRefused::TooMany));
        }
        let insert = || -> rusqlite::Result<i64> {
            writing.execute(
                "INSERT INTO request (code, kind, node, owner, contact, place, is_fixed, power, height, internet,
                     channels, wants_downlink, wants_telemetry, reason, state, asked_ms, decided_by, answer)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'waiting', ?15, '', '')",
                params![
                    hash.as_bytes(),
                    form.kind.word(),
                    form.node.0,
                    form.owner,
                    form.contact,
                    form.place,
                    form.is_fixed,
                    form.power,
                    form.height,
                    form.internet,
                    form.channels.join(","),
                    form.wants_downlink,
                    form.wants_telemetry,
                    form.reason,
                    now_ms
                ],
            )?;
            let number = writing.last_insert_rowid();
            note(
                &writing,
                now_ms,
                "public page",
                "ask",
                number,
                &format!("request {number} for {}", form.node),
            )?;
            Ok(number)
        };
        let number = insert().map_err(failed)?;
        writing.commit().map_err(failed)?;
        Ok((number, code))
    }

    /// All requests that are kept, the newest first.
    pub fn requests(&self) -> Result<Vec<Request>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Request>> {
            self.connection
                .prepare(&format!("SELECT {COLUMNS} FROM request ORDER BY number DESC"))?
                .query_map([], read_request)?
                .collect()
        };
        read().map_err(|source| self.during("read", source))
    }

    /// The request with a code.
    pub fn request_by_code(&self, offered: &str) -> Result<Option<Request>, StoreError> {
        let hash = self.token_key().hash_setup(offered.as_bytes());
        self.connection
            .query_row(
                &format!("SELECT {COLUMNS} FROM request WHERE code = ?1"),
                [hash.as_bytes()],
                read_request,
            )
            .optional()
            .map_err(|source| self.during("read", source))
    }

    /// Does what an operator decided. Approval of access makes a credential whose password nobody knows until the owner
    /// fetches it; what was asked beyond the ordinary becomes a grant.
    ///
    /// # Errors
    /// When the decision is refused, or the file cannot be written.
    pub fn decide_request(
        &mut self,
        number: i64,
        decision: RequestDecision,
        answer: &str,
        actor: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let password = random_token()?;
        let key = self.token_key().clone();
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let request = writing
            .query_row(&format!("SELECT {COLUMNS} FROM request WHERE number = ?1"), [number], read_request)
            .optional()
            .map_err(failed)?
            .ok_or(StoreError::Request(RequestRefused::Unknown(number)))?;
        check_decision(request.state, decision, answer).map_err(StoreError::Request)?;
        if decision == RequestDecision::Approve {
            let form = &request.form;
            let mut directory = read_directory(&writing, &path)?;
            let is_gateway = directory.gateway(form.node).is_some();
            match form.kind {
                RequestKind::Access => {
                    let owner = Some(Owner { name: form.owner.clone(), contact: Some(form.contact.clone()) });
                    let note = format!("request {number}");
                    let add = Command::AddGateway { id: form.node, owner, note, token: password };
                    let applied =
                        directory.apply(add, &key, since_1970(now_ms)).map_err(StoreError::Command)?;
                    write_change(&writing, &applied).map_err(failed)?;
                    directory = applied.directory;
                }
                RequestKind::Contribution if !is_gateway => {
                    return Err(StoreError::Request(RequestRefused::UnknownGateway(form.node)));
                }
                RequestKind::Contribution => {}
            }
            if form.wants_downlink || form.wants_telemetry || !form.channels.is_empty() {
                // What was granted before stays granted.
                let before = directory.grants().gateways.get(&form.node).cloned();
                let before = before.filter(|grant| grant.holds_at(now_ms)).unwrap_or_default();
                let mut channels = before.channels.clone();
                channels.extend(form.channels.iter().cloned());
                let granted = Grant {
                    channels,
                    downlink: before.downlink || form.wants_downlink,
                    telemetry: before.telemetry || form.wants_telemetry,
                    by: actor.to_owned(),
                    note: format!("request {number}"),
                    ..before
                };
                let set = GrantCommand::Set(form.node, granted);
                let applied = directory.apply_grant(set, since_1970(now_ms)).map_err(StoreError::Grant)?;
                crate::grant::write(&writing, applied.directory.grants()).map_err(failed)?;
            }
        }
        let write = || -> rusqlite::Result<()> {
            writing.execute(
                "UPDATE request SET state = ?2, decided_ms = ?3, decided_by = ?4, answer = ?5 WHERE number = ?1",
                params![number, decision.leads_to().word(), now_ms, actor, answer.trim()],
            )?;
            let words = format!("request {number} for {}: {}", request.form.node, decision.word());
            note(&writing, now_ms, actor, decision.word(), number, &words)
        };
        write().and_then(|()| writing.commit()).map_err(failed)
    }

    /// Lets the author of a request that was asked back answer: it waits again, with the answer below the reason.
    ///
    /// # Errors
    /// When the request is not one that was asked back, or the file cannot be written.
    pub fn answer_request(&mut self, offered: &str, words: &str, now_ms: i64) -> Result<(), StoreError> {
        let Some(request) = self.request_by_code(offered)? else {
            return Err(StoreError::Request(RequestRefused::Unknown(0)));
        };
        if request.state != RequestState::AskedBack {
            return Err(StoreError::Request(RequestRefused::Decided(request.state)));
        }
        let words = words.trim();
        if words.is_empty() {
            return Err(StoreError::Request(RequestRefused::NoAnswer));
        }
        // Room for a few rounds; a row stays small.
        let reason = format!("{}\n\nAsked: {}\nAnswered: {words}", request.form.reason, request.answer);
        if reason.chars().count() > 6_000 || words.chars().count() > 1_000 {
            return Err(StoreError::Request(RequestRefused::TooLong));
        }
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        let write = || -> rusqlite::Result<()> {
            writing.execute(
                "UPDATE request SET state = 'waiting', reason = ?2 WHERE number = ?1",
                params![request.number, reason],
            )?;
            note(&writing, now_ms, "public page", "answer", request.number, "the author answered")
        };
        write().and_then(|()| writing.commit()).map_err(|source| StoreError::during("write", &path, source))
    }

    /// Uses up what an approval gives: makes the gateway's password anew and tells it this once. `None`: the code is
    /// wrong, or there is nothing to fetch.
    ///
    /// # Errors
    /// When the gateway was removed meanwhile, or the file cannot be written.
    pub fn fetch_credentials(&mut self, offered: &str, now_ms: i64) -> Result<Option<Fetched>, StoreError> {
        let request = self.request_by_code(offered)?;
        let Some(request) = request.filter(|request| {
            request.state == RequestState::Approved && request.form.kind == RequestKind::Access
        }) else {
            return Ok(None);
        };
        let password = random_token()?;
        let key = self.token_key().clone();
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let directory = read_directory(&writing, &path)?;
        let username = directory::Username::of_gateway(request.form.node).as_str().to_owned();
        let rotate = Command::Rotate { username: username.clone(), token: password.clone() };
        let applied = directory.apply(rotate, &key, since_1970(now_ms)).map_err(StoreError::Command)?;
        let write = || -> rusqlite::Result<usize> {
            let taken = writing.execute(
                "UPDATE request SET state = 'fetched' WHERE number = ?1 AND state = 'approved'",
                [request.number],
            )?;
            write_change(&writing, &applied)?;
            let actor = format!("owner of {}", request.form.node);
            note(&writing, now_ms, &actor, "fetch", request.number, "the owner fetched the credentials")?;
            Ok(taken)
        };
        // Two at the same moment: the other one has it.
        if write().map_err(failed)? == 0 {
            return Ok(None);
        }
        writing.commit().map_err(failed)?;
        Ok(Some(Fetched { request, username, password }))
    }

    /// Deletes requests that came before a moment, contact data included; gives how many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn delete_requests_before(&mut self, before_ms: i64) -> Result<usize, StoreError> {
        let delete = || -> rusqlite::Result<usize> {
            self.connection.pragma_update(None, "secure_delete", true)?;
            let deleted = self.connection.execute("DELETE FROM request WHERE asked_ms < ?1", [before_ms])?;
            if deleted > 0 {
                // Nothing of it is left in free space of the file or in its journal.
                self.connection.execute_batch("VACUUM")?;
                self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
            Ok(deleted)
        };
        delete().map_err(|source| self.during("write", source))
    }

    /// How many requests were made before a moment, Unix ms, and when the oldest was.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn requests_before(&self, before_ms: i64) -> Result<(u64, Option<i64>), StoreError> {
        let query = "SELECT coalesce(sum(asked_ms < ?1), 0), min(asked_ms) FROM request";
        self.connection
            .query_row(query, [before_ms], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|source| self.during("read", source))
    }

    fn expire_requests(&mut self, now_ms: i64) -> Result<(), StoreError> {
        self.connection
            .execute(
                "UPDATE request SET state = 'expired' WHERE state IN ('waiting', 'asked-back') AND asked_ms < ?1",
                [now_ms - EXPIRES_AFTER_MS],
            )
            .map(drop)
            .map_err(|source| self.during("write", source))
    }
}

fn note(
    connection: &Connection,
    now_ms: i64,
    actor: &str,
    action: &str,
    number: i64,
    words: &str,
) -> rusqlite::Result<()> {
    audit::write(connection, since_1970(now_ms), actor, action, &format!("request {number}"), words)
}

fn read_request(row: &Row<'_>) -> rusqlite::Result<Request> {
    let word = |column: usize| row.get::<_, String>(column);
    let unreadable =
        |column| rusqlite::Error::InvalidColumnType(column, "word".to_owned(), rusqlite::types::Type::Text);
    let channels = word(10)?;
    Ok(Request {
        number: row.get(0)?,
        form: RequestForm {
            kind: RequestKind::from_word(&word(1)?).ok_or_else(|| unreadable(1))?,
            node: directory::GatewayId(row.get(2)?),
            owner: word(3)?,
            contact: word(4)?,
            place: word(5)?,
            is_fixed: row.get(6)?,
            power: word(7)?,
            height: word(8)?,
            internet: word(9)?,
            channels: channels.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            wants_downlink: row.get(11)?,
            wants_telemetry: row.get(12)?,
            reason: word(13)?,
        },
        state: RequestState::from_word(&word(14)?).ok_or_else(|| unreadable(14))?,
        asked_ms: row.get(15)?,
        decided_ms: row.get(16)?,
        decided_by: word(17)?,
        answer: word(18)?,
    })
}
