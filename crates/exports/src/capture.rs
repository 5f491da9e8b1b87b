//! Captures for Wireshark and its Meshtastic dissectors: each reception as the LoRa frame that its gateway's radio had, with
//! a LoRaTap header before it (<https://github.com/eriknl/LoRaTap>) that says how well it was heard. Version 0: Wireshark before
//! 4.2 takes what version 1 adds for a part of the frame. By whom it was heard is in the packet's comment.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use mesh::airtime::ModemPreset;
use mesh::frame;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};
use record::{PacketSummary, Reception, Release};

use crate::{ExportError, Means, Out};

/// LINKTYPE_LORATAP of the registry of link-layer header types.
const LORATAP: u32 = 270;
/// The sync word of Meshtastic's radios (firmware `RadioInterface.h`).
const SYNC_WORD: u8 = 0x2b;
/// Bytes of a LoRaTap header, version 0.
const HEADER_BYTES: u16 = 15;
/// LoRaTap counts signal strength from here, dBm.
const RSSI_FROM_DBM: i32 = -139;
/// Times are counted in 10^-9 s.
const NANOSECONDS: u8 = 9;

/// A capture in the making.
pub struct Capture<'a, W: Write> {
    file: PcapNgWriter<W>,
    keyring: &'a Keyring,
    preset: Option<ModemPreset>,
}

impl<'a, W: Write> Capture<'a, W> {
    /// Writes the head: one interface, which stands for all gateways.
    pub fn begin(out: W, means: &'a Means) -> Result<Self, ExportError> {
        let mut file = PcapNgWriter::new(out)?;
        file.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::from(LORATAP),
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed("Meshtastic")),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        })?;
        Ok(Self { file, keyring: &means.keyring, preset: means.preset })
    }
}

impl<W: Write> Out for Capture<'_, W> {
    fn take(&mut self, row: &Reception, _: Option<&Release>) -> Result<bool, ExportError> {
        let Some(frame) = frame::on_air(&row.payload, self.keyring) else { return Ok(false) };
        let mut data = header(row, self.preset);
        data.extend(frame);
        let heard_by = row.gateway.map_or_else(|| row.client_id.to_string(), |id| NodeNum(id).to_string());
        let comment = format!("heard by {heard_by}: {}", row.decision.verdict.word());
        self.file.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_millis(u64::try_from(row.at_ms).unwrap_or(0)),
            original_len: u32::try_from(data.len()).unwrap_or(u32::MAX),
            data: data.into(),
            options: vec![EnhancedPacketOption::Comment(comment.into())],
        })?;
        Ok(true)
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.file.into_inner().flush()?)
    }
}

/// How a frame was heard. What the envelope does not say is 0: for signal strength that is below what any radio hears.
fn header(row: &Reception, preset: Option<ModemPreset>) -> Vec<u8> {
    let modem = preset.map(ModemPreset::modem);
    let bandwidth = modem.map_or(0, |modem| (modem.bandwidth_hz / 125_000) as u8);
    let spreading = modem.map_or(0, |modem| modem.spreading_factor as u8);
    let rssi = row.packet.and_then(|packet| packet.rx_rssi);
    let rssi = rssi.map_or(0, |dbm| (dbm - RSSI_FROM_DBM).clamp(0, 255) as u8);
    let mut out = Vec::with_capacity(usize::from(HEADER_BYTES) + 256);
    out.extend([0, 0]);
    out.extend(HEADER_BYTES.to_be_bytes());
    // The frequency is not in the envelope.
    out.extend(0_u32.to_be_bytes());
    // Strength of the packet, highest and present: one is known. Read without regard to the noise, as Wireshark does.
    out.extend([bandwidth, spreading, rssi, rssi, rssi, snr(row.packet), SYNC_WORD]);
    out
}

/// Quarters of a dB in two's complement.
fn snr(packet: Option<PacketSummary>) -> u8 {
    let quarters = packet.and_then(|packet| packet.rx_snr).map_or(0.0, |db| (db * 4.0).round());
    // In range, and so whole.
    (quarters.clamp(-128.0, 127.0) as i8).cast_unsigned()
}

impl From<PcapError> for ExportError {
    fn from(error: PcapError) -> Self {
        Self::Write(match error {
            PcapError::IoError(error) => error,
            other => io::Error::other(other.to_string()),
        })
    }
}
