//! In: the sources. Out: `target/bpf/profiler.bpf.o`, then `target/release/profiler` (or `debug`)
//! with that object inside.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    command,
    setup::{self, KernelToolchain},
    toolchain::{BPF_TARGET, Core},
    workspace::Workspace,
};

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
}

/// `cargo xtask build`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let object = kernel_object(workspace)?;
    println!("xtask: built {}", object.display());
    if !options.kernel_only {
        println!("xtask: built {}", tool(workspace, options.release || !options.debug)?.display());
    }
    Ok(())
}

/// Builds the kernel-side object to where the tool's `build.rs` finds it.
///
/// # Errors
/// When the toolchain cannot be had or the compiler refuses.
pub fn kernel_object(workspace: &Workspace) -> Result<PathBuf> {
    let toolchain = setup::kernel_toolchain(workspace)?;
    let output = workspace.target().join("bpf");
    command::run(&mut kernel_build(workspace, &toolchain, &output.join("build")))?;
    let built = output.join("build").join(BPF_TARGET).join("release/profiler");
    let object = workspace.kernel_object();
    let bytes = fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
    // Left alone when equal, so that the tool is not built again for nothing.
    if fs::read(&object).is_ok_and(|before| before == bytes) {
        return Ok(object);
    }
    fs::write(&object, bytes).with_context(|| format!("writing {}", object.display()))?;
    Ok(object)
}

fn kernel_build(workspace: &Workspace, toolchain: &KernelToolchain, target: &std::path::Path) -> Command {
    let compiler = &toolchain.compiler;
    let mut cargo = Command::new(&compiler.cargo);
    cargo
        .current_dir(workspace.kernel_crate())
        .args(["build", "--release", "--bin", "profiler", "--target", BPF_TARGET, "--target-dir"])
        .arg(target)
        .env("RUSTC", &compiler.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", kernel_flags(toolchain).join("\x1f"))
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
fn kernel_flags(toolchain: &KernelToolchain) -> Vec<String> {
    vec![
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        format!("-Clinker={}", toolchain.linker.display()),
        "-Clink-arg=--btf".to_owned(),
    ]
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
