//! Limits of this machine that a test raises, and what memory it has.
//!
//! In: procfs. Out: limits that are as they were when the values drop.

#![allow(dead_code, clippy::unwrap_used, reason = "as in `live`")]

use std::fs;

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

/// A line of `/proc/meminfo`, bytes.
pub fn memory(line: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
