//! `backhaul decode` as people run it: lines in, JSON lines out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mesh::wire::{put_bytes, put_fixed32, put_uint};
use serde_json::{Value as Json, json};

#[test]
fn every_vector_is_decoded() {
    let file = vectors("generated.jsonl");
    let output = decode(&[file.to_str().unwrap()], b"");
    assert!(output.status.success(), "{output:?}");
    let vectors = json_lines(&std::fs::read(file).unwrap());
    let decoded = json_lines(&output.stdout);
    assert_eq!((vectors.len(), decoded.len()), (111, 111));
    for (vector, decoded) in vectors.iter().zip(&decoded) {
        let name = &vector["name"];
        assert_eq!(&decoded["name"], name);
        for what in ["envelope", "payload", "flags"] {
            assert_eq!(decoded[what], vector["expect"][what], "{what} of {name}");
        }
        let (Some(header), packet) = (vector["decoded"].as_object(), &decoded["packet"]) else {
            assert!(decoded["packet"].is_null(), "{name}");
            continue;
        };
        for (field, expected) in header.iter().filter(|(field, _)| *field != "data") {
            let expected = match field.as_str() {
                "from" | "to" => {
                    let id = json!(format!("!{:08x}", expected.as_u64().unwrap()));
                    assert_eq!(packet[format!("{field}_id")], id, "{field} of {name}");
                    expected.clone()
                }
                "gateway_id" | "channel_id" if expected == "" => Json::Null,
                "rx_snr" => {
                    assert_eq!(packet[field].as_f64(), expected.as_f64(), "rx_snr of {name}");
                    continue;
                }
                _ => expected.clone(),
            };
            assert_eq!(packet[field], expected, "{field} of {name}");
        }
        for field in ["portnum", "payload_hex", "bitfield", "request_id", "want_response"] {
            assert_eq!(packet["data"][field], vector["decoded"]["data"][field], "{field} of {name}");
        }
    }
}

#[test]
fn what_a_vector_shows_besides() {
    let file = vectors("generated.jsonl");
    let decoded = json_lines(&decode(&[file.to_str().unwrap()], b"").stdout);
    let of = |name: &str| decoded.iter().find(|d| d["name"] == name).unwrap_or_else(|| panic!("{name}"));
    for (name, what, expected) in [
        ("text_default", "consent", "yes"),
        ("text_not_ok_to_mqtt", "consent", "no"),
        ("text_no_bitfield_old_firmware", "consent", "unknown"),
        ("text_default", "key_class", "default"),
        ("text_simple10_psk_0b", "key_class", "simple"),
        ("text_key32", "key_class", "private"),
        ("text_psk_00_no_crypto", "key_class", "unencrypted"),
        ("pki_dm", "key_class", "PKI"),
        ("opaque_unknown_channel", "key_class", "unknown"),
        ("signed_nodeinfo_v1", "signature", "valid v1"),
        ("signed_nodeinfo_v0_revoked", "signature", "valid v0"),
        ("signed_nodeinfo_bad_signature", "signature", "invalid"),
        ("text_default", "signature", "none"),
        ("text_default", "identity", "unknown key"),
        ("nodeinfo", "identity", "number not made from key"),
        ("signed_nodeinfo_v1", "identity", "number made from key"),
    ] {
        assert_eq!(of(name)[what], expected, "{what} of {name}");
    }
    // 16 bytes of header and 22 of data on LongFast; a map report is never sent.
    assert_eq!(of("text_default")["packet"]["frame_bytes"], 38);
    assert_eq!(of("text_default")["time_on_air_ms"], 518.144);
    assert_eq!(of("map_report")["time_on_air_ms"], Json::Null);
    let position = &of("position_13bit")["packet"]["data"];
    assert_eq!((&position["app"]["altitude"], &position["units"]["altitude"]), (&json!(16), &json!("m")));
    let device = &of("telemetry_device")["packet"]["data"];
    assert_eq!(device["units"]["device_metrics.voltage"], "V");
}

