//! The table of keys, in the order of the documentation. To add a key, add its line; nothing else changes.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::kind::Kind;
use crate::table::Preset::{Absent, AbsentWhole, Flag, List, Text, Whole};
use crate::table::{Section, section, words};

/// Every section, in the order of the documentation.
pub(crate) const SECTIONS: &[&Section] = &[
    &TOP_LINES,
    &MQTT_LINES,
    &TLS_LINES,
    &WEB_LINES,
    &MESH_LINES,
    &AUTOMATION_LINES,
    &HISTORY_LINES,
    &LOG_LINES,
];

section! { Top, TOP_LINES, "", "Keys before the first table.";
    data: PathBuf = Text("backhaul-data"), Kind::Folder,
        "Folder for everything that must survive a restart; made on first use. A relative one starts at the \
         working directory.";
    policy: Option<PathBuf> = Absent("/etc/backhaul/policy.toml"), Kind::File,
        "The policy's file; `policy.toml` in the data folder if not said. It may be missing, which means every default. \
         `backhaul policy docs` prints it with all keys.";
    alerts: Option<PathBuf> = Absent("/etc/backhaul/alerts.toml"), Kind::File,
        "The alerts' file; `alerts.toml` in the data folder if not said. It may be missing, which means the packaged rules, \
         shown on the page only. `backhaul alerts docs` prints it with all keys.";
}

section! { Mqtt, MQTT_LINES, "mqtt", "Where MQTT clients connect, and what one client may use up.";
    listen: Option<SocketAddr> = Text("0.0.0.0:1883"), Kind::ListenOrNone,
        "Address and port for MQTT over TCP; \"[::]:1883\" takes IPv4 too, \"none\" leaves it to the listeners \
         below. Other machines always need a credential; programs on this one \
         may connect without until the first credential exists. Port 0 picks a free one.";
    max_packet_size: u32 = Whole(65_536), Kind::Whole { min: 1024, max: 268_435_460 },
        "Largest MQTT packet taken from a client, in bytes, fixed header included. Gateways send at most 1024.";
    max_connections: u32 = Whole(10_000), Kind::Whole { min: 1, max: 1_000_000 },
        "Clients connected at a time.";
    connect_timeout_s: u16 = Whole(10), Kind::Whole { min: 1, max: 300 },
        "Seconds that a connection may take to introduce itself.";
    stop_grace_s: u16 = Whole(5), Kind::Whole { min: 0, max: 300 },
        "Seconds that clients get at a stop to take what is on its way to them.";
    keep_alive_max_s: u16 = Whole(3_600), Kind::Whole { min: 15, max: 65_535 },
        "Longest keep-alive, in seconds: a client that is silent for one and a half times as long is gone. \
         Gateways ask for 15.";
    session_expiry_max_s: u32 = Whole(604_800), Kind::Whole { min: 0, max: 4_294_967_295 },
        "How long the session of an absent client is kept at most, in seconds.";
    receive_maximum: u16 = Whole(100), Kind::Whole { min: 1, max: 65_535 },
        "QoS 1 and 2 messages that may be unacknowledged at a time, for each client and direction.";
    queue_messages_max: u32 = Whole(1_000), Kind::Whole { min: 1, max: 1_000_000 },
        "Messages kept for one slow or absent client; beyond that new ones are dropped and counted.";
    queue_bytes_max: u32 = Whole(1_048_576), Kind::Whole { min: 1_024, max: 1_073_741_824 },
        "The same limit in bytes; at least `max_packet_size`.";
    topic_levels_max: u16 = Whole(32), Kind::Whole { min: 8, max: 1_024 },
        "Levels that a topic or filter may have.";
    topic_alias_maximum: u16 = Whole(16), Kind::Whole { min: 0, max: 65_535 },
        "Topic aliases that one MQTT 5.0 connection may use, in each direction: short numbers in place of topics. \
         0 for none.";
    subscriptions_max: u32 = Whole(200), Kind::Whole { min: 1, max: 100_000 },
        "Subscriptions of one client.";
    retained_max: u32 = Whole(10_000), Kind::Whole { min: 0, max: 10_000_000 },
        "Retained messages kept in all.";
    retained_bytes_max: u64 = Whole(67_108_864), Kind::Whole { min: 0, max: 1_099_511_627_776 },
        "Topic and payload bytes of all retained messages.";
    sessions_max: u32 = Whole(20_000), Kind::Whole { min: 1, max: 10_000_000 },
        "Sessions kept, of connected and absent clients together.";
    connect_bytes_max: u32 = Whole(8_192), Kind::Whole { min: 256, max: 1_048_576 },
        "Largest CONNECT, in bytes: nobody who has not signed in makes the broker buffer more.";
    connections_per_address_max: u32 = Whole(200), Kind::Whole { min: 1, max: 1_000_000 },
        "Connections at a time from one address, or from one /64 of IPv6. Programs on this machine are exempt.";
    connections_per_credential_max: u32 = Whole(100), Kind::Whole { min: 1, max: 1_000_000 },
        "Clients connected at a time under one user name.";
    connects_per_second_max: u32 = Whole(5_000), Kind::Whole { min: 1, max: 1_000_000 },
        "New connections per second in the long run, and twice as many at once.";
    connects_per_address_per_minute_max: u32 = Whole(240), Kind::Whole { min: 1, max: 1_000_000 },
        "New connections per minute from one address. Programs on this machine are exempt.";
    sign_in_free_tries: u32 = Whole(10), Kind::Whole { min: 1, max: 1_000_000 },
        "Wrong passwords from one address, or for one user name, before the next try has to wait: a second, then \
         twice as long each time, a minute at most. Who signed in before from the same address does not wait.";
    topic_bytes_max: u32 = Whole(1_024), Kind::Whole { min: 64, max: 65_535 },
        "Bytes that a topic or filter may have.";
    subscriptions_total_max: u32 = Whole(200_000), Kind::Whole { min: 1, max: 100_000_000 },
        "Subscriptions of all clients together.";
    partial_bytes_max: u64 = Whole(67_108_864), Kind::Whole { min: 65_536, max: 1_099_511_627_776 },
        "Bytes of packets whose rest has not arrived, of all connections together.";
    memory_bytes_max: u64 = Whole(536_870_912), Kind::Whole { min: 1_048_576, max: 1_099_511_627_776 },
        "Bytes held for clients in all: waiting messages, what is on its way to them, unfinished packets, retained \
         messages. What goes first when it is too much is told in docs/limits.md.";
    seen_packets_max: u32 = Whole(200_000), Kind::Whole { min: 1_000, max: 10_000_000 },
        "Mesh packets remembered to recognise further copies.";
    persistence: bool = Flag(true), Kind::Flag,
        "Whether sessions of absent clients, the messages that wait for them, Wills and retained messages survive a \
         restart. Without it they live in memory only.";
    unkept_max: u32 = Whole(100_000), Kind::Whole { min: 100, max: 10_000_000 },
        "Changes to those that may wait for a slow disk. Beyond that messages for absent clients are refused, and so \
         are subscriptions and sessions that are to be kept.";
    sys_interval_s: u16 = Whole(10), Kind::Whole { min: 0, max: 3_600 },
        "How often the broker tells of itself on `$SYS/#`, in seconds; 0 for never.";
}

