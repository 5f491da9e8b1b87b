//! A small town for tests and previews: a broker fed with bytes, its records in a history on disk, and pages over both.
//! Time stands still unless it is told to go on.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by tests and the preview, each of which uses a part"
)]

pub mod browser;
pub mod secrets;

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use broker::{Broker, ConnectionId, Now, Options};
use directory::{Command, GatewayId, Owner};
use directory_store::Store;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::settings::Settings;
use record::Record;
use tokio::sync::{broadcast, watch};
use web::{HistoryHealth, Info, Mode, Pages, WebState};

/// A gateway.
pub const ROUTER_1: u32 = 0x7c5a_0a01;

/// Another gateway.
pub const ROUTER_2: u32 = 0x7c5a_0a02;

/// A node whose owner agreed to MQTT.
pub const ANA: u32 = 0x4f21_00aa;

/// A node whose owner did not.
pub const HERMIT: u32 = 0x4f21_00ee;
/// When the town's clock starts: 2026-08-20T13:45:09Z.
pub const START_MS: i64 = 1_787_233_509_000;

/// The town.
pub struct Town {
    /// Folder of all its state.
    pub folder: tempfile::TempDir,
    /// How the program says it runs.
    pub mode: Mode,
    /// Address of the pages from outside.
    pub public_url: Option<String>,
    /// Channels declared public.
    pub public_channels: Vec<Box<str>>,
    /// What the recorder says.
    pub health: HistoryHealth,
    /// Live records.
    pub live: broadcast::Sender<Record>,
    broker: Arc<Mutex<Broker>>,
    pub store: Store,
    history: history::Writer,
    clock: Arc<AtomicI64>,
    ending: watch::Sender<bool>,
}

/// One channel and its key as configured.
#[derive(Clone, Copy)]
pub struct Channel(pub &'static str, pub &'static [u8]);

/// The channel that every device has.
pub const LONG_FAST: Channel = Channel("LongFast", &[1]);
/// A channel with a key of the operator's.
pub const WORKS: Channel = Channel("Works", &[7; 32]);
/// A channel whose key the operator does not have.
pub const STRANGERS: Channel = Channel("Strangers", &[9; 32]);

/// One gateway's copy of a packet.
#[derive(Clone)]
pub struct Copy {
    /// Sender.
    pub from: u32,
    /// Destination.
    pub to: u32,
    /// Packet id.
    pub id: u32,
    /// Channel.
    pub channel: Channel,
    /// Port.
    pub port: PortNum,
    /// Payload.
    pub payload: Vec<u8>,
    /// The ok-to-MQTT bit; `None` for firmware without.
    pub ok_to_mqtt: Option<bool>,
    /// Hops it started with.
    pub hop_start: u32,
    /// Hops left.
    pub hop_limit: u32,
    /// Signal strength, dBm; 0 for the gateway's own.
    pub rssi: i32,
    /// Signal-to-noise ratio, dB.
    pub snr: f32,
    /// Last byte of the node it was heard from.
    pub relay: u8,
}

impl Copy {
    /// A text to everyone that its sender agreed to share, heard directly.
    pub fn text(from: u32, id: u32, text: &str) -> Self {
        Self::new(from, id, PortNum::TEXT_MESSAGE, text.as_bytes().to_vec())
    }

    /// A packet to everyone that its sender agreed to share, heard directly.
    pub fn new(from: u32, id: u32, port: PortNum, payload: Vec<u8>) -> Self {
        Self {
            from,
            to: 0xffff_ffff,
            id,
            channel: LONG_FAST,
            port,
            payload,
            ok_to_mqtt: Some(true),
            hop_start: 3,
            hop_limit: 3,
            rssi: -91,
            snr: 6.25,
            relay: from as u8,
        }
    }

    /// Without consent.
    pub fn opted_out(self) -> Self {
        Self { ok_to_mqtt: Some(false), ..self }
    }

    /// On another channel.
    pub fn on(self, channel: Channel) -> Self {
        Self { channel, ..self }
    }

    /// After some hops, weaker.
    pub fn after(self, hops: u32, rssi: i32, snr: f32, relay: u8) -> Self {
        Self { hop_limit: self.hop_start - hops, rssi, snr, relay, ..self }
    }

