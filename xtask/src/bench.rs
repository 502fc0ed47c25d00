//! In: the profiler, its peers from packages, and a workload that knows its own CPU time.
//! Out: what each of them adds, measured in interleaved rounds of one run, on the terminal and as
//! generated blocks of `docs/performance.md` (of `docs/symbols.md`, what becomes of stacks of real programs).

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
mod symbols;
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
    /// Stacks of real programs from packages: roots reached, frames named, beside perf; writes docs/symbols.md
    Symbols,
}

#[derive(clap::Args)]
pub struct Options {
    /// Measure only this
    #[arg(conflicts_with = "only")]
    area: Option<Area>,
    /// How many rounds; medians of fewer than 7 are not written down
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Calls of getppid per measurement: traced, they must fit into 0.2 s
    #[arg(long, default_value_t = 600_000)]
    calls: u64,
    /// Measure only these, comma-separated
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<Area>,
    /// Of `symbols`, play only these programs, comma-separated, and write nothing down
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    programs: Vec<String>,
    /// Use the binaries and peers that are there
    #[arg(long)]
    built: bool,
}

impl Options {
    fn areas(&self) -> Vec<Area> {
        let wanted: Vec<Area> = self.only.iter().chain(&self.area).copied().collect();
        let all = <Area as clap::ValueEnum>::value_variants().iter();
        all.filter(|area| wanted.is_empty() || wanted.contains(area)).copied().collect()
    }
}

/// Builds and installs what is measured, and its peers.
fn build_for(workspace: &Workspace, areas: &[Area]) -> Result<()> {
    kernel_side::object(workspace)?;
    if areas.contains(&Area::Symbols) {
        statics::package(workspace, "profiler")?;
        symbols::install(workspace);
    }
    if areas != [Area::Symbols] {
        kernel_side::lab_object(workspace)?;
        build::tool(workspace, true)?;
        statics::package(workspace, "profiler-lab")?;
        peer::install(workspace);
    }
    statics::package(workspace, "workload").map(drop)
}

/// `cargo xtask bench`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if !setup::is_root() {
        bail!("benchmarks attach to the whole machine: run them as root");
    }
    let areas = options.areas();
    if !options.built {
        build_for(workspace, &areas)?;
    }
    let place = place::Place::new(workspace, options.rounds)?;
    let _tracefs = (areas != [Area::Symbols]).then(machine::Tracefs::mount);
    for area in areas {
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
            Area::Symbols => symbols::run(&place, &options.programs),
        }?;
    }
    Ok(())
}
