//! The ledger's part on who is there: connections, sessions, their ends, restarts, and what becomes of Wills then.

use std::collections::BTreeMap;

use mqtt::Version;

use crate::Promise;
use crate::ledger::{Kept, Ledger, SLACK_MS, There, WillState, broken};
use crate::owed::{Answer, DueAnswer, Session, Stage};
use crate::wire::Hello;

impl Ledger {
    /// The answer that a CONNECT deserves; the error is what a refusal would be for.
    pub fn judge_connect(&self, hello: &Hello, knows_password: bool) -> Result<bool, &'static str> {
        if !knows_password {
            return Err("the credential is not valid");
        }
        match self.sessions.get(&hello.session_of) {
            Some(session) if session.owner != hello.client => Err("the Client Identifier is somebody else's"),
            Some(session) => Ok(!hello.is_clean && !session.ends_with_its_connection()),
            None if self.sessions.len() >= self.bounds.sessions_max => Err("there are too many sessions"),
            None => Ok(false),
        }
    }

    /// The connection of a session is gone, or about to be taken over; its Will falls due.
    pub fn on_detached(&mut self, session_of: usize, is_takeover: bool, ends: bool) {
        let now_ms = self.now_ms;
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        session.wire = None;
        let unspoken = session.answers.iter().filter_map(|due| due.after).max();
        session.unspoken = session.unspoken.max(unspoken.unwrap_or(0));
        session.answers.clear();
        session.at_once.clear();
        let expiry_ms = session.expiry_ms;
        session.ends_at_ms = Some(now_ms.saturating_add(expiry_ms));
        let Some(number) = session.will else { return };
        let Some(WillState::Armed { delay_ms }) = self.wills.get(&number).copied() else { return };
        let state = if is_takeover && !ends && delay_ms > 0 && expiry_ms > 0 {
            WillState::Cancelled
        } else if ends {
            WillState::Due { at_ms: now_ms }
        } else {
            WillState::Due { at_ms: now_ms.saturating_add(delay_ms.min(expiry_ms)) }
        };
        self.wills.insert(number, state);
    }

    /// A clean start ends the session of an absent client; its Will falls due.
    pub fn on_ended(&mut self, session_of: usize) {
        let now_ms = self.now_ms;
        let Some(number) = self.sessions.get(&session_of).and_then(|s| s.will) else { return };
        if let Some(WillState::Due { at_ms }) = self.wills.get_mut(&number) {
            *at_ms = now_ms.min(*at_ms);
        }
    }

    /// CONNACK said yes.
    pub fn on_attached(&mut self, wire: usize, hello: &Hello, version: Version, was_present: bool) -> Kept {
        if !was_present {
            self.sessions.remove(&hello.session_of);
        }
        let (now_ms, bounds) = (self.now_ms, self.bounds.clone());
        if let Some(number) = self.sessions.get_mut(&hello.session_of).and_then(|s| s.will.take())
            && let Some(WillState::Due { at_ms }) = self.wills.get(&number).copied()
        {
            if at_ms + SLACK_MS <= now_ms {
                return Err(broken(
                    Promise::Will,
                    format!("Will {number} was due at {at_ms} and is forgotten"),
                ));
            }
            self.wills.insert(number, WillState::Cancelled);
        }
        let session =
            self.sessions.entry(hello.session_of).or_insert_with(|| Session::new(hello.client, wire));
        // What was too large for the client as it was may have been given up already.
        let given_up: Vec<bool> =
            session.owed.iter().map(|o| session.may_be_skipped(&self.notes, o, now_ms)).collect();
        session.owed.iter_mut().zip(given_up).for_each(|(o, is)| o.is_optional |= is);
        session.wire = Some(wire);
        session.version = version;
        session.is_revoked = false;
        session.ends_at_ms = None;
        session.expiry_ms = u64::from(hello.expiry_s.min(bounds.session_expiry_max_s)) * 1000;
        session.receive_maximum = usize::from(hello.receive_maximum.min(bounds.receive_maximum));
        session.packet_bytes_max = hello.packet_bytes_max;
        // What the client does not take any more because of its size counts as done, once its turn comes to be
        // repeated. [MQTT-3.1.2-25]
        let too_large: Vec<bool> =
            session.owed.iter().map(|o| session.is_too_large(&self.notes, o)).collect();
        session.owed.iter_mut().zip(too_large).for_each(|(o, is)| o.is_optional |= is);
        session.will = hello.will.map(|(number, _)| number);
        if let Some((number, delay_ms)) = hello.will {
            self.wills.insert(number, WillState::Armed { delay_ms });
        }
        let received = session.owed.iter().filter(|o| o.stage == Stage::Received);
        let again: Vec<u16> = received.map(|o| o.packet_id).collect();
        for packet_id in again {
            session.answers.push(DueAnswer { answer: Answer::Pubrel { packet_id }, after: None });
        }
        Ok(())
    }

    /// The broker starts again: every connection is gone, and what waited may be taken for sent.
    pub fn on_restart(&mut self) {
        let connected: Vec<usize> =
            self.sessions.iter().filter(|(_, s)| s.wire.is_some()).map(|(of, _)| *of).collect();
        connected.into_iter().for_each(|session_of| self.on_detached(session_of, false, false));
        for session in self.sessions.values_mut() {
            session.dropped = 0;
            session.owed.iter_mut().for_each(|owed| owed.may_be_repeated = true);
        }
    }

    /// The credential of a session's owner was taken away: the session ends and its Will is not published.
    pub fn on_revoked(&mut self, owner: usize) {
        let now_ms = self.now_ms;
        for session in self.sessions.values_mut().filter(|s| s.owner == owner) {
            session.is_revoked = true;
            session.expiry_ms = 0;
            if session.wire.is_none() {
                session.ends_at_ms = Some(now_ms);
            }
            if let Some(number) = session.will.take() {
                self.wills.insert(number, WillState::Cancelled);
            }
        }
    }

    /// Compares the sessions with those the broker has, by whose Client Identifier they are and how much was dropped.
    pub fn compare_sessions(
        &mut self,
        there: &BTreeMap<usize, There>,
        outboxes: &BTreeMap<usize, usize>,
    ) -> Kept {
        let now_ms = self.now_ms;
        for (session_of, session) in &self.sessions {
            let is_over = session.wire.is_none() && session.ends_at_ms.is_some_and(|at| at <= now_ms);
            let is_long_over =
                session.wire.is_none() && session.ends_at_ms.is_some_and(|at| at + SLACK_MS <= now_ms);
            match there.get(session_of) {
                None if !is_over => {
                    let what = format!("the session of client {session_of} is gone before its time");
                    return Err(broken(Promise::Session, what));
                }
                Some(_) if is_long_over => {
                    let what = format!("the session of client {session_of} outlived its time");
                    return Err(broken(Promise::Session, what));
                }
                _ => {}
            }
        }
        if let Some(unknown) = there.keys().find(|of| !self.sessions.contains_key(of)) {
            return Err(broken(Promise::Session, format!("a session of client {unknown} that nobody made")));
        }
        self.sessions.retain(|session_of, _| there.contains_key(session_of));
        let bytes_max = self.bounds.queue_bytes_max;
        let notes = &self.notes;
        for (session_of, session) in &mut self.sessions {
            let There { dropped, queued } = there.get(session_of).copied().unwrap_or_default();
            let is_full = outboxes.get(session_of).is_none_or(|len| *len >= bytes_max);
            session.settle_drops(notes, *session_of, dropped, is_full)?;
            if queued > session.owed.len() {
                let (owed, what) = (session.owed.len(), "messages for client");
                let what = format!("the broker holds {queued} {what} {session_of}, but owes {owed}");
                return Err(broken(Promise::NothingIsKept, what));
            }
        }
        Ok(())
    }
}
