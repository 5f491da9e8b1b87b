//! Values of fields that are words or numbers of a fixed sort: read and written.

use std::fmt;

use mesh::node::NodeNum;
use mesh::observe::Flags;
use mesh::portnum::PortNum;

/// The word for packets that could not be opened.
pub const ENCRYPTED: &str = "encrypted";

/// A node by its id, with or without `!`, in any case; `all` for everyone.
pub fn node(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    if matches!(text.as_str(), "all" | "everyone" | "broadcast") {
        return Some(NodeNum::BROADCAST.0);
    }
    NodeNum::parse(&text).or_else(|| NodeNum::parse(&format!("!{text}"))).map(|node| node.0)
}

/// A port by its word, with or without hyphens, its protocol name or its number.
pub fn port(text: &str) -> Option<Option<u32>> {
    let text = text.to_ascii_lowercase();
    if matches!(text.as_str(), ENCRYPTED | "closed" | "none") {
        return Some(None);
    }
    let port = PortNum::from_word(&text).or_else(|| PortNum::from_word(&text.replace('-', " ")))?;
    Some(Some(port.0))
}

/// A port as it is written: without spaces.
pub fn port_word(port: Option<u32>) -> String {
    let Some(number) = port else { return ENCRYPTED.to_owned() };
    let word = PortNum(number).word();
    match word.strip_prefix("port ") {
        Some(number) => number.to_owned(),
        None => word.replace(' ', "-"),
    }
}

/// Every word of a port.
pub fn port_words() -> Vec<String> {
    PortNum::words().map(|(port, _)| port_word(Some(port.0))).chain([ENCRYPTED.to_owned()]).collect()
}

/// The bit of a flag by its name.
pub fn flag(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase().replace('-', "_");
    (0..64).map(|bit| 1 << bit).find(|bit| flag_word(*bit) == Some(&text))
}

/// The name of a flag.
pub fn flag_word(bit: u64) -> Option<&'static str> {
    Flags(bit).names().next()
}

/// Every flag's name.
pub fn flag_words() -> impl Iterator<Item = &'static str> {
    Flags(u64::MAX).names()
}

/// A packet id, decimal or `0x` hexadecimal.
pub fn packet(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Numbers beyond this are no measurement.
const NUMBER_MAX: i64 = 1_000_000_000;

/// A number with at most three decimals, in thousandths; a unit may follow.
pub fn thousandths(text: &str, units: &[&str]) -> Option<i64> {
    let lower = text.replace('−', "-").to_ascii_lowercase();
    let number = units.iter().find_map(|unit| lower.strip_suffix(unit)).unwrap_or(&lower).trim();
    let (is_negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let whole: i64 = whole.parse().ok().filter(|whole| *whole <= NUMBER_MAX)?;
    let decimals: i64 = format!("{decimals:0<3}").parse().ok()?;
    let value = whole * 1_000 + decimals;
    Some(if is_negative { -value } else { value })
}

/// A number of thousandths as people write it.
pub fn write_thousandths(f: &mut fmt::Formatter<'_>, thousandths: i64) -> fmt::Result {
    let (whole, rest) = (thousandths.unsigned_abs() / 1_000, thousandths.unsigned_abs() % 1_000);
    if thousandths < 0 {
        f.write_str("-")?;
    }
    write!(f, "{whole}")?;
    if rest == 0 {
        return Ok(());
    }
    write!(f, ".{}", format!("{rest:03}").trim_end_matches('0'))
}
