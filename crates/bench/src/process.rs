//! The brokers as processes: started on a free loopback port, looked at through `/proc`, ended.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::Failure;

/// Which broker, in which profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Debian's mosquitto, anonymous, without persistence and log.
    Mosquitto,
    /// `backhaul serve --lab`: a plain broker.
    Lab,
    /// `backhaul serve`: policy and history on.
    Full,
}

impl Kind {
    /// The word in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Lab => "backhaul --lab",
            Self::Full => "backhaul, policy and history",
        }
    }
}

/// Where the programs are.
pub struct Programs {
    /// Backhaul's release build.
    pub backhaul: PathBuf,
    /// Mosquitto.
    pub mosquitto: PathBuf,
}

impl Programs {
    /// Finds both.
    pub fn find(root: &Path) -> Result<Self, Failure> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let backhaul = target.join("release/backhaul");
        if !backhaul.exists() {
            return Err(format!(
                "`{}` is missing; build it with `cargo build --release -p backhaul`",
                backhaul.display()
            )
            .into());
        }
        let mosquitto = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .ok_or("mosquitto is missing; install it with `apt install mosquitto`")?;
        Ok(Self { backhaul, mosquitto })
    }

    /// First line of what mosquitto says of itself.
    pub fn mosquitto_version(&self) -> Result<String, Failure> {
        let said = Command::new(&self.mosquitto).arg("-h").output()?.stdout;
        Ok(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned())
    }
}

/// Where Backhaul's log lines go, in its data folder.
const LOG: &str = "stderr.log";

/// A running broker. Dropping it ends the process.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    data: TempDir,
    /// Kept open: a program that cannot print ends.
    said: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a broker with a fresh data folder and waits until it listens.
    pub fn start(programs: &Programs, kind: Kind) -> Result<Self, Failure> {
        let data = tempfile::tempdir()?;
        match kind {
            Kind::Mosquitto => Self::start_mosquitto(&programs.mosquitto, data),
            Kind::Lab => Self::start_backhaul(&programs.backhaul, data, &["--lab"]),
            Kind::Full => Self::start_backhaul(&programs.backhaul, data, &[]),
        }
    }

    fn start_mosquitto(program: &Path, data: TempDir) -> Result<Self, Failure> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let conf = data.path().join("mosquitto.conf");
        // Without a limit on its queues, since with its own limits mosquitto 2.0.11 drops QoS 1 messages after some
        // thousand, however few are on the way.
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n\
             max_inflight_messages 0\nmax_queued_messages 0\n",
            address.port()
        );
        std::fs::write(&conf, settings)?;
        let child =
            Command::new(program).arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let process = Self { child, address, data, said: None };
        let deadline = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err("mosquitto does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    fn start_backhaul(program: &Path, data: TempDir, options: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["serve", "--mqtt-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .args(options)
            .stdout(Stdio::piped())
            .stderr(File::create(data.path().join(LOG))?)
            .spawn()?;
        let mut said = BufReader::new(child.stdout.take().ok_or("backhaul has no standard output")?);
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), data, said: None };
        let mut line = String::new();
        while said.read_line(&mut line)? > 0 {
            if let Some(address) = line.trim().strip_prefix("MQTT ") {
                process.address = address.trim().parse()?;
                process.said = Some(said);
                return Ok(process);
            }
            line.clear();
        }
        Err(format!("backhaul does not start: {}", process.last_words()).into())
    }

    /// CPU time of all its threads, user and system.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        cpu_of(&self.child.id().to_string())
    }

    /// Waits until the process is idle, so that work put off is counted too, and returns its CPU time.
    pub fn cpu_when_quiet(&self) -> Result<Duration, Failure> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut cpu = self.cpu()?;
        loop {
            std::thread::sleep(Duration::from_millis(120));
            let later = self.cpu()?;
            if later - cpu <= Duration::from_millis(10) || Instant::now() > deadline {
                return Ok(later);
            }
            cpu = later;
        }
    }

    /// Resident memory, bytes.
    pub fn rss_bytes(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    /// The last line of its log; nothing for a broker that keeps none.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.data.path().join(LOG)).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }

    /// Receptions that its history holds; nothing for a broker without one.
    pub fn stored(&self) -> Result<u64, Failure> {
        let folder = self.data.path().join("history");
        if !folder.exists() {
            return Ok(0);
        }
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let hour_ms = 3_600_000; // Longer than any run.
        Ok(history::Reader::open(&folder)?.totals(now_ms - hour_ms, now_ms + hour_ms, 1)?.receptions)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its folder is deleted next, so there is nothing to end in order for. An error means that it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of this process.
pub fn own_cpu() -> Result<Duration, Failure> {
    cpu_of("self")
}

/// CPU time of this thread, to the nanosecond.
pub fn thread_cpu() -> Result<Duration, Failure> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = text.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(Duration::from_nanos(ns))
}

/// Fields 14 and 15 of `/proc/<pid>/stat`, in ticks of 10 ms (`USER_HZ` is 100 on every Linux of today).
fn cpu_of(process: &str) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("unreadable /proc stat")?;
    let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (user, system) = (ticks.next().ok_or("short stat")??, ticks.next().ok_or("short stat")??);
    Ok(Duration::from_millis((user + system) * 10))
}

/// The machine, in one line: processor, cores, kernel, and how busy it is with other things.
pub fn machine() -> Result<String, Failure> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": unknown processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!("{model}, {cores} cores, Linux {}, load average {load}", kernel.trim()))
}
