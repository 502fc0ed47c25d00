//! In: named variants and a way to measure one number. Out: per variant the paired differences between
//! its traced runs and the untraced runs around each. A round has every variant once, in random order,
//! so that a machine that drifts or is shared hits all of them alike.

use std::path::Path;

use anyhow::Result;

use super::{
    statistics::{Estimate, Random, estimate, median},
    tracer::{Ready, Tracer},
};

/// Something that may slow the workload down.
pub struct Variant {
    pub name: &'static str,
    /// The tracer's command line.
    pub words: Vec<String>,
    /// How it is known to have attached.
    pub ready: Ready,
    /// A tracer that runs at the same time; started after it.
    pub beside: Option<Box<Variant>>,
}

impl Variant {
    fn start(&self, scratch: &Path) -> Result<Vec<Tracer>> {
        let mut tracers = vec![Tracer::start(&self.words, &self.ready, scratch)?];
        if let Some(beside) = &self.beside {
            tracers.extend(beside.start(scratch)?);
        }
        Ok(tracers)
    }
}

/// What a variant did over all rounds.
pub struct Series {
    pub name: &'static str,
    /// Traced minus the mean of the untraced runs before and after, per round.
    pub added: Vec<f64>,
    /// Those means.
    pub untraced: Vec<f64>,
    /// Why it was given up, if it was.
    pub failure: Option<String>,
}

impl Series {
    fn new(variant: &Variant) -> Self {
        Self { name: variant.name, added: Vec::new(), untraced: Vec::new(), failure: None }
    }

    /// Traced runs as they were, per round.
    pub fn traced(&self) -> Vec<f64> {
        self.added.iter().zip(&self.untraced).map(|(added, untraced)| added + untraced).collect()
    }

    /// Added per untraced, in per cent, per round.
    pub fn slowdown(&self) -> Vec<f64> {
        self.added.iter().zip(&self.untraced).map(|(added, untraced)| 100.0 * added / untraced).collect()
    }

    /// One line of a table of added times.
    pub fn row(&self, random: &mut Random) -> String {
        if let Some(reason) = &self.failure {
            return format!("| {} | not measured: {reason} | | |", self.name);
        }
        let Estimate { median: middle, low, high } = estimate(&self.added, random);
        let untraced = median(&self.untraced);
        let times = (untraced + middle) / untraced;
        format!("| {} | {middle:.1} | {low:.1} – {high:.1} | {times:.2} |", self.name)
    }
}

/// The series of that name, if it was measured.
pub fn named<'a>(series: &'a [Series], name: &str) -> Option<&'a Series> {
    series.iter().find(|one| one.name == name && one.failure.is_none())
}

/// Runs all rounds. A variant that does not start is named and left out from then on.
///
/// # Errors
/// When the workload itself cannot be measured.
pub fn run(
    variants: &[Variant],
    rounds: usize,
    scratch: &Path,
    measure: &dyn Fn() -> Result<f64>,
) -> Result<Vec<Series>> {
    let mut random = Random::new(u64::from(std::process::id()));
    let mut all: Vec<Series> = variants.iter().map(Series::new).collect();
    let mut order: Vec<usize> = (0..variants.len()).collect();
    for round in 1..=rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let (Some(variant), Some(series)) = (variants.get(index), all.get_mut(index)) else { continue };
            if series.failure.is_none() {
                pair(variant, series, scratch, measure)?;
            }
        }
        println!("xtask: round {round} of {rounds} done");
    }
    Ok(all)
}

fn pair(
    variant: &Variant,
    series: &mut Series,
    scratch: &Path,
    measure: &dyn Fn() -> Result<f64>,
) -> Result<()> {
    let before = measure()?;
    let tracers = match variant.start(scratch) {
        Ok(tracers) => tracers,
        Err(error) => {
            println!("xtask: {}: not measured: {error:#}", variant.name);
            series.failure = Some(format!("{error:#}"));
            return Ok(());
        }
    };
    let traced = measure()?;
    drop(tracers);
    let untraced = f64::midpoint(before, measure()?);
    series.added.push(traced - untraced);
    series.untraced.push(untraced);
    Ok(())
}
