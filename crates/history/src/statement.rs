//! The daily statement of consent: one day's counts as JSON, written once and recounted by whoever doubts it.
//!
//! It names every receiver, not only those outside the community, so that nobody has to believe the list of those.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use record::ReceiverKind;
use serde_json::{Value as Json, json};

use crate::consent::{ConsentCounts, ConsentDay, ReceiverCounts};
use crate::error::Error;
use crate::files;
use crate::reader::Reader;

/// Days since 1970-01-01, UTC.
pub use crate::files::Day;

/// The day of a moment in Unix ms.
pub fn day_of(at_ms: i64) -> Day {
    files::day_of(at_ms)
}

/// The day that a date names, written as `2026-11-23`.
pub fn parse_day(date: &str) -> Option<Day> {
    files::parse(date)
}

/// A day as a date, `2026-11-23`.
pub fn date(day: Day) -> String {
    files::name_of(day)
}

/// A statement on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The day.
    pub day: Day,
    /// User names whose readers are outside the community.
    pub outside: Vec<Box<str>>,
    /// What was counted.
    pub counted: ConsentDay,
}

impl Statement {
    /// Counts a day.
    ///
    /// # Errors
    /// When a file of the history cannot be read.
    pub fn of(reader: &Reader, day: Day, outside: &[Box<str>]) -> Result<Self, Error> {
        let mut outside = outside.to_vec();
        outside.sort_unstable();
        outside.dedup();
        Ok(Self { day, outside, counted: reader.consent_of_day(day)? })
    }

    /// Whether what this receiver gets leaves the community. Guests have no user name, whatever they call themselves.
    pub fn is_outside(&self, kind: ReceiverKind, name: &str) -> bool {
        kind == ReceiverKind::Bridge
            || kind != ReceiverKind::Guest && self.outside.iter().any(|outside| **outside == *name)
    }

    /// Copies toward all receivers outside.
    pub fn outside_counts(&self) -> ReceiverCounts {
        let outside = self.counted.receivers().filter(|(kind, name, _)| self.is_outside(*kind, name));
        outside.fold(ReceiverCounts::default(), |sum, (_, _, counts)| ReceiverCounts {
            delivered: sum.delivered + counts.delivered,
            without_consent: sum.without_consent + counts.without_consent,
            withheld: sum.withheld + counts.withheld,
        })
    }

    /// Whether nothing left the community without consent.
    pub fn holds(&self) -> bool {
        self.outside_counts().without_consent == 0
    }

    /// The statement as JSON, version 1.
    pub fn to_json(&self) -> Json {
        let counted = &self.counted;
        let gateways = counted.by_gateway.iter().map(|(gateway, counts)| {
            let mut line = counts_to_json(counts);
            line["gateway"] = mesh::node::NodeNum(*gateway).to_string().into();
            line
        });
        let receivers = counted.receivers().map(|(kind, name, counts)| {
            let mut line = receiver_to_json(counts);
            line["receiver"] = name.into();
            line["kind"] = kind.word().into();
            line["outside"] = self.is_outside(kind, name).into();
            line
        });
        json!({
            "v": 1,
            "statement": "consent",
            "day": date(self.day),
            "outside_receivers": self.outside.iter().map(|name| &**name).collect::<Vec<_>>(),
            "holds": self.holds(),
            "outside": receiver_to_json(self.outside_counts()),
            "all": counts_to_json(&counted.all),
            "receptions_without_packet": counted.no_packet,
            "gateways": gateways.collect::<Vec<_>>(),
            "receivers": receivers.collect::<Vec<_>>(),
        })
    }

    /// Writes the statement as `consent-2026-11-23.json` into a folder, made if need be. A file is there as a whole or
    /// not at all.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, Error> {
        let file = path_of(folder, self.day);
        let failed = |error| Error::Io(file.clone(), error);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let unfinished = file.with_extension("json.unfinished");
        let mut out = std::fs::File::create(&unfinished).map_err(failed)?;
        out.write_all(format!("{:#}\n", self.to_json()).as_bytes()).map_err(failed)?;
        out.sync_all().map_err(failed)?;
        std::fs::rename(&unfinished, &file).map_err(failed)?;
        Ok(file)
    }
}

