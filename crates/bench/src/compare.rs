//! End to end: the same work for every broker in turn, in rounds, so that the machine's moods hit all alike.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::envelope::{FIRST_GATEWAY, gateway_id};
use crate::load::{Load, Payload, Plan, PublisherPlan, SubscriberPlan};
use crate::process::{self, Kind, Process, Programs};
use crate::statistics::Spread;

/// One kind of work.
pub struct Scenario {
    /// What the report calls it.
    pub name: &'static str,
    shape: Shape,
    qos: u8,
    window: u64,
    /// Messages published per second; `None` for as many as the windows allow.
    rate: Option<u64>,
    brokers: &'static [Kind],
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Many publishers, two subscribers that get everything.
    FanIn(usize),
    /// One publisher, many subscribers.
    FanOut(usize),
    /// Pairs of one publisher and one subscriber.
    Pairs(usize),
    /// Gateways that publish envelopes, two observers of the whole mesh.
    Mesh(usize),
}

const PLAIN: &[Kind] = &[Kind::Mosquitto, Kind::Lab];
const ALL: &[Kind] = &[Kind::Mosquitto, Kind::Lab, Kind::Full];

/// The work, in the order of the report. Windows keep every queue below both brokers' default limit of 1,000 messages.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fan-in 50 → 2, QoS 0",
        shape: Shape::FanIn(50),
        qos: 0,
        window: 10,
        rate: None,
        brokers: PLAIN,
    },
    Scenario {
        name: "fan-in 50 → 2, QoS 1",
        shape: Shape::FanIn(50),
        qos: 1,
        window: 10,
        rate: None,
        brokers: PLAIN,
    },
    Scenario {
        name: "fan-out 1 → 200, QoS 0",
        shape: Shape::FanOut(200),
        qos: 0,
        window: 20,
        rate: None,
        brokers: PLAIN,
    },
    Scenario {
        name: "50 pairs, QoS 0",
        shape: Shape::Pairs(50),
        qos: 0,
        window: 10,
        rate: None,
        brokers: PLAIN,
    },
    Scenario {
        name: "50 pairs, one message at a time",
        shape: Shape::Pairs(50),
        qos: 0,
        window: 1,
        rate: None,
        brokers: PLAIN,
    },
    Scenario {
        name: "envelopes 50 → 2, QoS 0",
        shape: Shape::Mesh(50),
        qos: 0,
        window: 10,
        rate: None,
        brokers: ALL,
    },
    Scenario {
        name: "envelopes 50 → 2, QoS 1",
        shape: Shape::Mesh(50),
        qos: 1,
        window: 10,
        rate: None,
        brokers: ALL,
    },
    Scenario {
        name: "envelopes, 5,000/s offered",
        shape: Shape::Mesh(50),
        qos: 0,
        window: 10,
        rate: Some(5_000),
        brokers: ALL,
    },
];

/// How long.
pub struct Durations {
    /// Before measuring.
    pub warm_up: Duration,
    /// Measured.
    pub measured: Duration,
    /// Rounds over all scenarios and brokers.
    pub rounds: usize,
}

/// What one run gave.
struct Run {
    scenario: usize,
    broker: Kind,
    delivered_per_s: f64,
    cpu_s_per_million: f64,
    rss_mb: f64,
    lost: u64,
    /// Share of the publishes that the history holds.
    stored: Option<f64>,
    /// Share of the time that the load generator was on a processor.
    generator_busy: f64,
    /// The same of the broker.
    broker_busy: f64,
}

/// Runs every scenario whose name contains `only`, and returns the report.
pub fn compare(programs: &Programs, durations: &Durations, only: &str) -> Result<String, Failure> {
    let mut runs = Vec::new();
    for round in 0..durations.rounds {
        for (index, scenario) in SCENARIOS.iter().enumerate().filter(|(_, s)| s.name.contains(only)) {
            for turn in 0..scenario.brokers.len() {
                let broker = scenario.brokers[(turn + round) % scenario.brokers.len()];
                let run = run(programs, durations, index, broker)
                    .map_err(|e| format!("{}, {}: {e}", scenario.name, broker.word()))?;
                runs.push(run);
            }
        }
    }
    Ok(report(&runs, only))
}

fn run(programs: &Programs, durations: &Durations, index: usize, broker: Kind) -> Result<Run, Failure> {
    let process = Process::start(programs, broker)?;
    measure(&process, durations, index, broker)
        .map_err(|e| format!("{e}; log: {}", process.last_words()).into())
}

