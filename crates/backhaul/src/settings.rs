//! From the configuration to what the server is started with.

use std::path::Path;

use automation::settings::{HomeAssistantSettings, HowOften, Who};
use bridge::area::Area;
use bridge::contract::Contract;
use bridge::link::LinkSettings;
use bridge::quota::Quota;
use bridge::relay::Settings as RelaySettings;
use bridge::root::Roots;
use broker::ListenerRules;
use config::keys::{Acme, Crossing, Disposition, Listener, ListenerKind, MqttVersion, ProxyProtocol};
use config::{BridgeTable, Circle, Config, PolicyFile};
use doorway::proxy_header::Versions;
use mesh::airtime::ModemPreset;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::portnum::PortNum;
use mqtt::Version;
use policy::decision::Verdict;
use policy::downlink::budget::BudgetSettings;
use policy::downlink::class::AgeLimits;
use policy::downlink::model::{Model, ModelSettings};
use policy::downlink::queue::Pace;
use policy::downlink::target::TargetSettings;
use policy::memory::volume::Rate;
use policy::rule::{RULES, RuleState};
use policy::uplink::identity::IdentitySettings;
use policy::uplink::stationary::StationarySettings;
use policy::uplink::volume::VolumeSettings;
use server::{
    AcmeSettings, BridgeSettings, CertificateSource, ClientCertificates, ListenerSettings, Peer, Proof,
    ProxySettings, TlsSettings,
};

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
        sessions_max: mqtt.sessions_max as usize,
        connect_bytes_max: mqtt.connect_bytes_max,
        seen_packets_max: mqtt.seen_packets_max as usize,
        connections_per_address_max: mqtt.connections_per_address_max,
        connections_per_credential_max: mqtt.connections_per_credential_max,
        connects_per_second_max: mqtt.connects_per_second_max,
        connects_per_address_per_minute_max: mqtt.connects_per_address_per_minute_max,
        topic_bytes_max: mqtt.topic_bytes_max as usize,
        subscriptions_total_max: mqtt.subscriptions_total_max as usize,
        retained_bytes_max: mqtt.retained_bytes_max as usize,
        partial_bytes_max: mqtt.partial_bytes_max as usize,
        memory_bytes_max: mqtt.memory_bytes_max as usize,
        sign_in_free_tries: mqtt.sign_in_free_tries,
        unkept_changes_max: mqtt.unkept_max as usize,
        sys_interval_s: mqtt.sys_interval_s,
        ..broker::Limits::default()
    }
}

/// Where gateways connect: port, and whether they speak TLS there. Plain TCP if it is open to other machines, because
/// every firmware can do that; else TLS.
pub fn way_in_for_gateways(config: &Config) -> (u16, bool) {
    let simple = config.mqtt.listen.map(|address| (address, false));
    let further = config.listeners.iter().filter(|l| l.proxy_protocol == ProxyProtocol::Off);
    let further = further.filter_map(|listener| match listener.kind {
        ListenerKind::Tcp => Some((listener.address, false)),
        ListenerKind::Tls => Some((listener.address, true)),
        ListenerKind::Ws | ListenerKind::Wss => None,
    });
    let all = || simple.into_iter().chain(further.clone());
    let from_outside = all().filter(|(address, _)| !address.ip().is_loopback()).min_by_key(|(_, tls)| *tls);
    from_outside.or_else(|| all().next()).map_or((1883, false), |(address, tls)| (address.port(), tls))
}

/// What is configured, for the operator's page.
pub fn told(config: &Config) -> Vec<server::Setting> {
    let line = |key: config::ToldKey| server::Setting {
        table: key.table,
        key: key.key,
        value: key.value,
        is_default: key.is_default,
        doc: key.doc,
    };
    config.told().into_iter().map(line).collect()
}

/// What the mesh wants of a node that becomes its gateway.
pub fn expected(config: &Config) -> preflight::expected::Expected {
    let mesh = &config.mesh;
    preflight::expected::Expected {
        mesh: mesh.name.clone(),
        root: Some(mesh.root.clone()),
        region: Some(mesh.region.clone()),
        preset: Some(mesh.preset.clone()),
        ..preflight::expected::Expected::default()
    }
}