/// Where the statement of a day is kept.
pub fn path_of(folder: &Path, day: Day) -> PathBuf {
    folder.join(format!("consent-{}.json", date(day)))
}

fn counts_to_json(counts: &ConsentCounts) -> Json {
    json!({
        "receptions": counts.receptions, "packets": counts.packets, "yes": counts.yes, "no": counts.no,
        "unknown": counts.unknown, "withheld": counts.withheld,
    })
}

fn receiver_to_json(counts: ReceiverCounts) -> Json {
    json!({
        "delivered": counts.delivered, "without_consent": counts.without_consent, "withheld": counts.withheld,
    })
}

/// Why a statement cannot be checked.
#[derive(Debug)]
pub enum Uncheckable {
    /// It is no statement of consent of a version that this program knows.
    NoStatement,
    /// The history of its day is not kept any more, or is another mesh's.
    NotKept(Day),
    /// The history cannot be read.
    History(Error),
}

impl fmt::Display for Uncheckable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStatement => f.write_str("this is no statement of consent, version 1"),
            Self::NotKept(day) => write!(f, "the history of {} is not kept here", date(*day)),
            Self::History(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Uncheckable {}

/// What a recount found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// What the history says.
    pub statement: Statement,
    /// Where the file says something else, one line each; empty when it agrees.
    pub differences: Vec<String>,
}

/// Recounts a statement from the history.
///
/// # Errors
/// When the text is no statement, or its day cannot be counted any more.
pub fn check(text: &str, reader: &Reader) -> Result<Recount, Uncheckable> {
    let said: Json = serde_json::from_str(text).map_err(|_| Uncheckable::NoStatement)?;
    if said["v"] != 1 || said["statement"] != "consent" {
        return Err(Uncheckable::NoStatement);
    }
    let day = said["day"].as_str().and_then(parse_day).ok_or(Uncheckable::NoStatement)?;
    let outside = said["outside_receivers"].as_array().ok_or(Uncheckable::NoStatement)?;
    let outside: Option<Vec<Box<str>>> = outside.iter().map(|name| name.as_str().map(Box::from)).collect();
    if !reader.kept_days().map_err(Uncheckable::History)?.contains(&day) {
        return Err(Uncheckable::NotKept(day));
    }
    if reader.has_no_decisions(day).map_err(Uncheckable::History)? {
        return Err(Uncheckable::NotKept(day));
    }
    let statement = Statement::of(reader, day, &outside.ok_or(Uncheckable::NoStatement)?);
    let statement = statement.map_err(Uncheckable::History)?;
    let mut differences = Vec::new();
    compare("", &said, &statement.to_json(), &mut differences);
    Ok(Recount { statement, differences })
}

/// Differences shown at most: beyond, it is another day's file or another mesh's.
const DIFFERENCES_MAX: usize = 50;

fn compare(place: &str, said: &Json, counted: &Json, differences: &mut Vec<String>) {
    let below = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (said, counted) {
        _ if said == counted || differences.len() >= DIFFERENCES_MAX => {}
        (Json::Object(said), Json::Object(counted)) => {
            let more = said.keys().filter(|key| !counted.contains_key(*key));
            for key in counted.keys().chain(more) {
                let of =
                    |object: &serde_json::Map<String, Json>| object.get(key).cloned().unwrap_or_default();
                compare(&below(key), &of(said), &of(counted), differences);
            }
        }
        (Json::Array(said), Json::Array(counted)) => {
            for at in 0..said.len().max(counted.len()) {
                let of = |list: &[Json]| list.get(at).cloned().unwrap_or_default();
                compare(&format!("{place}[{at}]"), &of(said), &of(counted), differences);
            }
        }
        (said, counted) => differences.push(format!("{place}: the file says {said}, the history {counted}")),
    }
}