section! { Listener, LISTENER_LINES, "listener",
    "A further way in for MQTT clients, once for each.";
    name: String = Absent("secure"), Kind::Text { bytes_max: 60 },
        "What it is called in messages and on the status page; required. Socket activation finds it by this name.";
    address: SocketAddr = Absent("[::]:8883"), Kind::Listen,
        "Address and port; required. \"[::]:8883\" takes IPv4 too.";
    kind: ListenerKind = Text("tcp"), Kind::Choice(ListenerKind::WORDS),
        "MQTT over TCP, over TLS, over WebSocket, or over WebSocket over TLS.";
    proxy_protocol: ProxyProtocol = Text("off"), Kind::Choice(ProxyProtocol::WORDS),
        "Whether connections begin with a PROXY header, which tells the client's address when a proxy stands in \
         front: of version 1 (text), 2 (binary) or either.";
    proxy_from: Vec<IpNet> = List(&[]), Kind::Networks,
        "Addresses of the proxies, such as [\"10.0.0.5\", \"fd00::/8\"]: nobody else may connect then. Required with \
         `proxy_protocol`.";
    max_connections: Option<u32> = AbsentWhole(1_000), Kind::Whole { min: 1, max: 1_000_000 },
        "Clients connected here at a time; `mqtt.max_connections` holds as well.";
    connections_per_address: Option<u32> = AbsentWhole(50), Kind::Whole { min: 1, max: 1_000_000 },
        "Connections here from one address at a time (IPv6: from one /64).";
    max_packet_size: Option<u32> = AbsentWhole(65_536), Kind::Whole { min: 1024, max: 268_435_460 },
        "Largest MQTT packet taken here, in bytes; otherwise `mqtt.max_packet_size`, which it may not exceed.";
    connect_timeout_s: Option<u32> = AbsentWhole(10), Kind::Whole { min: 1, max: 300 },
        "Seconds for PROXY header, TLS and WebSocket handshake, and again for CONNECT; otherwise \
         `mqtt.connect_timeout_s`.";
    guests: bool = Flag(true), Kind::Flag,
        "Whether programs on this machine may connect here without a credential until the first one exists; never \
         over WebSocket, which pages of any site can open.";
    certificate: Option<PathBuf> = Absent("fullchain.pem"), Kind::File,
        "Certificate chain (PEM) of this listener, instead of the one of `[tls]`.";
    key: Option<PathBuf> = Absent("privkey.pem"), Kind::File,
        "Its private key (PEM).";
    client_certificates: ClientCertificates = Text("off"), Kind::Choice(ClientCertificates::WORDS),
        "Whether TLS clients are asked for a certificate, and whether they must have one.";
    client_ca: Option<PathBuf> = Absent("clients.pem"), Kind::File,
        "Certificates (PEM) of those who sign client certificates.";
    certificate_is_credential: bool = Flag(false), Kind::Flag,
        "Whether the common name of a client certificate is taken as user name, and its password is not asked for.";
}

