//! In: the profiler, its peers from packages, and a workload that knows its own CPU time.
//! Out: what each of them adds, measured in interleaved rounds of one run, on the terminal and as
//! generated blocks of `docs/performance.md`.

mod cpu;
mod guest_peer;
mod guest_switch;
mod instructions;
mod machine;
mod page;
mod peer;
mod picture;
mod place;
mod rounds;
mod security;
mod start;
mod statistics;
mod switch;
mod syscall;
mod tracer;
mod verdict;

use anyhow::{Result, bail};

use crate::{build, kernel_side, setup, statics, workspace::Workspace};

/// One block of the page.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Area {
    /// Added time per system call, beside floors and peers
    Syscall,
    /// What keeping slow stacks adds to calls that are not slow
    Slow,
    /// Added time per context switch
    Switch,
    /// What all probes add per context switch, beside bcc's offcputime and syscount together
    Everything,
    /// Slowdown by CPU samples, beside perf
    Cpu,
    /// From exec to the first call counted
    Start,
    /// From the end of recording to the flame graph
    Picture,
    /// 10⁵ distinct stacks: who keeps them, in how much memory
    Stacks,
    /// Instructions added per context switch by all probes, beside bcc's offcputime and syscount together, in a guest
    GuestSwitch,
    /// Instructions added per `sendmsg` by the `lsm` probe, in a guest
    Security,
}

#[derive(clap::Args)]
pub struct Options {
    /// How many rounds; medians of fewer than 7 are not written down
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Calls of getppid per measurement: traced, they must fit into 0.2 s
    #[arg(long, default_value_t = 600_000)]
    calls: u64,
    /// Measure only these, comma-separated
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<Area>,
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
        kernel_side::object(workspace)?;
        kernel_side::lab_object(workspace)?;
        build::tool(workspace, true)?;
        statics::package(workspace, "profiler-lab")?;
        statics::package(workspace, "workload")?;
        peer::install(workspace);
    }
    let _tracefs = machine::Tracefs::mount();
    let place = place::Place::new(workspace, options.rounds)?;
    for area in <Area as clap::ValueEnum>::value_variants() {
        if !options.only.is_empty() && !options.only.contains(area) {
            continue;
        }
        match area {
            Area::Syscall => syscall::run(&place, options.calls),
            Area::Slow => syscall::slow(&place, options.calls),
            Area::Switch => switch::run(&place, options.calls / 10),
            Area::Everything => switch::everything(&place, options.calls / 10),
            Area::Cpu => cpu::run(&place),
            Area::Start => start::run(&place),
            Area::Picture => picture::speed(&place),
            Area::Stacks => picture::stacks(&place),
            Area::GuestSwitch => guest_switch::run(&place),
            Area::Security => security::run(&place),
        }?;
    }
    Ok(())
}
