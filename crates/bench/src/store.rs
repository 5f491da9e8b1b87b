//! What storing a reception costs: the history's writer, fed made-up receptions in batches as the recorder does.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::Directory;
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use policy::decision::Outcome;
use policy::downlink::details::CopyDetails;
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::now::Now;
use policy::principal::Principal;
use policy::rule::RuleSet;
use policy::uplink::Publish;
use record::{Consent, KeyClass, PacketSummary, ReceiverKind, Reception, Record, Release, ReleasedCopy};

use bench::Failure;
use bench::envelope::{Composer, FIRST_GATEWAY, Uplink, gateway_id};
use bench::machine;

/// The costs found.
pub struct Costs {
    /// Receptions stored.
    pub receptions: usize,
    /// Receptions per second of wall time, commits included.
    pub per_second: f64,
    /// CPU seconds for all of them.
    pub cpu_s: f64,
    /// Bytes on disk per reception.
    pub bytes_each: f64,
    /// Bytes of payload per reception, for comparison.
    pub payload_bytes_each: f64,
}

/// Gateways that hear each packet.
pub const COPIES: usize = 3;
/// Receptions in one transaction: the recorder's default.
pub const BATCH: usize = 2_000;
const GATEWAYS: u32 = 100;
const NODES: u32 = 500;
/// Between two receptions: 20 per second, so that the files of more than one day are written.
const INTERVAL_MS: i64 = 50;

/// Stores that many receptions in a folder that is deleted afterwards.
pub fn measure(receptions: usize) -> Result<Costs, Failure> {
    let folder = tempfile::tempdir()?;
    let mut maker = Maker::new();
    let mut writer = history::Writer::open(folder.path())?;
    let (mut wall, mut cpu, mut payload_bytes) = (Duration::ZERO, Duration::ZERO, 0);
    let mut stored = 0;
    while stored < receptions {
        let count = BATCH.min(receptions - stored);
        let batch: Vec<Record> = (0..count).map(|i| maker.reception(stored + i)).collect();
        payload_bytes += batch.iter().map(payload_len).sum::<usize>();
        let (started, cpu_before) = (Instant::now(), machine::thread_cpu()?);
        writer.append(&batch)?;
        wall += started.elapsed();
        cpu += machine::thread_cpu()? - cpu_before;
        stored += count;
    }
    drop(writer);
    Ok(Costs {
        receptions,
        per_second: receptions as f64 / wall.as_secs_f64(),
        cpu_s: cpu.as_secs_f64(),
        bytes_each: bytes_in(folder.path())? as f64 / receptions as f64,
        payload_bytes_each: payload_bytes as f64 / receptions as f64,
    })
}

/// Numbers of the gateways of made-up receptions.
pub fn gateways() -> impl Iterator<Item = u32> {
    (0..GATEWAYS).map(|index| FIRST_GATEWAY + index)
}

/// Gateways that are to get copies of made-up receptions: as many as a town has.
const RECEIVERS: u32 = 12;

/// Stores that many receptions, each with its copies toward gateways.
pub fn fill(folder: &Path, receptions: usize) -> Result<(), Failure> {
    let mut maker = Maker::new();
    let mut writer = history::Writer::open(folder)?;
    let receivers: Vec<Arc<str>> =
        gateways().take(RECEIVERS as usize).map(|number| gateway_id(number).as_str().into()).collect();
    for first in (0..receptions).step_by(BATCH) {
        let mut batch = Vec::with_capacity(2 * BATCH);
        for index in first..receptions.min(first + BATCH) {
            let record = maker.reception(index);
            let Record::Reception(reception) = &record else { continue };
            let copies = receivers.iter().map(|receiver| ReleasedCopy {
                receiver: receiver.clone(),
                kind: ReceiverKind::Gateway,
                outcome: Outcome::DeliveredWithHopLimit(1),
                observed: RuleSet::default(),
                details: CopyDetails::default(),
            });
            let (reception_seq, at_ms) = (reception.seq, reception.at_ms);
            let release = Release { reception_seq, at_ms, copies: copies.collect() };
            batch.extend([record, Record::Release(Arc::new(release))]);
        }
        writer.append(&batch)?;
    }
    Ok(())
}

