//! After every call into the broker: what it wrote, took and closed is compared with the ledger.

use std::collections::BTreeMap;

use mqtt::publish::AckKind;
use mqtt::server_packet::{self, ServerPacket};
use mqtt::{Version, frame};
use record::Record;

use crate::fault::Fault;
use crate::ledger::There;
use crate::ledger::{Kept, broken, number_of};
use crate::owed::Answer;
use crate::watch::Taken;
use crate::wire::{Hello, Sent};
use crate::world::World;
use crate::{Promise, scene};

impl World {
    /// Tells the ledger what the broker is about to be told. CONNECT waits for its answer.
    pub fn expect(&mut self, wire: usize, whole: &[Sent]) {
        let Some(session_of) = self.wires[wire].session else { return };
        for sent in whole {
            match sent {
                Sent::Connect(_) => {}
                Sent::Publish { number, packet_id, .. } => {
                    self.ledger.on_publish(session_of, *packet_id, *number);
                }
                Sent::Subscribe { packet_id, filters, identifier } => {
                    self.ledger.on_subscribe(session_of, *packet_id, filters, *identifier);
                }
                Sent::Unsubscribe { packet_id, filters } => {
                    self.ledger.on_unsubscribe(session_of, *packet_id, filters);
                }
                Sent::Puback(packet_id) => self.ledger.on_puback(session_of, *packet_id),
                Sent::Pubrec { packet_id, is_error } => {
                    self.ledger.on_pubrec(session_of, *packet_id, *is_error);
                }
                Sent::Pubrel(packet_id) => self.ledger.on_pubrel(session_of, *packet_id),
                Sent::Pubcomp(packet_id) => self.ledger.on_pubcomp(session_of, *packet_id),
                Sent::Ping => self.ledger.on_ping(session_of),
                Sent::Disconnect { keeps_will, expiry_s } => {
                    self.ledger.on_goodbye(session_of, *keeps_will, *expiry_s);
                }
            }
        }
    }

    /// Looks at everything the broker did in one call.
    pub fn settle(&mut self, from: Option<usize>, whole: &[Sent]) -> Kept {
        self.keep()?;
        self.take_records(from, fed_clear(whole));
        self.take_closings();
        let written = self.tap()?;
        let hello = match whole {
            [Sent::Connect(hello)] => Some(hello),
            _ => None,
        };
        let accepted = match (hello, from) {
            (Some(hello), Some(wire)) => self.judge_connack(wire, hello, &written)?,
            _ => None,
        };
        if let (Some(hello), Some(_)) = (hello, accepted) {
            self.leave_for(hello);
        }
        let taken = self.watch.take(&mut self.broker);
        taken.iter().try_for_each(|taken| self.take_message(taken, whole))?;
        if let (Some(hello), Some(was_present), Some(wire)) = (hello, accepted, from) {
            let version = self.clients[hello.client].version;
            self.ledger.on_attached(wire, hello, version, was_present)?;
            self.wires[wire].session = Some(hello.session_of);
            self.wires[wire].session_made_by =
                self.ledger.sessions.get(&hello.session_of).map(|session| session.made_by);
        }
        for (wire, bytes) in &written {
            self.look_at(*wire, bytes)?;
        }
        let there = self.sessions_there();
        let outboxes = self.outboxes();
        self.ledger.compare_sessions(&there, &outboxes)?;
        self.compare_retained()?;
        let wires = &self.wires;
        self.ledger.check_step(|wire| !wires[wire].is_closing)
    }

    /// After bytes left an outbox, the broker may have room for more.
    pub fn after_write(&mut self, _wire: usize) -> Kept {
        Ok(())
    }

    fn take_records(&mut self, from: Option<usize>, clear: Option<u64>) {
        let mut receptions = Vec::new();
        self.broker.take_records(&mut |record| {
            if let Record::Reception(reception) = record {
                receptions.push((reception.seq, number_of(&reception.payload).or(clear)));
            }
        });
        for (seq, number) in receptions {
            self.last_seq = seq;
            if let (Some(number), Some(session_of)) = (number, from.and_then(|w| self.wires[w].session)) {
                self.ledger.on_reception(session_of, number, seq);
            }
        }
    }

    fn take_closings(&mut self) {
        while let Some((id, reason)) = self.broker.next_closing() {
            if let Some(wire) = self.wires.iter().position(|w| w.has_broker && w.id == id) {
                self.wires[wire].is_closing = true;
                self.closing.push_back((wire, reason));
            }
        }
    }