    fn envelope(&self, gateway: u32, rx_time: u32) -> Vec<u8> {
        let mut data = varint_field(1, u64::from(self.port.0));
        data.extend(bytes_field(2, &self.payload));
        if let Some(ok) = self.ok_to_mqtt {
            data.extend(varint_field(9, u64::from(ok)));
        }
        let key = ChannelKey::from_psk(self.channel.1).unwrap();
        mesh::crypto::apply_ctr(&key, NodeNum(self.from), self.id, &mut data);
        let mut packet = fixed32_field(1, self.from);
        packet.extend(fixed32_field(2, self.to));
        packet.extend(varint_field(3, u64::from(key.channel_hash(self.channel.0, false))));
        packet.extend(bytes_field(5, &data));
        packet.extend(fixed32_field(6, self.id));
        packet.extend(fixed32_field(7, rx_time));
        packet.extend(fixed32_field(8, self.snr.to_bits()));
        packet.extend(varint_field(9, u64::from(self.hop_limit)));
        packet.extend(varint_field(12, self.rssi as i64 as u64));
        packet.extend(varint_field(15, u64::from(self.hop_start)));
        packet.extend(varint_field(19, u64::from(self.relay)));
        let mut envelope = bytes_field(1, &packet);
        envelope.extend(bytes_field(2, self.channel.0.as_bytes()));
        envelope.extend(bytes_field(3, NodeNum(gateway).to_string().as_bytes()));
        envelope
    }
}

/// Node information: names, hardware 43 (Heltec v3), role 2 (router).
pub fn node_info(from: u32, id: u32, long: &str, short: &str) -> Copy {
    let mut user = bytes_field(1, NodeNum(from).to_string().as_bytes());
    user.extend(bytes_field(2, long.as_bytes()));
    user.extend(bytes_field(3, short.as_bytes()));
    user.extend(varint_field(5, 43));
    user.extend(varint_field(7, 2));
    Copy::new(from, id, PortNum::NODEINFO, user)
}

/// A position with altitude 263 m.
pub fn position(from: u32, id: u32, latitude_i: i32, longitude_i: i32, precision_bits: u32) -> Copy {
    let mut position = fixed32_field(1, latitude_i as u32);
    position.extend(fixed32_field(2, longitude_i as u32));
    position.extend(varint_field(3, 263));
    position.extend(varint_field(23, u64::from(precision_bits)));
    Copy::new(from, id, PortNum::POSITION, position)
}

/// Battery 81 %, 3.92 V, channel utilisation 7.25 %, air utilisation 1.5 %, uptime 86 400 s.
pub fn telemetry(from: u32, id: u32) -> Copy {
    let mut metrics = varint_field(1, 81);
    metrics.extend(fixed32_field(2, 3.92_f32.to_bits()));
    metrics.extend(fixed32_field(3, 7.25_f32.to_bits()));
    metrics.extend(fixed32_field(4, 1.5_f32.to_bits()));
    metrics.extend(varint_field(5, 86_400));
    let mut telemetry = fixed32_field(1, (START_MS / 1000) as u32);
    telemetry.extend(bytes_field(2, &metrics));
    Copy::new(from, id, PortNum::TELEMETRY, telemetry)
}

/// A waypoint with its place.
pub fn waypoint(from: u32, id: u32, latitude_i: i32, longitude_i: i32, name: &str) -> Copy {
    let mut waypoint = varint_field(1, 1);
    waypoint.extend(fixed32_field(2, latitude_i as u32));
    waypoint.extend(fixed32_field(3, longitude_i as u32));
    waypoint.extend(bytes_field(6, name.as_bytes()));
    Copy::new(from, id, PortNum::WAYPOINT, waypoint)
}

/// Who is connected to the town's broker.
#[derive(Clone, Copy)]
pub struct Client {
    connection: ConnectionId,
    gateway: u32,
}

