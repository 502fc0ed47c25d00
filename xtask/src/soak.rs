//! In: kernels of the mirror, or this machine's. Out: whether a thousand recordings under load, and fifty killed ones,
//! leave anything behind (`xtask/lab/src/soak.rs` says what is looked at).

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, bail};

use crate::{
    command,
    matrix::column::{self, Task},
    setup,
    statics::Binaries,
    test::{
        lanes::{self, Job},
        tally::Tally,
    },
    vm,
    workspace::Workspace,
};

const HERE: &str = "soak of this machine's kernel";

/// The oldest and the newest promised.
const KERNELS: [&str; 2] = ["5.10", "7.2"];
/// What `cargo xtask test` does of it, on the oldest kernel and on the one at hand.
const FEW: [&str; 2] = ["20", "5"];
const FEW_KERNEL: &str = "5.10";
const FEW_MINUTES: u64 = 2;
/// Booting, and the end of a cycle that began in time; every wait inside has its own limit.
const AFTER: Duration = Duration::from_secs(300);
/// Every busy CPU takes its share of the emulator, and the profiler has what is left.
const CPUS: &str = "2";
/// What a soak does not need either: ways around the faults of real processors.
const CMDLINE: &str = " mitigations=off";

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
    let binaries = Binaries::build(workspace)?;
    let numbers = [options.cycles, options.kills, options.minutes].map(|number| number.to_string());
    let words: Vec<&str> = ["soak"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    let mut tally = Tally::default();
    if options.here {
        tally.outcome(HERE, here(&binaries, &words));
    } else {
        vm::require_emulator(workspace)?;
        let named: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
        let kernels = if named.is_empty() { KERNELS.as_slice() } else { &named };
        let guests =
            kernels.iter().map(|kernel| guest(workspace, kernel, &binaries, (&words, options.minutes)));
        lanes::run(guests.collect(), lanes::at_once(), &mut tally);
    }
    tally.print();
    if tally.failed() { bail!("the soak failed") } else { Ok(()) }
}

/// A short one of this machine's kernel, not emulated.
pub fn few_here(binaries: &Binaries, tally: &mut Tally) {
    println!("\n== {HERE}");
    let [cycles, kills] = FEW;
    let minutes = FEW_MINUTES.to_string();
    tally.outcome(HERE, here(binaries, &["soak", cycles, kills, &minutes]));
}

/// A short one in a guest, for as many cycles as its time allows.
pub fn few<'a>(workspace: &'a Workspace, binaries: &Binaries) -> Job<'a> {
    let [cycles, kills] = FEW;
    let minutes = FEW_MINUTES.to_string();
    guest(workspace, FEW_KERNEL, binaries, (&["soak", cycles, kills, &minutes], FEW_MINUTES))
}

fn guest<'a>(
    workspace: &'a Workspace,
    kernel: &str,
    binaries: &Binaries,
    (words, minutes): (&[&str], u64),
) -> Job<'a> {
    let mut task = Task::new(kernel, binaries, words, Duration::from_secs(minutes * 60) + AFTER);
    CPUS.clone_into(&mut task.smp);
    task.cmdline += CMDLINE;
    task.name = format!("soak-{kernel}");
    Job::new(&task.name.clone(), move |tally| drop(column::run(workspace, &task, tally)))
}

/// The same driver beside whatever else runs here: it looks at what its own recordings held.
fn here(binaries: &Binaries, words: &[&str]) -> Result<()> {
    if !setup::is_root() {
        bail!("needs root");
    }
    let places = binaries.lab.parent().map(Path::to_owned).into_iter();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(places.chain(std::env::split_paths(&path)))?;
    command::run(Command::new(&binaries.lab).args(words).arg("shared").env("PATH", path))
}
