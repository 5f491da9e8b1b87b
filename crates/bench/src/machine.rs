//! The machine and its processes, looked at through `/proc`.

use std::time::Duration;

use crate::Failure;

/// CPU time of this thread.
pub fn thread_cpu() -> Result<Duration, Failure> {
    // The kernel brings this counter up to date when it schedules, else only every few milliseconds.
    std::thread::yield_now();
    schedstat("/proc/thread-self/schedstat")
}

/// CPU time of all threads of a process (`self` for this one), user and system. `schedstat` counts nanoseconds; `stat` counts
/// ticks of 10 ms, but has threads that ended as well, so the larger counts.
pub fn cpu_of(process: &str) -> Result<Duration, Failure> {
    let mut exact = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        exact += schedstat(&thread?.path().join("schedstat").to_string_lossy()).unwrap_or_default();
    }
    Ok(exact.max(ticks_of(process)?))
}

/// Threads that a process has at the moment.
pub fn threads_of(process: &str) -> Result<usize, Failure> {
    Ok(std::fs::read_dir(format!("/proc/{process}/task"))?.count())
}

/// Resident memory of a process, bytes.
pub fn rss_bytes(process: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

/// The machine, in one line: processor, cores, kernel, and how busy it is with other things.
pub fn describe() -> Result<String, Failure> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": unknown processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!("{model}, {cores} cores, Linux {}, load average {load}", kernel.trim()))
}

fn schedstat(path: &str) -> Result<Duration, Failure> {
    let text = std::fs::read_to_string(path)?;
    let ns = text.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(Duration::from_nanos(ns))
}

/// Fields 14 and 15 of `/proc/<pid>/stat`; `USER_HZ` is 100 on every Linux of today.
fn ticks_of(process: &str) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("unreadable /proc stat")?;
    let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (user, system) = (ticks.next().ok_or("short stat")??, ticks.next().ok_or("short stat")??);
    Ok(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_the_processor_is_seen() {
        let (before, of_thread) = (cpu_of("self").unwrap(), thread_cpu().unwrap());
        let mut sum = 0u64;
        while thread_cpu().unwrap() - of_thread < Duration::from_millis(30) {
            sum = (0..100_000u64).fold(sum, |a, b| std::hint::black_box(a ^ b));
        }
        assert!(cpu_of("self").unwrap() > before);
    }
}
