//! In: the sources of the kernel side, a toolchain. Out: its objects: `target/bpf/profiler.bpf.o` and the lab's.

mod strip;

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    command,
    setup::{self, KernelToolchain},
    toolchain::{BPF_TARGET, Core},
    workspace::Workspace,
};

/// Builds the kernel-side object to where the tool's `build.rs` finds it.
///
/// # Errors
/// When the toolchain cannot be had or the compiler refuses.
pub fn object(workspace: &Workspace) -> Result<PathBuf> {
    let toolchain = setup::kernel_toolchain(workspace)?;
    compile(workspace, &toolchain, &[], workspace.kernel_object())
}

/// Builds the object with the floors and the ignored switches, which only tests and benchmarks load.
///
/// # Errors
/// As [`object`].
pub fn lab_object(workspace: &Workspace) -> Result<PathBuf> {
    let toolchain = setup::kernel_toolchain(workspace)?;
    compile(workspace, &toolchain, &["--features", "lab"], workspace.lab_object())
}

fn compile(
    workspace: &Workspace,
    toolchain: &KernelToolchain,
    features: &[&str],
    object: PathBuf,
) -> Result<PathBuf> {
    let output = workspace.target().join("bpf/build");
    command::run(cargo(workspace, toolchain, &output).args(features))?;
    let built = output.join(BPF_TARGET).join("release/profiler");
    let linked = fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
    let bytes = strip::debug_info(&linked)?;
    // Left alone when equal, so that the tool is not built again for nothing.
    if fs::read(&object).is_ok_and(|before| before == bytes) {
        return Ok(object);
    }
    fs::write(&object, bytes).with_context(|| format!("writing {}", object.display()))?;
    Ok(object)
}

fn cargo(workspace: &Workspace, toolchain: &KernelToolchain, target: &std::path::Path) -> Command {
    let compiler = &toolchain.compiler;
    let mut cargo = Command::new(&compiler.cargo);
    cargo
        .current_dir(workspace.kernel_crate())
        .args(["build", "--release", "--bin", "profiler", "--target", BPF_TARGET, "--target-dir"])
        .arg(target)
        .env("RUSTC", &compiler.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain).join("\x1f"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET");
    if compiler.core == Core::Source {
        cargo.args(["-Z", "build-std=core"]);
    }
    if !compiler.version.is_nightly() {
        // aya-ebpf's inline assembly and build-std are unstable; nothing else of nightly is used.
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    cargo
}

/// v3 brings 32-bit arithmetic and jumps, known since Linux 5.10, and the atomics that return a value,
/// which need 5.12 where a program uses them.
fn flags(toolchain: &KernelToolchain) -> Vec<String> {
    vec![
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        format!("-Clinker={}", toolchain.linker.display()),
        "-Clink-arg=--btf".to_owned(),
    ]
}
