//! The text format of OpenMetrics 1.0: families, their samples, their end.
//!
//! In: names, labels, values. Out: lines with the time of the recording's end, so that `promtool` can import them.

use std::io::{self, Write};

use crate::profile::Histogram;

/// Labels of a sample.
pub type Labels<'l> = &'l [(&'l str, &'l str)];

/// Bounds of a family's buckets: powers of two of ns from about a µs to about a minute. A bucket holds what is below the power; `le`
/// includes its bound, which is thus 1 ns less.
const BOUNDS: std::ops::RangeInclusive<u32> = 10..=36;

/// What writes.
pub struct Text<'o> {
    out: &'o mut dyn Write,
    /// Seconds since the Unix epoch, as text.
    at: String,
}

impl<'o> Text<'o> {
    /// Writes to `out`; `at_ns` is the time of all samples, ns since the Unix epoch.
    pub fn new(out: &'o mut dyn Write, at_ns: u128) -> Self {
        Self { out, at: format!("{}.{:03}", at_ns / 1_000_000_000, at_ns / 1_000_000 % 1000) }
    }

    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) -> io::Result<()> {
        writeln!(self.out, "# TYPE {name} {kind}")?;
        if !unit.is_empty() {
            writeln!(self.out, "# UNIT {name} {unit}")?;
        }
        writeln!(self.out, "# HELP {name} {}", escape(help))
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: &str) -> io::Result<()> {
        write!(self.out, "{name}")?;
        for (index, (key, text)) in labels.iter().enumerate() {
            write!(self.out, "{}{key}=\"{}\"", if index == 0 { '{' } else { ',' }, escape(text))?;
        }
        writeln!(self.out, "{} {value} {}", if labels.is_empty() { "" } else { "}" }, self.at)
    }

    /// A histogram of times.
    pub fn histogram(&mut self, name: &str, labels: Labels<'_>, times: &Histogram) -> io::Result<()> {
        let bucket = format!("{name}_bucket");
        let mut buckets = times.buckets().peekable();
        let mut below = 0u64;
        for power in BOUNDS {
            let bound = 1u64 << power;
            while let Some((_, _, events)) = buckets.next_if(|(_, high, _)| *high <= bound) {
                below = below.saturating_add(events);
            }
            self.bucket(&bucket, labels, &seconds(u128::from(bound - 1)), below)?;
        }
        self.bucket(&bucket, labels, "+Inf", times.count())?;
        self.sample(&format!("{name}_count"), labels, &times.count().to_string())?;
        self.sample(&format!("{name}_sum"), labels, &seconds(u128::from(times.total_ns)))
    }

    fn bucket(&mut self, name: &str, labels: Labels<'_>, le: &str, events: u64) -> io::Result<()> {
        let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", le)]).collect();
        self.sample(name, &labels, &events.to_string())
    }

    /// The end, without which the file counts as cut.
    pub fn end(self) -> io::Result<()> {
        writeln!(self.out, "# EOF")
    }
}

/// ns as seconds, exactly.
pub fn seconds(ns: u128) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let mut times = Histogram::default();
        [900, 1_100, 5_000_000_000, u64::MAX / 2].into_iter().for_each(|ns| times.record(ns));
        let mut out = Vec::new();
        Text::new(&mut out, 1_500_000_000).histogram("x", &[("call", "a\"\\\n")], &times).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"x_bucket{call="a\"\\\n",le="0.000001023"} 1 1.500"#);
        assert_eq!(lines[1], r#"x_bucket{call="a\"\\\n",le="0.000002047"} 2 1.500"#);
        assert_eq!(lines[26], r#"x_bucket{call="a\"\\\n",le="68.719476735"} 3 1.500"#);
        assert_eq!(lines[27], r#"x_bucket{call="a\"\\\n",le="+Inf"} 4 1.500"#);
        assert_eq!(lines[28], r#"x_count{call="a\"\\\n"} 4 1.500"#);
        assert_eq!(lines.len(), 30);
    }
}
