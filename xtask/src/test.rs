//! In: the sources on any machine. Out: everything a stranger can check, run in order: formatting, lints, pure
//! tests, live tests on this machine's kernel, then the matrix of other kernels and a short soak; the last line counts them.
//! Live tests are `profiler/tests/live_*.rs`; one that cannot run here prints a line that begins with
//! `SKIPPED`, one that takes minutes is named `slow_…` and left out by `--quick`.

mod follow;
mod reason;
pub mod tally;

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{build, command, matrix, setup, soak, workload, workspace::Workspace};
use tally::Tally;

#[derive(clap::Args)]
pub struct Options {
    /// Leave out what takes minutes
    #[arg(long)]
    quick: bool,
    /// Run only the live tests whose name contains this
    #[arg(long, value_name = "NAME")]
    live: Option<String>,
}

/// `cargo xtask test`. Every step runs, whatever the ones before said.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::test_tools(workspace, options.quick)?;
    build::kernel_object(workspace)?;
    let binaries =
        Binaries { profiler: build::tool(workspace, true)?, workload: workload::build(workspace)? };
    let (live, pure) = test_files(workspace)?;
    let mut tally = Tally::default();
    if options.live.is_none() {
        check_sources(workspace, &mut tally);
        tally.run_tests("pure tests", &mut pure_tests(workspace, &pure));
    }
    if !live.is_empty() {
        tally.run_tests("live tests", &mut live_tests(workspace, &live, &binaries, options));
    }
    if options.live.is_none() && !options.quick {
        matrix::all(workspace, &mut tally);
        soak::few(workspace, &mut tally);
    }
    tally.print();
    if tally.failed() { bail!("tests failed") } else { Ok(()) }
}

/// What live tests run.
struct Binaries {
    profiler: PathBuf,
    workload: PathBuf,
}

/// The names of `profiler/tests/*.rs`: the live ones, the others.
fn test_files(workspace: &Workspace) -> Result<(Vec<String>, Vec<String>)> {
    let directory = workspace.root().join("profiler/tests");
    if !directory.is_dir() {
        return Ok((Vec::new(), Vec::new()));
    }
    let entries = fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names.into_iter().partition(|name| name.starts_with("live_")))
}

fn check_sources(workspace: &Workspace, tally: &mut Tally) {
    let cargo = || command::cargo(workspace);
    tally.run_step("formatting", cargo().args(["fmt", "--all", "--check"]));
    tally.run_step(
        "formatting of the kernel side",
        cargo().current_dir(workspace.kernel_crate()).args(["fmt", "--check"]),
    );
    tally.run_step(
        "lints",
        cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    );
}

/// In the dev profile, where overflow is a panic.
fn pure_tests(workspace: &Workspace, names: &[String]) -> Command {
    let mut cargo = command::cargo(workspace);
    cargo.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins"]);
    for name in names {
        cargo.args(["--test", name]);
    }
    cargo.args(["--", "--show-output"]);
    cargo
}

/// In the release profile and one at a time: they measure.
fn live_tests(workspace: &Workspace, names: &[String], binaries: &Binaries, options: &Options) -> Command {
    let mut cargo = command::cargo(workspace);
    cargo.args(["test", "--release", "--package", "profiler", "--no-fail-fast"]);
    for name in names {
        cargo.args(["--test", name]);
    }
    cargo.args(["--", "--test-threads=1", "--show-output"]);
    if options.quick {
        cargo.args(["--skip", "slow_"]);
    }
    cargo.args(&options.live);
    cargo.env("PROFILER_BIN", &binaries.profiler).env("WORKLOAD_BIN", &binaries.workload);
    if !setup::is_root() && command::on_path("sudo").is_some() {
        println!("xtask: live tests need root: running them through sudo");
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "sudo -E");
    }
    cargo
}
