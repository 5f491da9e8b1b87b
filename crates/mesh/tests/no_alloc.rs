//! `observe` runs for every publish of every gateway: it must not touch the heap.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "counting allocations takes an allocator, and allocators are unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::observe::{PayloadState, Scratch, observe};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting per thread.
struct Counting;

// SAFETY: every call is passed on unchanged; the counter neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn looking_at_a_publish_allocates_nothing() {
    let mut publishes = publishes("generated.jsonl", "envelope_hex");
    publishes.extend(self::publishes("firmware.jsonl", "payload_hex"));
    let mut configured = Keyring::default();
    for (name, psk) in [
        ("LongFast", &[1][..]),
        ("CityPriv", &hex::decode("101112131415161718191a1b1c1d1e1f").unwrap()),
        ("CityOps", &(0x40..0x60).collect::<Vec<u8>>()),
        ("CityAead", &[1]),
        ("Ops", &(0..32).collect::<Vec<u8>>()),
    ] {
        configured.add(name, ChannelKey::from_psk(psk).unwrap());
    }
    let mut opened = 0;
    // Without keys the public ones are tried, which makes them on the spot.
    for keyring in [&configured, &Keyring::default()] {
        for (topic, payload) in &publishes {
            let mut scratch = Scratch::default();
            let before = ALLOCATIONS.get();
            let facts = observe(topic, payload, keyring, &mut scratch);
            let allocations = ALLOCATIONS.get() - before;
            assert_eq!(allocations, 0, "{topic} {}", hex::encode(payload));
            opened += usize::from(facts.payload == PayloadState::Decrypted);
        }
    }
    assert!(opened > 200, "only {opened} were opened: the test looks at too little");
}

fn publishes(file: &str, member: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors").join(file);
    let publish = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["topic"].as_str().unwrap().to_owned(), hex::decode(line[member].as_str().unwrap()).unwrap())
    };
    fs::read_to_string(path).unwrap().lines().map(publish).collect()
}
