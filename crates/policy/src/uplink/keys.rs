//! How public the key of a channel is.

use mesh::key::KeyClass;
use mesh::observe::Facts;

use super::{Objection, object};
use crate::decision::Verdict;

pub(super) fn public_key(facts: &Facts<'_>) -> Option<Objection> {
    let sentence = match facts.key_class {
        KeyClass::Default => "The channel uses the default key: anyone can read it.",
        KeyClass::Simple => "The channel uses a one-byte key: anyone can read it.",
        KeyClass::Known => "The channel uses a published key: anyone can read it.",
        KeyClass::Unencrypted => "The channel is not encrypted: anyone can read it.",
        KeyClass::Private | KeyClass::Pki | KeyClass::Unknown => return None,
    };
    object(Verdict::RecordOnly, sentence)
}