section! { Tls, TLS_LINES, "tls", "The certificate that this server shows, to all listeners and pages that use TLS.";
    certificate: Option<PathBuf> = Absent("/etc/letsencrypt/live/mesh.example.org/fullchain.pem"), Kind::File,
        "Certificate chain (PEM). Read again when it changes. Without one, a self-made certificate is kept in the \
         data folder; clients must be told to trust it.";
    key: Option<PathBuf> = Absent("/etc/letsencrypt/live/mesh.example.org/privkey.pem"), Kind::File,
        "Its private key (PEM).";
    names: Vec<String> = List(&[]), Kind::HostNames,
        "Names and addresses that a self-made certificate is good for, besides this machine's own; with `acme`, the \
         names to have a certificate for.";
    acme: Acme = Text("off"), Kind::Choice(Acme::WORDS),
        "Whether a certificate is obtained and renewed by ACME, and how names are shown to be ours: over HTTP, which \
         the authority must reach as port 80, or in a TLS handshake, which it must reach as port 443. By choosing \
         one you agree to the authority's terms of service.";
    acme_directory: String = Text("https://acme-v02.api.letsencrypt.org/directory"), Kind::WebAddress,
        "The authority.";
    acme_directory_ca: Option<PathBuf> = Absent("authority.pem"), Kind::File,
        "Certificate (PEM) that signs the authority's own, when the system does not trust it.";
    acme_contact: Option<String> = Absent("mailto:operator@example.org"), Kind::Text { bytes_max: 200 },
        "Where the authority writes to when something is wrong.";
    acme_http_listen: SocketAddr = Text("[::]:80"), Kind::Listen,
        "Where `http-01` listens, only while the authority asks.";
}

section! { Web, WEB_LINES, "web", "The pages.";
    listen: SocketAddr = Text("0.0.0.0:8080"), Kind::Listen,
        "Address and port for the pages over HTTP, and for MQTT over WebSocket at `/mqtt`. Port 0 picks a free one.";
    tls: bool = Flag(false), Kind::Flag,
        "Whether the pages are served over TLS, with the certificate of `[tls]`.";
    metrics_from: Vec<IpNet> = List(&["127.0.0.0/8", "::1/128"]), Kind::Networks,
        "Networks from which anyone may read `/metrics`; the operator may from everywhere.";
    api_per_minute: u32 = Whole(300), Kind::Whole { min: 10, max: 1_000_000 },
        "Questions to the API a minute from one address without a sign-in; as many may come at once.";
    api_per_minute_signed_in: u32 = Whole(1_200), Kind::Whole { min: 10, max: 1_000_000 },
        "The same for one person or one program with a token.";
    public_url: Option<String> = Absent("https://mesh.example.org"), Kind::WebAddress,
        "Where people reach the pages if a proxy stands in front; used in links.";
    map_tiles: Option<String> = Absent("https://tiles.example.org/{z}/{x}/{y}.png"), Kind::WebAddress,
        "Pictures behind the map, with `{z}`, `{x}` and `{y}` for zoom, column and row. Visitors' browsers load them from \
         there, which tells that server what they look at; without, the map shows outlines and asks nobody.";
    map_attribution: String = Text("© the providers of the map's background"), Kind::Text { bytes_max: 200 },
        "Whom to thank for those pictures; shown below the map.";
}

section! { Mesh, MESH_LINES, "mesh", "The mesh that this broker serves.";
    name: String = Text("Kansas City mesh"), Kind::Text { bytes_max: 60 },
        "What people call it; shown on the pages.";
    root: String = Text("msh/US"), Kind::TopicRoot,
        "Topic root that gateways are set to (`mqtt.root` on the node). Firmware overwrites a root that \
         starts with `msh` when the node's region is changed.";
    region: String = Text("US"), Kind::Choice(REGIONS),
        "LoRa region.";
    preset: String = Text("LONG_FAST"), Kind::Choice(PRESETS),
        "Modem preset; decides how long a packet is on the air.";
    node_name: String = Text("Backhaul"), Kind::Text { bytes_max: 36 },
        "Name of the broker's own node, which asks gateways whether downlink reaches them. Its node number follows from \
         the name and the installation's secret key.";
}

