//! What a backtest costs: made-up receptions read from the history and judged by two policies, on one thread.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use backtest::{Backtest, Heard, Options};
use directory::{Command, Directory, GatewayId, Token, TokenKey};
use mesh::keyring::Keyring;
use policy::memory::MemoryLimits;
use policy::settings::Settings;

use bench::{Failure, machine};

use crate::store;

/// The costs found.
pub struct Costs {
    /// Receptions read and judged twice.
    pub receptions: usize,
    /// CPU seconds for all of it.
    pub cpu: Duration,
    /// CPU seconds for reading alone.
    pub read_cpu: Duration,
    /// Receptions whose fate differs.
    pub changed: u64,
    /// Copies toward gateways that were decided on, by both policies together.
    pub copies: u64,
}

/// Fills a history and replays it through the default policy and one with another hop limit.
pub fn measure(receptions: usize) -> Result<Costs, Failure> {
    let folder = tempfile::tempdir()?;
    store::fill(folder.path(), receptions)?;
    let reader = history::Reader::open(folder.path())?;
    let mut keyring = Keyring::default();
    keyring.add("LongFast", mesh::key::ChannelKey::default_key());
    let proposed = {
        let mut settings = Settings::default();
        settings.downlink.hop_limit_max = 0;
        settings
    };
    let mut backtest = Backtest::new(Options {
        current: Arc::default(),
        proposed: Arc::new(proposed),
        directory: Arc::new(directory()?),
        keyring,
        preset: mesh::airtime::ModemPreset::LongFast,
        limits: MemoryLimits::default(),
        count_from_ms: 0,
    });
    let before = machine::thread_cpu()?;
    let mut read = 0;
    reader.replay(0, i64::MAX, |replayed| {
        read += replayed.payload.len();
        ControlFlow::Continue(())
    })?;
    let read_cpu = machine::thread_cpu()? - before;
    if read == 0 {
        return Err("nothing was read".into());
    }
    let before = machine::thread_cpu()?;
    reader.replay(0, i64::MAX, |replayed| {
        let source = replayed.source;
        backtest.take(&Heard {
            seq: replayed.seq,
            at_ms: replayed.at_ms,
            client_id: &source.client_id,
            username: source.username.as_ref(),
            topic: &source.topic,
            channel: source.channel.as_ref(),
            payload: replayed.payload,
            receivers: replayed.receivers,
        });
        ControlFlow::Continue(())
    })?;
    let cpu = machine::thread_cpu()? - before;
    let report = backtest.finish();
    let copies = report.sides.iter().map(|side| side.copies_to_gateways + side.withheld).sum();
    Ok(Costs { receptions: report.receptions as usize, cpu, read_cpu, changed: report.changed, copies })
}

/// A credential for each gateway of the made-up receptions.
fn directory() -> Result<Directory, Failure> {
    let key = TokenKey::new([7; 32]);
    let mut directory = Directory::default();
    for gateway in store::gateways() {
        let command = Command::AddGateway {
            id: GatewayId(gateway),
            owner: None,
            note: String::new(),
            token: Token::from_random([9; 17]),
        };
        directory = directory.apply(command, &key, 0).map_err(|error| error.to_string())?.directory;
    }
    Ok(directory)
}
