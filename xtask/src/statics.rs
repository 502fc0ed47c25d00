//! In: the packages that run in guests and containers and that live tests drive. Out: static binaries with frame
//! pointers, which run anywhere and whose stacks the kernel can walk. One build for all of them, `dist` and the live
//! tests' own programs: what they depend on is compiled once.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{command, kernel_side, workspace::Workspace};

/// The target of static binaries.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the suite drives.
pub struct Binaries {
    pub profiler: PathBuf,
    /// The profiler with the kernel side that only tests and benchmarks load.
    pub profiler_lab: PathBuf,
    pub workload: PathBuf,
    /// What drives the measurements inside a guest.
    pub lab: PathBuf,
}

impl Binaries {
    /// Builds them all, and both kernel-side objects before.
    ///
    /// # Errors
    /// When the toolchain cannot be had or cargo refuses.
    pub fn build(workspace: &Workspace) -> Result<Self> {
        kernel_side::object(workspace)?;
        kernel_side::lab_object(workspace)?;
        let names = ["profiler", "profiler-lab", "workload", "lab"];
        let packages = names.iter().flat_map(|name| ["--package", name]);
        command::run(cargo(workspace, "build").args(packages))?;
        let [profiler, profiler_lab, workload, lab] = names.map(|name| binary(workspace, name));
        Ok(Self { profiler, profiler_lab, workload, lab })
    }
}

/// Builds one package and returns its binary.
///
/// # Errors
/// When cargo refuses.
pub fn package(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    command::run(cargo(workspace, "build").args(["--package", name]))?;
    Ok(binary(workspace, name))
}

/// `cargo COMMAND` in the release profile, linked statically.
pub fn cargo(workspace: &Workspace, subcommand: &str) -> Command {
    let mut cargo = command::cargo(workspace);
    cargo
        .args([subcommand, "--release", "--target", TARGET])
        .env("CARGO_TARGET_DIR", workspace.target().join("static"))
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cforce-frame-pointers=yes");
    cargo
}

/// Where a package's binary is, once built.
pub fn binary(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target().join("static").join(TARGET).join("release").join(name)
}
