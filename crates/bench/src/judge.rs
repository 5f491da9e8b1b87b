//! What looking at an envelope and deciding on it costs, on the envelopes of the test vectors.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use directory::Directory;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use policy::decision::Verdict;
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::now::Now;
use policy::principal::Principal;
use policy::uplink::Publish;

use crate::allocations;
use bench::Failure;
use bench::statistics::Spread;

/// The costs found.
pub struct Costs {
    /// Envelopes measured.
    pub envelopes: usize,
    /// How many of them policy passes on.
    pub passed: usize,
    /// ns for observing and judging one, over the repetitions.
    pub both_ns: Spread,
    /// ns for observing one.
    pub observe_ns: Spread,
    /// Heap allocations per envelope.
    pub allocations: f64,
    /// Heap allocations per envelope that is passed on.
    pub allocations_passed: f64,
}

struct Vector {
    topic: String,
    payload: Vec<u8>,
    sender: Principal,
}

const REPETITIONS: usize = 9;

/// Measures for about `time`.
pub fn measure(root: &Path, time: Duration) -> Result<Costs, Failure> {
    let (vectors, keyring) = load(root)?;
    let mut policy = Policy::new(Default::default(), MemoryLimits::default(), 7);
    let (directory, now) = (Directory::default(), Now { mono_ms: 1_000, unix_ms: 1_790_000_000_000 });
    let mut scratch = Scratch::default();
    let mut judge = |v: &Vector| {
        let facts = observe(&v.topic, &v.payload, &keyring, &mut scratch);
        let publish = Publish {
            sender: &v.sender,
            address: None,
            topic: &v.topic,
            facts: &facts,
            directory: &directory,
        };
        black_box(policy.judge(now, &publish)).0.verdict
    };
    let passed: Vec<&Vector> =
        vectors.iter().filter(|v| matches!(judge(v), Verdict::Accept | Verdict::Rewrite)).collect();

    let before = allocations::count();
    vectors.iter().for_each(|v| _ = judge(v));
    let all = allocations::count() - before;
    passed.iter().for_each(|v| _ = judge(v));
    let of_passed = allocations::count() - before - all;

    let each = time / (2 * REPETITIONS as u32);
    let both_ns = repeat(&vectors, each, &mut |v| _ = judge(v));
    let mut scratch = Scratch::default();
    let observe_ns = repeat(&vectors, each, &mut |v| {
        black_box(observe(&v.topic, &v.payload, &keyring, &mut scratch));
    });
    Ok(Costs {
        envelopes: vectors.len(),
        passed: passed.len(),
        both_ns,
        observe_ns,
        allocations: all as f64 / vectors.len() as f64,
        allocations_passed: of_passed as f64 / passed.len() as f64,
    })
}

fn repeat(vectors: &[Vector], each: Duration, work: &mut impl FnMut(&Vector)) -> Spread {
    let samples = (0..REPETITIONS).map(|_| {
        let (started, mut passes) = (Instant::now(), 0);
        while started.elapsed() < each {
            vectors.iter().for_each(&mut *work);
            passes += 1;
        }
        started.elapsed().as_nanos() as f64 / (passes * vectors.len()) as f64
    });
    Spread::of(samples.collect())
}

fn load(root: &Path) -> Result<(Vec<Vector>, Keyring), Failure> {
    let (mut vectors, mut keys) = (Vec::new(), std::collections::BTreeSet::new());
    for (file, field) in [("generated.jsonl", "envelope_hex"), ("firmware.jsonl", "payload_hex")] {
        let path = root.join("testdata/vectors").join(file);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let topic = line["topic"].as_str().unwrap_or_default().to_owned();
            if !(topic.contains("/2/e/") || topic.contains("/2/map/")) {
                continue;
            }
            let payload = unhex(line[field].as_str().unwrap_or_default())?;
            if let (Some(name), Some(key)) =
                (line["decoded"]["channel_id"].as_str(), line["key_b64"].as_str())
            {
                keys.insert((name.to_owned(), key.to_owned()));
            }
            let gateway = topic.rsplit('/').next().and_then(mesh::node::NodeNum::parse).map(|n| n.0);
            vectors.push(Vector { topic, payload, sender: Principal::Guest { gateway } });
        }
    }
    let mut keyring = Keyring::default();
    keyring.add("LongFast", ChannelKey::default_key());
    for (name, key) in keys {
        let psk = base64::engine::general_purpose::STANDARD.decode(key)?;
        keyring.add(&name, ChannelKey::from_psk(&psk).ok_or("a test vector has no valid key")?);
    }
    Ok((vectors, keyring))
}

fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    let digits = text.as_bytes().chunks(2);
    Ok(digits.map(|two| u8::from_str_radix(&String::from_utf8_lossy(two), 16)).collect::<Result<_, _>>()?)
}
