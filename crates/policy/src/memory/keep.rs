//! What policy remembers as bytes, so that it survives a restart: a header, one section for each ledger, and a checksum.
//!
//! - A section has a name and a version. One that is unknown here, or of another version, is left out, and that ledger
//!   begins empty: a program of another age must not make nonsense of it.
//! - Times in it are on the broker's clock. The header says what that clock stood at, and the next run's clock begins no
//!   earlier.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Memory;
use crate::now::Now;

/// What such a file begins with.
const MAGIC: [u8; 8] = *b"BHMEMORY";
/// Version of the frame around the sections.
const FRAME_VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 4;

/// What could be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the clocks stood at when it was written.
    pub written: Now,
    /// Ledgers that begin empty, since what is kept of them is of another version.
    pub left_out: Vec<String>,
}

/// Why bytes are not what was remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damaged {
    /// They do not begin as such a file does.
    NotMemory,
    /// A newer program wrote them.
    Newer(u16),
    /// They end early, or were altered.
    Checksum,
    /// The checksum fits and the content does not.
    Content,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMemory => f.write_str("it is no memory of a policy"),
            Self::Newer(version) => {
                write!(f, "it has version {version}, and {FRAME_VERSION} is the newest known")
            }
            Self::Checksum => f.write_str("it is cut short or altered"),
            Self::Content => f.write_str("its content makes no sense"),
        }
    }
}

impl std::error::Error for Damaged {}

impl Memory {
    /// Everything as bytes.
    pub fn to_bytes(&self, now: Now) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        out.extend(MAGIC);
        out.extend(FRAME_VERSION.to_le_bytes());
        out.extend(now.mono_ms.to_le_bytes());
        out.extend(now.unix_ms.to_le_bytes());
        put(&mut out, "seen", 1, &self.seen);
        put(&mut out, "proofs", 1, &self.proofs);
        put(&mut out, "airtime", 1, &self.airtime.kept());
        put(&mut out, "uplink", 1, &self.uplink.kept());
        put(&mut out, "volume", 1, &self.volume.kept());
        put(&mut out, "holds", 1, &self.holds.kept());
        put(&mut out, "islands", 2, &self.islands.kept());
        put(&mut out, "reach", 1, &self.reach.kept());
        put(&mut out, "reports", 1, &self.reports.kept());
        put(&mut out, "nodes", 1, &self.nodes);
        put(&mut out, "profiles", 1, &self.profiles);
        put(&mut out, "movement", 1, &self.movement);
        let checksum = crc32fast::hash(&out);
        out.extend(checksum.to_le_bytes());
        out
    }

    /// Takes over what an earlier run remembered. On an error nothing has changed.
    ///
    /// # Errors
    /// When the bytes are not what `to_bytes` made.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, Damaged> {
        let (mut restored, mut rest) = open(bytes)?;
        let mut sections = Vec::new();
        while !rest.is_empty() {
            sections.push(take_section(&mut rest).ok_or(Damaged::Content)?);
        }
        for section in sections {
            let is_taken = match (section.name, section.version) {
                ("seen", 1) => section.read().map(|kept| self.seen.take_over(kept)),
                ("proofs", 1) => section.read().map(|kept| self.proofs.take_over(kept)),
                ("airtime", 1) => section.read().map(|kept| self.airtime.take_over(kept)),
                ("uplink", 1) => section.read().map(|kept| self.uplink.take_over(kept)),
                ("volume", 1) => section.read().map(|kept| self.volume.take_over(kept)),
                ("holds", 1) => section.read().map(|kept| self.holds.take_over(kept)),
                ("islands", 2) => section.read().map(|kept| self.islands.take_over(kept)),
                ("reach", 1) => section.read().map(|kept| self.reach.take_over(kept)),
                ("reports", 1) => section.read().map(|kept| self.reports.take_over(kept)),
                ("nodes", 1) => section.read().map(|kept| self.nodes = kept),
                ("profiles", 1) => section.read().map(|kept| self.profiles = kept),
                ("movement", 1) => section.read().map(|kept| self.movement = kept),
                _ => None,
            };
            if is_taken.is_none() {
                restored.left_out.push(section.name.to_owned());
            }
        }
        Ok(restored)
    }
}

/// When these bytes were written, if they are what a policy remembers.
///
/// # Errors
/// When they are not.
pub fn written_at(bytes: &[u8]) -> Result<Now, Damaged> {
    open(bytes).map(|(restored, _)| restored.written)
}

