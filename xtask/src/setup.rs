//! In: a machine that may lack everything but rustup's stable Rust and apt. Out: what the other
//! commands need, found or installed through `scripts/`, which say beforehand what they download and
//! what they do as root.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{
    command,
    toolchain::{self, Compiler, Core},
    workspace::Workspace,
};

/// All that compiles the kernel side.
pub struct KernelToolchain {
    pub compiler: Compiler,
    pub linker: PathBuf,
}

/// Finds a compiler and a linker for the kernel side, and installs the one that is missing.
///
/// # Errors
/// When nothing is found even after installing.
pub fn kernel_toolchain(workspace: &Workspace) -> Result<KernelToolchain> {
    let compiler = compiler(workspace)?;
    let linker = linker(workspace, compiler.version.llvm_major)?;
    let core = match compiler.core {
        Core::Source => "core from rust-src",
        Core::Precompiled => "precompiled core",
    };
    println!(
        "xtask: kernel side: {} {} (LLVM {}), {core}, {}",
        compiler.rustc.display(),
        compiler.version.release,
        compiler.version.llvm_major,
        linker.display()
    );
    Ok(KernelToolchain { compiler, linker })
}

fn compiler(workspace: &Workspace) -> Result<Compiler> {
    let way = toolchain::wanted_way()?;
    if let Some(found) = toolchain::find_compiler(&way) {
        return Ok(found);
    }
    command::script(workspace, "install-bpf-core.sh", &[&way])?;
    toolchain::find_compiler(&way).with_context(|| {
        format!("no compiler with a core for {} even after installing one", toolchain::BPF_TARGET)
    })
}

fn linker(workspace: &Workspace, llvm_major: u32) -> Result<PathBuf> {
    if let Some(found) = toolchain::find_linker(workspace, llvm_major) {
        return Ok(found);
    }
    let tools = workspace.tools();
    let root = tools.to_str().context("the checkout's path is not text")?;
    command::script(workspace, "install-bpf-linker.sh", &[&llvm_major.to_string(), root])?;
    toolchain::find_linker(workspace, llvm_major)
        .with_context(|| format!("no bpf-linker with LLVM {llvm_major} or newer even after installing one"))
}
