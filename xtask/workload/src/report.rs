//! In: what a workload measured. Out: one JSON line on stdout.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

/// Named numbers, in order.
pub struct Report {
    fields: String,
}

impl Report {
    pub fn new() -> Self {
        Self { fields: String::new() }
    }

    /// Adds a number; its name carries the unit.
    pub fn with(mut self, name: &str, value: u64) -> Self {
        let _ = write!(self.fields, ",\"{name}\":{value}");
        self
    }

    /// Adds a list of numbers, already spelled as JSON.
    pub fn with_list(mut self, name: &str, list: &str) -> Self {
        let _ = write!(self.fields, ",\"{name}\":{list}");
        self
    }

    /// Adds what a second part of the workload measured, as an object.
    pub fn with_part(mut self, name: &str, part: &Self) -> Self {
        let _ = write!(self.fields, ",\"{name}\":{{{}}}", part.fields.trim_start_matches(','));
        self
    }

    /// Adds count, sum, extremes and percentiles of durations in nanoseconds.
    pub fn with_calls(self, mut durations: Vec<u64>) -> Self {
        durations.sort_unstable();
        self.with("calls", durations.len() as u64)
            .with("total_ns", durations.iter().sum())
            .with("min_ns", durations.first().copied().unwrap_or(0))
            .with("p50_ns", percentile(&durations, 50))
            .with("p99_ns", percentile(&durations, 99))
            .with("max_ns", percentile(&durations, 100))
    }

    /// The same of calls that the caller timed by its own clock, and what they took at least: the clock has more than the
    /// call where the caller lost its CPU between the two.
    pub fn with_timed(self, calls: &[Timed]) -> Self {
        let mut least: Vec<u64> = calls.iter().map(|call| call.least_ns).collect();
        least.sort_unstable();
        self.with_calls(calls.iter().map(|call| call.ns).collect())
            .with("least_total_ns", least.iter().sum())
            .with("least_p50_ns", percentile(&least, 50))
            .with("least_p99_ns", percentile(&least, 99))
    }

    /// The JSON object, opened by the workload's name and pid.
    pub fn finish(self, workload: &str) -> String {
        format!("{{\"workload\":\"{workload}\",\"pid\":{}{}}}", std::process::id(), self.fields)
    }
}

/// One call by its caller's clock.
#[derive(Clone, Copy)]
pub struct Timed {
    /// From before it to after it.
    pub ns: u64,
    /// What it took at least.
    pub least_ns: u64,
}

/// Of sorted durations; 0 if there are none.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// Writes a line to stdout at once.
///
/// # Errors
/// When stdout is closed.
pub fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