// In a file of its own: see `policy_file`.
section! { Policy, POLICY_LINES, "", "What may be passed on.";
    hop_limit_max: u8 = Whole(1), Kind::Whole { min: 0, max: 7 },
        "Highest hop limit of a copy toward a gateway. 0: the gateway shows it to its phone and sends nothing \
         by radio. 1: the gateway transmits once and nobody relays.";
    consent_no: Disposition = Text("record-only"), Kind::Choice(Disposition::WORDS),
        "What happens to a packet whose sender declined MQTT (ok-to-MQTT bit not set).";
    consent_unknown: Disposition = Text("record-only"), Kind::Choice(Disposition::WORDS),
        "What happens to a packet that can be read and says neither yes nor no (firmware before 2.5).";
    opaque: Disposition = Text("accept"), Kind::Choice(Disposition::WORDS),
        "What happens to a packet on a key that the broker does not have, so that nobody can see what its \
         sender agreed to.";
    public_key: Disposition = Text("record-only"), Kind::Choice(Disposition::WORDS),
        "What the rule `public-key` does with a packet on a channel that anyone can read.";
    public_channels: Vec<String> = List(&[]), Kind::Names,
        "Channels that are public on purpose: the rule `public-key` says nothing against them.";
    granted_ports: Vec<String> = List(&[]), Kind::Ports,
        "Port numbers of bulk that are passed on all the same, such as [\"66\"] for range tests.";
    late_max_s: u32 = Whole(600), Kind::Whole { min: 1, max: 604_800 },
        "Rule `wrong-time`: longest time from reception to uplink, in seconds.";
    early_max_s: u32 = Whole(120), Kind::Whole { min: 1, max: 604_800 },
        "Rule `wrong-time`: how far a gateway's clock may run ahead, in seconds.";
    key_days: u32 = Whole(30), Kind::Whole { min: 1, max: 3_650 },
        "Rules `two-keys` and `shared-key`: how long a node's public key stands that is not seen, in days.";
    travel_kmh_max: u32 = Whole(1_000), Kind::Whole { min: 1, max: 100_000 },
        "Rule `impossible-travel`: fastest that anything with a node in it travels, in km/h.";
    travel_km_min: u32 = Whole(20), Kind::Whole { min: 1, max: 20_000 },
        "Rule `impossible-travel`: shorter distances, in km beyond the coarseness of both positions, are possible always.";
    travel_slack_s: u32 = Whole(900), Kind::Whole { min: 1, max: 86_400 },
        "Rule `impossible-travel`: how long a position may have been on its way, in seconds.";
    direct_km_max: u32 = Whole(300), Kind::Whole { min: 1, max: 20_000 },
        "Rule `two-islands`: distance of two gateways, in km, beyond which they do not hear the same node directly.";
    at_once_s: u32 = Whole(600), Kind::Whole { min: 1, max: 86_400 },
        "Rule `two-islands`: receptions within this time are at once, in seconds.";
    moved_distance_m: u32 = Whole(500), Kind::Whole { min: 10, max: 1_000_000 },
        "Rule `moved`: a gateway's position is elsewhere when it is farther than this from the one before, in metres \
         beyond the coarseness of both.";
    moved_reports: u8 = Whole(2), Kind::Whole { min: 1, max: 20 },
        "Rule `moved`: positions in a row, at least a minute apart, that must be elsewhere.";
    hearing_window_h: u8 = Whole(6), Kind::Whole { min: 1, max: 168 },
        "Rule `moved`: hours for which the nodes that a gateway hears directly are put together.";
    hearing_same_percent: u8 = Whole(10), Kind::Whole { min: 0, max: 100 },
        "Rule `moved`: a gateway that hears less than this share of the nodes it hears directly otherwise, twice in a \
         row, is elsewhere; 0 leaves this out.";
    blocked_nodes: Vec<String> = List(&[]), Kind::Nodes,
        "Nodes whose packets are recorded and not passed on, whoever heard them.";
    blocked_gateways: Vec<String> = List(&[]), Kind::Nodes,
        "Gateways from which nothing is taken.";
    blocked_networks: Vec<IpNet> = List(&[]), Kind::Networks,
        "Networks from which nothing is taken.";
    outside: Vec<String> = List(&[]), Kind::Names,
        "User names of observers and services whose readers are outside the community, such as bridges and public \
         feeds: they get a packet only when its sender agreed to MQTT.";
    duplicate_window_s: u32 = Whole(3_600), Kind::Whole { min: 1, max: 86_400 },
        "How long a packet is remembered to recognise further copies, in seconds.";
    downlink_packet_max_bytes: u32 = Whole(1_024), Kind::Whole { min: 64, max: 1_024 },
        "Largest MQTT packet sent to a gateway, in bytes, fixed header included. Firmware throws away \
         anything over 1024.";
    model: String = Text("standard"), Kind::Choice(MODELS),
        "What goes down to gateways, and how far on the radio. standard: everything, as far as hop_limit_max; zero-hop: \
         everything, to phones only; texts-keep-hops: texts, acknowledgements and routes with their hops, the rest to \
         phones; trusted-gateways-keep-hops: everything with its hops; text-only: texts and acknowledgements; \
         uplink-only: nothing.";
    model_of_island: Vec<String> = List(&[]), Kind::Pairs,
        "Models of single islands, such as [\"!7c5a0a01=text-only\"]. The number of an island is on the airtime page.";
    model_of_channel: Vec<String> = List(&[]), Kind::Pairs,
        "Models of single channels, such as [\"LongFast=uplink-only\"]. Of an island's and a channel's the stricter \
         applies.";
    pinned: Vec<String> = List(&[]), Kind::Pairs,
        "Gateways whose island the operator knows better than what they hear in common shows, such as \
         [\"!7c5a0a02=!7c5a0a01\"]: the gateway, then the number of its island.";
    copies_per_island: u8 = Whole(2), Kind::Whole { min: 1, max: 64 },
        "Gateways of one island that transmit a packet for everybody.";
    direct_heard_within_s: u32 = Whole(86_400), Kind::Whole { min: 60, max: 2_592_000 },
        "How long ago a gateway may have heard a node to be a way to it, in seconds.";
    direct_gateways_max: u8 = Whole(2), Kind::Whole { min: 1, max: 6 },
        "Gateways that get a packet for one node, the best first.";
    unknown_to_all: bool = Flag(false), Kind::Flag,
        "Whether a packet for a node that nobody heard lately goes to all islands.";
    airtime_island: u16 = Whole(150), Kind::Whole { min: 0, max: 1000 },
        "Airtime that downlink may take up on one island within an hour, in thousandths of the hour.";
    airtime_gateway: u16 = Whole(100), Kind::Whole { min: 0, max: 1000 },
        "The same for what one gateway transmits.";
    airtime_channel: u16 = Whole(150), Kind::Whole { min: 0, max: 1000 },
        "The same for one channel on one island.";
    airtime_node: u16 = Whole(40), Kind::Whole { min: 0, max: 1000 },
        "The same for what one node sends to other islands.";
    quiet_percent: u8 = Whole(15), Kind::Whole { min: 0, max: 100 },
        "Utilisation of the channel that nodes report, in percent, up to which all of it is there.";
    busy_percent: u8 = Whole(40), Kind::Whole { min: 1, max: 100 },
        "Utilisation from which only the part of `busy_share` is there.";
    busy_share: u8 = Whole(10), Kind::Whole { min: 0, max: 100 },
        "Part of the airtime that is there on a busy channel, in percent.";
    relays_per_hop: u8 = Whole(3), Kind::Whole { min: 0, max: 100 },
        "Transmissions by other nodes that every hop beyond the gateway's own is expected to cost.";
    messages_per_minute: u32 = Whole(600), Kind::Whole { min: 1, max: 1_000_000 },
        "Messages that one gateway may publish per minute in the long run.";
    messages_at_once: u32 = Whole(200), Kind::Whole { min: 1, max: 1_000_000 },
        "Messages that one gateway may publish at once after a pause.";
    telemetry_interval_s: u32 = Whole(900), Kind::Whole { min: 0, max: 86_400 },
        "Shortest time between two measurements of one kind of one node that needs no agreement, in seconds.";
    position_interval_s: u32 = Whole(60), Kind::Whole { min: 0, max: 86_400 },
        "The same for positions.";
    node_info_interval_s: u32 = Whole(300), Kind::Whole { min: 0, max: 86_400 },
        "The same for names and keys of a node.";
    stream_packets_max: u32 = Whole(60), Kind::Whole { min: 1, max: 100_000 },
        "Packets of one kind of one node within ten minutes, beyond which they are taken for a stream.";
    stream_large_max: u32 = Whole(20), Kind::Whole { min: 1, max: 100_000 },
        "The same for packets of 150 bytes and more.";
    uplink_airtime_node: u16 = Whole(50), Kind::Whole { min: 0, max: 1000 },
        "Airtime that the packets of one node may take up within an hour, in thousandths of the hour.";
    uplink_airtime_gateway: u16 = Whole(1000), Kind::Whole { min: 0, max: 1000 },
        "The same for everything that one gateway hears: more than the whole hour cannot have been on the air.";
    hold_objections: u32 = Whole(200), Kind::Whole { min: 1, max: 1_000_000 },
        "Objections for too much traffic within five minutes that lead to a hold: 15 minutes first, then an hour, \
         then a day.";
    never_held: Vec<String> = List(&[]), Kind::Nodes,
        "Gateways and nodes that are never held.";
    downlink_hold_ms: u32 = Whole(3_000), Kind::Whole { min: 0, max: 60_000 },
        "Rule `radio-first`: how long a copy waits where the radio may bring the packet, in milliseconds.";
    downlink_verified_days: u32 = Whole(30), Kind::Whole { min: 1, max: 366 },
        "Rule `downlink-verified`: how long a round trip through a gateway counts, in days.";
    downlink_age_message_s: u32 = Whole(600), Kind::Whole { min: 1, max: 86_400 },
        "Rule `downlink-age`: how long a text, an acknowledgement or an alert is worth sending to a gateway, in seconds.";
    downlink_age_route_s: u32 = Whole(60), Kind::Whole { min: 1, max: 86_400 },
        "The same for traceroutes and waypoints.";
    downlink_age_node_info_s: u32 = Whole(300), Kind::Whole { min: 1, max: 86_400 },
        "The same for what nodes say of themselves.";
    downlink_age_position_s: u32 = Whole(120), Kind::Whole { min: 1, max: 86_400 },
        "The same for positions.";
    downlink_age_telemetry_s: u32 = Whole(120), Kind::Whole { min: 1, max: 86_400 },
        "The same for telemetry.";
    downlink_age_other_s: u32 = Whole(60), Kind::Whole { min: 1, max: 86_400 },
        "The same for everything else.";
    downlink_messages_per_s: u32 = Whole(10), Kind::Whole { min: 1, max: 1_000 },
        "Copies per second that one gateway is sent in the long run. Firmware reads at most 50.";
    downlink_messages_at_once: u32 = Whole(4), Kind::Whole { min: 1, max: 1_000 },
        "Copies that one gateway is sent at once after a pause. Firmware has room for four behind its MQTT client.";
    downlink_bytes_per_s: u32 = Whole(4_096), Kind::Whole { min: 64, max: 10_000_000 },
        "Bytes per second that one gateway is sent in the long run, and at once after a pause.";
    downlink_in_flight_max: u16 = Whole(4), Kind::Whole { min: 1, max: 1_000 },
        "QoS 1 and 2 copies that one gateway has not acknowledged, at a time.";
    downlink_waiting_max: u16 = Whole(64), Kind::Whole { min: 1, max: 1_000 },
        "Copies that wait for one gateway at a time.";
}

