//! In: the sources. Out: `target/bpf/profiler.bpf.o`, then `target/release/profiler` (or `debug`)
//! with that object inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, kernel_side, statics::Binaries, test, workspace::Workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Build the tool optimized; this is the default
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// Build the tool unoptimized; the kernel side is always optimized
    #[arg(long)]
    debug: bool,
    /// Build only the kernel-side object
    #[arg(long)]
    kernel_only: bool,
    /// Build what live tests and guests run, instead
    #[arg(long, conflicts_with_all = ["release", "debug", "kernel_only"])]
    tests: bool,
}

/// `cargo xtask build`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.tests {
        Binaries::build(workspace)?;
        return test::build_live(workspace);
    }
    let object = kernel_side::object(workspace)?;
    println!("xtask: built {}", object.display());
    if !options.kernel_only {
        println!("xtask: built {}", tool(workspace, options.release || !options.debug)?.display());
    }
    Ok(())
}

/// Builds the tool around the object that is there, and returns its path.
///
/// # Errors
/// When cargo refuses.
pub fn tool(workspace: &Workspace, release: bool) -> Result<PathBuf> {
    let mut cargo = command::cargo(workspace);
    cargo.args(["build", "--package", "profiler"]);
    if release {
        cargo.arg("--release");
    }
    command::run(&mut cargo)?;
    Ok(workspace.binary(if release { "release" } else { "debug" }, "profiler"))
}
