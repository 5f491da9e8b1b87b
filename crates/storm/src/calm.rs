//! The end of a storm: everyone comes back and takes what is owed; then everyone leaves and nothing may remain.

use std::collections::BTreeMap;

use directory::Command;

use crate::fault::Fault;
use crate::ledger::{Kept, broken};
use crate::wire::Hello;
use crate::world::World;
use crate::{Promise, scene};

/// Rounds in which every byte on its way arrives. Each finishes at least one message per connection.
const ROUNDS_MAX: usize = 6_000;

impl World {
    /// The network heals, everyone reads, those with a session come back to it: everything owed arrives.
    pub fn calm_down(&mut self) -> Kept {
        self.journal.note("the storm is over".into());
        self.carry_out_closings()?;
        for who in 1..=self.scene.n_clients {
            self.clients[who].is_frozen = false;
            if self.disabled[who] {
                self.disabled[who] = false;
                self.set_directory(who, Command::Enable { username: scene::username(who) })?;
            }
            self.clients[who].password_turn = self.password_turns[who];
        }
        self.carry_out_closings()?;
        for who in 1..=self.scene.n_clients {
            // What is on the wire of a client that has given up is as good as lost.
            let is_on = self.clients[who].is_connected
                && self.clients[who]
                    .wire
                    .is_some_and(|w| self.wires[w].has_broker && !self.wires[w].is_closing);
            if !is_on {
                self.come_back(who)?;
            }
        }
        let mut rounds = 0;
        while self.move_everything()? {
            rounds += 1;
            if rounds > ROUNDS_MAX {
                return Err(broken(Promise::Handshake, "packets go round and round without an end"));
            }
        }
        self.ledger.check_calm()?;
        self.check_retained()
    }

    fn come_back(&mut self, who: usize) -> Kept {
        if let Some(old) = self.clients[who].wire.take() {
            self.wires[old].has_client = false;
            self.wires[old].lose_upstream();
        }
        self.clients[who].on_lost();
        let Some(id) = self.broker.open(self.now, scene::address(who, self.scene.is_lab)) else {
            return Err(broken(Promise::Admission, "a connection was refused below every limit"));
        };
        let wire = self.wires.len();
        self.wires.push(crate::wire::Wire::new(id, who));
        self.clients[who].wire = Some(wire);
        let hello = Hello {
            client: who,
            session_of: who,
            is_clean: false,
            expiry_s: 100_000,
            receive_maximum: u16::MAX,
            packet_bytes_max: u32::MAX,
            will: None,
            knows_password: true,
            password_turn: self.password_turns[who],
        };
        self.say_hello(who, wire, hello);
        Ok(())
    }

    /// Moves every byte one leg; returns whether anything moved.
    fn move_everything(&mut self) -> Result<bool, crate::ledger::Broken> {
        let mut moved = false;
        self.carry_out_closings()?;
        if self.last_seq > self.ledger.durable {
            self.make_durable(self.last_seq);
            self.settle(None, &[])?;
            moved = true;
        }
        for wire in 0..self.wires.len() {
            let is_open = self.wires[wire].has_broker && !self.wires[wire].is_closing;
            if is_open && (self.wires[wire].has_upstream() || self.wires[wire].is_finished) {
                self.feed(wire, usize::MAX)?;
                moved = true;
            }
            if self.wires[wire].has_broker && self.wires[wire].has_staged() && self.wires[wire].room() > 0 {
                self.write(wire, usize::MAX)?;
                moved = true;
            }
            if self.wires[wire].has_client && self.wires[wire].downstream_len() > 0 {
                self.read(wire, usize::MAX)?;
                moved = true;
            }
        }
        for who in 1..=self.scene.n_clients {
            if let Some(wire) = self.clients[who].wire.filter(|_| self.clients[who].is_connected) {
                while self.answer_one(who, wire) {
                    moved = true;
                }
            }
        }
        Ok(moved)
    }

    /// What a new subscriber gets is what the ledger has.
    fn check_retained(&mut self) -> Kept {
        let there: BTreeMap<String, Option<u64>> = self
            .watch
            .retained(&mut self.broker, self.now)
            .into_iter()
            .filter(|taken| taken.retain)
            .map(|taken| (taken.topic, taken.number))
            .collect();
        let expected: BTreeMap<String, Option<u64>> =
            self.ledger.retained_now().iter().map(|(t, n)| ((*t).to_owned(), Some(*n))).collect();
        if there != expected {
            let what = format!("retained are {there:?}, not {expected:?}");
            return Err(broken(Promise::Retained, what));
        }
        Ok(())
    }

    /// Half say goodbye, half are lost; every deadline passes. Nothing may remain but what is retained for ever.
    pub fn everyone_leaves(&mut self) -> Kept {
        self.journal.note("everyone leaves".into());
        for who in 1..=self.scene.n_clients {
            let Some(wire) = self.clients[who].wire else { continue };
            if self.rng.bool() && self.wires[wire].has_broker {
                self.say_goodbye(who, wire, Some(0));
                while self.wires[wire].has_broker && !self.wires[wire].is_closing {
                    self.feed(wire, usize::MAX)?;
                }
            } else {
                self.clients[who].on_lost();
                self.wires[wire].has_client = false;
            }
        }
        self.carry_out_closings()?;
        for wire in 0..self.wires.len() {
            if self.wires[wire].has_broker && !self.strikes(Fault::ForgetClose) {
                self.close(wire, "connection lost")?;
            }
        }
        // Delayed Wills, while somebody watches; then the last session.
        self.advance(61_000, 0)?;
        self.advance(1_000, 0)?;
        self.broker.receive(self.now, self.watch.id, &mqtt::server_packet::DISCONNECT);
        self.broker.closed(self.now, self.watch.id, "left");
        while self.broker.next_closing().is_some() {}
        self.now.mono_ms += u64::from(self.scene.limits.session_expiry_max_s) * 1000 + 1_000;
        self.broker.tick(self.now);
        self.now.mono_ms += 1_000;
        self.broker.tick(self.now);
        self.keep()?;
        self.compare_kept()?;
        let holdings = self.broker.holdings();
        let (retained, retained_bytes) = (holdings.retained, holdings.retained_bytes);
        let nothing = broker::Holdings { retained, retained_bytes, ..broker::Holdings::default() };
        if holdings != nothing {
            return Err(broken(Promise::NothingIsKept, format!("everyone has left, but {holdings:?}")));
        }
        Ok(())
    }
}