/// The ways in for MQTT: `mqtt.listen` first, then the list.
pub fn listeners(config: &Config, limits: &broker::Limits, data: &Path) -> Vec<ListenerSettings> {
    let simple =
        config.mqtt.listen.map(|address| ListenerSettings::tcp(address, ListenerRules::of(limits, "mqtt")));
    let further = config.listeners.iter().map(|listener| one_listener(config, listener, limits, data));
    simple.into_iter().chain(further).collect()
}

fn one_listener(
    config: &Config,
    listener: &Listener,
    limits: &broker::Limits,
    data: &Path,
) -> ListenerSettings {
    let usual = ListenerRules::of(limits, &listener.name);
    let timeout_ms = listener.connect_timeout_s.map(|s| u64::from(s) * 1000);
    let is_websocket = matches!(listener.kind, ListenerKind::Ws | ListenerKind::Wss);
    let rules = ListenerRules {
        connections_max: listener.max_connections.map_or(usual.connections_max, |max| max as usize),
        connections_per_address_max: listener.connections_per_address,
        packet_bytes_max: listener.max_packet_size.unwrap_or(usual.packet_bytes_max),
        connect_timeout_ms: timeout_ms.unwrap_or(usual.connect_timeout_ms),
        // A page of any site, opened in a browser on this machine, can open a WebSocket to it.
        allows_guests: listener.guests && !is_websocket,
        certificate_is_credential: listener.certificate_is_credential,
        ..usual
    };
    let versions = match listener.proxy_protocol {
        ProxyProtocol::Off => None,
        ProxyProtocol::V1 => Some(Versions::One),
        ProxyProtocol::V2 => Some(Versions::Two),
        ProxyProtocol::Any => Some(Versions::Any),
    };
    ListenerSettings {
        address: listener.address,
        proxy: versions.map(|versions| ProxySettings { versions, from: listener.proxy_from.clone() }),
        tls: listener.is_tls().then(|| listener_tls(config, listener, data)),
        is_websocket,
        rules,
    }
}

fn listener_tls(config: &Config, listener: &Listener, data: &Path) -> TlsSettings {
    let own = listener.certificate.clone().zip(listener.key.clone());
    let clients = match (listener.client_certificates, listener.client_ca.clone()) {
        (config::keys::ClientCertificates::Optional, Some(file)) => ClientCertificates::Optional(file),
        (config::keys::ClientCertificates::Required, Some(file)) => ClientCertificates::Required(file),
        // The configuration is not accepted without a file.
        (_, _) => ClientCertificates::Off,
    };
    match own {
        Some((certificate, key)) => {
            TlsSettings { certificate: CertificateSource::Files { certificate, key }, clients }
        }
        None => TlsSettings { clients, ..tls(config, data) },
    }
}

/// TLS with the certificate of `[tls]`, and no questions to clients.
pub fn tls(config: &Config, data: &Path) -> TlsSettings {
    let files = config.tls.certificate.clone().zip(config.tls.key.clone());
    let folder = data.join("tls");
    let certificate = match (files, acme(config, &folder)) {
        (Some((certificate, key)), _) => CertificateSource::Files { certificate, key },
        (None, Some(acme)) => CertificateSource::Acme { acme, folder },
        (None, None) => CertificateSource::SelfMade { folder, names: config.tls.names.clone() },
    };
    TlsSettings { certificate, clients: ClientCertificates::Off }
}

