//! In: named variants and a way to measure one number. Out: per variant the paired differences between
//! its traced runs and the untraced runs around each. A round has every variant once, in random order,
//! so that a machine that drifts or is shared hits all of them alike.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{statistics::Random, tracer::Tracer};

/// Something that may slow the workload down.
pub struct Variant {
    pub name: &'static str,
    /// The tracer's command line.
    pub words: Vec<String>,
    /// A directory it writes and wants to be new each time.
    pub output: Option<PathBuf>,
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
}

/// Runs all rounds. A variant that does not start is named and left out from then on.
///
/// # Errors
/// When the workload itself cannot be measured.
pub fn run(
    variants: &[Variant],
    rounds: usize,
    log: &Path,
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
                pair(variant, series, log, measure)?;
            }
        }
        println!("xtask: round {round} of {rounds} done");
    }
    Ok(all)
}

fn pair(variant: &Variant, series: &mut Series, log: &Path, measure: &dyn Fn() -> Result<f64>) -> Result<()> {
    let before = measure()?;
    if let Some(output) = &variant.output {
        // From the round before; when it was not there, there is nothing to remove.
        let _ = fs::remove_dir_all(output);
    }
    let tracer = match Tracer::start(&variant.words, log) {
        Ok(tracer) => tracer,
        Err(error) => {
            println!("xtask: {}: not measured: {error:#}", variant.name);
            series.failure = Some(format!("{error:#}"));
            return Ok(());
        }
    };
    let traced = measure()?;
    drop(tracer);
    let untraced = f64::midpoint(before, measure()?);
    series.added.push(traced - untraced);
    series.untraced.push(untraced);
    Ok(())
}
