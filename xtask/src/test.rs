//! In: the sources on any machine. Out: everything a stranger can check: formatting, lints and pure tests beside the
//! matrix of other kernels and a short soak in guests; then, alone, live tests on this machine's kernel; the last line counts them.
//! Live tests are `profiler/tests/live/*.rs`; one that cannot run here prints a line that begins with
//! `SKIPPED`, one that takes minutes is named `slow_…` and left out by `--quick`.

mod conditions;
mod follow;
pub mod lanes;
mod reason;
pub mod tally;
pub mod voice;

use std::{fs, process::Command, time::Instant};

use anyhow::{Context, Result, bail};

use crate::{
    command, dist, matrix, setup, soak,
    statics::{self, Binaries},
    story, vm,
    workspace::Workspace,
};
use conditions::Condition;
use lanes::Job;
use tally::Tally;

/// The live tests' one program.
const LIVE: &str = "live";
/// Pure tests of sizes that take minutes in the dev profile, and seconds in that of live tests.
const OPTIMIZED: [&str; 1] = ["bounds"];

#[derive(clap::Args)]
pub struct Options {
    /// Leave out what takes minutes
    #[arg(long)]
    quick: bool,
    /// Run only the live tests of the file of that name, or else those whose name contains this
    #[arg(long, value_name = "NAME")]
    live: Option<String>,
    /// Run only the live tests, as on a machine that is other than this one
    #[arg(long, value_enum, value_name = "CONDITION")]
    live_under: Option<Condition>,
}

impl Options {
    fn only_live(&self) -> bool {
        self.live.is_some() || self.live_under.is_some()
    }
}

/// `cargo xtask test`. Every step runs, whatever the ones before said. What does not measure this machine (sources,
/// pure tests, guests) runs beside each other; live tests run alone.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::test_tools(workspace, options.quick)?;
    let mut tally = Tally::default();
    let begin = Instant::now();
    let binaries = Binaries::build(workspace)?;
    tally.took("what is measured and what measures, built", begin.elapsed());
    let pure = names_in(workspace, "profiler/tests")?;
    let (whole, guests) = (!options.only_live(), !options.only_live() && !options.quick);
    let columns = matrix::Columns::default();
    if whole {
        let mut jobs = vec![sources(workspace, &pure, guests)];
        if guests {
            vm::require_emulator(workspace)?;
            // The longest first.
            jobs.push(soak::few(workspace, &binaries));
            jobs.extend(matrix::all(workspace, &binaries, &columns));
        }
        lanes::run(jobs, lanes::at_once(), &mut tally);
    }
    if guests {
        matrix::write(workspace, columns, &mut tally);
    }
    run_live(workspace, &binaries, options, &mut tally)?;
    if guests && setup::is_root() {
        soak::few_here(&binaries, &mut tally);
        story::few_here(workspace, &binaries.profiler, &mut tally);
    }
    tally.print();
    if tally.failed() { bail!("tests failed") } else { Ok(()) }
}

/// What looks at the sources, in the dev profile, where overflow is a panic; the tests of large sizes, optimized; and the live tests'
/// program, built.
/// Beside guests it leaves them their CPU.
fn sources<'a>(workspace: &'a Workspace, pure: &'a [String], beside: bool) -> Job<'a> {
    let share = lanes::cpus().saturating_sub(1).max(1).to_string();
    Job::new("sources", move |tally| {
        let mut steps = checks(workspace);
        let (mut tests, mut large) = (pure_tests(workspace, pure), optimized_tests(workspace));
        let mut built = live_program(workspace);
        built.arg("--no-run");
        if beside {
            let cargo = steps.iter_mut().map(|(_, step)| step);
            for command in cargo.chain([&mut tests, &mut large, &mut built]) {
                command.env("CARGO_BUILD_JOBS", &share).env("RUST_TEST_THREADS", &share);
            }
        }
        for (name, step) in &mut steps {
            tally.run_step(name, step);
        }
        tally.run_tests("pure tests", &mut tests);
        tally.run_tests("pure tests, optimized", &mut large);
        tally.run_step("live tests, built", &mut built);
    })
}

