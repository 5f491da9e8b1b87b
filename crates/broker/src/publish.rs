//! One packet's journey, from a PUBLISH to every outbox. Read top to bottom; the step names are those of
//! `docs/journey.md`, of the history and of the page that explains a packet.

use std::net::IpAddr;
use std::sync::Arc;

use mesh::observe::Scratch;
use policy::decision::{Decision, Outcome, Verdict};
use policy::memory::seen::PacketKey;
use policy::principal::Principal;
use policy::release::Passing;
use policy::rule::{RuleId, RuleSet};
use policy::uplink::{Permit, Publish};
use record::{Reception, Record, ReleasedCopy};

use crate::acknowledge::Answer;
use crate::command::AskedFor;
use crate::downlink::{Bound, Copies, Settled, released};
use crate::message::Message;
use crate::observe::{Observed, write_down};
use crate::session::{Queued, SessionId};
use crate::{Broker, Now};

/// 1. Arrive: a PUBLISH that keeps the rules of MQTT.
pub(crate) struct Arrived<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    /// Packet Identifier; 0 for QoS 0 and for messages the broker publishes itself.
    pub packet_id: u16,
    /// Message Expiry Interval, seconds.
    pub expiry_s: Option<u32>,
    /// Properties that travel with it, encoded.
    pub properties: Option<Arc<[u8]>>,
}

impl Broker {
    /// `changes_before` is the number of the store's last change before the message arrived.
    pub(crate) fn on_publish(
        &mut self,
        now: Now,
        sender: SessionId,
        arrived: Arrived<'_>,
        changes_before: u64,
    ) {
        // Who speaks must be known: what nobody can be judged for goes nowhere.
        let Some(session) = self.sessions.get(sender.index()) else { return };
        let principal = session.principal.clone();
        let address = session.connection.and_then(|c| self.connections.get(c.index())).map(|c| c.address);
        self.counters.messages_in += 1;
        let mut scratch = Scratch::default();
        // 2. Observe, 3. judge.
        let Some(judged) = self.judge(now, &principal, address, &arrived, &mut scratch) else {
            self.counters.erased += 1;
            return self.answer(sender, Answer::nobody_wanted(&arrived), changes_before);
        };
        let message = share(now, &arrived, judged.observed.as_ref());
        // 4. Record.
        let seq = self.record(now, sender, &arrived, &message, &judged);
        // 5. Answer: given at the end, when what it promises is done and it is known whether anybody wanted the message.
        let may_go_nowhere = seq.is_none() && judged.permit.is_some();
        let answer = Answer::of(&arrived, &judged.decision, seq);
        let Some(permit) = judged.permit else {
            self.answer(sender, answer, changes_before);
            // A command goes nowhere, but what it asks for does.
            return judged.asked.iter().for_each(|asked| self.send_asked(now, asked));
        };
        let refused_before = self.journal.refused;
        // 6. Route.
        if arrived.retain && judged.may_be_retained() {
            self.retain(&message);
        }
        let routes = self.route(&message.topic, sender);
        // 7. Release, 8. deliver: at once, or to a gateway when its turn comes.
        let key = judged.key();
        let bound = self.bound(sender, seq, &message, judged.observed, permit);
        let mut copies = Copies::new(&message, bound.as_ref(), routes.len());
        let mut receivers = 0;
        for route in routes.iter().filter(|route| route.wants_from(sender)) {
            receivers += 1;
            self.release_copy(now, route, &mut copies);
        }
        let groups = self.deliver_to_groups(now, &mut copies);
        let settled = copies.settled;
        let is_wanted = receivers + groups > 0 || arrived.retain;
        if self.journal.refused > refused_before {
            self.answer_unkept(sender, arrived.qos, arrived.packet_id);
        } else if may_go_nowhere && !is_wanted {
            self.answer(sender, Answer::nobody_wanted(&arrived), changes_before);
        } else {
            self.answer(sender, answer, changes_before);
        }
        // 9. Account.
        self.account(now, seq, settled, key, permit);
    }

