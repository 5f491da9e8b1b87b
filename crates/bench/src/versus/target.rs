//! The brokers as processes: started on a free loopback port, pinned to their cores, looked at, ended. Sends no MQTT.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bench::{Failure, machine};
use tempfile::TempDir;

use crate::tls;

/// Which broker, in which profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Debian's mosquitto: anonymous, without persistence and log.
    Mosquitto,
    /// `backhaul serve --lab`: a plain broker.
    Lab,
    /// `backhaul serve`: policy and history on.
    Full,
    /// FlashMQ, from a binary given by path.
    FlashMq(PathBuf),
    /// A loop that forwards without the state of a protocol: what sockets and the generator cost alone.
    Sink,
    /// A broker that runs already.
    Running {
        /// What the report calls it.
        name: String,
        /// Where it listens; on loopback.
        address: SocketAddr,
        /// Process whose use of the processor and of memory counts.
        pid: u32,
    },
}

impl Kind {
    /// The word in the report.
    pub fn word(&self) -> &str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Lab => "backhaul --lab",
            Self::Full => "backhaul, policy and history",
            Self::FlashMq(_) => "FlashMQ",
            Self::Sink => "bare loop",
            Self::Running { name, .. } => name,
        }
    }
}

/// Reads `NAME=HOST:PORT,pid=PID`.
pub fn parse_running(text: &str) -> Result<Kind, String> {
    const FORM: &str = "expected `NAME=HOST:PORT,pid=PID`";
    let (name, rest) = text.split_once('=').ok_or(FORM)?;
    let (address, pid) = rest.split_once(",pid=").ok_or(FORM)?;
    let pid = pid.parse().map_err(|_| format!("`pid` is not a process id: `{pid}`"))?;
    let mut addresses = address.to_socket_addrs().map_err(|e| format!("`{address}`: {e}"))?;
    let address = addresses
        .find(|address| address.ip().is_loopback())
        .ok_or_else(|| format!("`{address}` is not on loopback, and no other machine is put under load"))?;
    Ok(Kind::Running { name: name.to_owned(), address, pid })
}

/// Where the programs are, and on which cores brokers run.
pub struct Stage {
    /// Backhaul's release build.
    pub backhaul: PathBuf,
    /// Cores of the brokers, as `taskset` reads them.
    pub broker_cores: String,
    /// How many those are.
    pub broker_core_count: usize,
}

/// Mosquitto of Debian and of those who built it.
const MOSQUITTO: [&str; 2] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];

