//! The one door to building, testing and measuring the profiler.
//!
//! In: `cargo xtask COMMAND`. Out: built binaries under `target/`, test and benchmark results; on a
//! fresh machine also what the command needs, installed through `scripts/`, each step announced.
#![expect(
    clippy::print_stdout,
    reason = "a developer's tool talks on stdout; nothing here runs in an incident"
)]

mod bench;
mod build;
mod command;
mod demo;
mod dist;
mod fuzz;
mod kernel_side;
mod matrix;
mod setup;
mod soak;
mod statics;
mod story;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building the kernel side needs: a `core` for BPF and bpf-linker
    Setup,
    /// Build the kernel-side object, then the tool
    Build(build::Options),
    /// Set everything up, then record ten seconds of this machine with a slow container on it
    Demo(demo::Options),
    /// Measure the profiler beside its peers, interleaved in one run
    Bench(bench::Options),
    /// Build the statically linked binary
    Dist,
    /// Feed every parser of foreign bytes with damaged input
    Fuzz(fuzz::Options),
    /// Measure known workloads by every probe and backend on every promised kernel
    Matrix(matrix::Options),
    /// Attach, detach and kill recordings under load, in guests, and look for what stays behind
    Soak(soak::Options),
    /// Play an incident, in a guest or in containers, and hold what a recording says of it
    Story(story::Options),
    /// Set up what the tests need, and run them all
    Test(test::Options),
    /// Boot a stock Debian kernel under emulation and run a command, or a shell, in it
    Vm(vm::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            println!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup => setup::kernel_toolchain(&workspace).map(drop),
        Command::Build(options) => build::run(&workspace, &options),
        Command::Demo(options) => demo::run(&workspace, &options),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Dist => dist::run(&workspace),
        Command::Fuzz(options) => fuzz::run(&workspace, &options),
        Command::Matrix(options) => matrix::run(&workspace, &options),
        Command::Soak(options) => soak::run(&workspace, &options),
        Command::Story(options) => story::run(&workspace, &options),
        Command::Test(options) => test::run(&workspace, &options),
        Command::Vm(options) => return vm::run(&workspace, &options),
    }?;
    Ok(ExitCode::SUCCESS)
}