fn acme(config: &Config, folder: &Path) -> Option<AcmeSettings> {
    let tls = &config.tls;
    let proof = match tls.acme {
        Acme::Off => return None,
        Acme::Http01 => Proof::Http01(tls.acme_http_listen),
        Acme::TlsAlpn01 => Proof::TlsAlpn01,
    };
    // A folder for each authority: accounts and certificates of a trial are not taken for the real ones.
    let host = tls.acme_directory.split("://").last().and_then(|rest| rest.split('/').next());
    let host = host.unwrap_or_default().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
    Some(AcmeSettings {
        directory: tls.acme_directory.clone(),
        directory_ca: tls.acme_directory_ca.clone(),
        contact: tls.acme_contact.clone(),
        names: tls.names.clone(),
        proof,
        folder: folder.join(format!("acme-{host}")),
    })
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
        connects_per_second_max: u32::MAX,
        topic_bytes_max: 65_535,
        subscriptions_total_max: 10_000_000,
        retained_bytes_max: usize::MAX,
        partial_bytes_max: usize::MAX,
        memory_bytes_max: usize::MAX,
        ..broker::Limits::default()
    }
}

/// How long what is recorded is kept.
pub fn keep(config: &Config) -> history::retention::Keep {
    let days = |days: u32| (days > 0).then_some(days);
    history::retention::Keep {
        days: days(config.history.keep_days),
        connection_days: days(config.history.keep_connections_days),
        bytes_days: days(config.history.keep_bytes_days),
        text_days: days(config.history.keep_text_days),
        position_days: days(config.history.keep_position_days),
        telemetry_days: days(config.history.keep_telemetry_days),
        decision_days: days(config.history.keep_decisions_days),
        owner_days: days(config.history.keep_owners_days),
    }
}

/// Bridges to other brokers.
pub fn bridges(config: &Config) -> Vec<BridgeSettings> {
    config.bridges.iter().map(|table| one_bridge(config, table)).collect()
}

fn one_bridge(config: &Config, table: &BridgeTable) -> BridgeSettings {
    let keys = &table.keys;
    let here = keys.root_here.clone().unwrap_or_else(|| config.mesh.root.clone());
    let there = keys.root_there.clone().unwrap_or_else(|| here.clone());
    let names = |list: &[String]| -> Vec<Box<str>> { list.iter().map(|name| name.as_str().into()).collect() };
    let ports = |crossing: Crossing, list: &[String]| match crossing {
        Crossing::Text => Contract::TEXT.to_vec(),
        Crossing::Off | Crossing::All => {
            list.iter().filter_map(|port| port.parse().ok().map(PortNum)).collect()
        }
    };
    let area = |circle: &Option<Circle>| {
        circle.map(|c| Area { latitude_i: c.latitude_i, longitude_i: c.longitude_i, radius_m: c.radius_m })
    };
    let hops = |limit: Option<u32>| limit.and_then(|limit| u8::try_from(limit).ok());
    let quota = |messages: u32, airtime_s: u32| Quota {
        messages_per_minute: Some(messages),
        airtime_ms_per_hour: Some(airtime_s.saturating_mul(1000)),
    };
    let outward = (keys.send != Crossing::Off).then(|| Contract {
        channels: names(&keys.send_channels),
        ports: ports(keys.send, &keys.send_ports),
        map_reports: keys.send_map_reports,
        needs_consent: true,
        area: area(&table.send_area),
        hop_limit_max: hops(keys.send_hop_limit),
        quota: quota(keys.send_messages_per_minute, keys.send_airtime_s),
    });
    let inward = (keys.receive != Crossing::Off).then(|| Contract {
        channels: names(&keys.receive_channels),
        ports: ports(keys.receive, &keys.receive_ports),
        map_reports: keys.receive_map_reports,
        needs_consent: !keys.receive_without_consent,
        area: area(&table.receive_area),
        hop_limit_max: hops(keys.receive_hop_limit),
        quota: quota(keys.receive_messages_per_minute, keys.receive_airtime_s),
    });
    let filters = |contract: &Option<Contract>, root: &str| {
        let contract = contract.as_ref();
        contract.map(|c| bridge::root::filters(root, &c.channels, c.map_reports)).unwrap_or_default()
    };
    let version = match keys.version {
        MqttVersion::V311 => Version::V311,
        MqttVersion::V5 => Version::V5,
    };
    let keep_alive_s = keys.keep_alive_s;
    BridgeSettings {
        peer: Peer { host: keys.host.clone(), port: keys.port, tls: keys.tls, ca: keys.ca.clone() },
        relay: RelaySettings {
            name: keys.name.as_str().into(),
            own_id: "".into(),
            here: LinkSettings {
                version: Version::V5,
                client_id: format!("bridge:{}", keys.name).into(),
                username: None,
                password: None,
                keep_alive_s,
                filters: filters(&outward, &here),
            },
            there: LinkSettings {
                version,
                client_id: keys.client_id.clone().unwrap_or_default().into(),
                username: keys.username.as_deref().map(Into::into),
                password: table.password.as_ref().map(|password| password.as_bytes().into()),
                keep_alive_s,
                filters: filters(&inward, &there),
            },
            roots: Roots { here: here.into(), there: there.into() },
            outward,
            inward,
            waiting_max: keys.queue_max as usize,
            stale_ms: u64::from(keys.queue_s) * 1000,
            preset: preset(config),
            keyring: keyring(config),
        },
    }
}

