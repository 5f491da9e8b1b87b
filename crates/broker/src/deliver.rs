//! Copies on their way: which sessions want a message, and one copy into a session's outbox or queue.

use std::sync::Arc;

use crate::journal::Change;
use crate::message::Message;
use crate::reached::Reached;
use crate::session::{Identifiers, Queued, SessionId, packet_id_of};
use crate::subscription_tree::Subscription;
use crate::{Broker, ConnectionId, Now};

/// One session that wants a message, its overlapping subscriptions merged. [MQTT-3.3.4-2]
#[derive(Debug)]
pub(crate) struct Route {
    pub session: SessionId,
    pub qos: u8,
    /// Whether it does not want its own messages. [MQTT-3.8.3-3]
    pub no_local: bool,
    pub retain_as_published: bool,
    pub identifiers: Identifiers,
}

impl Route {
    /// Whether this session wants what the sender sent.
    pub fn wants_from(&self, sender: SessionId) -> bool {
        !self.no_local || self.session != sender
    }
}

/// Size of the PUBLISH that carries the message to a gateway.
pub(crate) fn packet_bytes(message: &Message) -> usize {
    policy::release::mqtt_packet_bytes(&message.topic, &message.payload)
}

impl Broker {
    /// 6. Route: the sessions that want the topic. Whoever iterates asks each route whether it wants what the sender sent.
    pub(crate) fn route(&mut self, topic: &str, sender: SessionId) -> Arc<[Route]> {
        if let Some(routes) = self.route_cache.get(topic) {
            return routes;
        }
        let mut is_mixed = false;
        let routes = self.merge(topic, |_, route, subscription| {
            is_mixed |= route.is_some_and(|route| route.no_local != subscription.no_local);
            true
        });
        if is_mixed {
            // Rare, and depends on the sender: what it asked for with No Local does not count for its own messages.
            return self.merge(topic, |id, _, subscription| id != sender || !subscription.no_local);
        }
        self.route_cache.put(topic, &routes);
        routes
    }

    /// The sessions with a matching subscription that counts, one route for each.
    fn merge(
        &mut self,
        topic: &str,
        mut counts: impl FnMut(SessionId, Option<&Route>, &Subscription) -> bool,
    ) -> Arc<[Route]> {
        let mut routes: Vec<Route> = std::mem::take(&mut self.routes);
        self.routings += 1;
        let (routing, sessions) = (self.routings, &mut self.sessions);
        self.subscriptions.matching(topic, &mut |id, subscription| {
            let Some(session) = sessions.get_mut(id.index()) else { return };
            let (mark, index) = session.route_mark;
            let known = if mark == routing { routes.get_mut(index) } else { None };
            if !counts(id, known.as_deref(), &subscription) {
                return;
            }
            if let Some(route) = known {
                route.qos = route.qos.max(subscription.qos);
                route.no_local &= subscription.no_local;
                route.retain_as_published |= subscription.retain_as_published;
                route.identifiers.extend(subscription.identifier);
            } else {
                session.route_mark = (routing, routes.len());
                routes.push(Route {
                    session: id,
                    qos: subscription.qos,
                    no_local: subscription.no_local,
                    retain_as_published: subscription.retain_as_published,
                    identifiers: subscription.identifier.into_iter().collect(),
                });
            }
        });
        let merged = routes.drain(..).collect();
        self.routes = routes;
        merged
    }

    /// 8. Deliver: one copy to one session. Returns false when it was lost because the client reads too slowly.
    pub(crate) fn deliver(&mut self, now: Now, to: SessionId, copy: Queued) -> bool {
        let limits = &self.options.limits;
        let (messages_max, bytes_max) = (limits.queue_messages_max, limits.queue_bytes_max);
        let Some(session) = self.sessions.get_mut(to.index()) else { return false };
        if copy.qos == 0 {
            let Some(connection) = session.connection else { return false };
            let unsent = self.connections.get(connection.index()).map_or(usize::MAX, |c| c.outbox.len());
            let is_short = self.memory.is_short_for(unsent, limits.memory_bytes_max);
            if unsent >= bytes_max || is_short {
                if is_short {
                    self.counters.reached.add(Reached::MemoryQos0);
                }
                session.dropped += 1;
                self.counters.dropped += 1;
                return false;
            }
            return self.send_copy(now, connection, to, &copy, 0, false);
        }
        let key = session.kept_key();
        if key.is_some() && self.journal.is_full() {
            session.dropped += 1;
            self.counters.dropped += 1;
            self.refuse_change();
            return false;
        }
        self.memory.note_waiting(copy.bytes());
        if !session.enqueue(copy, messages_max, bytes_max) {
            self.counters.dropped += 1;
            return false;
        }
        if let (Some(key), Some(copy)) = (key, session.queue.back()) {
            let (qos, order) = (copy.qos, copy.order);
            self.journal.note(Change::Queued(key, copy.for_store()));
            if qos == 2 {
                self.await_message(to, key, order);
            }
        }
        self.send_waiting(now, to);
        true
    }

    /// Sends what waits, as far as the client's Receive Maximum and its connection allow. [MQTT-3.3.4-9]
    pub(crate) fn send_waiting(&mut self, now: Now, to: SessionId) {
        loop {
            let bytes_max = self.options.limits.queue_bytes_max;
            let Some(session) = self.sessions.get_mut(to.index()) else { return };
            let Some(connection) = session.connection else { return };
            // What is closing takes nothing more; what waits is for the next connection.
            let Some(outbox_bytes) =
                self.connections.get(connection.index()).filter(|c| !c.is_closing).map(|c| c.outbox.len())
            else {
                return;
            };
            if outbox_bytes >= bytes_max {
                return self.wait_for_room(to);
            }
            if !session.has_room_in_flight() {
                return;
            }
            if session.repeats_wait {
                self.repeat_next(now, connection, to);
                continue;
            }
            if !session.may_send_next() {
                return;
            }
            let Some(copy) = session.queue.pop_front() else { return };
            if copy.is_over(now.mono_ms) {
                session.release_bytes(&copy);
                self.counters.expired += 1;
                self.note_finished(to, copy.order);
                continue;
            }
            let order = copy.order;
            session.sent_to = order;
            let packet_id = packet_id_of(order);
            if self.send_copy(now, connection, to, &copy, packet_id, false) {
                if let Some(session) = self.sessions.get_mut(to.index()) {
                    session.put_in_flight(copy);
                }
            } else if let Some(session) = self.sessions.get_mut(to.index()) {
                session.release_bytes(&copy);
                self.note_finished(to, order);
            }
        }
    }

    /// Writes one PUBLISH into the outbox. Returns false when the client does not take packets that large.
    pub(crate) fn send_copy(
        &mut self,
        now: Now,
        id: ConnectionId,
        to: SessionId,
        copy: &Queued,
        packet_id: u16,
        again: bool,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(id.index()) else { return false };
        if connection.is_closing {
            return false;
        }
        let spares = &mut self.spare_buffers;
        let Some(bytes) = crate::packets::write_publish(connection, spares, now, copy, packet_id, again)
        else {
            self.counters.dropped += 1;
            return false;
        };
        self.counters.messages_out += 1;
        self.counters.packets_out += 1;
        self.counters.bytes_out += bytes as u64;
        self.memory.note(bytes);
        self.counters.payload_bytes_out += copy.message.payload.len() as u64;
        if let Some(session) = self.sessions.get_mut(to.index()) {
            session.messages_out += 1;
        }
        self.mark_dirty(id);
        true
    }
}
