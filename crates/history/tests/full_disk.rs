//! A disk that takes no more: what is said, what is shed, and that all goes on when there is room. The kernel's limit on
//! the size of files stands for the disk. It holds for a whole process, so this file has one test.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use history::{Dimension, Filter, Reader, Recorder, RecorderOptions};
use made_up::Maker;
use record::Record;

const LIMIT_BYTES: u64 = 3 << 20;

#[test]
fn a_full_disk_sheds_says_so_and_recording_goes_on_when_there_is_room() {
    // Without this, the kernel ends a process that writes beyond the limit.
    let beyond_limit = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, beyond_limit).unwrap();
    let (soft, hard) = rlimit::Resource::FSIZE.get().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (told, durable) = channel();
    let options = RecorderOptions { queue_max: 2_000, batch_max: 500, ..RecorderOptions::default() };
    let recorder = Recorder::start(folder.path(), options, move |batch| told.send(batch).unwrap()).unwrap();
    let (mut give, health) = (recorder.sender(), recorder.health());
    let mut maker = Maker::new(21);
    let mut taken = 0;

    rlimit::Resource::FSIZE.set(LIMIT_BYTES, hard).unwrap();
    wait_until(|| {
        for _ in 0..200 {
            taken += u64::from(give(Record::Reception(maker.reception())));
        }
        health.is_stalled.load(Relaxed) && health.shed.load(Relaxed) > 0
    });
    let said = health.last_error().unwrap();
    assert!(said.contains(".db"), "{said}");
    // Whoever reads meanwhile finds what was stored before.
    let before =
        Reader::open(folder.path()).unwrap().log(&Filter { limit: 10, ..Filter::default() }).unwrap();
    assert_eq!(before.len(), 10);

    rlimit::Resource::FSIZE.set(soft, hard).unwrap();
    wait_until(|| !health.is_stalled.load(Relaxed));
    taken += u64::from(give(Record::Reception(maker.reception())));
    drop(recorder);
    assert_eq!((health.last_error(), health.stored.load(Relaxed)), (None, taken));
    let durable: Vec<u64> = (durable.iter().flatten())
        .filter_map(|record| if let Record::Reception(r) = record { Some(r.seq) } else { None })
        .collect();
    let reader = Reader::open(folder.path()).unwrap();
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let filter = Filter { after_seq: Some(after), limit: 5_000, ..Filter::default() };
        let page = reader.log(&filter).unwrap();
        let Some(last) = page.last() else { break };
        after = last.seq;
        found.extend(page.iter().map(|r| r.seq));
    }
    assert_eq!(found, durable, "what was said to be durable is there, and nothing else");
    assert_eq!(found.len() as u64, taken);
    // What was tried several times counts once.
    assert_eq!(reader.tallies(Dimension::All, 0, i64::MAX / 2).unwrap()[0].1.receptions(), taken);
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}