/// The policy.
pub fn policy(config: &PolicyFile) -> policy::settings::Settings {
    let mut settings = policy::settings::Settings::default();
    settings.told = config.policy.told();
    settings.downlink.hop_limit_max = config.policy.hop_limit_max;
    settings.consent.no = verdict(config.policy.consent_no);
    settings.consent.unknown = verdict(config.policy.consent_unknown);
    settings.consent.opaque = verdict(config.policy.opaque);
    let file = &config.policy;
    let nodes = |list: &[String]| list.iter().filter_map(|node| config::node_number(node)).collect();
    settings.who.blocked_nodes = nodes(&file.blocked_nodes);
    settings.who.blocked_gateways = nodes(&file.blocked_gateways);
    settings.who.blocked_networks.clone_from(&file.blocked_networks);
    settings.what.granted_ports = file.granted_ports.iter().filter_map(|port| port.parse().ok()).collect();
    settings.keys.public = verdict(file.public_key);
    settings.keys.public_channels = file.public_channels.iter().map(|name| name.as_str().into()).collect();
    settings.origin.late_max_s = file.late_max_s;
    settings.origin.early_max_s = file.early_max_s;
    settings.identity = IdentitySettings {
        travel_kmh_max: file.travel_kmh_max,
        travel_km_min: file.travel_km_min,
        travel_slack_s: file.travel_slack_s,
        direct_km_max: file.direct_km_max,
        at_once_s: file.at_once_s,
        key_days: file.key_days,
    };
    settings.stationary = StationarySettings {
        moved_distance_m: file.moved_distance_m,
        moved_reports: file.moved_reports,
        hearing_window_h: file.hearing_window_h,
        hearing_same_percent: file.hearing_same_percent,
    };
    settings.outside.receivers = file.outside.iter().map(|name| name.as_str().into()).collect();
    settings.duplicate_window_ms = u64::from(config.policy.duplicate_window_s) * 1000;
    settings.downlink.packet_bytes_max = config.policy.downlink_packet_max_bytes as usize;
    downlink(&config.policy, &mut settings);
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

fn downlink(policy: &config::keys::Policy, settings: &mut policy::settings::Settings) {
    let ms = |seconds: u32| u64::from(seconds) * 1000;
    settings.proof.valid_ms = ms(policy.downlink_verified_days * 86_400);
    let number = |text: &str| config::node_number(text);
    let pairs = |list: &'_ [String]| -> Vec<(String, String)> {
        let split = list.iter().filter_map(|text| config::pair(text));
        split.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let model = |name: &str| Model::from_name(name);
    settings.model = ModelSettings {
        default: model(&policy.model).unwrap_or(Model::UPLINK_ONLY),
        // What is misspelt sends nothing: closed toward the radio.
        islands: pairs(&policy.model_of_island)
            .iter()
            .filter_map(|(island, name)| Some((number(island)?, model(name).unwrap_or(Model::UPLINK_ONLY))))
            .collect(),
        channels: pairs(&policy.model_of_channel)
            .iter()
            .map(|(channel, name)| (channel.as_str().into(), model(name).unwrap_or(Model::UPLINK_ONLY)))
            .collect(),
    };
    settings.islands.pinned = pairs(&policy.pinned)
        .iter()
        .filter_map(|(gateway, island)| Some((number(gateway)?, number(island)?)))
        .collect();
    settings.downlink.copies_per_island = usize::from(policy.copies_per_island);
    settings.target = TargetSettings {
        heard_within_ms: ms(policy.direct_heard_within_s),
        gateways_max: usize::from(policy.direct_gateways_max),
        unknown_to_all: policy.unknown_to_all,
    };
    settings.budget = BudgetSettings {
        island: policy.airtime_island.into(),
        gateway: policy.airtime_gateway.into(),
        channel: policy.airtime_channel.into(),
        node: policy.airtime_node.into(),
        quiet_percent: policy.quiet_percent,
        busy_percent: policy.busy_percent.max(policy.quiet_percent.saturating_add(1)),
        busy_share: policy.busy_share,
        relays_per_hop: policy.relays_per_hop,
        ..settings.budget
    };
    settings.volume = VolumeSettings {
        rate: Rate { per_minute: policy.messages_per_minute, at_once: policy.messages_at_once },
        telemetry_ms: ms(policy.telemetry_interval_s),
        position_ms: ms(policy.position_interval_s),
        node_info_ms: ms(policy.node_info_interval_s),
        stream_packets: policy.stream_packets_max,
        stream_large: policy.stream_large_max,
        node_airtime: policy.uplink_airtime_node.into(),
        gateway_airtime: policy.uplink_airtime_gateway.into(),
        never_held: policy.never_held.iter().filter_map(|node| number(node)).collect(),
    };
    settings.holds.objections = policy.hold_objections;
    let queue = &mut settings.queue;
    queue.hold_ms = u64::from(policy.downlink_hold_ms);
    queue.in_flight_max = usize::from(policy.downlink_in_flight_max);
    queue.waiting_max = usize::from(policy.downlink_waiting_max);
    queue.ages = AgeLimits([
        ms(policy.downlink_age_message_s),
        ms(policy.downlink_age_route_s),
        ms(policy.downlink_age_node_info_s),
        ms(policy.downlink_age_position_s),
        ms(policy.downlink_age_telemetry_s),
        ms(policy.downlink_age_other_s),
    ]);
    queue.pace = Pace {
        messages_per_s: policy.downlink_messages_per_s,
        messages_at_once: policy.downlink_messages_at_once,
        bytes_per_s: policy.downlink_bytes_per_s,
        bytes_at_once: policy.downlink_bytes_per_s,
    };
}

const fn verdict(disposition: Disposition) -> Verdict {
    match disposition {
        Disposition::Accept => Verdict::Accept,
        Disposition::RecordOnly => Verdict::RecordOnly,
        Disposition::Refuse => Verdict::Refuse,
    }
}

/// What home automation is told.
pub fn automation(config: &Config) -> automation::settings::Settings {
    let file = &config.automation;
    let how_often = |choice| match choice {
        config::keys::HowOften::Off => HowOften::Never,
        config::keys::HowOften::Packet => HowOften::OncePerPacket,
        config::keys::HowOften::Reception => HowOften::PerReception,
    };
    automation::settings::Settings {
        firmware_json: how_often(file.json),
        packet_json: how_often(file.packets),
        channels: file.channels.iter().map(|name| name.as_str().into()).collect(),
        home_assistant: HomeAssistantSettings {
            who: match file.home_assistant {
                config::keys::HomeAssistant::Off => Who::Nobody,
                config::keys::HomeAssistant::Chosen => Who::Chosen,
                config::keys::HomeAssistant::Consenting => Who::Consenting,
            },
            nodes: file.home_assistant_nodes.iter().filter_map(|node| config::node_number(node)).collect(),
            prefix: file.home_assistant_prefix.as_str().into(),
            silent_ms: i64::from(file.home_assistant_silent_s) * 1000,
        },
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
