//! `backhaul decode`: says what publishes hold, line by line, without a server. Reads what it is given and remembers
//! only what later lines need: node keys and which packets were there.

mod line;
mod report;
mod stream;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use mesh::airtime::ModemPreset;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use serde_json::{Value as Json, json};

use crate::Outcome;
use stream::Stream;

/// Options of `decode`.
#[derive(Args, Clone)]
pub struct Arguments {
    /// Files of JSON lines (`topic`, `envelope_hex`, optional `key_b64` and `name`) or of envelopes in hex or base64;
    /// `-` or none reads standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Key of a channel, as in its settings; may be given several times. Public keys need none
    #[arg(long = "key", value_name = "NAME=BASE64")]
    keys: Vec<String>,
    /// Modem preset for channels that are not named after one
    #[arg(long, value_name = "PRESET", default_value = "LONG_FAST", value_parser = preset)]
    preset: ModemPreset,
}

fn preset(text: &str) -> Result<ModemPreset, String> {
    ModemPreset::from_name(text).or_else(|| ModemPreset::of_channel_name(text)).ok_or_else(|| {
        let names: Vec<_> = ModemPreset::ALL.iter().map(|p| p.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// A longer line is no publish: MQTT payloads of the mesh have some hundred bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Decodes every line of every input. The exit code is 1 when a line could not be read.
pub fn run(arguments: Arguments) -> Outcome {
    let mut stream = Stream::new(keyring(&arguments.keys)?, arguments.preset);
    let mut out = BufWriter::new(io::stdout().lock());
    match decode_all(&arguments.files, &mut stream, &mut out)
        .and_then(|all_read| out.flush().map(|()| all_read))
    {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // Who reads our lines has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

/// Keys come as plain text and are taken apart here: clap would print a wrong one.
fn keyring(keys: &[String]) -> Result<Keyring, String> {
    let mut keyring = Keyring::default();
    for (index, text) in keys.iter().enumerate() {
        let wrong = |what: &str| format!("`--key` number {}: {what}", index + 1);
        // Base64 may end in `=`, names may hold one: the key begins after the first.
        let (name, key) = text.split_once('=').ok_or_else(|| wrong("expected NAME=BASE64"))?;
        keyring.add(name, channel_key(key).map_err(|what| wrong(&format!("the key of `{name}` {what}")))?);
    }
    Ok(keyring)
}

/// Reads a channel key as settings have it; says what is wrong without saying the key.
fn channel_key(base64: &str) -> Result<ChannelKey, String> {
    let psk = line::from_base64(base64).ok_or("is not base64")?;
    ChannelKey::from_psk(&psk).ok_or_else(|| format!("has {} bytes, at most 32 are possible", psk.len()))
}

/// Whether every line could be read.
fn decode_all(files: &[PathBuf], stream: &mut Stream, out: &mut impl Write) -> io::Result<bool> {
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin } else { files };
    let mut all_read = true;
    for file in files {
        let name = (files.len() > 1).then_some(file.as_path());
        let reader: Box<dyn BufRead> = if file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            match File::open(file) {
                Ok(opened) => Box::new(BufReader::new(opened)),
                Err(error) => {
                    print_error(out, Some(file), None, &error.to_string())?;
                    all_read = false;
                    continue;
                }
            }
        };
        all_read &= decode_lines(reader, name, stream, out)?;
    }
    Ok(all_read)
}

fn decode_lines(
    mut reader: impl BufRead,
    file: Option<&Path>,
    stream: &mut Stream,
    out: &mut impl Write,
) -> io::Result<bool> {
    let mut all_read = true;
    let mut bytes = Vec::new();
    for number in 1.. {
        let decoded = match read_line(&mut reader, &mut bytes) {
            Ok(false) => break,
            Ok(true) if bytes.trim_ascii().is_empty() => continue,
            Ok(true) => line::parse(&bytes).and_then(|line| stream.decode(&line)),
            // What follows cannot be read either.
            Err(error) => {
                print_error(out, file, Some(number), &error.to_string())?;
                return Ok(false);
            }
        };
        match decoded {
            Ok(decoded) => writeln!(out, "{decoded}")?,
            Err(error) => {
                print_error(out, file, Some(number), &error)?;
                all_read = false;
            }
        }
        // A pipe may stay open for hours: each line appears when it is there.
        out.flush()?;
    }
    Ok(all_read)
}

/// Reads one line; of one that is too long only its beginning is kept, which is enough to refuse it. Returns false at
/// the end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut is_any = false;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = available.iter().position(|b| *b == b'\n');
        let taken = end.unwrap_or(available.len());
        // One byte more than allowed shows that it is too long.
        let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&available[..taken.min(room)]);
        is_any |= !available.is_empty();
        let is_end = available.is_empty();
        reader.consume(taken + usize::from(end.is_some()));
        if is_end || end.is_some() {
            return Ok(is_any);
        }
    }
}

fn print_error(out: &mut impl Write, file: Option<&Path>, line: Option<u64>, error: &str) -> io::Result<()> {
    let mut object = json!({ "error": error });
    if let Some(file) = file {
        object["file"] = Json::from(file.to_string_lossy());
    }
    if let Some(line) = line {
        object["line"] = Json::from(line);
    }
    writeln!(out, "{object}")
}
