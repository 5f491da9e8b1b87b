//! GeoJSON: where nodes said they are, a point for each reception that says so.

use std::io::Write;

use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Scratch, observe};
use mesh::portnum::PortNum;
use policy::rule::RuleId;
use record::{Reception, Release};
use serde_json::{Value as Json, json};

use crate::{ExportError, Out};

/// A collection in the making.
pub struct Places<'a, W> {
    out: W,
    keyring: &'a Keyring,
    is_first: bool,
}

impl<'a, W: Write> Places<'a, W> {
    /// Writes the head.
    pub fn begin(mut out: W, keyring: &'a Keyring) -> Result<Self, ExportError> {
        out.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
        Ok(Self { out, keyring, is_first: true })
    }
}

impl<W: Write> Out for Places<'_, W> {
    fn take(&mut self, row: &Reception, _: Option<&Release>) -> Result<bool, ExportError> {
        let Some(point) = point(row, self.keyring) else { return Ok(false) };
        let comma = if self.is_first { "\n" } else { ",\n" };
        self.is_first = false;
        write!(self.out, "{comma}{point}")?;
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.out.write_all(b"\n]}\n")?;
        Ok(self.out.flush()?)
    }
}

fn point(row: &Reception, keyring: &Keyring) -> Option<Json> {
    let packet = row.packet?;
    let mut scratch = Scratch::default();
    let place = observe(&row.topic, &row.payload, keyring, &mut scratch).position?;
    let degrees = |e7: i32| f64::from(e7) / 1e7;
    let mut coordinates = vec![degrees(place.longitude_i?), degrees(place.latitude_i?)];
    coordinates.extend(place.altitude_m.map(f64::from));
    Some(json!({
        "type": "Feature",
        "geometry": { "type": "Point", "coordinates": coordinates },
        "properties": {
            "seq": row.seq,
            "at_ms": row.at_ms,
            "from": NodeNum(packet.from).to_string(),
            "id": packet.id,
            "gateway": row.gateway.map(|gateway| NodeNum(gateway).to_string()),
            "channel": row.channel.as_deref(),
            "port_name": row.port.and_then(|port| PortNum(port).name()),
            "precision_bits": place.precision_bits,
            "hops_away": packet.hops_away,
            "rx_rssi_dbm": packet.rx_rssi,
            "rx_snr_db": packet.rx_snr,
            "consent": row.consent.word(),
            "verdict": row.decision.verdict.word(),
            "rule": row.decision.rule.map(RuleId::name),
        },
    }))
}
