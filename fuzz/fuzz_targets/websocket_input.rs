//! What a WebSocket client may send: its request, and frames in any portions. The first byte is the portion's length.
#![no_main]

use doorway::upgrade;
use doorway::websocket::{End, Incoming};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [portion, bytes @ ..] = bytes else { return };
    if let upgrade::Answer::Accept { request_bytes, .. } = upgrade::answer(bytes) {
        assert!(request_bytes <= bytes.len());
    }
    let whole = feed(bytes, bytes.len().max(1));
    assert!(whole.0.len() <= bytes.len());
    assert_eq!(feed(bytes, usize::from(*portion).max(1)), whole);
});

fn feed(bytes: &[u8], portion: usize) -> (Vec<u8>, Vec<u8>, Result<(), End>) {
    let (mut incoming, mut payload, mut replies) = (Incoming::default(), Vec::new(), Vec::new());
    for part in bytes.to_vec().chunks_mut(portion) {
        let end = incoming.receive(part, &mut |bytes| payload.extend_from_slice(bytes), &mut replies);
        if end.is_err() {
            return (payload, replies, end);
        }
    }
    (payload, replies, Ok(()))
}
