//! In: kernels of the mirror. Out: whether a thousand recordings under load, and fifty killed ones, leave anything behind
//! in a guest (`xtask/lab/src/soak.rs` says what is looked at).

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{
    matrix::column::{self, Task},
    test::tally::Tally,
    workspace::Workspace,
};

/// The oldest and the newest promised.
const KERNELS: [&str; 2] = ["5.10", "7.2"];
/// Attaching alone may take a minute; each has its own limit inside, and this one is behind them all.
const EACH: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Options {
    /// Only this kernel (repeat for more) [default: 5.10 and 7.2]
    #[arg(long, value_name = "VERSION")]
    kernel: Vec<String>,
    /// Recordings to attach and detach
    #[arg(long, value_name = "N", default_value_t = 1000)]
    cycles: u64,
    /// Recordings to kill
    #[arg(long, value_name = "N", default_value_t = 50)]
    kills: u64,
}

/// `cargo xtask soak`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    let named: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
    let kernels = if named.is_empty() { KERNELS.as_slice() } else { &named };
    soak(workspace, kernels, (options.cycles, options.kills), &mut tally);
    tally.print();
    if tally.failed() { bail!("the soak failed") } else { Ok(()) }
}

fn soak(workspace: &Workspace, kernels: &[&str], (cycles, kills): (u64, u64), tally: &mut Tally) {
    println!("\n== soak");
    let limit = EACH * u32::try_from(cycles + kills).unwrap_or(u32::MAX / 60);
    match Task::new(workspace, &["soak", &cycles.to_string(), &kills.to_string()], limit) {
        Ok(task) => kernels.iter().for_each(|kernel| drop(column::run(workspace, kernel, &task, tally))),
        Err(error) => tally.outcome("binaries of the soak", Err(error)),
    }
}
