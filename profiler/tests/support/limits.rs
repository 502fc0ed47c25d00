//! Limits of this machine that a test raises, and what memory and CPUs it has.
//!
//! In: procfs. Out: limits that are as they were when the values drop.

#![allow(dead_code, clippy::unwrap_used, reason = "as in `live`")]

use std::fs;

/// Threads of the tests that need very many.
pub const CROWD: u64 = 100_000;

/// How many threads those tests may start. `LIVE_CROWD` is for conditions under which so many would take a quarter of an hour.
pub fn crowd() -> u64 {
    std::env::var("LIVE_CROWD").ok().and_then(|count| count.parse().ok()).unwrap_or(CROWD)
}

/// The kernel's highest id, raised.
pub struct PidMax(String);

impl PidMax {
    const PATH: &str = "/proc/sys/kernel/pid_max";

    /// To that, if it is lower.
    pub fn raise(to: u64) -> Self {
        let old = fs::read_to_string(Self::PATH).unwrap().trim().to_owned();
        fs::write(Self::PATH, old.parse::<u64>().unwrap().max(to).to_string()).unwrap();
        Self(old)
    }
}

impl Drop for PidMax {
    fn drop(&mut self) {
        let _ = fs::write(Self::PATH, &self.0);
    }
}

/// A setting of the kernel, changed.
pub struct Sysctl {
    path: String,
    old: String,
}

impl Sysctl {
    /// `kernel/perf_event_max_stack` and the like; `None` where it cannot be changed.
    pub fn set(name: &str, value: u64) -> Option<Self> {
        let path = format!("/proc/sys/{name}");
        let old = fs::read_to_string(&path).ok()?.trim().to_owned();
        fs::write(&path, value.to_string()).ok()?;
        Some(Self { path, old })
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.old);
    }
}

/// A CPU that is offline until this drops.
pub struct CpuOffline(String);

impl CpuOffline {
    /// The highest one; `None` where there is only one, or none can go.
    pub fn highest() -> Option<Self> {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
        let cpu: u32 = online.trim().rsplit([',', '-']).next()?.parse().ok().filter(|cpu| *cpu > 0)?;
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        fs::write(&path, "0").ok()?;
        Some(Self(path))
    }
}

impl Drop for CpuOffline {
    fn drop(&mut self) {
        let _ = fs::write(&self.0, "1");
    }
}

/// A line of `/proc/meminfo`, bytes.
pub fn memory(line: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// CPUs that we may run on.
pub fn cpus() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// True when there are two CPUs to run on; else says loudly why not.
pub fn has_two_cpus(test: &str) -> bool {
    cpus().len() >= 2 || {
        super::skipped(test, "needs two CPUs");
        false
    }
}
