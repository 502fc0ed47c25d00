//! What runs inside a guest of the lab.
//!
//! In: `lab matrix [NAME]`, `lab soak CYCLES KILLS MINUTES [shared]`, `lab price send|switch` or `lab story`, with `profiler` and `workload` on
//! PATH. Out: a line beginning with `@cell` for each result;
//! exit code 0 if all is well, 1 if something failed, 2 for wrong usage.

mod cells;
mod clean;
mod clock;
mod confine;
mod disk;
mod group;
mod kernel;
mod matrix;
mod price;
mod recording;
mod soak;
mod story;
mod verdict;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Result, bail};
use soak::Soak;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words, &mut io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "lab: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[&str], out: &mut dyn Write) -> Result<bool> {
    match words {
        ["matrix"] => matrix::run("", out),
        ["matrix", only] => matrix::run(only, out),
        ["soak", numbers @ ..] => soak(numbers)?.run(out),
        ["price", operation] => price::run(operation, out),
        ["story"] => story::run(out),
        _ => bail!(
            "lab matrix [NAME] | lab soak CYCLES KILLS MINUTES [shared] | lab price send|switch | lab story"
        ),
    }
}

fn soak(words: &[&str]) -> Result<Soak> {
    let (numbers, shared) = match words {
        [numbers @ .., "shared"] => (numbers, true),
        numbers => (numbers, false),
    };
    let &[cycles, kills, minutes] = numbers else { bail!("lab soak CYCLES KILLS MINUTES [shared]") };
    let limit = Duration::from_secs(minutes.parse::<u64>()? * 60);
    Ok(Soak { cycles: cycles.parse()?, kills: kills.parse()?, limit, shared })
}