/// Where mosquitto is.
pub fn mosquitto() -> Option<PathBuf> {
    MOSQUITTO.into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// First line of what mosquitto says of itself.
pub fn mosquitto_version() -> Option<String> {
    let said = Command::new(mosquitto()?).arg("-h").output().ok()?.stdout;
    Some(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned())
}

/// Where a broker's log lines go, in its data folder.
const LOG: &str = "stderr.log";
/// Every rule is asked, and none takes the load for what it is: far more than radios can hear.
const POLICY: &str = "messages_per_minute = 1000000
messages_at_once = 1000000
telemetry_interval_s = 0
position_interval_s = 0
node_info_interval_s = 0
stream_packets_max = 100000
stream_large_max = 100000
[rules]
uplink-airtime = \"observe\"
";
/// How long a broker may take to listen.
const START_WAIT: Duration = Duration::from_secs(10);

/// A running broker. Dropping it ends the process, if it was started here.
pub struct Process {
    child: Option<Child>,
    pid: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for TLS, if it does.
    pub tls_address: Option<SocketAddr>,
    data: TempDir,
    /// Kept open: a program that cannot print ends.
    said: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a broker with a fresh data folder and waits until it listens.
    pub fn start(stage: &Stage, kind: &Kind) -> Result<Self, Failure> {
        let data = tempfile::tempdir()?;
        tls::write(data.path())?;
        match kind {
            Kind::Mosquitto => {
                let program =
                    mosquitto().ok_or("mosquitto is missing; install it with `apt install mosquitto`")?;
                let tls_address = free_address()?;
                let mut process = Self::start_by_file(stage, &program, data, "-c", |address, data| {
                    mosquitto_settings(address, tls_address, data)
                })?;
                process.tls_address = Some(tls_address);
                Ok(process)
            }
            Kind::FlashMq(program) => {
                let tls_address = free_address()?;
                let mut process =
                    Self::start_by_file(stage, program, data, "--config-file", |address, data| {
                        flashmq_settings(stage, address, tls_address, data)
                    })?;
                process.tls_address = Some(tls_address);
                Ok(process)
            }
            Kind::Lab => {
                let (tls_address, file) = (free_address()?, data.path().join("lab.toml"));
                std::fs::write(&file, lab_settings(tls_address, data.path()))?;
                let file = file.display().to_string();
                let mut process = Self::start_backhaul(stage, data, &["--lab", "--config", &file])?;
                process.tls_address = Some(tls_address);
                Ok(process)
            }
            Kind::Full => {
                std::fs::write(data.path().join("policy.toml"), POLICY)?;
                Self::start_backhaul(stage, data, &[])
            }
            Kind::Sink => {
                let program = std::env::current_exe()?;
                let mut command = pinned(stage, &program);
                command.arg("--sink");
                Self::start_and_read(command, data, "sink ")
            }
            Kind::Running { address, pid, .. } => {
                let (address, pid) = (*address, pid.to_string());
                Ok(Self { child: None, pid, address, tls_address: None, data, said: None })
            }
        }
    }

    fn start_by_file(
        stage: &Stage,
        program: &Path,
        data: TempDir,
        option: &str,
        settings: impl Fn(SocketAddr, &Path) -> String,
    ) -> Result<Self, Failure> {
        let address = free_address()?;
        let file = data.path().join("broker.conf");
        std::fs::write(&file, settings(address, data.path()))?;
        let child = pinned(stage, program)
            .arg(option)
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(File::create(data.path().join(LOG))?)
            .spawn()?;
        let (pid, child) = (child.id().to_string(), Some(child));
        let process = Self { child, pid, address, tls_address: None, data, said: None };
        let deadline = Instant::now() + START_WAIT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err(format!("{} does not listen: {}", program.display(), process.last_words()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    fn start_backhaul(stage: &Stage, data: TempDir, options: &[&str]) -> Result<Self, Failure> {
        let mut command = pinned(stage, &stage.backhaul);
        command
            .args(["serve", "--mqtt-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .args(options);
        Self::start_and_read(command, data, "MQTT ")
    }

    /// Starts a program that prints where it listens, after a word.
    fn start_and_read(mut command: Command, data: TempDir, word: &str) -> Result<Self, Failure> {
        let log = File::create(data.path().join(LOG))?;
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut said = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let pid = child.id().to_string();
        let child = Some(child);
        let mut process = Self { child, pid, address: nowhere, tls_address: None, data, said: None };
        let mut line = String::new();
        while said.read_line(&mut line)? > 0 {
            let address = line.trim().strip_prefix(word).and_then(|rest| rest.split_whitespace().next());
            if let Some(address) = address {
                process.address = address.parse()?;
                process.said = Some(said);
                return Ok(process);
            }
            line.clear();
        }
        Err(format!("it does not start: {}", process.last_words()).into())
    }

    /// CPU time of all its threads, user and system.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        machine::cpu_of(&self.pid)
    }

    /// Waits until the process is idle, so that work put off is counted too, and returns its CPU time.
    pub fn cpu_when_quiet(&self) -> Result<Duration, Failure> {
        /// Longer than Backhaul lets receptions wait for company.
        const QUIET: Duration = Duration::from_millis(400);
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut cpu = self.cpu()?;
        loop {
            std::thread::sleep(QUIET);
            let later = self.cpu()?;
            if later - cpu <= QUIET / 40 || Instant::now() > deadline {
                return Ok(later);
            }
            cpu = later;
        }
    }

    /// Resident memory, bytes.
    pub fn rss_bytes(&self) -> Result<u64, Failure> {
        machine::rss_bytes(&self.pid)
    }

    /// The last line of its log; nothing for a broker that keeps none.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.data.path().join(LOG)).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }

    /// Receptions that its history holds; `None` for a broker without one.
    pub fn stored(&self) -> Result<Option<u64>, Failure> {
        let folder = self.data.path().join("history");
        if !folder.exists() {
            return Ok(None);
        }
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let hour_ms = 3_600_000; // Longer than any run.
        let totals = history::Reader::open(&folder)?.totals(now_ms - hour_ms, now_ms + hour_ms, 1)?;
        Ok(Some(totals.receptions))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its folder is deleted next, so there is nothing to end in order for. An error means that it ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program that runs on the brokers' cores only.
fn pinned(stage: &Stage, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(&stage.broker_cores).arg(program);
    command
}

/// A loopback port that nobody has at the moment.
fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

fn lab_settings(tls_address: SocketAddr, data: &Path) -> String {
    let (certificate, key) = (data.join(tls::CERTIFICATE), data.join(tls::KEY));
    format!(
        "[[listener]]\nname = 'tls'\naddress = '{tls_address}'\nkind = 'tls'\ncertificate = '{}'\nkey = '{}'\n",
        certificate.display(),
        key.display()
    )
}

/// Without a limit on its queues, since with its own limits mosquitto 2.0.11 drops QoS 1 messages after some thousand,
/// however few are on the way.
fn mosquitto_settings(address: SocketAddr, tls_address: SocketAddr, data: &Path) -> String {
    format!(
        "listener {} 127.0.0.1\nmax_connections -1\nlistener {} 127.0.0.1\ncertfile {}\nkeyfile {}\n\
         max_connections -1\nallow_anonymous true\npersistence false\nlog_dest none\nset_tcp_nodelay true\n\
         max_inflight_messages 0\nmax_queued_messages 0\n",
        address.port(),
        tls_address.port(),
        data.join(tls::CERTIFICATE).display(),
        data.join(tls::KEY).display(),
    )
}

/// FlashMQ makes a worker for each core of the machine, not of those it may use.
fn flashmq_settings(stage: &Stage, address: SocketAddr, tls_address: SocketAddr, data: &Path) -> String {
    let listen = |address: SocketAddr, more: String| {
        format!(
            "listen {{\n  protocol mqtt\n  inet_protocol ip4\n  inet4_bind_address 127.0.0.1\n  port {}\n{more}}}\n",
            address.port()
        )
    };
    let (certificate, key) = (data.join(tls::CERTIFICATE), data.join(tls::KEY));
    let tls = format!("  fullchain {}\n  privkey {}\n", certificate.display(), key.display());
    format!(
        "{}{}allow_anonymous true\nlog_file {}/log\nlog_level error\nmax_qos_msg_pending_per_client 65535\n\
         max_qos_bytes_pending_per_client 67108864\nclient_max_write_buffer_size 67108864\n\
         thread_count {}\n",
        listen(address, String::new()),
        listen(tls_address, tls),
        data.display(),
        stage.broker_core_count
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_brokers_are_on_loopback_and_have_a_process() {
        let running = parse_running("ours=127.0.0.1:1883,pid=42").unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1883));
        assert_eq!(running, Kind::Running { name: "ours".into(), address, pid: 42 });
        for wrong in [
            "ours",
            "ours=127.0.0.1:1883",
            "ours=127.0.0.1,pid=1",
            "ours=127.0.0.1:1,pid=x",
            "a=192.0.2.1:1,pid=1",
        ] {
            assert!(parse_running(wrong).is_err(), "{wrong}");
        }
    }
}