    /// Steps 2 and 3, observe and judge: facts, then the decision. A message that is no mesh traffic is judged for rights only. One
    /// that tells of a node that was erased is not judged at all.
    fn judge(
        &mut self,
        now: Now,
        sender: &Principal,
        address: Option<IpAddr>,
        arrived: &Arrived<'_>,
        scratch: &mut Scratch,
    ) -> Option<Judged> {
        if self.options.lab {
            let is_ours = arrived.topic.starts_with("$SYS/");
            return Some(if is_ours { Judged::not_yours() } else { Judged::plain() });
        }
        let facts = mesh::observe::observe(arrived.topic, arrived.payload, &self.options.keyring, scratch);
        if self.tells_of_erased(&facts, sender.gateway()) {
            return None;
        }
        let publish = Publish {
            sender,
            address,
            topic: arrived.topic,
            facts: &facts,
            directory: &self.options.directory,
        };
        let (decision, permit) = self.policy.judge(now, &publish);
        if self.policy.memory.movement.has_news() {
            self.tell_movement(now);
        }
        let is_mesh = facts.topic.is_some();
        let observed = is_mesh.then(|| write_down(&facts, self.options.preset));
        let (decision, asked) =
            self.understand_command(now, sender, arrived.topic, arrived.payload, decision);
        Some(Judged { decision, permit, observed, asked })
    }

    /// 4. Record: every reception and everything refused, with its exact bytes. Returns the number it got.
    fn record(
        &mut self,
        now: Now,
        sender: SessionId,
        arrived: &Arrived<'_>,
        message: &Message,
        judged: &Judged,
    ) -> Option<u64> {
        let is_refused = judged.decision.verdict == Verdict::Refuse;
        if self.options.lab || (judged.observed.is_none() && !is_refused) {
            return None;
        }
        let session = self.sessions.get(sender.index())?;
        self.last_seq += 1;
        let decision = judged.decision.clone();
        self.counters.by_verdict[usize::from(decision.verdict.code())] += 1;
        if let Some(rule) = decision.rule {
            self.counters.by_rule.add(rule);
        }
        decision.observed.iter().for_each(|rule| self.counters.would_have.add(rule));
        let seen = judged.observed.as_ref();
        let reception = Reception {
            seq: self.last_seq,
            at_ms: now.unix_ms,
            client_id: session.client_id.clone(),
            username: session.principal.username().cloned(),
            gateway: seen.and_then(|o| o.gateway).or(session.principal.gateway()),
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: arrived.qos,
            retain: arrived.retain,
            packet: seen.and_then(|o| o.packet),
            channel: seen.and_then(|o| o.channel.clone()),
            port: seen.and_then(|o| o.port),
            consent: seen.map_or(record::Consent::Unknown, |o| o.consent),
            key_class: seen.map_or(record::KeyClass::Unknown, |o| o.key_class),
            flags: seen.map_or(0, |o| o.flags),
            frame_bytes: seen.and_then(|o| o.frame_bytes),
            airtime_us: seen.and_then(|o| o.airtime_us),
            decision,
        };
        self.records.push(Record::Reception(Arc::new(reception)));
        Some(self.last_seq)
    }

    /// An accepted packet on its way to receivers; `None` for messages that are no mesh traffic.
    fn bound(
        &self,
        sender: SessionId,
        seq: Option<u64>,
        message: &Message,
        observed: Option<Observed>,
        permit: Permit,
    ) -> Option<Bound> {
        let observed = observed?;
        let credential = || self.sessions.get(sender.index()).and_then(|s| s.principal.gateway());
        Some(Bound {
            seq,
            permit,
            uplinked_by: observed.gateway.or_else(credential),
            observed,
            can_lower: message.hop_limit_at.is_some(),
            mqtt_packet_bytes: crate::deliver::packet_bytes(message),
        })
    }

