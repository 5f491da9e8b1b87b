//! One run: one case on one broker, measured.

use std::time::{Duration, Instant};

use bench::{Failure, machine};

use crate::case::{Case, Traffic, Work};
use crate::crowd;
use crate::load::Load;
use crate::target::{Kind, Process, Stage};

/// How long.
#[derive(Debug, Clone, Copy)]
pub struct Durations {
    /// Before measuring.
    pub warm_up: Duration,
    /// Measured.
    pub measured: Duration,
}

/// What one run gave. What a case does not measure is not a number.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Copies delivered per second, or clients let in.
    pub per_s: f64,
    /// CPU seconds of the broker per million messages in and out, or per million clients let in.
    pub cpu_s_per_million: f64,
    /// Delays in µs: half, 99 % and 99.9 % of the messages arrive within these.
    pub delay_us: [f64; 3],
    /// Resident memory at the end of the work, 10⁶ bytes.
    pub rss_mb: f64,
    /// Resident memory per connection, 10³ bytes.
    pub kb_per_connection: f64,
    /// Copies that never arrived.
    pub lost: u64,
    /// Copies that came twice, or after a later one.
    pub disordered: u64,
    /// Share of what was published that the history holds.
    pub stored: f64,
    /// Share of the time that the broker was on a processor; more than 1 with several threads.
    pub broker_busy: f64,
    /// The same of the load generator.
    pub generator_busy: f64,
}

const NOTHING: Run = Run {
    per_s: f64::NAN,
    cpu_s_per_million: f64::NAN,
    delay_us: [f64::NAN; 3],
    rss_mb: f64::NAN,
    kb_per_connection: f64::NAN,
    lost: 0,
    disordered: 0,
    stored: f64::NAN,
    broker_busy: f64::NAN,
    generator_busy: f64::NAN,
};

/// Starts the broker and does the work.
pub fn run(stage: &Stage, durations: Durations, case: &Case, kind: &Kind) -> Result<Run, Failure> {
    let process = Process::start(stage, kind)?;
    let run = match case.work {
        Work::Messages(traffic) => messages(&process, durations, traffic),
        Work::Idle(count) => idle(&process, count),
        Work::Connect(count) => connect(&process, count),
    };
    run.map_err(|e| format!("{e}; log: {}", process.last_words()).into())
}

fn messages(process: &Process, durations: Durations, traffic: Traffic) -> Result<Run, Failure> {
    let address = match (traffic.tls, process.tls_address) {
        (false, _) => process.address,
        (true, Some(address)) => address,
        (true, None) => return Err("the broker does not speak TLS".into()),
    };
    let mut load = Load::connect(traffic, address)?;
    load.run_for(durations.warm_up)?;
    load.drain()?;
    load.is_timed = traffic.rate.is_some();
    let (published, delivered) = (load.published, load.delivered);
    let meter = Meter::start(process)?;
    load.run_for(durations.measured)?;
    let in_time = load.delivered - delivered;
    let busy = meter.read(process)?;
    load.drain()?;
    let rss_mb = process.rss_bytes()? as f64 / 1e6;
    let cpu_s = (process.cpu_when_quiet()? - meter.broker).as_secs_f64();
    let messages = (load.published - published) + (load.delivered - delivered);
    let stored = process.stored()?.map_or(f64::NAN, |stored| stored as f64 / load.published as f64);
    let mut delays_us = std::mem::take(&mut load.delays_us);
    delays_us.sort_unstable();
    let delay_of = |share: f64| {
        let index = (delays_us.len() as f64 * share) as usize;
        delays_us.get(index).map_or(f64::NAN, |us| f64::from(*us))
    };
    Ok(Run {
        per_s: in_time as f64 / busy.seconds,
        cpu_s_per_million: cpu_s / messages as f64 * 1e6,
        delay_us: [0.5, 0.99, 0.999].map(delay_of),
        rss_mb,
        lost: load.lost(),
        disordered: load.disordered,
        stored,
        broker_busy: busy.broker,
        generator_busy: busy.generator,
        ..NOTHING
    })
}

fn idle(process: &Process, count: usize) -> Result<Run, Failure> {
    process.cpu_when_quiet()?;
    let before = process.rss_bytes()?;
    let crowd = crowd::gather(process.address, count)?;
    // What a broker gives back once it is quiet is not the connections'.
    process.cpu_when_quiet()?;
    std::thread::sleep(Duration::from_secs(1));
    let after = process.rss_bytes()?;
    drop(crowd);
    let kb_per_connection = (after as f64 - before as f64) / count as f64 / 1e3;
    Ok(Run { kb_per_connection, rss_mb: after as f64 / 1e6, ..NOTHING })
}

fn connect(process: &Process, count: usize) -> Result<Run, Failure> {
    let meter = Meter::start(process)?;
    let took = crowd::come_and_go(process.address, count)?;
    let busy = meter.read(process)?;
    let rss_mb = process.rss_bytes()? as f64 / 1e6;
    let cpu_s = (process.cpu_when_quiet()? - meter.broker).as_secs_f64();
    Ok(Run {
        per_s: count as f64 / took.as_secs_f64(),
        cpu_s_per_million: cpu_s / count as f64 * 1e6,
        rss_mb,
        broker_busy: busy.broker,
        generator_busy: busy.generator,
        ..NOTHING
    })
}

/// Where broker and generator stood at the start.
struct Meter {
    started: Instant,
    broker: Duration,
    generator: Duration,
}

struct Busy {
    seconds: f64,
    broker: f64,
    generator: f64,
}

impl Meter {
    fn start(process: &Process) -> Result<Self, Failure> {
        let (broker, generator) = (process.cpu_when_quiet()?, machine::cpu_of("self")?);
        Ok(Self { started: Instant::now(), broker, generator })
    }

    fn read(&self, process: &Process) -> Result<Busy, Failure> {
        let seconds = self.started.elapsed().as_secs_f64();
        let share = |used: Duration| used.as_secs_f64() / seconds;
        let (broker, generator) = (process.cpu()? - self.broker, machine::cpu_of("self")? - self.generator);
        Ok(Busy { seconds, broker: share(broker), generator: share(generator) })
    }
}
