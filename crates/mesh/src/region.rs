//! Radio regions: frequency range, duty cycle and power (`RadioInterface.cpp`), and the slot a channel falls on.

/// One region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// The protocol's name.
    pub name: &'static str,
    /// Lowest frequency, kHz.
    pub start_khz: u32,
    /// Highest frequency, kHz.
    pub end_khz: u32,
    /// Share of an hour that one node may transmit, percent.
    pub duty_percent: f32,
    /// Highest power, dBm.
    pub power_dbm: u8,
}

const fn region(
    name: &'static str,
    start_khz: u32,
    end_khz: u32,
    duty_percent: f32,
    power_dbm: u8,
) -> Region {
    Region { name, start_khz, end_khz, duty_percent, power_dbm }
}

/// The regions below and at 2.4 GHz that are open to everybody.
pub const REGIONS: &[Region] = &[
    region("US", 902_000, 928_000, 100.0, 30),
    region("EU_433", 433_000, 434_000, 10.0, 10),
    region("EU_868", 869_400, 869_650, 10.0, 27),
    region("EU_866", 865_600, 867_600, 2.5, 27),
    region("EU_N_868", 869_400, 869_650, 10.0, 27),
    region("CN", 470_000, 510_000, 100.0, 19),
    region("JP", 920_500, 923_500, 100.0, 13),
    region("ANZ", 915_000, 928_000, 100.0, 30),
    region("ANZ_433", 433_050, 434_790, 100.0, 14),
    region("RU", 868_700, 869_200, 100.0, 20),
    region("KR", 920_000, 923_000, 100.0, 23),
    region("TW", 920_000, 925_000, 100.0, 27),
    region("IN", 865_000, 867_000, 100.0, 30),
    region("NZ_865", 864_000, 868_000, 100.0, 36),
    region("TH", 920_000, 925_000, 10.0, 27),
    region("UA_433", 433_000, 434_700, 10.0, 10),
    region("UA_868", 868_000, 868_600, 1.0, 14),
    region("MY_433", 433_000, 435_000, 100.0, 20),
    region("MY_919", 919_000, 924_000, 100.0, 27),
    region("SG_923", 917_000, 925_000, 100.0, 20),
    region("PH_433", 433_000, 434_700, 100.0, 10),
    region("PH_868", 868_000, 869_400, 100.0, 14),
    region("PH_915", 915_000, 918_000, 100.0, 24),
    region("KZ_433", 433_075, 434_775, 100.0, 10),
    region("KZ_863", 863_000, 868_000, 100.0, 30),
    region("NP_865", 865_000, 868_000, 100.0, 30),
    region("BR_902", 902_000, 907_500, 100.0, 30),
    region("LORA_24", 2_400_000, 2_483_500, 100.0, 10),
];

impl Region {
    /// The region with that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        REGIONS.iter().find(|r| r.name == name)
    }

    /// Slots of a bandwidth, as firmware 2.7 counts them.
    pub fn slots(&self, bandwidth_hz: u32) -> u32 {
        (u64::from(self.end_khz - self.start_khz) * 1000 / u64::from(bandwidth_hz)) as u32
    }

    /// The slot, from 0, that a primary channel of this name falls on, and its centre in Hz.
    pub fn slot(&self, channel_name: &str, bandwidth_hz: u32) -> Option<(u32, u64)> {
        let slots = self.slots(bandwidth_hz);
        if slots == 0 {
            return None;
        }
        let slot = djb2(channel_name) % slots;
        let bandwidth = u64::from(bandwidth_hz);
        Some((slot, u64::from(self.start_khz) * 1000 + bandwidth / 2 + u64::from(slot) * bandwidth))
    }
}

fn djb2(text: &str) -> u32 {
    text.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_the_reference() {
        let us = Region::named("US").unwrap();
        assert_eq!(us.slots(250_000), 104);
        // People count from 1: LongFast is slot 20, MediumFast 45, ShortFast 68.
        assert_eq!(us.slot("LongFast", 250_000), Some((19, 906_875_000)));
        assert_eq!(us.slot("MediumFast", 250_000), Some((44, 913_125_000)));
        assert_eq!(us.slot("ShortFast", 250_000), Some((67, 918_875_000)));
        assert_eq!(Region::named("EU_868").unwrap().slot("LongFast", 250_000), Some((0, 869_525_000)));
    }
}
