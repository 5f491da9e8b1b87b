//! The setting of one storm, drawn from its seed: limits, topics, filters, who takes part.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use broker::{Broker, Limits, Options};
use directory::{Command, Directory, Token, TokenKey};
use fastrand::Rng;
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;

use crate::fault::Fault;

/// Topics of the storm. Those with `/2/json/` are recorded where there is a history, and never retained there.
pub(crate) const TOPICS: [&str; 7] =
    ["msh/a", "msh/a/b", "msh/a/c", "msh/b", "msh/b/a/d", "msh/2/json/x/!7c5a0a01", "msh/2/json/y/!7c5a0a02"];

/// Wills are published here.
pub(crate) const WILL_TOPICS: [&str; 2] = ["msh/will/a", "msh/will/b"];

/// Filters of the storm; they overlap.
pub(crate) const FILTERS: [&str; 12] = [
    "msh/#",
    "msh/a/#",
    "msh/a",
    "msh/a/+",
    "msh/+",
    "msh/+/+",
    "msh/+/a/#",
    "msh/b/a/d",
    "msh/2/json/x/+",
    "msh/2/json/+/+",
    "msh/will/+",
    "#",
];

/// The setting.
pub(crate) struct Scene {
    pub is_lab: bool,
    pub limits: Limits,
    pub n_clients: usize,
    pub token_key: [u8; 32],
    pub directory: Arc<Directory>,
    /// Messages are larger than the smallest packet size that clients take.
    pub is_roomy: bool,
    /// Whether what must survive is kept, and the broker is restarted now and then.
    pub keeps: bool,
}

/// Name of a client's credential.
pub(crate) fn username(client: usize) -> String {
    format!("svc{client}")
}

/// The password of a client's credential after `turns` rotations.
pub(crate) fn password(client: usize, turns: u32) -> Token {
    let mut bytes = [0; directory::TOKEN_RANDOM_BYTES];
    bytes[0] = u8::try_from(client).unwrap_or(u8::MAX);
    bytes[1] = u8::try_from(turns % 256).unwrap_or(0);
    Token::from_random(bytes)
}

/// The address of a client.
pub(crate) fn address(client: usize, is_lab: bool) -> IpAddr {
    let last = u8::try_from(client + 1).unwrap_or(u8::MAX);
    let first = if is_lab { 127 } else { 10 };
    IpAddr::V4(Ipv4Addr::new(first, 0, 0, last))
}

impl Scene {
    pub fn draw(rng: &mut Rng) -> Self {
        let is_lab = rng.bool();
        let n_clients = rng.usize(3..9);
        let is_roomy = rng.u8(..3) > 0;
        let keeps = rng.u8(..3) == 0;
        let one_of = |rng: &mut Rng, choices: &[usize]| choices[rng.usize(..choices.len())];
        let limits = Limits {
            receive_maximum: u16::try_from(one_of(rng, &[1, 3, 10, 100])).unwrap_or(1),
            queue_messages_max: if is_roomy { 5_000 } else { one_of(rng, &[4, 20]) },
            queue_bytes_max: if is_roomy { 1 << 20 } else { one_of(rng, &[10_000, 30_000]) },
            subscriptions_max: one_of(rng, &[3, 200]),
            retained_max: one_of(rng, &[2, 10_000]),
            session_expiry_max_s: u32::try_from(one_of(rng, &[60, 604_800])).unwrap_or(60),
            sessions_max: if rng.u8(..4) == 0 { n_clients } else { 20_000 },
            // Passwords are wrong all the time here, and everybody connects all the time.
            sign_in_free_tries: u32::MAX,
            connects_per_address_per_minute_max: 1_000_000,
            ..Limits::default()
        };
        let token_key = [7; 32];
        let mut directory = Directory::default();
        if !is_lab {
            let key = TokenKey::new(token_key);
            let watch = Command::AddObserver {
                name: "watch".into(),
                owner: None,
                note: String::new(),
                token: password(0, 0),
            };
            let services = (1..=n_clients).map(|client| Command::AddService {
                name: username(client),
                prefix: "msh".into(),
                owner: None,
                note: String::new(),
                token: password(client, 0),
            });
            for command in std::iter::once(watch).chain(services) {
                directory = directory.apply(command, &key, 0).expect("a lawful command").directory;
            }
        }
        Self { is_lab, limits, n_clients, token_key, directory: Arc::new(directory), is_roomy, keeps }
    }

    /// The broker of this scene.
    pub fn broker(
        &self,
        seed: u64,
        fault: Option<Fault>,
        directory: Arc<Directory>,
        last_seq: u64,
    ) -> Broker {
        let mut limits = self.limits.clone();
        if fault == Some(Fault::LowerQueueLimit) {
            limits.queue_messages_max = 3;
        }
        Broker::new(Options {
            lab: self.is_lab,
            limits,
            policy: Default::default(),
            keyring: Keyring::default(),
            preset: ModemPreset::LongFast,
            directory,
            token_key: TokenKey::new(self.token_key),
            last_seq,
            acknowledge_when_durable: !self.is_lab && fault != Some(Fault::AcknowledgeEarly),
            seed,
        })
    }
}
