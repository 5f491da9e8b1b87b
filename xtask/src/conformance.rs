//! Conformance suites that were not written here, against a running broker: `cargo xtask conformance`.
//!
//! `--mosquitto` runs Debian's mosquitto instead, `--suite NAME` one suite, `--only WORD` the tests whose name holds it,
//! `--from FOLDER` takes the suites' git repositories from there instead of from GitHub. Nothing of the suites is kept in
//! this repository; `docs/conformance/expected.tsv` says which of their tests fail, and why. A test that fails and is not
//! there, or passes and is, makes the command fail.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::setup::run_command;

/// A repository that holds suites, at the commit they were last looked at.
struct Source {
    folder: &'static str,
    repository: &'static str,
    commit: &'static str,
}

const PAHO: Source = Source {
    folder: "paho",
    repository: "eclipse/paho.mqtt.testing",
    commit: "9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103",
};
const MQTT5: Source = Source {
    folder: "mqtt5",
    repository: "LabOverWire/mqtt-lib",
    commit: "fcdebe0eb6fae7fdd3829eaae99911f81fe5fa36",
};

const SUITES: [&str; 3] = ["paho-3.1.1", "paho-5", "mqtt5-conformance"];

/// How one test went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Pass,
    Fail,
    Skip,
}

struct Wishes {
    is_mosquitto: bool,
    suite: Option<String>,
    only: Option<String>,
    from: Option<PathBuf>,
}

pub fn run(root: &Path) -> ExitCode {
    match wishes().and_then(|wishes| conformance(root, &wishes)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("conformance: {what}");
            ExitCode::FAILURE
        }
    }
}

fn wishes() -> Result<Wishes, String> {
    let mut wishes = Wishes { is_mosquitto: false, suite: None, only: None, from: None };
    let mut words = std::env::args().skip(2);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--mosquitto" => wishes.is_mosquitto = true,
            "--suite" => wishes.suite = Some(value()?),
            "--only" => wishes.only = Some(value()?),
            "--from" => wishes.from = Some(value()?.into()),
            _ => return Err(format!("`{word}` is not one of --mosquitto, --suite, --only and --from")),
        }
    }
    match &wishes.suite {
        Some(suite) if !SUITES.contains(&suite.as_str()) => {
            Err(format!("`{suite}` is not one of {}", SUITES.join(", ")))
        }
        _ => Ok(wishes),
    }
}

fn conformance(root: &Path, wishes: &Wishes) -> Result<bool, String> {
    let expected = expected(root)?;
    let mut is_as_expected = true;
    let mut rows = Vec::new();
    for suite in SUITES.into_iter().filter(|s| wishes.suite.as_deref().is_none_or(|wanted| wanted == *s)) {
        let source = if suite == "mqtt5-conformance" { &MQTT5 } else { &PAHO };
        let folder = fetch(root, source, wishes)?;
        let mut broker = Broker::start(root, wishes.is_mosquitto)?;
        let only = wishes.only.as_deref().unwrap_or_default();
        let results = match suite {
            "paho-3.1.1" => paho(root, &folder, "client_test", broker.port),
            "paho-5" => paho(root, &folder, "client_test5", broker.port),
            _ => mqtt5(root, &folder, broker.port, only),
        }?;
        let results: BTreeMap<_, _> = results.into_iter().filter(|(name, _)| name.contains(only)).collect();
        let stood = broker.is_running();
        broker.stop();
        if !stood {
            return Err(format!("the broker ended during {suite}; see target/conformance/broker.log"));
        }
        let count = |how: How| results.values().filter(|h| **h == how).count();
        rows.push(format!(
            "| {suite} | {} | {} | {} |",
            count(How::Pass),
            count(How::Fail),
            count(How::Skip)
        ));
        for (test, how) in &results {
            let reason = expected.get(&(suite.to_owned(), test.clone()));
            match (how, reason) {
                (How::Fail, Some(reason)) => println!("  fails as expected  {suite} {test}: {reason}"),
                (How::Fail, None) => {
                    println!("  FAILS              {suite} {test}");
                    is_as_expected = false;
                }
                (How::Pass, Some(_)) => {
                    println!("  passes by now      {suite} {test}: take it out of expected.tsv");
                    is_as_expected &= wishes.is_mosquitto;
                }
                (How::Pass | How::Skip, _) => {}
            }
        }
    }
    println!("\n| suite | pass | fail | skipped |\n| --- | --- | --- | --- |\n{}", rows.join("\n"));
    // What is expected is expected of this broker; the other one is there to be compared with.
    Ok(is_as_expected || wishes.is_mosquitto)
}

/// Suite and test to the reason why it fails.
fn expected(root: &Path) -> Result<BTreeMap<(String, String), String>, String> {
    let path = root.join("docs/conformance/expected.tsv");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [suite, test, reason] => Ok(((suite.to_owned(), test.to_owned()), reason.to_owned())),
            _ => Err(format!(
                "{}: a line is suite, test and reason, with tabs between: {line}",
                path.display()
            )),
        })
        .collect()
}

