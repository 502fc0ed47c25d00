//! In: how long, and from which seed. Out: every parser of foreign bytes fed with damaged input for so long, by
//! `profiler/tests/fuzz.rs` and the tests `fuzz_…` of the library; what it finds is named with the file that holds it.

use anyhow::Result;

use crate::{command, workspace::Workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Seconds for each target
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Where the pseudo-random numbers begin: the same seed does the same [default: the time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only the targets whose name contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// `cargo xtask fuzz`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = options.seed.unwrap_or_else(|| now.map_or(1, |now| now.as_secs()));
    // Parsers that are not public are fed inside the library.
    for (place, named) in [(&["--test", "fuzz"][..], None), (&["--lib"], Some("fuzz_"))] {
        let mut cargo = command::cargo(workspace);
        cargo.args(["test", "--package", "profiler"]).args(place).args(["--", "--nocapture"]);
        cargo.args(options.only.as_deref().or(named));
        cargo.env("FUZZ_SECONDS", options.seconds.to_string()).env("FUZZ_SEED", seed.to_string());
        command::run(&mut cargo)?;
    }
    Ok(())
}
