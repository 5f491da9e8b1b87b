//! Who has to wait before the next try to sign in. Guessing gets slower for an address and for a user name; whoever signed
//! in before with this name from this address never waits for what others did.
//!
//! - Only a wrong credential counts. A connection that is opened and closed again, as firmware does, counts for nothing.
//! - A try that comes too early is not judged and does not count.
//! - The owner of a name cannot be locked out from where he usually comes: the pair of address and name is known to be
//!   good after one success and is exempt from both waits, until that credential is renewed or taken away.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use policy::principal::Principal;
use policy::throttle::{Patience, Throttle, network};

use crate::reached::Reached;
use crate::session::SessionId;
use crate::{Broker, ConnectionId, Now};

/// Longest wait. Short, because tokens cannot be guessed anyway and a gateway whose password was mended should be back
/// soon.
const WAIT_MAX_MS: u64 = 60_000;
/// Addresses and names that are remembered, each.
const KEYS_MAX: usize = 4_096;
/// Pairs that are known to be good. At the limit the one that signed in longest ago is forgotten.
const PAIRS_MAX: usize = 20_000;

/// Failed tries, and who is known.
#[derive(Debug)]
pub(crate) struct SignInWaits {
    by_address: Throttle<IpAddr>,
    by_name: Throttle<Arc<str>>,
    known_good: BTreeMap<(Arc<str>, IpAddr), u64>,
}

impl SignInWaits {
    pub fn new(free_tries: u32) -> Self {
        let patience = Patience { free_tries, wait_max_ms: WAIT_MAX_MS, keys_max: KEYS_MAX };
        Self {
            by_address: Throttle::new(patience),
            by_name: Throttle::new(patience),
            known_good: BTreeMap::new(),
        }
    }

    /// Whether a try has to wait. An address of this machine does not: a proxy on it brings everybody under one.
    pub fn must_wait(&self, now_ms: u64, address: IpAddr, name: &str) -> bool {
        let address = network(address);
        if self.known_good.contains_key(&(name.into(), address)) {
            return false;
        }
        let wait_ms = if address.is_loopback() { 0 } else { self.by_address.wait_ms(&address, now_ms) };
        wait_ms.max(self.by_name.wait_ms(name, now_ms)) > 0
    }

    /// A wrong credential.
    pub fn failed(&mut self, now_ms: u64, address: IpAddr, name: &str) {
        let address = network(address);
        let name: Arc<str> = name.into();
        if !self.known_good.contains_key(&(name.clone(), address)) {
            self.by_address.count(address, now_ms);
        }
        self.by_name.count(name, now_ms);
    }

    /// The right credential.
    pub fn succeeded(&mut self, now_ms: u64, address: IpAddr, name: &Arc<str>) {
        if self.known_good.len() >= PAIRS_MAX
            && let Some(oldest) =
                self.known_good.iter().min_by_key(|(_, at_ms)| **at_ms).map(|(k, _)| k.clone())
        {
            self.known_good.remove(&oldest);
        }
        self.known_good.insert((name.clone(), network(address)), now_ms);
    }

    /// The operator changed a credential: nobody waits for what was tried before, and who was known has to show himself
    /// again.
    pub fn forget_name(&mut self, name: &str) {
        self.by_name.forget(name);
        self.known_good.retain(|(known, _), _| **known != *name);
    }
}

impl Broker {
    /// Whether a sign-in comes too early; the try is counted as refused.
    pub(crate) fn must_wait(&mut self, now: Now, id: ConnectionId, username: Option<&str>) -> bool {
        let Some(address) = self.connections.get(id.index()).map(|c| c.address) else { return false };
        let Some(name) = username.filter(|name| !name.is_empty()) else { return false };
        let must_wait = !self.options.lab && self.sign_in_waits.must_wait(now.mono_ms, address, name);
        if must_wait {
            self.counters.reached.add(Reached::SignInWait);
        }
        must_wait
    }

    /// Notes a wrong credential.
    pub(crate) fn note_wrong_credential(&mut self, now: Now, id: ConnectionId, username: Option<&str>) {
        if let (Some(connection), Some(name)) = (self.connections.get(id.index()), username) {
            self.sign_in_waits.failed(now.mono_ms, connection.address, name);
        }
    }

    /// Whether another client may be connected under this credential; a takeover makes room for itself.
    pub(crate) fn has_room_under(&mut self, principal: &Principal, client_id: &str) -> bool {
        let Some(name) = principal.username() else { return true };
        let own = self.by_client_id.get(client_id).and_then(|id| self.sessions.get(id.index()));
        let takes_over = own.is_some_and(|s| s.connection.is_some() && s.principal.username() == Some(name));
        let max = self.options.limits.connections_per_credential_max;
        let has_room = takes_over || self.gate.under(name) < max;
        if !has_room {
            self.counters.reached.add(Reached::ConnectionsPerCredential);
        }
        has_room
    }

    /// A client is in under its credential.
    pub(crate) fn note_signed_in(&mut self, now: Now, id: ConnectionId, principal: &Principal) {
        let Some(name) = principal.username() else { return };
        self.gate.sign_in(name);
        if let Some(connection) = self.connections.get(id.index()) {
            self.sign_in_waits.succeeded(now.mono_ms, connection.address, name);
        }
    }

    /// A session loses its connection.
    pub(crate) fn sign_out(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id.index()).filter(|s| s.connection.is_some()) else { return };
        if let Some(name) = session.principal.username() {
            self.gate.sign_out(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const GUESSER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

    #[test]
    fn an_address_that_guesses_waits_and_others_do_not() {
        let mut waits = SignInWaits::new(3);
        for name in ["a", "b", "c"] {
            assert!(!waits.must_wait(0, GUESSER, name));
            waits.failed(0, GUESSER, name);
        }
        assert!(waits.must_wait(0, GUESSER, "d"));
        assert!(!waits.must_wait(0, OWNER, "d"));
        assert!(!waits.must_wait(1_000, GUESSER, "d"), "a second later");
    }

    #[test]
    fn guessing_a_name_from_many_addresses_slows_it_down_but_not_its_owner() {
        let mut waits = SignInWaits::new(3);
        waits.succeeded(0, OWNER, &"gw".into());
        for last in 0..100 {
            waits.failed(0, IpAddr::from([198, 51, 100, last]), "gw");
        }
        assert!(waits.must_wait(WAIT_MAX_MS - 1, GUESSER, "gw"));
        assert!(!waits.must_wait(0, OWNER, "gw"), "the owner comes from where he came before");
        waits.forget_name("gw");
        assert!(
            !waits.must_wait(0, IpAddr::from([203, 0, 113, 7]), "gw"),
            "the operator gave it another password"
        );
    }

    #[test]
    fn a_wait_is_never_longer_than_a_minute() {
        let mut waits = SignInWaits::new(3);
        (0..1_000).for_each(|_| waits.failed(5, GUESSER, "gw"));
        assert!(waits.must_wait(5 + WAIT_MAX_MS - 1, GUESSER, "gw"));
        assert!(!waits.must_wait(5 + WAIT_MAX_MS, GUESSER, "gw"));
    }

    #[test]
    fn who_is_known_is_bounded() {
        let mut waits = SignInWaits::new(3);
        for number in 0..PAIRS_MAX as u32 + 10 {
            waits.succeeded(u64::from(number), IpAddr::from(number.to_be_bytes()), &"gw".into());
        }
        assert_eq!(waits.known_good.len(), PAIRS_MAX);
    }
}
