//! The columns of a table of receptions; their names are those of the JSON.

use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::rule::RuleId;
use record::Reception;

/// What stands in one field of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A whole number.
    Whole(Option<i64>),
    /// A number.
    Number(Option<f64>),
    /// A word of ours.
    Word(Option<String>),
    /// Text that anyone on the mesh may have chosen.
    Text(Option<String>),
    /// Bytes as they came.
    Bytes(Vec<u8>),
}

/// What sort of cell a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Cell::Whole`
    Whole,
    /// `Cell::Number`
    Number,
    /// `Cell::Word` or `Cell::Text`
    Text,
    /// `Cell::Bytes`
    Bytes,
}

/// A column: its name, its sort, and what of a reception stands in it.
pub type Column = (&'static str, Kind, fn(&Reception) -> Cell);

/// Every column, in order.
pub const COLUMNS: [Column; 26] = [
    ("seq", Kind::Whole, |row| whole(Some(row.seq))),
    ("at_ms", Kind::Whole, |row| Cell::Whole(Some(row.at_ms))),
    ("gateway", Kind::Text, |row| node(row.gateway)),
    ("client_id", Kind::Text, |row| text(Some(&row.client_id))),
    ("username", Kind::Text, |row| text(row.username.as_deref())),
    ("topic", Kind::Text, |row| text(Some(&row.topic))),
    ("channel", Kind::Text, |row| text(row.channel.as_deref())),
    ("from", Kind::Text, |row| node(row.packet.map(|p| p.from))),
    ("to", Kind::Text, |row| node(row.packet.map(|p| p.to))),
    ("id", Kind::Whole, |row| whole(row.packet.map(|p| p.id))),
    ("hop_start", Kind::Whole, |row| whole(row.packet.map(|p| p.hop_start))),
    ("hop_limit", Kind::Whole, |row| whole(row.packet.map(|p| p.hop_limit))),
    ("hops_away", Kind::Whole, |row| whole(row.packet.and_then(|p| p.hops_away))),
    ("rx_rssi_dbm", Kind::Whole, |row| whole(row.packet.and_then(|p| p.rx_rssi))),
    ("rx_snr_db", Kind::Number, |row| Cell::Number(row.packet.and_then(|p| p.rx_snr).map(f64::from))),
    ("rx_time_s", Kind::Whole, |row| whole(row.packet.map(|p| p.rx_time))),
    ("port", Kind::Whole, |row| whole(row.port)),
    ("port_name", Kind::Text, |row| word(row.port.and_then(|port| PortNum(port).name()))),
    ("consent", Kind::Text, |row| word(Some(row.consent.word()))),
    ("key_class", Kind::Text, |row| word(Some(row.key_class.word()))),
    ("frame_bytes", Kind::Whole, |row| whole(row.frame_bytes)),
    ("airtime_ms", Kind::Number, |row| Cell::Number(row.airtime_us.map(|us| f64::from(us) / 1000.0))),
    ("verdict", Kind::Text, |row| word(Some(row.decision.verdict.word()))),
    ("rule", Kind::Text, |row| word(row.decision.rule.map(RuleId::name))),
    ("sentence", Kind::Text, |row| text(Some(&row.decision.sentence))),
    ("payload", Kind::Bytes, |row| Cell::Bytes(row.payload.to_vec())),
];

fn whole(value: Option<impl TryInto<i64>>) -> Cell {
    Cell::Whole(value.and_then(|value| value.try_into().ok()))
}

fn node(number: Option<u32>) -> Cell {
    Cell::Word(number.map(|number| NodeNum(number).to_string()))
}

fn word(word: Option<&str>) -> Cell {
    Cell::Word(word.map(str::to_owned))
}

fn text(chosen: Option<&str>) -> Cell {
    Cell::Text(chosen.map(str::to_owned))
}