section! { Automation, AUTOMATION_LINES, "automation",
    "What home automation is told, over MQTT. Nothing without the sender's consent (ok-to-MQTT bit).";
    json: HowOften = Text("off"), Kind::Choice(HowOften::WORDS),
        "Whether packets are published as firmware 2.7 did, as JSON on `{root}/2/json/{channel}/{gateway}`.";
    packets: HowOften = Text("off"), Kind::Choice(HowOften::WORDS),
        "Whether packets are published in a richer JSON on `backhaul/1/packet/{channel}/{node}`; \
         docs/packet.schema.json describes it.";
    channels: Vec<String> = List(&[]), Kind::Names,
        "Channels whose packets are told, in the order of their index in the firmware's JSON. Without any: those that \
         anyone can read, with index 0.";
    home_assistant: HomeAssistant = Text("off"), Kind::Choice(HomeAssistant::WORDS),
        "Of which nodes Home Assistant is told by its MQTT discovery: none, those of the list below, or every node \
         whose packets agree to MQTT, 200 at most.";
    home_assistant_nodes: Vec<String> = List(&[]), Kind::Nodes,
        "The chosen nodes.";
    home_assistant_prefix: String = Text("homeassistant"), Kind::Text { bytes_max: 60 },
        "Home Assistant's discovery prefix.";
    home_assistant_silent_s: u32 = Whole(7_200), Kind::Whole { min: 60, max: 604_800 },
        "A node that is silent for this long is shown as not heard, in seconds.";
}

