//! In: kernels of the mirror, or this machine's. Out: whether a thousand recordings under load, and fifty killed ones,
//! leave anything behind (`xtask/lab/src/soak.rs` says what is looked at).

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    command,
    matrix::column::{self, Task},
    setup,
    test::tally::Tally,
    vm,
    workspace::Workspace,
};

/// The oldest and the newest promised.
const KERNELS: [&str; 2] = ["5.10", "7.2"];
/// What `cargo xtask test` does of it, on the oldest kernel and on the one at hand.
const FEW: [&str; 2] = ["20", "5"];
const FEW_KERNEL: &str = "5.10";
const FEW_MINUTES: u64 = 3;
/// Booting, and the end of a cycle that began in time; every wait inside has its own limit.
const AFTER: Duration = Duration::from_secs(300);
/// Every busy CPU takes its share of the emulator, and the profiler has what is left.
const CPUS: &str = "2";
/// What an emulated machine pays for and a soak does not need: a clock behind a port, pages cleared twice, and ways around
/// the faults of real processors.
const CMDLINE: &str = "clocksource=tsc tsc=reliable init_on_alloc=0 mitigations=off";

#[derive(clap::Args)]
pub struct Options {
    /// Only this kernel (repeat for more) [default: 5.10 and 7.2]
    #[arg(long, value_name = "VERSION")]
    kernel: Vec<String>,
    /// This machine's kernel, not emulated, instead of guests
    #[arg(long, conflicts_with = "kernel")]
    here: bool,
    /// Recordings to attach and detach
    #[arg(long, value_name = "N", default_value_t = 1000)]
    cycles: u64,
    /// Recordings to kill
    #[arg(long, value_name = "N", default_value_t = 50)]
    kills: u64,
    /// Begin none later than this, on each kernel; how many there were is told
    #[arg(long, value_name = "MINUTES", default_value_t = 600)]
    minutes: u64,
}

/// `cargo xtask soak`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    soak(workspace, options, &mut tally);
    tally.print();
    if tally.failed() { bail!("the soak failed") } else { Ok(()) }
}

/// A short one: this machine's kernel, not emulated, and a guest for as many cycles as its time allows.
pub fn few(workspace: &Workspace, tally: &mut Tally) {
    println!("\n== soak");
    let [cycles, kills] = FEW;
    let minutes = FEW_MINUTES.to_string();
    let words = ["soak", cycles, kills, &minutes];
    if setup::is_root() {
        tally.outcome("soak of this machine's kernel", here(workspace, &words));
    }
    guests(workspace, &[FEW_KERNEL], (&words, FEW_MINUTES), tally);
}

fn soak(workspace: &Workspace, options: &Options, tally: &mut Tally) {
    println!("\n== soak");
    let numbers = [options.cycles, options.kills, options.minutes].map(|number| number.to_string());
    let words: Vec<&str> = ["soak"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    if options.here {
        tally.outcome("soak of this machine's kernel", here(workspace, &words));
        return;
    }
    let named: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
    let kernels = if named.is_empty() { KERNELS.as_slice() } else { &named };
    guests(workspace, kernels, (&words, options.minutes), tally);
}

fn guests(workspace: &Workspace, kernels: &[&str], (words, minutes): (&[&str], u64), tally: &mut Tally) {
    match Task::new(workspace, words, Duration::from_secs(minutes * 60) + AFTER) {
        Ok(mut task) => {
            CPUS.clone_into(&mut task.smp);
            CMDLINE.clone_into(&mut task.cmdline);
            kernels.iter().for_each(|kernel| drop(column::run(workspace, kernel, &task, tally)));
        }
        Err(error) => tally.outcome("binaries of the soak", Err(error)),
    }
}

/// The same driver beside whatever else runs here: it looks at what its own recordings held.
fn here(workspace: &Workspace, words: &[&str]) -> Result<()> {
    if !setup::is_root() {
        bail!("needs root");
    }
    let binaries = vm::binaries(workspace)?;
    let places = binaries.iter().filter_map(|(path, _)| path.parent()).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(places.chain(std::env::split_paths(&path)))?;
    let (lab, _) = binaries.last().context("no driver")?;
    command::run(Command::new(lab).args(words).arg("shared").env("PATH", path))
}
