//! In: the profiler, its peers from packages, and a workload that knows its own CPU time.
//! Out: what each of them adds, measured in interleaved rounds of one run, on the terminal and as
//! generated blocks of `docs/performance.md`.

mod machine;
mod page;
mod peer;
mod rounds;
mod statistics;
mod syscall;
mod tracer;

use anyhow::{Result, bail};

use crate::{build, setup, workload, workspace::Workspace};

#[derive(clap::Args)]
pub struct Options {
    /// How many rounds; medians of fewer than 7 are not written down
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Calls of getppid per measurement
    #[arg(long, default_value_t = 2_000_000)]
    calls: u64,
    /// Measure only the variants whose name contains this (untraced runs are always there)
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Use the binaries and peers that are there
    #[arg(long)]
    built: bool,
}

/// `cargo xtask bench`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if !setup::is_root() {
        bail!("benchmarks attach to the whole machine: run them as root");
    }
    if !options.built {
        build::kernel_object(workspace)?;
        build::tool(workspace, true)?;
        workload::build(workspace)?;
        peer::install(workspace);
    }
    syscall::run(workspace, options)
}