impl Town {
    /// A town without clients.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut keyring = Keyring::default();
        keyring.add(WORKS.0, ChannelKey::from_psk(WORKS.1).unwrap());
        let options = Options {
            lab: false,
            limits: broker::Limits::default(),
            policy: Arc::new(prompt()),
            keyring,
            preset: mesh::airtime::ModemPreset::LongFast,
            directory: Arc::new(store.load().unwrap()),
            token_key: store.token_key().clone(),
            last_seq: 0,
            acknowledge_when_durable: false,
            seed: 1,
        };
        let history = history::Writer::open(&folder.path().join("history")).unwrap();
        Self {
            folder,
            mode: Mode::Normal,
            public_url: None,
            public_channels: Vec::new(),
            health: HistoryHealth::default(),
            live: broadcast::channel(256).0,
            broker: Arc::new(Mutex::new(Broker::new(options))),
            store,
            history,
            clock: Arc::new(AtomicI64::new(START_MS)),
            ending: watch::channel(false).0,
        }
    }

    /// What the clock says, Unix ms.
    pub fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Lets time go on.
    pub fn wait_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the clock.
    pub fn set_now_ms(&self, at_ms: i64) {
        self.clock.store(at_ms, Ordering::Relaxed);
    }

    /// Makes the code of the setup link.
    pub fn setup_code(&mut self) -> String {
        let now = self.now_ms() as u64;
        self.store.create_setup_token(now).unwrap().reveal().to_owned()
    }

    /// Adds a gateway and connects it, subscribed to everything.
    pub fn gateway(&mut self, node: u32, contact: &str, client_id: &str, address: IpAddr) -> Client {
        let token = directory_store::random_token().unwrap();
        let owner = Some(Owner { name: contact.to_owned(), contact: Some(contact.to_owned()) });
        let id = GatewayId(node);
        let command = Command::AddGateway { id, owner, note: String::new(), token: token.clone() };
        let username = self.apply(command);
        self.connect(&username, token.reveal(), client_id, address, node)
    }

    /// Adds an observer and connects it, subscribed to everything.
    pub fn observer(&mut self, name: &str, address: IpAddr) -> Client {
        let token = directory_store::random_token().unwrap();
        let name = name.to_owned();
        let command = Command::AddObserver { name, owner: None, note: String::new(), token: token.clone() };
        let username = self.apply(command);
        self.connect(&username, token.reveal(), &format!("{username}-reader"), address, 0)
    }

    fn apply(&mut self, command: Command) -> String {
        let applied = self.store.apply(command, "test", self.now_ms() as u64).unwrap();
        let now = self.now();
        self.broker.lock().unwrap().set_directory(now, Arc::new(applied.directory));
        applied.username.as_str().to_owned()
    }

    fn connect(
        &mut self,
        user: &str,
        password: &str,
        client_id: &str,
        address: IpAddr,
        gateway: u32,
    ) -> Client {
        let text = |t: &str| [&(t.len() as u16).to_be_bytes()[..], t.as_bytes()].concat();
        let connect =
            [text("MQTT"), vec![4, 0xc2, 0, 60], text(client_id), text(user), text(password)].concat();
        let filters: &[&str] = if gateway == 0 {
            &["msh/#"]
        } else {
            &["msh/US/MO/KC/2/e/LongFast/+", "msh/US/MO/KC/2/e/Works/+"]
        };
        let filters: Vec<u8> = filters.iter().flat_map(|filter| [text(filter), vec![0]].concat()).collect();
        let subscribe = [vec![0, 1], filters].concat();
        let connection = self.broker.lock().unwrap().open(self.now(), address).unwrap();
        let client = Client { connection, gateway };
        self.feed(client, &control_packet(0x10, &connect));
        self.feed(client, &control_packet(0x82, &subscribe));
        client
    }

    /// A gateway uplinks its copy; what the broker makes of it goes to the history and is returned.
    pub fn hear(&mut self, gateway: Client, copy: &Copy) -> Vec<Record> {
        let envelope = copy.envelope(gateway.gateway, (self.now_ms() / 1000) as u32);
        let topic = format!("msh/US/MO/KC/2/e/{}/{}", copy.channel.0, NodeNum(gateway.gateway));
        self.publish(gateway, &topic, &envelope)
    }

    /// A client publishes bytes.
    pub fn publish(&mut self, client: Client, topic: &str, payload: &[u8]) -> Vec<Record> {
        let body = [&(topic.len() as u16).to_be_bytes()[..], topic.as_bytes(), payload].concat();
        self.feed(client, &control_packet(0x30, &body))
    }

    fn feed(&mut self, client: Client, bytes: &[u8]) -> Vec<Record> {
        let now = self.now();
        let mut records = Vec::new();
        let mut broker = self.broker.lock().unwrap();
        broker.receive(now, client.connection, bytes);
        broker.take_records(&mut |record| records.push(record));
        self.history.append(&records).unwrap();
        records
    }

    fn now(&self) -> Now {
        Now { mono_ms: (self.now_ms() - START_MS + 100_000_000) as u64, unix_ms: self.now_ms() }
    }

    /// What pages need, on this town.
    pub fn state(&self) -> WebState {
        let (broker, clock, health) = (self.broker.clone(), self.clock.clone(), self.health.clone());
        let tell = clock.clone();
        let snapshot = move || {
            let unix_ms = clock.load(Ordering::Relaxed);
            Some(broker.lock().unwrap().snapshot(Now { mono_ms: 0, unix_ms }))
        };
        // The running program notices within 20 ms what the pages have changed.
        let (broker, folder) = (self.broker.clone(), self.folder.path().to_owned());
        let obey = move || {
            let now = Now { mono_ms: 0, unix_ms: START_MS };
            let directory = Store::open(&folder).unwrap().load().unwrap();
            broker.lock().unwrap().set_directory(now, Arc::new(directory));
            broker.clone()
        };
        let (about, board, watching) = (obey.clone(), obey.clone(), obey);
        let mut keyring = Keyring::default();
        keyring.add(WORKS.0, ChannelKey::from_psk(WORKS.1).unwrap());
        WebState {
            secret: [7; 32],
            about_node: Arc::new(move |node| Some(about().lock().unwrap().about_node(node))),
            board: Arc::new(move || {
                Some(board().lock().unwrap().board(Now { mono_ms: 0, unix_ms: START_MS }))
            }),
            due: Arc::new(|_| Ok(history::retention::Purged { texts: 12, ..Default::default() })),
            held: Arc::new(|node| Ok(vec![("History".to_owned(), format!("7 receptions of {node}"))])),
            watching: Arc::new(move || Some(watching().lock().unwrap().watching())),
            info: Info {
                mesh_name: "Kansas City mesh".to_owned(),
                public_url: self.public_url.clone(),
                is_tls: false,
                started_ms: self.now_ms() - 3 * 86_400_000,
                mode: self.mode,
                metrics_from: vec!["127.0.0.0/8".parse().unwrap()],
                way_in: ("mesh.example".to_owned(), false),
                keep: history::retention::Keep {
                    days: Some(90),
                    connection_days: Some(30),
                    text_days: Some(14),
                    ..Default::default()
                },
                data: self.folder.path().to_owned(),
                map_tiles: None,
                preset: None,
                api_per_minute: (300, 1_200),
                expected: preflight::expected::Expected {
                    mesh: "Kansas City mesh".to_owned(),
                    region: Some("US".to_owned()),
                    preset: Some("LONG_FAST".to_owned()),
                    ..preflight::expected::Expected::default()
                },
                settings: vec![web::Setting {
                    table: "mqtt",
                    key: "max_connections",
                    value: "500".to_owned(),
                    is_default: false,
                    doc: "Clients connected at a time.",
                }],
            },
            snapshot: Arc::new(snapshot),
            bridges: Arc::new(Vec::new),
            alerts: None,
            history_health: Arc::new(move || health.clone()),
            policy_desk: None,
            policy: Arc::new(|| Arc::new(Settings::default())),
            clock: Arc::new(move || tell.load(Ordering::Relaxed)),
            history: history::Reader::open(&self.folder.path().join("history")).unwrap(),
            directory: Store::open(self.folder.path()).unwrap(),
            live: self.live.clone(),
            keyring,
            public_channels: self.public_channels.clone(),
            mqtt: None,
        }
    }

    /// The pages of this town.
    pub async fn pages(&self) -> Pages {
        let pages = web::service(self.state(), self.ending.subscribe());
        pages.learn_the_past().await;
        pages
    }
}

/// The default policy, but copies do not wait for the radio: time stands still here.
fn prompt() -> Settings {
    let mut settings = Settings::default();
    settings.queue.hold_ms = 0;
    settings
}

fn control_packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    packet.extend(varint(body.len() as u64));
    packet.extend_from_slice(body);
    packet
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A protobuf field of varint type.
pub fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// A protobuf field of four bytes.
pub fn fixed32_field(number: u64, value: u32) -> Vec<u8> {
    [varint(number << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

/// A protobuf field of bytes.
pub fn bytes_field(number: u64, value: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}
