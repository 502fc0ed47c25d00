//! In: the packages that measured systems run, `workload` and `lab`. Out: static binaries with frame pointers, which
//! run in any container or guest and whose stacks the kernel can walk.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, workspace::Workspace};

/// The target of static binaries.
pub const STATIC_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the workload and returns its path.
///
/// # Errors
/// When cargo refuses.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    package(workspace, "workload")
}

/// Builds what drives the measurements inside a guest, and returns its path.
///
/// # Errors
/// When cargo refuses.
pub fn lab(workspace: &Workspace) -> Result<PathBuf> {
    package(workspace, "lab")
}

fn package(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let output = workspace.target().join("workload");
    command::run(
        command::cargo(workspace)
            .args(["build", "--quiet", "--release", "--package", name, "--target", STATIC_TARGET])
            .env("CARGO_TARGET_DIR", &output)
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cforce-frame-pointers=yes"),
    )?;
    Ok(output.join(STATIC_TARGET).join("release").join(name))
}
