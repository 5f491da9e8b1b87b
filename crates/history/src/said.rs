//! What people wrote and what nodes are called, opened with the keys at hand: to index it when it is stored, and to
//! look again when it is found, since a key may have been taken away since.

use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use mesh::portnum::PortNum;
use mesh::wire::{Content, Fields};
use record::Reception;

/// Ports whose payload is text that people read.
pub const TEXT_PORTS: [PortNum; 4] =
    [PortNum::TEXT_MESSAGE, PortNum::ALERT, PortNum::DETECTION_SENSOR, PortNum::RANGE_TEST];

/// Characters of a text that are searched; what crosses a radio is shorter.
const TEXT_CHARS_MAX: usize = 1_000;
/// Characters kept of a name; firmware allows 39 bytes.
const NAME_CHARS_MAX: usize = 60;

/// The text somebody wrote; `None` when there is none, or no key at hand opens it.
pub fn said(reception: &Reception, keyring: &Keyring) -> Option<String> {
    let port = PortNum(reception.port?);
    if !TEXT_PORTS.contains(&port) {
        return None;
    }
    let mut scratch = Scratch::default();
    let facts = observe(&reception.topic, &reception.payload, keyring, &mut scratch);
    let data = facts.data.filter(|data| data.port == port)?;
    Some(String::from_utf8_lossy(data.payload).chars().take(TEXT_CHARS_MAX).collect())
}

/// Long and short name that a node gave itself in this reception.
pub fn names(reception: &Reception, keyring: &Keyring) -> Option<(String, String)> {
    if reception.port != Some(PortNum::NODEINFO.0) {
        return None;
    }
    let mut scratch = Scratch::default();
    let facts = observe(&reception.topic, &reception.payload, keyring, &mut scratch);
    let user = facts.data.filter(|data| data.port == PortNum::NODEINFO)?.payload;
    let (mut long, mut short) = (String::new(), String::new());
    // `mesh.proto`, User: 2 long name, 3 short name.
    for field in Fields::of(user) {
        let field = field.ok()?;
        match (field.number, field.content) {
            (2, Content::Bytes(text)) => long = name(text)?,
            (3, Content::Bytes(text)) => short = name(text)?,
            _ => {}
        }
    }
    (!long.is_empty() || !short.is_empty()).then_some((long, short))
}

fn name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect())
}
