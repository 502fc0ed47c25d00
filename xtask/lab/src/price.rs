//! What a tracer adds to an operation, by each way to trace it.
//!
//! In: `send` or `switch`, in a guest whose clock counts instructions (`-icount`), so that a time is a number of them. Out: a line
//! `@price` with its fields by tabs for each way: name, ns added per operation (the middle, and the mean), or why there is none.

mod peer;
mod send;
mod switch;

use std::{io::Write, time::Duration};

use anyhow::{Result, bail, ensure};

const DIRECTORY: &str = "/tmp/price";
/// Of a machine whose every instruction takes as long.
const STEADY_NS: f64 = 20.0;

/// The profiler times its programs for 0.2 s at the start and every few seconds, which makes each run of them dearer.
const OWN_COST: Duration = Duration::from_millis(300);

/// What an operation took, ns.
#[derive(Clone, Copy)]
struct Cost {
    middle: f64,
    mean: f64,
}

/// Measures every way; whether none of ours failed.
///
/// # Errors
/// When there is no such operation, the output is closed, or the guest's clock does not count instructions.
pub fn run(operation: &str, out: &mut dyn Write) -> Result<bool> {
    match operation {
        "send" => send::run(out),
        "switch" => switch::run(out),
        _ => bail!("{operation}: not an operation with a price"),
    }
}

/// What is told, beside what nobody traces.
struct Prices<'a> {
    out: &'a mut dyn Write,
    untraced: Cost,
    well: bool,
}

impl<'a> Prices<'a> {
    /// Measures it untraced, twice.
    fn begin(out: &'a mut dyn Write, measure: impl Fn() -> Result<Cost>) -> Result<Self> {
        let (untraced, again) = (measure()?, measure()?);
        ensure!(
            (untraced.middle - again.middle).abs() < STEADY_NS,
            "two runs of the same took {} and {} ns each: this machine's clock does not count instructions",
            untraced.middle,
            again.middle
        );
        let mut prices = Self { out, untraced, well: true };
        prices.tell("untraced", Ok(untraced))?;
        Ok(prices)
    }

    /// A way of ours, which has to work.
    fn ours(&mut self, name: &str, found: Result<Cost>) -> Result<()> {
        self.well &= found.is_ok();
        self.peer(name, found)
    }

    /// A peer that is not here, or cannot, is said.
    fn peer(&mut self, name: &str, found: Result<Cost>) -> Result<()> {
        let untraced = self.untraced;
        self.tell(
            name,
            found.map(|cost| Cost { middle: cost.middle - untraced.middle, mean: cost.mean - untraced.mean }),
        )
    }

    fn tell(&mut self, name: &str, found: Result<Cost>) -> Result<()> {
        match found {
            Ok(Cost { middle, mean }) => writeln!(self.out, "@price\t{name}\t{middle:.0}\t{mean:.0}")?,
            Err(error) => {
                let text = format!("{error:#}").replace('\n', " ");
                let why: String = text.chars().filter(|letter| !letter.is_control()).collect();
                writeln!(self.out, "@price\t{name}\t{why}")?;
            }
        }
        Ok(self.out.flush()?)
    }
}
