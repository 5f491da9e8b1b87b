//! The promise of `observe` that types cannot make: it allocates nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use serde_json::Value as Json;

#[test]
fn observing_allocates_nothing() {
    let mut greedy = Vec::new();
    for publish in publishes() {
        // Without the channel's own key the public ones are tried, and guesses.
        for keyring in [&publish.keyring, &Keyring::default()] {
            let mut scratch = Scratch::default();
            let before = allocations();
            let facts = observe(&publish.topic, &publish.payload, keyring, &mut scratch);
            // Names of flags and the gateway's number are asked for on the publish path as well.
            black_box(facts.flags.names().count());
            black_box(facts.topic.and_then(|t| t.gateway_node()));
            let count = allocations() - before;
            if count > 0 {
                greedy.push(format!("{}: {count}", publish.name));
            }
        }
    }
    assert!(greedy.is_empty(), "{} allocate:\n{}", greedy.len(), greedy.join("\n"));
}

#[test]
fn allocations_are_counted() {
    let before = allocations();
    black_box(vec![1u8]);
    assert_eq!(allocations() - before, 1);
}

struct Publish {
    name: String,
    topic: String,
    payload: Vec<u8>,
    keyring: Keyring,
}

fn publishes() -> Vec<Publish> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/generated.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let publish = |line: &str| {
        let vector: Json = serde_json::from_str(line).unwrap();
        let topic = vector["topic"].as_str().unwrap().to_owned();
        let mut keyring = Keyring::default();
        if let (Some(psk), Some(channel)) = (vector["key_b64"].as_str(), topic.rsplit('/').nth(1)) {
            keyring.add(channel, ChannelKey::from_psk(&BASE64.decode(psk).unwrap()).unwrap());
        }
        let payload = hex::decode(vector["envelope_hex"].as_str().unwrap()).unwrap();
        Publish { name: vector["name"].as_str().unwrap().to_owned(), topic, payload, keyring }
    };
    text.lines().map(publish).collect()
}

thread_local! {
    /// Tests run side by side; each counts its own thread's.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn allocations() -> u64 {
    ALLOCATIONS.get()
}

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

// SAFETY: every call goes to the system's allocator unchanged; counting touches only a constant-initialised
// thread-local without a destructor, which allocates nothing itself.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
