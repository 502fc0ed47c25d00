//! In: kernels of the mirror. Out: for each, in a guest of its own, every probe by every backend against a known
//! workload (`xtask/lab` has the table), counted cell by cell; a run over all of them writes the table in `docs/kernels.md`.

pub mod column;
mod page;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{
    statics::Binaries,
    test::{
        lanes::{self, Job},
        tally::Tally,
    },
    vm::{self, kernel::PROMISED},
    workspace::Workspace,
};
use column::{Column, Task};

/// Everything one kernel may take, on a busy machine, too; five of them take 12 minutes on an idle one.
const LIMIT: Duration = Duration::from_secs(900);

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
    let binaries = Binaries::build(workspace)?;
    vm::require_emulator(workspace)?;
    let columns = Columns::default();
    let jobs = if options.many_cpus {
        vec![many_cpus(workspace, &binaries)]
    } else if options.kernel.is_empty() && options.only.is_none() {
        all(workspace, &binaries, &columns)
    } else {
        let named: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
        let kernels = if named.is_empty() { PROMISED.as_slice() } else { &named };
        kernels
            .iter()
            .map(|kernel| column(workspace, &binaries, (*kernel, options.only.as_deref()), &columns))
            .collect()
    };
    let mut tally = Tally::default();
    lanes::run(jobs, lanes::at_once(), &mut tally);
    if options.kernel.is_empty() && options.only.is_none() && !options.many_cpus {
        write(workspace, columns, &mut tally);
    }
    tally.print();
    if tally.failed() { bail!("cells failed") } else { Ok(()) }
}

/// What the guests gave, in the order in which they ended.
#[derive(Default)]
pub struct Columns(Mutex<Vec<Column>>);

/// Every cell of every promised kernel, a guest each.
pub fn all<'a>(workspace: &'a Workspace, binaries: &'a Binaries, columns: &'a Columns) -> Vec<Job<'a>> {
    let usual = PROMISED.iter().map(|kernel| column(workspace, binaries, (*kernel, None), columns));
    usual.chain([many_cpus(workspace, binaries)]).collect()
}

/// Writes the table of all of them.
pub fn write(workspace: &Workspace, columns: Columns, tally: &mut Tally) {
    let mut columns = columns.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    columns.sort_by_key(|column| PROMISED.iter().position(|kernel| *kernel == column.kernel));
    tally.outcome("docs/kernels.md", page::write(workspace, &columns));
}

/// Per-CPU memory is sized by the CPUs that could be there: a guest that has four of [`POSSIBLE`], on one kernel.
fn many_cpus<'a>(workspace: &'a Workspace, binaries: &Binaries) -> Job<'a> {
    let mut task = Task::new(MANY_CPUS_KERNEL, binaries, &["matrix"], LIMIT);
    POSSIBLE.clone_into(&mut task.smp);
    task.cmdline += " maxcpus=4";
    "many-cpus".clone_into(&mut task.name);
    Job::new(&task.name.clone(), move |tally| drop(column::run(workspace, &task, tally)))
}

fn column<'a>(
    workspace: &'a Workspace,
    binaries: &Binaries,
    (kernel, only): (&str, Option<&str>),
    columns: &'a Columns,
) -> Job<'a> {
    let words: Vec<&str> = ["matrix"].into_iter().chain(only).collect();
    let task = Task::new(kernel, binaries, &words, LIMIT);
    Job::new(kernel, move |tally| {
        let column = column::run(workspace, &task, tally);
        columns.0.lock().unwrap_or_else(PoisonError::into_inner).push(column);
    })
}