    /// 7. Release: policy decides again, for one receiver. `is_mesh` says whether it is mesh traffic at all.
    pub(crate) fn decide_copy(
        &self,
        now: Now,
        receiver: SessionId,
        passing: Option<&Passing<'_>>,
        is_mesh: bool,
    ) -> (Outcome, RuleSet) {
        match (passing, self.sessions.get(receiver.index())) {
            // What holds no packet says nothing of consent, and silence is none.
            (None, Some(receiver))
                if is_mesh && self.policy.settings().outside.holds(&receiver.principal) =>
            {
                (Outcome::Withheld(RuleId::OutsideConsent), RuleSet::default())
            }
            (Some(passing), Some(receiver)) => {
                self.policy.release(now, passing, &receiver.principal, &self.options.directory)
            }
            _ => (Outcome::Delivered, RuleSet::default()),
        }
    }

    pub(crate) fn note_copy(&mut self, copies: &mut Vec<ReleasedCopy>, to: SessionId, settled: Settled) {
        self.count_copy(&settled);
        copies.extend(self.sessions.get(to.index()).map(|session| released(session, settled)));
    }

    pub(crate) fn count_copy(&mut self, settled: &Settled) {
        if let Outcome::Withheld(rule) = settled.outcome {
            self.counters.by_rule.add(rule);
        }
        settled.observed.iter().for_each(|rule| self.counters.would_have.add(rule));
    }

    /// 9. Account: what was sent and withheld goes to the history, and the packet counts as passed on.
    pub(crate) fn account(
        &mut self,
        now: Now,
        seq: Option<u64>,
        copies: Vec<ReleasedCopy>,
        key: Option<PacketKey>,
        permit: Permit,
    ) {
        self.policy.note_passed_on(now, key, &permit);
        if let Some(reception_seq) = seq
            && !copies.is_empty()
        {
            let release = record::Release { reception_seq, at_ms: now.unix_ms, copies };
            self.records.push(Record::Release(Arc::new(release)));
        }
    }
}

/// What steps 2 and 3 found.
pub(crate) struct Judged {
    pub decision: Decision,
    pub permit: Option<Permit>,
    /// Facts of mesh traffic; `None` for other messages.
    pub observed: Option<Observed>,
    /// What a service asked the broker's own node to send.
    pub asked: Option<AskedFor>,
}

impl Judged {
    /// The plain-broker profile has no mesh policy.
    fn plain() -> Self {
        let (decision, permit) = policy::uplink::pass_unjudged();
        Self { decision, permit: Some(permit), observed: None, asked: None }
    }

    /// Even where everyone may do everything, `$SYS` is the broker's.
    fn not_yours() -> Self {
        Self { decision: policy::uplink::refuse_unjudged(), permit: None, observed: None, asked: None }
    }

    fn key(&self) -> Option<PacketKey> {
        self.observed.as_ref().and_then(|o| o.key)
    }

    /// Retained packets would reach a radio long after their time: of mesh traffic nothing is retained.
    const fn may_be_retained(&self) -> bool {
        self.observed.is_none()
    }
}

fn share(now: Now, arrived: &Arrived<'_>, observed: Option<&Observed>) -> Arc<Message> {
    Arc::new(Message {
        topic: arrived.topic.into(),
        payload: arrived.payload.into(),
        qos: arrived.qos,
        retain: arrived.retain,
        properties: arrived.properties.clone(),
        expires_at_ms: arrived.expiry_s.map(|s| now.mono_ms.saturating_add(u64::from(s) * 1000)),
        hop_limit_at: observed.and_then(|o| o.hop_limit_at),
    })
}

/// 8. Deliver what policy let through.
impl Broker {
    pub(crate) fn deliver_by(
        &mut self,
        now: Now,
        route: &crate::deliver::Route,
        message: &Arc<Message>,
        outcome: Outcome,
    ) -> Outcome {
        let hop_limit = match outcome {
            Outcome::Delivered => None,
            Outcome::DeliveredWithHopLimit(hops) => Some(hops),
            Outcome::Withheld(_) | Outcome::Dropped => return outcome,
        };
        let copy = Queued {
            message: message.clone(),
            qos: route.qos.min(message.qos),
            retain: message.retain && route.retain_as_published,
            hop_limit,
            stale_at_ms: None,
            identifiers: route.identifiers.clone(),
            group: None,
            order: 0,
        };
        if self.deliver(now, route.session, copy) { outcome } else { Outcome::Dropped }
    }
}
