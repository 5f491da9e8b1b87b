//! What each rule goes by, in words: for the listing, the page and differences between two policies.

use crate::downlink::class::Class;
use crate::rule::RuleId;
use crate::settings::Settings;

/// One parameter of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its key in the policy.
    pub key: &'static str,
    /// What it is set to.
    pub value: String,
    /// Whether only the operator may see it: it names people or addresses.
    pub is_private: bool,
}

/// The parameters of a rule; empty when there is nothing to choose but its state.
pub fn parameters(settings: &Settings, rule: RuleId) -> Vec<Parameter> {
    let open = |key, value: String| Parameter { key, value, is_private: false };
    let private = |key, value: String| Parameter { key, value, is_private: true };
    let Settings { who, what, keys, origin, identity, stationary, outside, consent, downlink, .. } = settings;
    match rule {
        RuleId::BlockedAddress => vec![private("blocked_networks", list(&who.blocked_networks))],
        RuleId::BlockedGateway => vec![private("blocked_gateways", nodes(&who.blocked_gateways))],
        RuleId::BlockedNode => vec![private("blocked_nodes", nodes(&who.blocked_nodes))],
        RuleId::GrantedPorts => vec![open("granted_ports", list(&what.granted_ports))],
        RuleId::WrongTime => vec![
            open("late_max_s", origin.late_max_s.to_string()),
            open("early_max_s", origin.early_max_s.to_string()),
        ],
        RuleId::TwoKeys | RuleId::SharedKey => vec![open("key_days", identity.key_days.to_string())],
        RuleId::ImpossibleTravel => vec![
            open("travel_kmh_max", identity.travel_kmh_max.to_string()),
            open("travel_km_min", identity.travel_km_min.to_string()),
            open("travel_slack_s", identity.travel_slack_s.to_string()),
        ],
        RuleId::TwoIslands => vec![
            open("direct_km_max", identity.direct_km_max.to_string()),
            open("at_once_s", identity.at_once_s.to_string()),
        ],
        RuleId::Moved => vec![
            open("moved_distance_m", stationary.moved_distance_m.to_string()),
            open("moved_reports", stationary.moved_reports.to_string()),
            open("hearing_window_h", stationary.hearing_window_h.to_string()),
            open("hearing_same_percent", stationary.hearing_same_percent.to_string()),
        ],
        RuleId::Consent => vec![
            open("consent_no", consent.no.word().to_owned()),
            open("consent_unknown", consent.unknown.word().to_owned()),
            open("opaque", consent.opaque.word().to_owned()),
        ],
        RuleId::PublicKey => vec![
            open("public_key", keys.public.word().to_owned()),
            open("public_channels", list(&keys.public_channels)),
        ],
        RuleId::OutsideConsent => vec![private("outside", list(&outside.receivers))],
        RuleId::Duplicate => {
            vec![open("duplicate_window_s", (settings.duplicate_window_ms / 1000).to_string())]
        }
        RuleId::DownlinkSize => {
            vec![open("downlink_packet_max_bytes", downlink.packet_bytes_max.to_string())]
        }
        RuleId::DownlinkVerified => {
            vec![open("downlink_verified_days", (settings.proof.valid_ms / 86_400_000).to_string())]
        }
        RuleId::RadioFirst => vec![open("downlink_hold_ms", settings.queue.hold_ms.to_string())],
        RuleId::DownlinkAge => ages(settings).map(|(key, value)| open(key, value)).collect(),
        RuleId::HopLimit => vec![open("hop_limit_max", downlink.hop_limit_max.to_string())],
        _ => Vec::new(),
    }
}

fn ages(settings: &Settings) -> impl Iterator<Item = (&'static str, String)> {
    Class::ALL.into_iter().map(|class| (class.age_key(), (settings.queue.ages.of(class) / 1000).to_string()))
}

fn list<T: ToString>(items: &[T]) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn nodes(numbers: &[u32]) -> String {
    list(&numbers.iter().map(|number| format!("!{number:08x}")).collect::<Vec<_>>())
}
