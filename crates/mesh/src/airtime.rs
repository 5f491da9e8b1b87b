//! Time on air: how long a frame occupies the channel on each modem preset (RadioLib `SX126x calculateTimeOnAir`,
//! firmware `MeshRadio.h`).

/// Parameters of a LoRa transmission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modem {
    /// Bandwidth in Hz.
    pub bandwidth_hz: u32,
    /// Spreading factor, 5–12.
    pub spreading_factor: u32,
    /// Denominator of the coding rate 4/n, 5–8.
    pub coding_rate: u32,
    /// Preamble, symbols.
    pub preamble: u32,
}

impl Modem {
    /// Time on air of a frame of `bytes`, LoRa header included, in microseconds.
    pub const fn time_on_air_us(self, bytes: usize) -> u32 {
        let sf = self.spreading_factor;
        let symbol_us = ((10_000u64 << sf) * 1000 / (self.bandwidth_hz as u64 * 10)) as u32;
        let is_slow = symbol_us >= 16_000;
        let is_short = sf <= 6;
        // Quarters of symbols: 4.25, or 6.25 for the two fastest factors.
        let sync_quarters = if is_short { 25 } else { 17 };
        let header_bits = if is_short { 0 } else { 8 };
        let per_block = 4 * (sf - if is_slow { 2 } else { 0 });
        let bits = 8 * bytes as i64 + 16 - 4 * sf as i64 + header_bits + 20;
        let blocks = if bits > 0 { (bits as u32).div_ceil(per_block) } else { 0 };
        let quarters = (self.preamble + 8) * 4 + sync_quarters + blocks * self.coding_rate * 4;
        (symbol_us as u64 * quarters as u64 / 4) as u32
    }
}

macro_rules! presets {
    ($($variant:ident = $code:literal, $name:literal, $display:literal, $bw:literal, $sf:literal, $cr:literal;)*) => {
        /// A modem preset. The numbers are the protocol's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ModemPreset { $(#[doc = $display] $variant = $code,)* }

        impl ModemPreset {
            /// Every preset.
            pub const ALL: &[ModemPreset] = &[$(Self::$variant),*];

            /// The protocol's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The name a channel without a name of its own has (`DisplayFormatters.cpp`).
            pub const fn display_name(self) -> &'static str {
                match self { $(Self::$variant => $display),* }
            }

            /// Its modem below 1 GHz.
            pub const fn modem(self) -> Modem {
                match self { $(Self::$variant => Modem {
                    bandwidth_hz: $bw, spreading_factor: $sf, coding_rate: $cr, preamble: 16,
                }),* }
            }
        }
    };
}

presets! {
    LongFast = 0, "LONG_FAST", "LongFast", 250_000, 11, 5;
    LongSlow = 1, "LONG_SLOW", "LongSlow", 125_000, 12, 8;
    MediumSlow = 3, "MEDIUM_SLOW", "MediumSlow", 250_000, 10, 5;
    MediumFast = 4, "MEDIUM_FAST", "MediumFast", 250_000, 9, 5;
    ShortSlow = 5, "SHORT_SLOW", "ShortSlow", 250_000, 8, 5;
    ShortFast = 6, "SHORT_FAST", "ShortFast", 250_000, 7, 5;
    LongModerate = 7, "LONG_MODERATE", "LongMod", 125_000, 11, 8;
    ShortTurbo = 8, "SHORT_TURBO", "ShortTurbo", 500_000, 7, 5;
    LongTurbo = 9, "LONG_TURBO", "LongTurbo", 500_000, 11, 8;
    LiteFast = 10, "LITE_FAST", "LiteFast", 125_000, 9, 5;
    LiteSlow = 11, "LITE_SLOW", "LiteSlow", 125_000, 10, 5;
    NarrowFast = 12, "NARROW_FAST", "NarrowFast", 62_500, 7, 6;
    NarrowSlow = 13, "NARROW_SLOW", "NarrowSlow", 62_500, 8, 6;
    TinyFast = 14, "TINY_FAST", "TinyFast", 15_600, 7, 5;
    TinySlow = 15, "TINY_SLOW", "TinySlow", 15_600, 8, 6;
    MediumTurbo = 16, "MEDIUM_TURBO", "MediumTurbo", 500_000, 9, 5;
}

impl ModemPreset {
    /// The preset whose default channel has this name.
    pub fn of_channel_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.display_name() == name)
    }

    /// The preset with this protocol name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.name() == name)
    }

    /// Time on air below 1 GHz of a frame of `bytes`, LoRa header included, in microseconds.
    pub const fn time_on_air_us(self, bytes: usize) -> u32 {
        self.modem().time_on_air_us(bytes)
    }

    /// Its modem at 2.4 GHz: wider bandwidths and a shorter preamble.
    pub const fn modem_2g4(self) -> Modem {
        let modem = self.modem();
        let bandwidth_hz = match modem.bandwidth_hz {
            250_000 => 812_500,
            500_000 => 1_625_000,
            125_000 => 406_250,
            other => other,
        };
        Modem { bandwidth_hz, preamble: 12, ..modem }
    }
}

/// Bytes of the LoRa header in front of `encrypted`.
pub const HEADER_BYTES: usize = 16;
/// Largest frame.
pub const FRAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_reference() {
        use ModemPreset::*;
        for (preset, ms) in [
            (ShortTurbo, [30.3, 36.7, 102.0]),
            (ShortFast, [60.5, 73.3, 203.9]),
            (ShortSlow, [110.8, 131.3, 361.7]),
            (MediumTurbo, [100.6, 121.1, 320.8]),
            (MediumFast, [201.2, 242.2, 641.5]),
            (MediumSlow, [382.0, 443.4, 1180.7]),
            (LongTurbo, [476.2, 574.5, 1655.8]),
            (LongFast, [682.0, 804.9, 2156.5]),
            (LongModerate, [2297.9, 2691.1, 7934.0]),
            (LongSlow, [4071.4, 5120.0, 14295.0]),
            (LiteFast, [402.4, 484.4, 1283.1]),
            (LiteSlow, [763.9, 886.8, 2361.3]),
            (NarrowFast, [279.0, 340.5, 967.2]),
            (NarrowSlow, [508.9, 607.2, 1713.2]),
            (TinyFast, [970.2, 1175.4, 3267.6]),
            (TinySlow, [2531.2, 3023.5, 8931.1]),
        ] {
            for (bytes, expected) in [60, 76, 255].into_iter().zip(ms) {
                let got = f64::from(preset.time_on_air_us(bytes)) / 1000.0;
                assert!((got - expected).abs() < 0.1, "{preset:?} {bytes} B: {got} ms, not {expected}");
            }
        }
    }

    #[test]
    fn names_go_both_ways() {
        for preset in ModemPreset::ALL {
            assert_eq!(ModemPreset::of_channel_name(preset.display_name()), Some(*preset));
            assert_eq!(ModemPreset::from_name(preset.name()), Some(*preset));
        }
    }
}