section! { History, HISTORY_LINES, "history", "What is remembered.";
    enabled: bool = Flag(true), Kind::Flag,
        "Whether receptions and releases are recorded. Without it, log, explain and packet pages are empty.";
    commit_interval_ms: u32 = Whole(250), Kind::Whole { min: 1, max: 10_000 },
        "Longest wait before records are written to disk, in milliseconds. What somebody waits for (QoS 1 and 2) is \
         written at once.";
    batch_max: u32 = Whole(2_000), Kind::Whole { min: 1, max: 100_000 },
        "Records written in one go.";
    queue_max: u32 = Whole(100_000), Kind::Whole { min: 100, max: 10_000_000 },
        "Records waiting for a slow disk; beyond that they are dropped and counted.";
    keep_days: u32 = Whole(365), Kind::Whole { min: 0, max: 36_500 },
        "Days that are kept, today included; 0 for ever. What is older is deleted every hour, and the page `/retention` says \
         so to everybody.";
    keep_connections_days: u32 = Whole(30), Kind::Whole { min: 0, max: 36_500 },
        "Days for which it is kept who connected from which network address; 0 for as long as everything else.";
    keep_bytes_days: u32 = Whole(0), Kind::Whole { min: 0, max: 36_500 },
        "Days for which packets are kept byte for byte; 0 for as long as everything else. Texts, positions and measurements \
         stand in these bytes and are kept no longer; headers, decisions and sums stay.";
    keep_text_days: u32 = Whole(0), Kind::Whole { min: 0, max: 36_500 },
        "Days for which it is kept what people wrote, alerts that quote it included; 0 for as long as the bytes.";
    keep_position_days: u32 = Whole(0), Kind::Whole { min: 0, max: 36_500 },
        "Days for which it is kept where nodes were; 0 for as long as the bytes.";
    keep_telemetry_days: u32 = Whole(0), Kind::Whole { min: 0, max: 36_500 },
        "Days for which it is kept what nodes measured; 0 for as long as the bytes.";
    keep_decisions_days: u32 = Whole(0), Kind::Whole { min: 0, max: 36_500 },
        "Days for which it is kept what became of each copy, receiver by receiver; 0 for as long as everything else.";
    keep_owners_days: u32 = Whole(0), Kind::Whole { min: 0, max: 36_500 },
        "Days for which requests of gateway owners are kept, with what they said of themselves; 0 for as long as everything \
         else. Gateways that were added stay until they are removed.";
}

