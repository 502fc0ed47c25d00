//! What an operation took, and what each way to trace it adds.
//!
//! In: the cost of an operation, untraced and traced. Out: a line `@price` for each way.

use std::{io::Write, time::Duration};

use anyhow::{Result, ensure};

/// Where recordings go.
pub const DIRECTORY: &str = "/tmp/price";
/// Of a machine whose every instruction takes as long.
const STEADY_NS: f64 = 20.0;

/// The profiler times its programs for 0.2 s at the start and every few seconds, which makes each run of them dearer.
pub const OWN_COST: Duration = Duration::from_millis(300);

/// What an operation took, ns.
#[derive(Clone, Copy)]
pub struct Cost {
    pub middle: f64,
    pub mean: f64,
}

/// What is told, beside what nobody traces.
pub struct Prices<'a> {
    out: &'a mut dyn Write,
    untraced: Cost,
    /// Whether none of ours failed.
    pub well: bool,
}

impl<'a> Prices<'a> {
    /// Measures it untraced, twice.
    pub fn begin(out: &'a mut dyn Write, measure: impl Fn() -> Result<Cost>) -> Result<Self> {
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
    pub fn ours(&mut self, name: &str, found: Result<Cost>) -> Result<()> {
        self.well &= found.is_ok();
        self.peer(name, found)
    }

    /// A peer that is not here, or cannot, is said.
    pub fn peer(&mut self, name: &str, found: Result<Cost>) -> Result<()> {
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
