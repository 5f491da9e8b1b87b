//! Names of the past as identities of today: the directory says who has a credential, and what for.

use std::sync::Arc;

use directory::{Directory, GatewayId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use policy::admission::principal_of;
use policy::principal::{Principal, gateway_named_by};
use record::ReceiverKind;

use crate::receivers::Receiver;

/// Identities found so far; names of the past are bounded by what the history holds, and here once more.
pub struct People {
    directory: Arc<Directory>,
    senders: HashMap<Arc<str>, Option<Principal>, FixedState>,
    receivers: HashMap<Receiver, Option<Principal>, FixedState>,
    latest: Option<Found>,
}

/// A list of names, and who they are.
type Found = (Arc<[Receiver]>, Arc<[Principal]>);

/// Names kept at hand; more are looked up again.
const KEPT_MAX: usize = 50_000;

impl People {
    pub fn new(directory: Arc<Directory>) -> Self {
        Self { directory, senders: HashMap::default(), receivers: HashMap::default(), latest: None }
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Who published; `None` when the credential is gone.
    pub fn sender(&mut self, username: Option<&Arc<str>>, client_id: &Arc<str>) -> Option<Principal> {
        let Some(username) = username else {
            return Some(Principal::Guest { gateway: gateway_named_by(client_id) });
        };
        if let Some(known) = self.senders.get(username) {
            return known.clone();
        }
        let found = principal(&self.directory, username);
        if self.senders.len() < KEPT_MAX {
            self.senders.insert(username.clone(), found.clone());
        }
        found
    }

    /// Those who were to get a copy and have a credential still; the same list is looked up once.
    pub fn receivers(&mut self, names: &Arc<[Receiver]>) -> Arc<[Principal]> {
        if let Some((known, found)) = &self.latest
            && Arc::ptr_eq(known, names)
        {
            return found.clone();
        }
        let found: Arc<[Principal]> =
            names.iter().filter_map(|(name, kind)| self.receiver(name, *kind)).collect();
        self.latest = Some((names.clone(), found.clone()));
        found
    }

    fn receiver(&mut self, name: &Arc<str>, kind: ReceiverKind) -> Option<Principal> {
        let key = (name.clone(), kind);
        if let Some(known) = self.receivers.get(&key) {
            return known.clone();
        }
        let found = match kind {
            ReceiverKind::Guest => Some(Principal::Guest { gateway: gateway_named_by(name) }),
            ReceiverKind::Gateway => gateway(&self.directory, name),
            ReceiverKind::Bridge => Some(Principal::Bridge { username: name.clone() }),
            ReceiverKind::Observer | ReceiverKind::Service => principal(&self.directory, name),
        };
        if self.receivers.len() < KEPT_MAX {
            self.receivers.insert(key, found.clone());
        }
        found
    }
}

fn principal(directory: &Directory, username: &str) -> Option<Principal> {
    directory.credential(username).map(|credential| principal_of(credential))
}

/// A gateway is named by its id in records, and by its credential in the directory.
fn gateway(directory: &Directory, id: &str) -> Option<Principal> {
    let id: GatewayId = id.parse().ok()?;
    directory.gateway(id).map(|credential| principal_of(credential))
}