section! { Bridge, BRIDGE_LINES, "bridge",
    "Another broker that packets are exchanged with, once for each. Nothing leaves without its sender's consent, and no \
     packet crosses twice (docs/bridges.md).";
    name: String = Absent("topeka"), Kind::Text { bytes_max: 40 },
        "What it is called on pages and in the history; required.";
    host: String = Absent("mqtt.example.org"), Kind::Text { bytes_max: 253 },
        "Name or address of the other broker; required.";
    port: u16 = Whole(8_883), Kind::Whole { min: 1, max: 65_535 },
        "Its port; mostly 8883 with TLS, and 1883 without.";
    tls: bool = Flag(true), Kind::Flag,
        "Whether to speak TLS. Without it, the password crosses the internet in clear.";
    ca: Option<PathBuf> = Absent("their-ca.pem"), Kind::File,
        "Certificates (PEM) that sign the other broker's, if no public authority does.";
    version: MqttVersion = Text("5"), Kind::Choice(MqttVersion::WORDS),
        "Version of MQTT to speak.";
    username: Option<String> = Absent("bridge-kc"), Kind::Text { bytes_max: 200 },
        "User name there; on another Backhaul one of `backhaul bridge add`.";
    password_file: Option<PathBuf> = Absent("topeka.password"), Kind::File,
        "File that holds the password.";
    password_env: Option<String> = Absent("TOPEKA_PASSWORD"), Kind::Text { bytes_max: 200 },
        "Environment variable that holds the password, instead of `password_file`.";
    client_id: Option<String> = Absent("backhaul-kc"), Kind::Text { bytes_max: 100 },
        "Client identifier there; one made of the broker's own node number and the bridge's name if not said.";
    keep_alive_s: u16 = Whole(60), Kind::Whole { min: 5, max: 3_600 },
        "Seconds after which silence is broken.";
    root_here: Option<String> = Absent("msh/US/KC"), Kind::TopicRoot,
        "Start of the topics here; `mesh.root` if not said.";
    root_there: Option<String> = Absent("msh/US/KS"), Kind::TopicRoot,
        "Start of the topics there; the same as here if not said.";
    send: Crossing = Text("text"), Kind::Choice(Crossing::WORDS),
        "What leaves: nothing, texts only, or every packet that has consent.";
    receive: Crossing = Text("text"), Kind::Choice(Crossing::WORDS),
        "What comes in, before the policy judges it.";
    send_channels: Vec<String> = List(&[]), Kind::Names,
        "Channels whose packets leave; all if none is named.";
    receive_channels: Vec<String> = List(&[]), Kind::Names,
        "Channels whose packets come in; all if none is named.";
    send_ports: Vec<String> = List(&[]), Kind::Ports,
        "Port numbers of packets that leave, instead of all with `send = \"all\"`.";
    receive_ports: Vec<String> = List(&[]), Kind::Ports,
        "Port numbers of packets that come in, instead of all with `receive = \"all\"`.";
    send_map_reports: bool = Flag(false), Kind::Flag,
        "Whether map reports leave too.";
    receive_map_reports: bool = Flag(false), Kind::Flag,
        "Whether map reports come in too.";
    receive_without_consent: bool = Flag(false), Kind::Flag,
        "Whether packets come in whose senders have not agreed; the policy still decides what becomes of them.";
    send_area: Option<String> = Absent("39.25,-94.42,50"), Kind::Text { bytes_max: 60 },
        "Circle that senders must be known to be in: latitude, longitude and radius in km.";
    receive_area: Option<String> = Absent("39.05,-95.68,50"), Kind::Text { bytes_max: 60 },
        "The same for what comes in.";
    send_hop_limit: Option<u32> = AbsentWhole(3), Kind::Whole { min: 0, max: 7 },
        "Highest hop limit with which packets leave; a higher one is lowered.";
    receive_hop_limit: Option<u32> = AbsentWhole(3), Kind::Whole { min: 0, max: 7 },
        "The same for what comes in.";
    send_messages_per_minute: u32 = Whole(60), Kind::Whole { min: 1, max: 100_000 },
        "Messages that leave within a minute.";
    receive_messages_per_minute: u32 = Whole(60), Kind::Whole { min: 1, max: 100_000 },
        "Messages that come in within a minute.";
    send_airtime_s: u32 = Whole(120), Kind::Whole { min: 1, max: 3_600 },
        "Seconds of time on air that leave within an hour.";
    receive_airtime_s: u32 = Whole(120), Kind::Whole { min: 1, max: 3_600 },
        "Seconds of time on air that come in within an hour.";
    queue_max: u32 = Whole(1_000), Kind::Whole { min: 1, max: 100_000 },
        "Messages that wait in each direction while a side is away; then the oldest give way.";
    queue_s: u32 = Whole(300), Kind::Whole { min: 1, max: 86_400 },
        "How long a message waits, in seconds: late packets confuse a mesh.";
}

