//! The commented example file: every key with its sentence, range and default. Knows no single key.

use std::fmt::Write;

use crate::channel::CHANNEL_KEYS;
use crate::keys::{BRIDGE_LINES, LISTENER_LINES, SECTIONS};
use crate::kind::Kind;
use crate::table::{Key, Preset, Section};

/// Columns of a comment line, `# ` included.
const WIDTH: usize = 100;

/// Writes the example file. Reading it gives the defaults, because it says nothing else.
pub fn document() -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "Backhaul's configuration. Every key is here with its default; leave out what you do not change.",
    );
    comment(&mut out, "Check a file with `backhaul config check FILE`.");
    for section in SECTIONS {
        if !section.name.is_empty() {
            out.push('\n');
            comment(&mut out, section.doc);
            line(&mut out, &format!("[{}]", section.name));
        }
        for key in section.keys {
            out.push('\n');
            write_key(&mut out, key);
        }
        if section.name == "mqtt" {
            // All commented out: without any, `mqtt.listen` is the only way in.
            write_list(&mut out, &LISTENER_LINES);
        }
        if section.name == "mesh" {
            write_channel(&mut out);
            write_list(&mut out, &BRIDGE_LINES);
        }
    }
    out
}

pub(crate) fn write_key(out: &mut String, key: &Key) {
    comment(out, &sentence(key));
    let mark = if key.default.value().is_none() { "# " } else { "" };
    line(out, &format!("{mark}{} = {}", key.name, example(key.default)));
}

/// A table that may stand any number of times, commented out.
pub(crate) fn write_list(out: &mut String, section: &Section) {
    out.push('\n');
    comment(out, section.doc);
    line(out, &format!("# [[{}]]", section.name));
    for key in section.keys {
        comment(out, &sentence(key));
        line(out, &format!("# {} = {}", key.name, example(key.default)));
    }
}

fn example(preset: Preset) -> String {
    match preset {
        Preset::Text(text) | Preset::Absent(text) => format!("\"{text}\""),
        Preset::Whole(number) | Preset::AbsentWhole(number) => number.to_string(),
        Preset::Flag(flag) => flag.to_string(),
        Preset::List(items) => format!("{items:?}"),
    }
}

fn sentence(key: &Key) -> String {
    let range = match key.kind {
        Kind::Whole { min, max } => format!(" From {min} to {max}."),
        Kind::Choice(_) => format!(" Allowed: {}.", key.kind.allowed()),
        Kind::Flag
        | Kind::Text { .. }
        | Kind::Listen
        | Kind::ListenOrNone
        | Kind::Folder
        | Kind::File
        | Kind::Networks
        | Kind::HostNames
        | Kind::Nodes
        | Kind::Names
        | Kind::Ports
        | Kind::Pairs
        | Kind::WebAddress
        | Kind::TopicRoot => String::new(),
    };
    format!("{}{range}", key.doc)
}

fn write_channel(out: &mut String) {
    out.push('\n');
    comment(
        out,
        "A channel whose key you entrust to the broker, once for each. The default key and one-byte keys are public \
         and need no entry.",
    );
    line(out, "# [[channel]]");
    for (name, doc) in CHANNEL_KEYS {
        comment(out, doc);
        let example = match *name {
            "name" => "\"Private\"",
            "psk" => "\"base64 goes here\"",
            "psk_file" => "\"private.psk\"",
            "psk_env" => "\"PRIVATE_PSK\"",
            _ => "false",
        };
        line(out, &format!("# {name} = {example}"));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{text}");
}

/// Writes a comment, wrapped at words.
pub(crate) fn comment(out: &mut String, text: &str) {
    let mut row = String::from("#");
    for word in text.split_whitespace() {
        if row.chars().count() + 1 + word.chars().count() > WIDTH {
            line(out, &row);
            row = String::from("#");
        }
        row.push(' ');
        row.push_str(word);
    }
    line(out, &row);
}
