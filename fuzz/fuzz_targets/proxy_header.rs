//! The begin of a connection behind a proxy. The first byte picks the versions that are taken.
#![no_main]

use doorway::proxy_header::{BYTES_MAX, Versions, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [choice, bytes @ ..] = bytes else { return };
    let versions = [Versions::One, Versions::Two, Versions::Any][usize::from(choice % 3)];
    let Ok(Some(header)) = parse(bytes, versions) else { return };
    assert!(header.len <= bytes.len() && header.len <= BYTES_MAX);
    // What follows the header says nothing about the client, and a part of it is never a whole one.
    assert_eq!(parse(&bytes[..header.len], versions), Ok(Some(header)));
    for known in 0..header.len {
        assert_eq!(parse(&bytes[..known], versions), Ok(None));
    }
});