section! { Log, LOG_LINES, "log", "What the program says while it runs.";
    level: LogLevel = Text("info"), Kind::Choice(LogLevel::WORDS),
        "Least severe line that is printed.";
}

words! {
    /// What MQTT runs over.
    ListenerKind {
        /// TCP.
        Tcp = "tcp",
        /// TLS.
        Tls = "tls",
        /// WebSocket.
        Ws = "ws",
        /// WebSocket over TLS.
        Wss = "wss",
    }
}

words! {
    /// Which PROXY headers a listener takes.
    ProxyProtocol {
        /// None.
        Off = "off",
        /// Version 1, text.
        V1 = "v1",
        /// Version 2, binary.
        V2 = "v2",
        /// Either.
        Any = "any",
    }
}

words! {
    /// How an ACME authority is shown that names are ours.
    Acme {
        /// There is no authority.
        Off = "off",
        /// Over HTTP.
        Http01 = "http-01",
        /// In a TLS handshake.
        TlsAlpn01 = "tls-alpn-01",
    }
}

words! {
    /// Whether TLS clients show a certificate.
    ClientCertificates {
        /// They are not asked.
        Off = "off",
        /// They may.
        Optional = "optional",
        /// They must.
        Required = "required",
    }
}

words! {
    /// Version of MQTT that a bridge speaks.
    MqttVersion {
        /// 3.1.1.
        V311 = "3.1.1",
        /// 5.0.
        V5 = "5",
    }
}

words! {
    /// What crosses a bridge in one direction.
    Crossing {
        /// Nothing.
        Off = "off",
        /// Texts.
        Text = "text",
        /// Every packet.
        All = "all",
    }
}

words! {
    /// What happens to a packet that a rule has an opinion on.
    Disposition {
        /// Passed on.
        Accept = "accept",
        /// Kept in the history and passed on to nobody.
        RecordOnly = "record-only",
        /// Refused: the client is told, and the refusal is kept in the history.
        Refuse = "refuse",
    }
}

words! {
    /// How often a packet is told that several gateways heard.
    HowOften {
        /// Not at all.
        Off = "off",
        /// Once, as the first gateway heard it.
        Packet = "packet",
        /// For each gateway.
        Reception = "reception",
    }
}

words! {
    /// Of which nodes Home Assistant is told.
    HomeAssistant {
        /// None.
        Off = "off",
        /// Those that are listed.
        Chosen = "chosen",
        /// All that agree to MQTT.
        Consenting = "consenting",
    }
}

words! {
    /// How severe a log line is.
    LogLevel {
        /// Something failed.
        Error = "error",
        /// Something needs the operator's attention.
        Warn = "warn",
        /// Something noteworthy happened.
        Info = "info",
        /// Details for debugging.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

/// Modem presets by their protobuf names (meshtastic.md § 2.6).
#[rustfmt::skip]
pub(crate) const PRESETS: &[&str] = &[
    "LONG_FAST", "LONG_SLOW", "MEDIUM_SLOW", "MEDIUM_FAST", "SHORT_SLOW", "SHORT_FAST",
    "LONG_MODERATE", "SHORT_TURBO", "LONG_TURBO", "LITE_FAST", "LITE_SLOW", "NARROW_FAST", "NARROW_SLOW",
    "TINY_FAST", "TINY_SLOW", "MEDIUM_TURBO",
];

/// Models of downlink (`policy::downlink::model`; a test holds them together).
pub(crate) const MODELS: &[&str] =
    &["standard", "zero-hop", "texts-keep-hops", "trusted-gateways-keep-hops", "text-only", "uplink-only"];

/// LoRa regions by their protobuf names (meshtastic.md § 2.6), without UNSET, which means radio silence.
#[rustfmt::skip]
pub(crate) const REGIONS: &[&str] = &[
    "US", "EU_433", "EU_868", "CN", "JP", "ANZ", "KR", "TW", "RU", "IN", "NZ_865", "TH", "LORA_24", "UA_433",
    "UA_868", "MY_433", "MY_919", "SG_923", "PH_433", "PH_868", "PH_915", "ANZ_433", "KZ_433", "KZ_863",
    "NP_865", "BR_902", "ITU1_2M", "ITU2_2M", "EU_866", "EU_874", "EU_917", "EU_N_868", "ITU3_2M",
    "ITU1_70CM", "ITU2_70CM", "ITU3_70CM", "ITU2_125CM",
];
