//! In: the `workload` package. Out: one static binary with frame pointers, which runs in any container
//! and whose stacks the kernel can walk.

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
    let output = workspace.target().join("workload");
    command::run(
        command::cargo(workspace)
            .args(["build", "--quiet", "--release", "--package", "workload", "--target", STATIC_TARGET])
            .env("CARGO_TARGET_DIR", &output)
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cforce-frame-pointers=yes"),
    )?;
    Ok(output.join(STATIC_TARGET).join("release/workload"))
}
