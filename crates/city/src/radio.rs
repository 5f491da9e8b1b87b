//! How radio carries: path loss, shadowing that stays, fading that does not. Plausible, not surveyed.

use crate::resident::Resident;

/// Transmit power plus antenna, dBm.
const EIRP_DBM: f32 = 24.0;
/// Noise in 250 kHz with a 6 dB receiver, dBm: -174 + 10·log10(250,000) + 6.
const NOISE_DBM: f32 = -114.0;
/// Loss over the first kilometre at 915 MHz in free space, dB.
const LOSS_AT_1_KM_DB: f32 = 91.7;
/// Decibels per decade of distance in a suburb.
const DB_PER_DECADE: f32 = 32.0;
/// Spread of what hills and houses add to a path, dB; the same for a pair of nodes at all times.
const SHADOWING_DB: f32 = 8.0;
/// Spread of what changes from packet to packet, dB.
pub const FADING_DB: f32 = 2.5;
/// Lowest signal-to-noise ratio that spreading factor 11 decodes, dB.
pub const SNR_LIMIT_DB: f32 = -17.5;
/// Highest signal-to-noise ratio that the chips report, dB.
pub const SNR_MAX_DB: f32 = 12.0;

/// How a transmission arrives.
#[derive(Debug, Clone, Copy)]
pub struct Signal {
    /// Received signal strength, dBm.
    pub rssi_dbm: f32,
    /// Signal-to-noise ratio, dB; the chips report no more than about 12.
    pub snr_db: f32,
}

/// The signal on the path between two nodes, the same in both directions, without fading.
pub fn path(a: &Resident, b: &Resident, seed: u64) -> Signal {
    let loss = LOSS_AT_1_KM_DB
        + DB_PER_DECADE * distance_km(a, b).max(0.05).log10()
        + a.siting_loss_db
        + b.siting_loss_db
        + shadowing_db(a.num.0, b.num.0, seed);
    let rssi_dbm = EIRP_DBM - loss;
    Signal { rssi_dbm, snr_db: (rssi_dbm - NOISE_DBM).min(SNR_MAX_DB) }
}

/// Distance over ground, good to a percent within a city.
pub fn distance_km(a: &Resident, b: &Resident) -> f32 {
    let latitude = (a.latitude_i as f32) * 1e-7;
    let north = (a.latitude_i - b.latitude_i) as f32 * 1e-7 * 111.2;
    let east = (a.longitude_i - b.longitude_i) as f32 * 1e-7 * 111.2 * latitude.to_radians().cos();
    north.hypot(east)
}

/// Made from the pair's numbers, so that it needs no table and never changes.
fn shadowing_db(a: u32, b: u32, seed: u64) -> f32 {
    let pair = (u64::from(a.min(b)) << 32) | u64::from(a.max(b));
    let mut rng = fastrand::Rng::with_seed(pair ^ seed.rotate_left(17));
    (rng.f32() + rng.f32() + rng.f32() - 1.5) * 2.0 * SHADOWING_DB
}