    /// Takes the packets that came into outboxes, as the clients will see them.
    fn tap(&mut self) -> Result<Vec<(usize, Vec<u8>)>, crate::ledger::Broken> {
        let mut written = Vec::new();
        while let Some(id) = self.broker.next_dirty() {
            let Some(wire) = self.wires.iter().position(|w| w.has_broker && w.id == id) else { continue };
            let Some(outbox) = self.broker.outbox(id) else { continue };
            let fresh = outbox.unsent()[self.wires[wire].staged_bytes()..].to_vec();
            self.journal.hash(&fresh);
            let mut rest = &fresh[..];
            while !rest.is_empty() {
                let Ok(Some(frame)) = frame::split(rest, u32::MAX) else {
                    return Err(broken(Promise::Lawful, format!("wire {wire}: not whole packets: {rest:?}")));
                };
                let (packet, after) = rest.split_at(frame.len);
                rest = after;
                let seen = self.through_the_fault(wire, packet);
                self.wires[wire].stage(packet, seen.concat());
                written.extend(seen.into_iter().map(|bytes| (wire, bytes)));
            }
        }
        Ok(written)
    }

    /// What the client will see of a packet: the packet, unless a planted fault strikes.
    fn through_the_fault(&mut self, wire: usize, packet: &[u8]) -> Vec<Vec<u8>> {
        let whole = packet.to_vec();
        let (is_publish, qos, dup) = (packet[0] >> 4 == 3, (packet[0] >> 1) & 3, packet[0] & 8 != 0);
        if !is_publish || dup {
            let is_answer = matches!(packet[0] >> 4, 4 | 5 | 7);
            if is_answer && self.strikes(Fault::DamagePacket) {
                return vec![[&[packet[0] | 1], &packet[1..]].concat()];
            }
            return vec![whole];
        }
        if qos == 1 && self.strikes(Fault::DropDelivery) {
            return Vec::new();
        }
        if qos == 0 && self.strikes(Fault::RepeatUnasked) {
            return vec![whole.clone(), whole];
        }
        if qos == 2 && self.strikes(Fault::DuplicateDelivery) {
            return vec![whole.clone(), self.with_other_packet_id(wire, packet)];
        }
        if self.plan.fault == Some(Fault::ReorderDelivery) && qos > 0 {
            match self.held_back.take() {
                Some((held_wire, held))
                    if held_wire == wire
                        && held[0] == packet[0]
                        && self.topic_of(wire, &held) == self.topic_of(wire, packet) =>
                {
                    return vec![whole, held];
                }
                Some(held) => self.held_back = Some(held),
                None if self.strikes(Fault::ReorderDelivery) => {
                    self.held_back = Some((wire, whole));
                    return Vec::new();
                }
                None => {}
            }
        }
        vec![whole]
    }

    fn topic_of(&self, wire: usize, packet: &[u8]) -> Option<String> {
        let version = self.clients[self.wires[wire].client].version;
        let frame = frame::split(packet, u32::MAX).ok()??;
        match server_packet::decode(&frame, version).ok()? {
            ServerPacket::Publish(publish) => Some(publish.topic.to_owned()),
            _ => None,
        }
    }

    fn with_other_packet_id(&self, wire: usize, packet: &[u8]) -> Vec<u8> {
        let mut other = packet.to_vec();
        if let (Some(topic), Ok(Some(frame))) = (self.topic_of(wire, packet), frame::split(packet, u32::MAX))
        {
            let at = frame.len - frame.body.len() + 2 + topic.len();
            other[at] ^= 0x40;
        }
        other
    }

    /// The answer to a CONNECT is the one it deserves; `Some` when it was let in, with whether a session was present.
    fn judge_connack(
        &mut self,
        wire: usize,
        hello: &Hello,
        written: &[(usize, Vec<u8>)],
    ) -> Result<Option<bool>, crate::ledger::Broken> {
        let deserved = self.ledger.judge_connect(hello, self.has_good_credential(hello));
        let Some((_, bytes)) = written.iter().find(|(w, bytes)| *w == wire && bytes[0] >> 4 == 2) else {
            let what = format!("client {} got no CONNACK on wire {wire}", hello.client);
            return Err(broken(Promise::Admission, what));
        };
        let (is_present, code) = (bytes[2] == 1, bytes[3]);
        match deserved {
            Ok(_) if code != 0 => {
                let what = format!("client {} was refused with {code:#04x} on wire {wire}", hello.client);
                Err(broken(Promise::Admission, what))
            }
            Err(why) if code == 0 => {
                Err(broken(Promise::Admission, format!("client {} was let in although {why}", hello.client)))
            }
            Ok(present) if present != is_present => {
                let what = format!(
                    "client {} was told session_present={is_present} but it is {present}",
                    hello.client
                );
                Err(broken(Promise::Session, what))
            }
            Ok(present) => Ok(Some(present)),
            Err(_) => Ok(None),
        }
    }