/// The suite's files, fetched once into `target`, where `cargo clean` takes them away.
fn fetch(root: &Path, source: &Source, wishes: &Wishes) -> Result<PathBuf, String> {
    let folder = root.join("target/conformance").join(source.folder);
    if folder.join(".git").exists() {
        return Ok(folder);
    }
    let from = match &wishes.from {
        Some(from) => from.join(source.repository.replace('/', "+")).join("repo").display().to_string(),
        None => format!("https://github.com/{}", source.repository),
    };
    let to = folder.display().to_string();
    run_command("git", &["clone", "--quiet", &from, &to])?;
    run_command("git", &["-C", &to, "checkout", "--quiet", "--detach", source.commit])?;
    Ok(folder)
}

/// A broker that listens, ended when it is dropped.
struct Broker {
    process: Child,
    port: u16,
}

impl Broker {
    fn start(root: &Path, is_mosquitto: bool) -> Result<Self, String> {
        let port = free_port()?;
        let mut command = if is_mosquitto {
            let config = root.join("target/conformance/mosquitto.conf");
            let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n");
            std::fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
            let mut command = Command::new("/usr/sbin/mosquitto");
            command.arg("-c").arg(config);
            command
        } else {
            run_command("cargo", &["build", "--quiet", "--package", "backhaul"])?;
            let mut command = Command::new(root.join("target/debug/backhaul"));
            command.args(["serve", "--lab", "--mqtt-listen", &format!("127.0.0.1:{port}")]);
            command
        };
        let log = root.join("target/conformance/broker.log");
        let log = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let process = command.stdout(Stdio::null()).stderr(log).spawn();
        let process = process.map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        let broker = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err("the broker does not listen".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }

    fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn stop(&mut self) {
        // Ends the process that was started above and no other; it is gone already when this fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}

fn paho(root: &Path, folder: &Path, module: &str, port: u16) -> Result<BTreeMap<String, How>, String> {
    let mut command = Command::new("python3");
    command
        .arg(root.join("tests/conformance/paho_suite.py"))
        .args([module, &port.to_string()])
        .current_dir(folder.join("interoperability"));
    lines_of(command, |line| {
        let (how, test) = line.split_once(' ')?;
        let how = match how {
            "pass" => How::Pass,
            "fail" => How::Fail,
            "skip" => How::Skip,
            _ => return None,
        };
        Some((test.to_owned(), how))
    })
}

fn mqtt5(root: &Path, folder: &Path, port: u16, only: &str) -> Result<BTreeMap<String, How>, String> {
    let target = root.join("target/conformance/build").display().to_string();
    let manifest = folder.join("Cargo.toml").display().to_string();
    let build = ["build", "--quiet", "--manifest-path", &manifest, "--target-dir", &target];
    run_command("cargo", &[&build[..], &["--package", "mqtt5-conformance-cli"]].concat())?;
    let sut = root.join("target/conformance/sut.toml");
    std::fs::write(&sut, description(port)).map_err(|e| format!("{}: {e}", sut.display()))?;
    let program = Path::new(&target).join("debug/mqtt5-conformance");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("--sut").arg(&sut).args(arguments);
        lines_of(command, |line| {
            let (test, how) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
            let how = match how.split(' ').next()? {
                "ok" => How::Pass,
                "FAILED" => How::Fail,
                "ignored" => How::Skip,
                _ => return None,
            };
            Some((test.trim().to_owned(), how))
        })
    };
    let mut results = run(&["--test-threads=2", only])?;
    // The suite's own client misses answers at random on a busy machine, with every broker: what fails once and passes
    // later does not fail.
    for _ in 0..TRIES_MORE {
        let failed: Vec<String> =
            results.iter().filter(|(_, how)| **how == How::Fail).map(|(test, _)| test.clone()).collect();
        for test in failed {
            results.extend(run(&["--exact", &test])?);
        }
    }
    Ok(results)
}

/// How often a test that failed is tried again.
const TRIES_MORE: usize = 4;

/// What the suite is told of the broker: everything that MQTT 5.0 has, over TCP.
fn description(port: u16) -> String {
    format!(
        "name = \"broker\"\naddress = \"mqtt://127.0.0.1:{port}\"\n\
         [capabilities]\nmax_qos = 2\nretain_available = true\nwildcard_subscription_available = true\n\
         subscription_identifier_available = true\nshared_subscription_available = true\n\
         topic_alias_maximum = 10\nserver_receive_maximum = 20\nmaximum_packet_size = 16777216\n\
         assigned_client_id_supported = true\nauth_failure_uses_disconnect = false\n\
         injected_user_properties = []\n\
         [capabilities.transports]\ntcp = true\ntls = false\nwebsocket = false\nquic = false\n\
         [capabilities.enhanced_auth]\nmethods = []\n\
         [hooks]\nrestart_command = \"\"\ncleanup_command = \"\"\n"
    )
}

/// Runs a suite and takes what it says line by line; a suite that says nothing has not run.
fn lines_of(
    mut command: Command,
    parse: impl Fn(&str) -> Option<(String, How)>,
) -> Result<BTreeMap<String, How>, String> {
    let mut process = command.stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    let output = process.stdout.take().ok_or("no output")?;
    let mut results = BTreeMap::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        match parse(&line) {
            Some((test, how)) => drop(results.insert(test, how)),
            None => eprintln!("{line}"),
        }
    }
    process.wait().map_err(|e| e.to_string())?;
    if results.is_empty() { Err("the suite ran no test".to_owned()) } else { Ok(results) }
}
