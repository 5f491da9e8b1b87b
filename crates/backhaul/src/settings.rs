//! From the configuration to what the server is started with.

use config::Config;
use config::keys::Disposition;
use mesh::airtime::ModemPreset;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use policy::decision::Verdict;
use policy::rule::{RULES, RuleState};

/// The broker's limits.
pub fn limits(config: &Config) -> broker::Limits {
    let mqtt = &config.mqtt;
    broker::Limits {
        packet_bytes_max: mqtt.max_packet_size,
        connections_max: mqtt.max_connections as usize,
        connect_timeout_ms: u64::from(mqtt.connect_timeout_s) * 1000,
        keep_alive_max_s: mqtt.keep_alive_max_s,
        session_expiry_max_s: mqtt.session_expiry_max_s,
        receive_maximum: mqtt.receive_maximum,
        queue_messages_max: mqtt.queue_messages_max as usize,
        queue_bytes_max: mqtt.queue_bytes_max as usize,
        topic_levels_max: usize::from(mqtt.topic_levels_max),
        topic_alias_maximum: mqtt.topic_alias_maximum,
        subscriptions_max: mqtt.subscriptions_max as usize,
        retained_max: mqtt.retained_max as usize,
        unkept_changes_max: mqtt.unkept_max as usize,
        sys_interval_s: mqtt.sys_interval_s,
        ..broker::Limits::default()
    }
}

/// The limits of the plain-broker profile: conformance suites and load generators keep more in flight than a mesh does.
pub fn lab_limits() -> broker::Limits {
    broker::Limits {
        packet_bytes_max: 16 * 1024 * 1024,
        connect_bytes_max: 1024 * 1024,
        connections_max: 100_000,
        sessions_max: 200_000,
        keep_alive_max_s: u16::MAX,
        session_expiry_max_s: u32::MAX,
        receive_maximum: 1_000,
        queue_messages_max: 100_000,
        queue_bytes_max: 64 * 1024 * 1024,
        topic_levels_max: 1_000,
        subscriptions_max: 100_000,
        retained_max: 1_000_000,
        ..broker::Limits::default()
    }
}

/// The policy.
pub fn policy(config: &Config) -> policy::settings::Settings {
    let mut settings = policy::settings::Settings::default();
    settings.hop_limit_max = config.policy.hop_limit_max;
    settings.consent_no = verdict(config.policy.consent_no);
    settings.consent_unknown = verdict(config.policy.consent_unknown);
    settings.opaque = verdict(config.policy.opaque);
    settings.duplicate_window_ms = u64::from(config.policy.duplicate_window_s) * 1000;
    settings.downlink_packet_bytes_max = config.policy.downlink_packet_max_bytes as usize;
    for rule in RULES {
        let state = match config.rule(rule.name) {
            Some(config::RuleState::Off) => RuleState::Off,
            Some(config::RuleState::Observe) => RuleState::Observe,
            Some(config::RuleState::Enforce) => RuleState::Enforce,
            None => rule.default,
        };
        settings.set_state(rule.id, state);
    }
    settings
}

const fn verdict(disposition: Disposition) -> Verdict {
    match disposition {
        Disposition::Accept => Verdict::Accept,
        Disposition::RecordOnly => Verdict::RecordOnly,
        Disposition::Refuse => Verdict::Refuse,
    }
}

/// The keys entrusted to the broker.
pub fn keyring(config: &Config) -> Keyring {
    let mut keyring = Keyring::default();
    for channel in &config.channels {
        if let Some(key) = ChannelKey::from_psk(channel.psk.as_bytes()) {
            keyring.add(&channel.name, key);
        }
    }
    keyring
}

/// The preset assumed where a channel's name does not tell.
pub fn preset(config: &Config) -> ModemPreset {
    ModemPreset::from_name(&config.mesh.preset).unwrap_or(ModemPreset::LongFast)
}