    /// A CONNECT was accepted: an older connection of the session is over, and a clean start ends the session.
    fn leave_for(&mut self, hello: &Hello) {
        let Some(session) = self.ledger.sessions.get(&hello.session_of) else { return };
        if let Some(old) = session.wire {
            self.wires[old].session = None;
            self.ledger.on_detached(hello.session_of, true, hello.is_clean);
        } else if hello.is_clean {
            self.ledger.on_ended(hello.session_of);
        }
    }

    fn take_message(&mut self, taken: &Taken, whole: &[Sent]) -> Kept {
        match taken.number.or(fed_clear(whole)) {
            Some(number) => self.ledger.on_taken(number, &taken.topic, taken.retain),
            None => Err(broken(
                Promise::NothingUnasked,
                format!("an empty message on {} from nowhere", taken.topic),
            )),
        }
    }

    /// One packet to one client, as the client will see it.
    fn look_at(&mut self, wire: usize, bytes: &[u8]) -> Kept {
        let version = self.clients[self.wires[wire].client].version;
        let frame = frame::split(bytes, u32::MAX).ok().flatten();
        let decoded = frame.as_ref().map(|frame| server_packet::decode(frame, version));
        let Some(Ok(packet)) = decoded else {
            return Err(broken(Promise::Lawful, format!("wire {wire}: {bytes:?} is no lawful packet")));
        };
        if bytes.len() > self.wires[wire].packet_bytes_max as usize && version == Version::V5 {
            let what = format!(
                "wire {wire}: {} bytes for a client that takes {}: {packet:?}",
                bytes.len(),
                self.wires[wire].packet_bytes_max
            );
            return Err(broken(Promise::MaximumPacketSize, what));
        }
        let Some(session_of) = self.wires[wire].session else { return Ok(()) };
        let answer = match packet {
            ServerPacket::Connack(_) | ServerPacket::Disconnect(_) | ServerPacket::Auth(_) => return Ok(()),
            ServerPacket::Publish(publish) => {
                let (number, at_ms) = (number_of(publish.payload), self.now.mono_ms);
                let (qos, dup, packet_id) = (publish.qos, publish.dup, publish.packet_id);
                self.journal.note(format!(
                    "{at_ms} to client {session_of} on wire {wire}: message {number:?} qos={qos} dup={dup} id={packet_id}"
                ));
                return self.ledger.on_delivery(session_of, wire, &publish);
            }
            ServerPacket::Ack(ack) => {
                let packet_id = ack.packet_id;
                let answer = match ack.kind {
                    AckKind::Puback => Answer::Puback { packet_id, number: 0 },
                    AckKind::Pubrec => Answer::Pubrec { packet_id, number: 0 },
                    AckKind::Pubrel => Answer::Pubrel { packet_id },
                    AckKind::Pubcomp => Answer::Pubcomp { packet_id },
                };
                return self.ledger.on_answer(session_of, answer, ack.reason.is_error());
            }
            ServerPacket::Suback(packet_id, codes) => Answer::Suback { packet_id, count: codes.len() },
            ServerPacket::Unsuback(packet_id, codes) => {
                // 3.1.1 has no codes; the ledger counts filters.
                let count = if version == Version::V5 { codes.len() } else { 1 };
                Answer::Unsuback { packet_id, count }
            }
            ServerPacket::Pingresp => Answer::Pingresp,
        };
        self.ledger.on_answer(session_of, answer, false)
    }

    /// The sessions the broker has, by whose Client Identifier they are, and the copies each has lost.
    fn sessions_there(&self) -> BTreeMap<usize, There> {
        let snapshot = self.broker.snapshot(self.now);
        let of =
            |client_id: &str| (1..=self.scene.n_clients).find(|client| scene::username(*client) == client_id);
        let there = |c: &broker::ClientSnapshot| There { dropped: c.dropped, queued: c.queued };
        snapshot.clients.iter().filter_map(|c| Some((of(&c.client_id)?, there(c)))).collect()
    }

    fn compare_retained(&self) -> Kept {
        let count = self.broker.snapshot(self.now).retained;
        let (least, most) = (self.ledger.retained_now().len(), self.ledger.retained.len());
        if count < least || count > most {
            let what = format!("{count} messages are retained, not {least} to {most}");
            return Err(broken(Promise::Retained, what));
        }
        Ok(())
    }
}

/// The number of an empty message that was fed; it stands alone.
fn fed_clear(whole: &[Sent]) -> Option<u64> {
    whole.iter().find_map(|sent| match sent {
        Sent::Publish { number, is_clear: true, .. } => Some(*number),
        _ => None,
    })
}
