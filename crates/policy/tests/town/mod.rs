//! A few gateways and nodes, whose packets go through the policy as they do live.
#![allow(dead_code, reason = "each test file uses its part")]

use directory::{Directory, GatewayId};
use mesh::compose::{Closed, Content, Packet, envelope};
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Scratch, observe};
use mesh::portnum::PortNum;
use mesh::signature::{Layout, NodeKey};
use policy::decision::{Decision, Outcome};
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::now::Now;
use policy::principal::Principal;
use policy::release::Passing;
use policy::settings::Settings;
use policy::uplink::Publish;

pub const NORTH: u32 = 0x7c5a_0a01;
pub const SOUTH: u32 = 0x7c5a_0c03;
pub const FIELD: u32 = 0x7c5a_0b02;
pub const START_MS: i64 = 1_790_000_000_000;

/// Liberty, Missouri.
pub const LIBERTY: (i32, i32) = (392_461_000, -944_191_000);

pub struct Town {
    pub policy: Policy,
    pub directory: Directory,
    /// Time since the start, ms.
    pub at_ms: i64,
    next_id: u32,
}

/// What is sent, and how it arrives.
pub struct Sent {
    pub from: u32,
    pub via: u32,
    pub said: (PortNum, Vec<u8>),
    /// `None`: the gateway's own packet. Otherwise the hops it travelled.
    pub hops: Option<u32>,
    pub sign: Option<NodeKey>,
    /// Signs with too few bytes.
    pub malformed: bool,
    pub to: u32,
}

impl Default for Sent {
    fn default() -> Self {
        Self {
            from: FIELD,
            via: NORTH,
            said: mesh::compose::text("hello"),
            hops: Some(0),
            sign: None,
            malformed: false,
            to: 0xffff_ffff,
        }
    }
}

impl Town {
    pub fn new(settings: Settings) -> Self {
        let policy = Policy::new(settings.into(), MemoryLimits::default(), 7);
        Self { policy, directory: Directory::default(), at_ms: 0, next_id: 1 }
    }

    pub fn now(&self) -> Now {
        Now { mono_ms: self.at_ms as u64, unix_ms: START_MS + self.at_ms }
    }

    pub fn wait_s(&mut self, seconds: i64) {
        self.at_ms += seconds * 1000;
    }

    pub fn send(&mut self, sent: Sent) -> Decision {
        self.next_id += 1;
        let hops = sent.hops.unwrap_or(0);
        let packet = Packet {
            from: NodeNum(sent.from),
            to: NodeNum(sent.to),
            id: self.next_id,
            hop_limit: 1,
            hop_start: 1 + hops,
            rx_rssi: if sent.hops.is_some() { -80 } else { 0 },
            ..Packet::default()
        };
        let (port, payload) = sent.said;
        let mut content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
        if let Some(key) = &sent.sign {
            content.sign(&packet, key, Layout::V1);
        }
        if sent.malformed {
            content.signature = vec![1; 9];
        }
        let key = ChannelKey::from_psk(&[9; 32]).unwrap();
        let payload = envelope(&packet, &content, "Ops", Closed::Encrypted(&key), NodeNum(sent.via));
        self.publish(sent.via, &format!("msh/US/2/e/Ops/!{:08x}", sent.via), &payload)
    }

    pub fn publish(&mut self, via: u32, topic: &str, payload: &[u8]) -> Decision {
        let mut keyring = Keyring::default();
        keyring.add("Ops", ChannelKey::from_psk(&[9; 32]).unwrap());
        let mut scratch = Scratch::default();
        let facts = observe(topic, payload, &keyring, &mut scratch);
        let sender = gateway(via);
        let publish =
            Publish { sender: &sender, address: None, topic, facts: &facts, directory: &self.directory };
        let now = self.now();
        self.policy.judge(now, &publish).0
    }

    /// A gateway tells where it is, cut to so many bits.
    pub fn tell_place(&mut self, gateway: u32, place: (i32, i32), bits: u32) -> Decision {
        self.place_of(gateway, gateway, None, place, bits)
    }

    pub fn place_of(
        &mut self,
        from: u32,
        via: u32,
        hops: Option<u32>,
        place: (i32, i32),
        bits: u32,
    ) -> Decision {
        let said = mesh::compose::position(place.0, place.1, 300, 1_790_000_000, bits);
        self.send(Sent { from, via, said, hops, ..Sent::default() })
    }

    /// What becomes of a copy of somebody's text toward a gateway.
    pub fn copy_toward(&mut self, receiver: u32) -> Outcome {
        let permit = {
            let (port, payload) = mesh::compose::text("hello");
            self.next_id += 1;
            let packet = Packet {
                from: NodeNum(FIELD),
                to: NodeNum::BROADCAST,
                id: self.next_id,
                hop_limit: 1,
                hop_start: 2,
                rx_rssi: -80,
                ..Packet::default()
            };
            let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
            let key = ChannelKey::from_psk(&[9; 32]).unwrap();
            let payload = envelope(&packet, &content, "Ops", Closed::Encrypted(&key), NodeNum(0x7c5a_0f0f));
            let mut keyring = Keyring::default();
            keyring.add("Ops", ChannelKey::from_psk(&[9; 32]).unwrap());
            let mut scratch = Scratch::default();
            let topic = "msh/US/2/e/Ops/!7c5a0f0f";
            let facts = observe(topic, &payload, &keyring, &mut scratch);
            let sender = gateway(0x7c5a_0f0f);
            let publish =
                Publish { sender: &sender, address: None, topic, facts: &facts, directory: &self.directory };
            let now = self.now();
            self.policy.judge(now, &publish).1.unwrap()
        };
        let passing = Passing {
            permit: &permit,
            uplinked_by: Some(0x7c5a_0f0f),
            from: FIELD,
            to: 0xffff_ffff,
            key: None,
            has_consent: true,
            hop_limit: 1,
            can_lower: true,
            port: Some(1),
            request_id: 0,
            channel: Some("Ops"),
            variant: 0,
            airtime_us: Some(500_000),
            frame_bytes: Some(40),
            mqtt_packet_bytes: 200,
        };
        self.policy.release(self.now(), &passing, &gateway(receiver), &self.directory).0
    }

    pub fn decide(&mut self, command: directory::WatchCommand) {
        self.directory = self.directory.apply_watch(command, self.now().unix_ms).unwrap().directory;
    }

    /// Gives a gateway a credential.
    pub fn add_gateway(&mut self, gateway: u32) {
        let (key, token) = (
            directory::TokenKey::new([1; 32]),
            directory::Token::from_random([2; directory::TOKEN_RANDOM_BYTES]),
        );
        let id = GatewayId(gateway);
        let command = directory::Command::AddGateway { id, owner: None, note: String::new(), token };
        self.directory = self.directory.apply(command, &key, 1).unwrap().directory;
    }
}

pub fn gateway(number: u32) -> Principal {
    Principal::Gateway { username: format!("gw-{number:08x}").into(), gateway: number }
}

pub fn nodeinfo(node: u32, role: u32, key: &[u8; 32]) -> (PortNum, Vec<u8>) {
    mesh::compose::nodeinfo_with_key(NodeNum(node), "Somebody", "S", 43, role, key)
}

/// So many metres north and east of a place.
pub fn offset(place: (i32, i32), north_m: f64, east_m: f64) -> (i32, i32) {
    let east = east_m / 0.011_132 / (f64::from(place.0) * 1e-7).to_radians().cos();
    (place.0 + (north_m / 0.011_132) as i32, place.1 + east as i32)
}