#[test]
fn signatures_are_checked_with_the_first_key_that_nodeinfo_told() {
    let signed_nodeinfo = line("signed_nodeinfo_v1");
    let header = &signed_nodeinfo["decoded"];
    let (from, id) = (header["from"].as_u64().unwrap() as u32, header["id"].as_u64().unwrap() as u32);
    let text = |signature: &[u8]| plain(from, id + 1, 1, b"hello", signature);
    let mut user = Vec::new();
    put_bytes(&mut user, 8, &[9; 32]);
    let impostor = |signature: &[u8]| plain(from, id + 2, 4, &user, signature);
    for (publishes, expected) in [
        (vec![text(&[]), text(&[1; 64]), text(&[1; 10])], vec!["none", "unknown key", "malformed"]),
        (vec![signed_nodeinfo.clone(), text(&[1; 64])], vec!["valid v1", "invalid"]),
        // Another key does not replace the first one.
        (
            vec![signed_nodeinfo.clone(), impostor(&[]), signed_nodeinfo.clone()],
            vec!["valid v1", "none", "valid v1"],
        ),
        // A key with a wrong signature of its own is not learnt.
        (vec![impostor(&[1; 64]), signed_nodeinfo.clone()], vec!["invalid", "valid v1"]),
        // Without a signature there is nothing to doubt it by.
        (vec![impostor(&[]), signed_nodeinfo.clone()], vec!["none", "invalid"]),
    ] {
        let input: String = publishes.iter().map(|p| format!("{p}\n")).collect();
        let decoded = json_lines(&decode(&[], input.as_bytes()).stdout);
        let found: Vec<_> = decoded.iter().map(|d| d["signature"].as_str().unwrap()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn presets_come_from_the_channel_name_or_the_option() {
    let named = line("text_mediumfast_default");
    let other = line("text_key16");
    let time = |line: &Json, arguments: &[&str]| {
        let decoded = json_lines(&decode(arguments, line.to_string().as_bytes()).stdout).remove(0);
        decoded["time_on_air_ms"].as_f64().unwrap()
    };
    assert_eq!(time(&named, &[]), time(&named, &["--preset", "SHORT_FAST"]));
    assert!(time(&other, &["--preset", "SHORT_FAST"]) * 5.0 < time(&other, &[]));
    assert_eq!(time(&other, &["--preset", "LongFast"]), time(&other, &[]));
    assert_eq!(decode(&["--preset", "FAST"], b"").status.code(), Some(2));
}

#[test]
fn keys_come_from_the_line_or_from_the_option() {
    let mut vector = line("text_key16");
    let key = vector["key_b64"].as_str().unwrap().to_owned();
    let payload = |vector: &Json, arguments: &[&str]| {
        json_lines(&decode(arguments, vector.to_string().as_bytes()).stdout).remove(0)["payload"].clone()
    };
    assert_eq!(payload(&vector, &[]), "decrypted");
    // The line's own key wins over the option's, which still opens the lines without one.
    assert_eq!(payload(&vector, &["--key", "CityPriv=AAECAwQFBgcICQoLDA0ODw=="]), "decrypted");
    vector.as_object_mut().unwrap().remove("key_b64");
    assert_eq!(payload(&vector, &[]), "opaque");
    assert_eq!(payload(&vector, &["--key", &format!("CityPriv={key}")]), "decrypted");
    // A channel may have been renamed: every key is tried whose hash fits.
    assert_eq!(payload(&vector, &["--key", &format!("Another={key}")]), "decrypted");
}

#[test]
fn bare_bytes_are_read_in_hex_and_base64() {
    let hex = line("text_default")["envelope_hex"].as_str().unwrap().to_owned();
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD.encode(hex::decode(&hex).unwrap());
    let input = format!("{hex}\n\n  {base64}\r\n{}\n", base64.trim_end_matches('='));
    let output = decode(&["-"], input.as_bytes());
    assert!(output.status.success());
    let decoded = json_lines(&output.stdout);
    assert_eq!(decoded.len(), 3);
    for decoded in decoded {
        assert_eq!(decoded["packet"]["data"]["app"]["text"], "Hello, city mesh");
        assert_eq!(decoded["flags"], json!([]));
    }
}

#[test]
fn a_bad_line_is_told_and_the_others_go_on() {
    let good = line("text_default").to_string();
    let mut input = Vec::new();
    let bad: &[&[u8]] = &[
        b"not hex, not base64",
        b"{\"topic\": \"t\"",
        b"{\"topic\": \"t\"}",
        b"{\"topic\": 1, \"envelope_hex\": \"\"}",
        b"{\"envelope_hex\": \"\"}",
        b"{\"topic\": \"t\", \"envelope_hex\": \"0\"}",
        b"{\"topic\": \"t\", \"envelope_hex\": \"\", \"key_b64\": \"?SECRET?\"}",
        b"{\"topic\": \"t\", \"payload_hex\": \"\", \"key_b64\": \"U0VDUkVUU0VDUkVUU0VDUkVUU0VDUkVUU0VDUkVUU0VDUkVU\"}",
        b"\xff\xfe",
        &[b'0'; (1 << 20) + 1],
    ];
    for line in bad {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    input.extend_from_slice(good.as_bytes());
    let output = decode(&[], &input);
    assert_eq!(output.status.code(), Some(1));
    let decoded = json_lines(&output.stdout);
    assert_eq!(decoded.len(), bad.len() + 1);
    for (index, decoded) in decoded[..bad.len()].iter().enumerate() {
        assert_eq!(decoded["line"], index + 1, "{decoded}");
        let error = decoded["error"].as_str().unwrap_or_else(|| panic!("{decoded}"));
        assert!(!error.contains("SECRET") && !error.contains("U0VD"), "{error}");
    }
    assert_eq!(decoded.last().unwrap()["payload"], "decrypted");
}

#[test]
fn a_wrong_key_option_is_not_repeated() {
    for wrong in ["TOPSECRET", "Ops=?TOPSECRET?", "Ops=VE9QU0VDUkVUVE9QU0VDUkVUVE9QU0VDUkVUVE9QU0VDUkVU"] {
        let output = decode(&["--key", wrong], b"");
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("`--key` number 1"), "{error}");
        assert!(!error.contains("SECRET") && !error.contains("VE9Q"), "{error}");
    }
}

#[test]
fn a_missing_file_is_told_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, present) = (folder.path().join("missing"), folder.path().join("present"));
    std::fs::write(&present, line("text_default").to_string()).unwrap();
    let output = decode(&[missing.to_str().unwrap(), present.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(1));
    let decoded = json_lines(&output.stdout);
    assert_eq!(decoded[0]["file"], missing.to_str().unwrap());
    assert_eq!(decoded[1]["name"], "text_default");
}

#[test]
fn real_firmware_is_decoded_whatever_the_topic() {
    let output = decode(
        &[
            "--key",
            "Ops=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            vectors("firmware.jsonl").to_str().unwrap(),
        ],
        b"",
    );
    assert!(output.status.success());
    let decoded = json_lines(&output.stdout);
    assert_eq!(decoded.len(), 130);
    for decoded in &decoded {
        let is_json = decoded["topic"].as_str().unwrap().contains("/2/json/");
        assert_eq!(decoded["envelope"], if is_json { "none" } else { "ok" }, "{decoded}");
        let is_pki = decoded["packet"]["channel_id"] == "PKI";
        assert_eq!(decoded["payload"] == "opaque", is_pki, "{decoded}");
    }
}

/// A line with a packet in clear.
fn plain(from: u32, id: u32, port: u64, payload: &[u8], signature: &[u8]) -> Json {
    let (mut data, mut packet, mut envelope) = (Vec::new(), Vec::new(), Vec::new());
    put_uint(&mut data, 1, port);
    put_bytes(&mut data, 2, payload);
    put_bytes(&mut data, 10, signature);
    put_fixed32(&mut packet, 1, from);
    put_bytes(&mut packet, 4, &data);
    put_fixed32(&mut packet, 6, id);
    put_bytes(&mut envelope, 1, &packet);
    json!({ "topic": "msh/2/e/LongFast/!a5000001", "envelope_hex": hex::encode(envelope) })
}

/// The vector of that name.
fn line(name: &str) -> Json {
    let all = json_lines(&std::fs::read(vectors("generated.jsonl")).unwrap());
    all.into_iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

fn vectors(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors").join(file)
}

fn json_lines(bytes: &[u8]) -> Vec<Json> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn decode(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_backhaul"))
        .arg("decode")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Both pipes must move at once, or each end waits for the other.
    let writer = std::thread::spawn(move || {
        // A program that refuses its options does not read.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}