fn measure(process: &Process, durations: &Durations, index: usize, broker: Kind) -> Result<Run, Failure> {
    let mut load = Load::connect(SCENARIOS[index].plan(), process.address)?;
    load.run_for(durations.warm_up)?;

    let (published, delivered) = (load.published, load.delivered);
    let (cpu, own_cpu, started) = (process.cpu()?, process::own_cpu()?, Instant::now());
    load.run_for(durations.measured)?;
    let (seconds, in_time) = (started.elapsed().as_secs_f64(), load.delivered - delivered);
    let busy = |after: Duration, before: Duration| (after - before).as_secs_f64() / seconds;
    let (generator_busy, broker_busy) = (busy(process::own_cpu()?, own_cpu), busy(process.cpu()?, cpu));
    load.drain()?;
    let rss_mb = process.rss_bytes()? as f64 / 1e6;
    let cpu_s = (process.cpu_when_quiet()? - cpu).as_secs_f64();
    let messages = (load.published - published) + (load.delivered - delivered);
    let stored = match broker {
        Kind::Full => Some(process.stored()? as f64 / load.published as f64),
        Kind::Mosquitto | Kind::Lab => None,
    };
    Ok(Run {
        scenario: index,
        broker,
        delivered_per_s: in_time as f64 / seconds,
        cpu_s_per_million: cpu_s / messages as f64 * 1e6,
        rss_mb,
        lost: load.lost(),
        stored,
        generator_busy,
        broker_busy,
    })
}

impl Scenario {
    fn plan(&self) -> Plan {
        let (qos, window) = (self.qos, self.window);
        let publisher = |index: usize| PublisherPlan {
            client_id: format!("publisher-{index}"),
            topic: format!("bench/{index:08x}"),
            payload: Payload::Opaque,
        };
        let subscriber = |index: usize, filter: String| SubscriberPlan {
            client_id: format!("subscriber-{index}"),
            filter,
        };
        let everything = |count: usize, filter: &str| {
            (0..count).map(|index| subscriber(index, filter.to_owned())).collect::<Vec<_>>()
        };
        let (publishers, subscribers, copies) = match self.shape {
            Shape::FanIn(count) => ((0..count).map(publisher).collect(), everything(2, "bench/#"), 2),
            Shape::FanOut(count) => (vec![publisher(0)], everything(count, "bench/#"), count),
            Shape::Pairs(count) => {
                let own = (0..count).map(|index| subscriber(index, format!("bench/{index:08x}")));
                ((0..count).map(publisher).collect(), own.collect(), 1)
            }
            Shape::Mesh(count) => {
                let gateways = (0..count).map(|index| {
                    let number = FIRST_GATEWAY + index as u32;
                    let id = gateway_id(number);
                    let topic = format!("msh/US/2/e/LongFast/{id}");
                    PublisherPlan { client_id: id, topic, payload: Payload::Envelopes(number) }
                });
                (gateways.collect(), everything(2, "msh/#"), 2)
            }
        };
        Plan { publishers, subscribers, copies, qos, window, rate: self.rate }
    }
}

fn report(runs: &[Run], only: &str) -> String {
    let mut text = String::from(
        "| work | broker | delivered msg/s | CPU s per 10⁶ messages in+out | RSS MB | lost | stored | broker busy | \
         generator busy | throughput ÷ mosquitto | CPU ÷ mosquitto |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (index, scenario) in SCENARIOS.iter().enumerate().filter(|(_, s)| s.name.contains(only)) {
        for broker in scenario.brokers {
            let of = |kind: Kind| runs.iter().filter(move |r| r.scenario == index && r.broker == kind);
            let spread = |value: fn(&Run) -> f64| Spread::of(of(*broker).map(value).collect());
            // Run by run: the runs of one round lie next to each other in time.
            let ratio = |value: fn(&Run) -> f64| {
                let pairs = of(*broker).zip(of(Kind::Mosquitto));
                Spread::of(pairs.map(|(ours, theirs)| value(ours) / value(theirs)).collect())
            };
            let lost: u64 = of(*broker).map(|r| r.lost).sum();
            let shares: Vec<f64> = of(*broker).filter_map(|r| r.stored.map(|share| share * 100.0)).collect();
            let stored =
                if shares.is_empty() { "–".to_owned() } else { format!("{:.1} %", Spread::of(shares)) };
            text += &format!(
                "| {} | {} | {:.0} | {:.2} | {:.1} | {lost} | {stored} | {:.0} % | {:.0} % | {:.2} | {:.2} |\n",
                scenario.name,
                broker.word(),
                spread(|r| r.delivered_per_s),
                spread(|r| r.cpu_s_per_million),
                spread(|r| r.rss_mb),
                spread(|r| r.broker_busy * 100.0).median,
                spread(|r| r.generator_busy * 100.0).median,
                ratio(|r| r.delivered_per_s),
                ratio(|r| r.cpu_s_per_million),
            );
        }
    }
    text
}