struct Section<'a> {
    name: &'a str,
    version: u16,
    content: &'a [u8],
}

impl Section<'_> {
    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        postcard::from_bytes(self.content).ok()
    }
}

/// Appends a section: length of its name, name, version, length of its content, content.
fn put(out: &mut Vec<u8>, name: &str, version: u16, ledger: &impl Serialize) {
    // Ledgers are plain values, and memory is the only thing that writing them can lack.
    let content = postcard::to_allocvec(ledger).expect("a ledger can be written to memory");
    out.push(name.len() as u8);
    out.extend(name.as_bytes());
    out.extend(version.to_le_bytes());
    out.extend((content.len() as u64).to_le_bytes());
    out.extend(content);
}

fn open(bytes: &[u8]) -> Result<(Restored, &[u8]), Damaged> {
    let mut rest = bytes.strip_prefix(&MAGIC).ok_or(Damaged::NotMemory)?;
    let version = u16::from_le_bytes(take(&mut rest).ok_or(Damaged::Checksum)?);
    if version > FRAME_VERSION {
        return Err(Damaged::Newer(version));
    }
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Damaged::Checksum)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(Damaged::Checksum);
    }
    let mono_ms = u64::from_le_bytes(take(&mut rest).ok_or(Damaged::Checksum)?);
    let unix_ms = i64::from_le_bytes(take(&mut rest).ok_or(Damaged::Checksum)?);
    let rest = rest.len().checked_sub(CHECKSUM_BYTES).and_then(|end| rest.get(..end));
    let written = Now { mono_ms, unix_ms };
    Ok((Restored { written, left_out: Vec::new() }, rest.ok_or(Damaged::Checksum)?))
}