/// The live tests, under a condition where one is asked for: built before it, so that it holds no compiler.
fn run_live(workspace: &Workspace, binaries: &Binaries, options: &Options, tally: &mut Tally) -> Result<()> {
    let files = names_in(workspace, "profiler/tests/live")?;
    let file = options.live.as_deref().and_then(|name| live_file(&files, name));
    let mut tests = live_tests(workspace, binaries, options);
    tests.args(file.map(|file| format!("{file}::")).or_else(|| options.live.clone()));
    dist::build(workspace, &binaries.profiler)?;
    let before = tally.selected();
    if let Some(condition) = options.live_under {
        command::run(live_program(workspace).arg("--no-run"))?;
        let imposed = condition.impose(&mut tests)?;
        tally.run_tests(&format!("live tests under {condition:?}"), &mut tests);
        drop(imposed);
    } else {
        tally.run_tests("live tests", &mut tests);
    }
    match &options.live {
        Some(name) if tally.selected() == before && !tally.failed() => bail!("{}", none_of(name, &files)),
        _ => Ok(()),
    }
}

/// The file of live tests of that name.
fn live_file<'a>(files: &'a [String], name: &str) -> Option<&'a String> {
    files.iter().find(|file| *file == name)
}

/// Why a run of live tests ran none.
fn none_of(name: &str, files: &[String]) -> String {
    format!(
        "no live test is of a file {name:?} or has that in its name (--quick leaves out slow_ ones); the files: {}",
        files.join(", ")
    )
}

/// The names of the Rust files in a directory, but for that of a program's root.
fn names_in(workspace: &Workspace, directory: &str) -> Result<Vec<String>> {
    let directory = workspace.root().join(directory);
    let entries = fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "main")
        .collect();
    names.sort();
    Ok(names)
}

/// What is run of cargo over the sources, by name.
fn checks(workspace: &Workspace) -> [(&'static str, Command); 3] {
    let cargo = |words: &[&str]| {
        let mut cargo = command::cargo(workspace);
        cargo.args(words);
        cargo
    };
    let mut kernel_side = cargo(&["fmt", "--check"]);
    kernel_side.current_dir(workspace.kernel_crate());
    [
        ("formatting", cargo(&["fmt", "--all", "--check"])),
        ("formatting of the kernel side", kernel_side),
        ("lints", cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])),
    ]
}

fn pure_tests(workspace: &Workspace, names: &[String]) -> Command {
    let mut cargo = command::cargo(workspace);
    cargo.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins"]);
    for name in names.iter().filter(|name| !OPTIMIZED.contains(&name.as_str())) {
        cargo.args(["--test", name]);
    }
    cargo.args(["--", "--show-output"]);
    cargo
}

fn optimized_tests(workspace: &Workspace) -> Command {
    let mut cargo = statics::cargo(workspace, "test");
    cargo.args(["--package", "profiler"]).args(OPTIMIZED.iter().flat_map(|name| ["--test", name]));
    cargo.args(["--", "--show-output"]);
    cargo
}

/// Builds the live tests' own program.
///
/// # Errors
/// When cargo refuses.
pub fn build_live(workspace: &Workspace) -> Result<()> {
    command::run(live_program(workspace).arg("--no-run"))
}

/// The live tests' own program, in the profile and with the flags of what it drives.
fn live_program(workspace: &Workspace) -> Command {
    let mut cargo = statics::cargo(workspace, "test");
    cargo.args(["--package", "profiler", "--test", LIVE]);
    cargo
}

/// One at a time: they measure.
fn live_tests(workspace: &Workspace, binaries: &Binaries, options: &Options) -> Command {
    let mut cargo = live_program(workspace);
    cargo.args(["--", "--test-threads=1", "--show-output"]);
    if options.quick {
        cargo.args(["--skip", "slow_"]);
    }
    cargo
        .env("PROFILER_BIN", &binaries.profiler)
        .env("PROFILER_LAB_BIN", &binaries.profiler_lab)
        .env("WORKLOAD_BIN", &binaries.workload)
        .env("PROFILER_DIST", dist::directory(workspace));
    if !setup::is_root() && command::on_path("sudo").is_some() {
        println!("xtask: live tests need root: running them through sudo");
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "sudo -E");
    }
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_live_tests_is_found_by_its_name_alone() {
        let names = ["cpu", "scope", "scope_process"].map(str::to_owned);
        assert_eq!(live_file(&names, "scope"), Some(&names[1]));
        assert_eq!(live_file(&names, "scope_process"), Some(&names[2]));
        assert_eq!(live_file(&names, "scop"), None);
        assert_eq!(live_file(&names, ""), None);
    }

    #[test]
    fn a_name_of_no_live_test_is_told_with_the_files_there_are() {
        let said = none_of("scop", &["cpu", "scope"].map(str::to_owned));
        assert!(said.contains("\"scop\"") && said.ends_with("the files: cpu, scope"), "{said}");
    }
}
