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

    /// Adds count, sum, extremes and percentiles of durations in nanoseconds.
    pub fn with_calls(self, mut durations: Vec<u64>) -> Self {
        durations.sort_unstable();
        let at = |percent: usize| {
            let rank = (durations.len() * percent).div_ceil(100).max(1);
            durations.get(rank - 1).copied().unwrap_or(0)
        };
        self.with("calls", durations.len() as u64)
            .with("total_ns", durations.iter().sum())
            .with("min_ns", durations.first().copied().unwrap_or(0))
            .with("p50_ns", at(50))
            .with("p99_ns", at(99))
            .with("max_ns", at(100))
    }

    /// The JSON object, opened by the workload's name and pid.
    pub fn finish(self, workload: &str) -> String {
        format!("{{\"workload\":\"{workload}\",\"pid\":{}{}}}", std::process::id(), self.fields)
    }
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