fn payload_len(record: &Record) -> usize {
    match record {
        Record::Reception(reception) => reception.payload.len(),
        Record::Release(_) | Record::Connection(_) | Record::PolicyChange(_) | Record::Erased(_) => 0,
    }
}

fn bytes_in(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

struct Maker {
    composer: Composer,
    keyring: Keyring,
    policy: Policy,
    /// What a broker shares between the receptions of a gateway.
    #[allow(clippy::type_complexity, reason = "number, client identifier, user name and topic of a gateway")]
    gateways: Vec<(u32, Arc<str>, Arc<str>, Arc<str>)>,
    channel: Arc<str>,
}

impl Maker {
    fn new() -> Self {
        let mut keyring = Keyring::default();
        keyring.add("LongFast", mesh::key::ChannelKey::default_key());
        let gateways = (0..GATEWAYS).map(|index| {
            let (number, id) = (FIRST_GATEWAY + index, gateway_id(FIRST_GATEWAY + index));
            let topic = format!("msh/US/2/e/LongFast/{id}");
            (number, id.as_str().into(), format!("gw-{}", &id[1..]).into(), topic.into())
        });
        Self {
            composer: Composer::default(),
            keyring,
            policy: Policy::new(Default::default(), MemoryLimits::default(), 7),
            gateways: gateways.collect(),
            channel: "LongFast".into(),
        }
    }

    /// The reception with that index. Senders, ids and text lengths vary; copies of a packet follow each other.
    fn reception(&mut self, index: usize) -> Record {
        let packet = (index / COPIES) as u32;
        let at_ms = 1_790_000_000_000 + index as i64 * INTERVAL_MS;
        let chosen = (packet.wrapping_mul(7) as usize + index % COPIES * 31) % self.gateways.len();
        let (gateway, client_id, username, topic) = &self.gateways[chosen];
        let uplink = Uplink {
            gateway: *gateway,
            from: 0x1000_0000 + packet.wrapping_mul(2_654_435_761) % NODES,
            id: packet.wrapping_mul(2_654_435_761) | 1,
            rx_time: (at_ms / 1000) as u32,
            text_len: 10 + (packet % 60) as usize,
        };
        self.composer.compose(&uplink);
        let payload: Arc<[u8]> = self.composer.envelope.as_slice().into();
        let mut scratch = Scratch::default();
        let facts = observe(topic, &payload, &self.keyring, &mut scratch);
        let sender = Principal::Gateway { username: username.clone(), gateway: *gateway };
        let (now, directory) = (Now { mono_ms: at_ms as u64, unix_ms: at_ms }, Directory::default());
        let publish = Publish { sender: &sender, address: None, topic, facts: &facts, directory: &directory };
        let (decision, _) = self.policy.judge(now, &publish);
        let (flags, frame_bytes, port) = (facts.flags.0, facts.frame_bytes, facts.port.map(|p| p.0));
        Record::Reception(Arc::new(Reception {
            seq: index as u64 + 1,
            at_ms,
            client_id: client_id.clone(),
            username: Some(username.clone()),
            gateway: Some(*gateway),
            topic: topic.clone(),
            qos: 0,
            retain: false,
            packet: Some(PacketSummary {
                from: uplink.from,
                to: u32::MAX,
                id: uplink.id,
                hop_limit: 3,
                hop_start: 3,
                hops_away: Some(0),
                rx_rssi: Some(-91),
                rx_snr: Some(6.25),
                rx_time: uplink.rx_time,
                relay_node: 0x10,
                ..PacketSummary::default()
            }),
            channel: Some(self.channel.clone()),
            port,
            consent: Consent::Yes,
            key_class: KeyClass::Default,
            flags,
            frame_bytes,
            airtime_us: Some(1_200_000),
            decision,
            payload,
        }))
    }
}
