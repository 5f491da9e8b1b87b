//! What the bytes of a reception say, opened again for a page. Nothing opened is kept.

use mesh::keyring::Keyring;
use mesh::observe::{Facts, Scratch, observe};
use mesh::portnum::PortNum;
use record::Reception;

/// Characters of a text shown in a row.
const SAID_CHARS_MAX: usize = 240;

/// Opens a reception and looks at the facts.
pub fn look<T>(reception: &Reception, keyring: &Keyring, then: impl FnOnce(&Facts<'_>) -> T) -> T {
    let mut scratch = Scratch::default();
    then(&observe(&reception.topic, &reception.payload, keyring, &mut scratch))
}

/// The text somebody wrote, for a row of the log. Only for receptions that the visitor may see.
pub fn said(reception: &Reception, keyring: &Keyring) -> Option<String> {
    let port = PortNum(reception.port?);
    if !matches!(port, PortNum::TEXT_MESSAGE | PortNum::ALERT | PortNum::DETECTION_SENSOR) {
        return None;
    }
    look(reception, keyring, |facts| {
        let data = facts.data.filter(|d| d.port == port)?;
        Some(printable(&String::from_utf8_lossy(data.payload), SAID_CHARS_MAX))
    })
}

/// Text in one line: without control characters and without marks that turn the direction of what follows.
pub fn printable(text: &str, chars_max: usize) -> String {
    let is_shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut line: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(is_shown).collect();
    if let Some((at, _)) = line.char_indices().nth(chars_max) {
        line.truncate(at);
        line.push('…');
    }
    line
}
