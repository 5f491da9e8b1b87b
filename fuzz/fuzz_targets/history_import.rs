//! Lines of captures and exports of others: whatever stands in them is a reception or an error, and a frame is made of it or not.
#![no_main]

use history::import::Lines;
use libfuzzer_sys::fuzz_target;
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;

fuzz_target!(|text: &str| {
    let keyring = Keyring::default();
    let mut lines = Lines::new(keyring.clone(), ModemPreset::LongFast);
    for line in text.lines() {
        if let Ok(Some((reception, _))) = lines.read(line) {
            let frame = mesh::frame::on_air(&reception.payload, &keyring);
            assert!(frame.is_none_or(|frame| frame.len() <= mesh::frame::FRAME_BYTES_MAX));
            // What is written is read again as it was.
            let again = history::json::reception(&reception).to_string();
            let (again, _) = Lines::new(keyring.clone(), ModemPreset::LongFast)
                .read(&again)
                .expect("our own line")
                .expect("a reception");
            assert_eq!(again.payload, reception.payload);
            assert_eq!(again.topic, reception.topic);
        }
    }
});