fn take_section<'a>(rest: &mut &'a [u8]) -> Option<Section<'a>> {
    let [name_bytes] = take(rest)?;
    let name = take_slice(rest, usize::from(name_bytes))?;
    let version = u16::from_le_bytes(take(rest)?);
    let content_bytes = u64::from_le_bytes(take(rest)?);
    let content = take_slice(rest, usize::try_from(content_bytes).ok()?)?;
    Some(Section { name: std::str::from_utf8(name).ok()?, version, content })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn take_slice<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::downlink::class::Class;
    use crate::memory::MemoryLimits;
    use crate::memory::airtime::{Account, Charge};
    use crate::memory::holds::{Held, HoldSettings};
    use crate::memory::proof::ProofSettings;
    use crate::memory::seen::PacketKey;
    use crate::memory::volume::Kind;
    use crate::rule::RuleId;
    use crate::settings::Settings;

    const NOW: Now = Now { mono_ms: 5_000, unix_ms: 1_795_000_000_000 };
    const KEY: PacketKey = PacketKey { from: 0x7c5a_0b02, id: 7 };
    const GATEWAY: u32 = 0x7c5a_0a01;

    fn empty(packets_max: usize) -> Memory {
        Memory::new(
            &Settings::default(),
            MemoryLimits { seen_packets_max: packets_max, ..MemoryLimits::default() },
            3,
        )
    }

    fn full() -> Memory {
        let mut memory = empty(100);
        memory.seen.note_heard(4_000, KEY, GATEWAY);
        memory.seen.note_released(4_000, KEY);
        memory.seen.note_heard(4_500, PacketKey { id: 8, ..KEY }, GATEWAY);
        memory.proofs.note_asked(NOW, GATEWAY, 9);
        memory.proofs.note_answer(NOW, GATEWAY, 9, GATEWAY);
        let charge = Charge {
            gateway: GATEWAY,
            island: GATEWAY,
            channel: 1,
            node: KEY.from,
            class: Class::Message,
            airtime_us: 250_000,
        };
        memory.airtime.charge(NOW.mono_ms, &charge);
        for at_ms in [4_000, 4_100, 4_200, 4_300, 4_400] {
            memory.islands.note_heard(at_ms, GATEWAY, [GATEWAY + 1].into_iter());
            memory.islands.note_heard(at_ms, GATEWAY + 1, [GATEWAY].into_iter());
        }
        memory.reach.note_heard(4_000, KEY.from, GATEWAY, Some(1));
        memory.reports.note_utilisation(4_000, GATEWAY, 21.0);
        memory.uplink.note_heard(4_000, GATEWAY, 77_000);
        let now = Now { mono_ms: 4_000, ..NOW };
        let settings = HoldSettings { objections: 1, ..HoldSettings::default() };
        memory.holds.note_objection(&settings, now, Held::Node(KEY.from), RuleId::Echo, Some(KEY));
        memory.volume.note(4_000, Kind { node: KEY.from, port: 67, variant: 2 }, false, true);
        memory
    }

    #[test]
    fn what_was_remembered_is_known_to_the_next_run() {
        let mut next = empty(100);
        next.proofs.set_own_node(5);
        let restored = next.restore(&full().to_bytes(NOW)).unwrap();
        assert_eq!(restored, Restored { written: NOW, left_out: Vec::new() });
        assert!(next.seen.was_released(KEY) && next.seen.was_heard_by(KEY, GATEWAY));
        assert_eq!(next.airtime.used_us(NOW.mono_ms, Account::Gateway(GATEWAY)), 250_000);
        assert_eq!(next.airtime.used_us(NOW.mono_ms + 3_700_000, Account::Gateway(GATEWAY)), 0);
        assert_eq!(next.islands.island_of(GATEWAY), full().islands.island_of(GATEWAY));
        assert!(next.reach.hears(NOW.mono_ms, GATEWAY, KEY.from, 3_600_000));
        assert!(next.reports.utilisation(NOW.mono_ms, GATEWAY).is_some_and(|percent| percent > 20.0));
        assert!(next.proofs.is_valid(GATEWAY, NOW, &ProofSettings::default()));
        assert_eq!(next.uplink.used_us(NOW.mono_ms, Account::Heard(GATEWAY)), 77_000);
        assert!(next.holds.on(NOW, Held::Node(KEY.from), None).is_some_and(|hold| hold.level == 1));
        let flow = next.volume.flow(NOW.mono_ms, Kind { node: KEY.from, port: 67, variant: 2 });
        assert_eq!((flow.packets, flow.since_passed_ms), (1, Some(1_000)));
        assert_eq!(next.proofs.own_node(), 5, "who we are is not a memory");
        assert_eq!(next.to_bytes(NOW), full().to_bytes(NOW));
    }

    #[test]
    fn a_node_that_is_forgotten_stands_nowhere_any_more() {
        for node in [KEY.from, GATEWAY, GATEWAY + 1] {
            let mut varint = Vec::new();
            mesh::wire::put_varint(&mut varint, node.into());
            let stands =
                |memory: &Memory| memory.to_bytes(NOW).windows(varint.len()).any(|window| window == varint);
            let mut memory = full();
            assert!(stands(&memory));
            memory.forget_node(node);
            assert!(!stands(&memory), "{node:08x}");
            let mut next = empty(100);
            assert_eq!(next.restore(&memory.to_bytes(NOW)).unwrap().left_out, Vec::<String>::new());
        }
    }

    #[test]
    fn a_smaller_memory_keeps_the_newest() {
        let mut next = empty(1);
        next.restore(&full().to_bytes(NOW)).unwrap();
        assert_eq!(next.seen.len(), 1);
        assert!(next.seen.was_heard_by(PacketKey { id: 8, ..KEY }, GATEWAY));
    }

    #[test]
    fn a_ledger_of_another_version_begins_empty_and_the_others_do_not() {
        let mut bytes = full().to_bytes(NOW);
        let at = bytes.windows(4).position(|w| w == b"seen").unwrap() + 4;
        bytes[at] = 99;
        let end = bytes.len() - CHECKSUM_BYTES;
        let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
        let mut next = empty(100);
        assert_eq!(next.restore(&bytes).unwrap().left_out, ["seen"]);
        assert!(next.seen.is_empty() && next.proofs.of(GATEWAY).proved_ms.is_some());
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let whole = full().to_bytes(NOW);
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 0x10;
            let mut next = empty(100);
            assert!(next.restore(&bytes).is_err(), "byte {index}");
            assert!(next.seen.is_empty());
            assert!(next.restore(&whole[..index]).is_err(), "cut at {index}");
        }
    }

    proptest! {
        #[test]
        fn junk_with_the_right_checksum_does_not_panic(junk in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = [&MAGIC[..], &1_u16.to_le_bytes(), &[0; 16], &junk].concat();
            bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
            let _ = empty(10).restore(&bytes);
        }
    }
}
