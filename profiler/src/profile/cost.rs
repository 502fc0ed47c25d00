//! What measuring cost.
//!
//! In: program statistics sampled in short windows, own resource usage. Out: plain figures.

use serde::{Deserialize, Serialize};

use super::estimate::{self, Estimate, TimedWindow};

/// Cost of one kernel-side program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCost {
    /// Program name.
    pub program: String,
    /// Runs inside the measured windows.
    pub runs: u64,
    /// Time of those runs, ns (includes about 20 ns a run for the measurement itself).
    pub run_ns: u64,
    /// Skipped by the kernel's recursion guard over the whole session.
    pub recursion_misses: u64,
}

/// Cost of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Kernel-side programs.
    pub programs: Vec<ProgramCost>,
    /// Length of the windows in which program run time was measured, ns.
    pub window_ns: u64,
    /// Each of them, or sums of neighbours; none in captures of older versions.
    #[serde(default)]
    pub windows: Vec<TimedWindow>,
    /// CPUs of the machine (shares are of one CPU × this).
    pub cpus: u32,
    /// User CPU of the profiler while recording, ns.
    pub user_ns: u64,
    /// System CPU of the profiler while recording, ns.
    pub system_ns: u64,
    /// Peak resident memory of the profiler, bytes.
    pub peak_rss_bytes: u64,
    /// Memory of its BPF maps, bytes.
    pub map_bytes: u64,
    /// The same for a machine with 256 possible CPUs, bytes.
    pub map_bytes_256_cpus: u64,
}

impl Cost {
    /// Share of the whole machine that the kernel-side programs took in all of a recording of `duration_ns` with so many
    /// events of the target, and its 95 % interval, 0..=1. `None` when no window says how many events it had.
    pub fn programs_estimate(&self, duration_ns: u64, events: u64) -> Option<Estimate> {
        let whole = duration_ns.max(1) as f64 * f64::from(self.cpus.max(1));
        let told = estimate::of(&self.windows, duration_ns, events)?;
        Some(Estimate {
            value: told.value / whole,
            interval: told.interval.map(|(low, high)| (low / whole, high / whole)),
        })
    }

    /// Share of the whole machine that the kernel-side programs took in the measured windows, 0..=1; `None` when nothing
    /// was measured.
    pub fn programs_share(&self) -> Option<f64> {
        let run_ns = self.programs.iter().fold(0u64, |sum, program| sum.saturating_add(program.run_ns));
        (self.window_ns > 0).then(|| run_ns as f64 / (self.window_ns as f64 * f64::from(self.cpus.max(1))))
    }

    /// Share of the whole machine that the profiler's own process took over `duration_ns`, 0..=1.
    pub fn process_share(&self, duration_ns: u64) -> f64 {
        let spent = self.user_ns.saturating_add(self.system_ns) as f64;
        spent / (duration_ns.max(1) as f64 * f64::from(self.cpus.max(1)))
    }
}
