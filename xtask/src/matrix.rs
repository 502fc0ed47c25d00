//! In: kernels of the mirror. Out: for each, in a guest of its own, every probe by every backend against a known
//! workload (`xtask/lab` has the table), counted cell by cell; a run over all of them writes the table in `docs/kernels.md`.

pub mod column;
mod page;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{test::tally::Tally, vm::kernel::PROMISED, workspace::Workspace};
use column::{Column, Task};

/// Everything one kernel may take, on a busy machine, too; five of them take 12 minutes on an idle one.
const LIMIT: Duration = Duration::from_secs(400);

/// What `xtask/lab` takes for a guest with many possible CPUs.
const POSSIBLE: &str = "64";
const MANY_CPUS_KERNEL: &str = "6.12";

#[derive(clap::Args)]
pub struct Options {
    /// Only this kernel (repeat for more) [default: 5.10, 6.1, 6.12, 6.18 and 7.2]
    #[arg(long, value_name = "VERSION")]
    kernel: Vec<String>,
    /// Only cells whose probe, backend or load contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Only the guest with many possible CPUs
    #[arg(long, conflicts_with_all = ["kernel", "only"])]
    many_cpus: bool,
}

/// `cargo xtask matrix`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    if options.many_cpus {
        many_cpus(workspace, &mut tally);
    } else if options.kernel.is_empty() && options.only.is_none() {
        all(workspace, &mut tally);
    } else {
        let named: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
        let kernels = if named.is_empty() { PROMISED.as_slice() } else { &named };
        columns(workspace, kernels, options.only.as_deref(), &mut tally);
    }
    tally.print();
    if tally.failed() { bail!("cells failed") } else { Ok(()) }
}

/// Every cell of every promised kernel, and the table of them.
pub fn all(workspace: &Workspace, tally: &mut Tally) {
    many_cpus(workspace, tally);
    let columns = columns(workspace, &PROMISED, None, tally);
    if !columns.is_empty() {
        tally.outcome("docs/kernels.md", page::write(workspace, &columns));
    }
}

/// Per-CPU memory is sized by the CPUs that could be there: a guest that has four of [`POSSIBLE`], on one kernel.
fn many_cpus(workspace: &Workspace, tally: &mut Tally) {
    println!("\n== possible CPUs");
    match Task::new(workspace, &["matrix"], LIMIT) {
        Ok(mut task) => {
            POSSIBLE.clone_into(&mut task.smp);
            "maxcpus=4".clone_into(&mut task.cmdline);
            column::run(workspace, MANY_CPUS_KERNEL, &task, tally);
        }
        Err(error) => tally.outcome("binaries of the guest with many possible CPUs", Err(error)),
    }
}

/// One guest after the other; none if there is nothing to run in them.
fn columns(workspace: &Workspace, kernels: &[&str], only: Option<&str>, tally: &mut Tally) -> Vec<Column> {
    println!("\n== the matrix of kernels");
    let words: Vec<&str> = ["matrix"].into_iter().chain(only).collect();
    match Task::new(workspace, &words, LIMIT) {
        Ok(task) => kernels.iter().map(|kernel| column::run(workspace, kernel, &task, tally)).collect(),
        Err(error) => {
            tally.outcome("binaries of the matrix", Err(error));
            Vec::new()
        }
    }
}
