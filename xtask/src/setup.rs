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

/// Packages the demo's container is built from. Without them a bare cgroup serves.
pub fn demo_packages(workspace: &Workspace) {
    if let Err(error) = packages(workspace, &["runc", "busybox-static"]) {
        println!("xtask: {error:#}; going on without");
    }
}

/// What the tests need beside the compiler. A package that cannot be had is no error here: the tests
/// that need it say that they were skipped, and are counted.
///
/// # Errors
/// When rustfmt or clippy are missing and cannot be installed.
pub fn test_tools(workspace: &Workspace, quick: bool) -> Result<()> {
    // The page is opened in a browser; programs of Go are compiled, and named without their symbols.
    let mut wanted = vec!["runc", "busybox-static", "xz-utils", "chromium", "chromium-driver", "golang-go"];
    if !quick {
        wanted.extend(["docker.io", "bpftrace", "musl-tools"]);
    }
    for package in wanted {
        if let Err(error) = packages(workspace, &[package]) {
            println!("xtask: {error:#}; tests that need {package} will be skipped");
        }
    }
    if !quick {
        servers(workspace);
    }
    let present = |name: &&str| command::read(command::cargo(workspace).args([*name, "--version"])).is_ok();
    if ["fmt", "clippy"].iter().all(present) {
        return Ok(());
    }
    command::script(workspace, "install-components.sh", &["rustfmt", "clippy"])
}

/// Real servers that live tests record, and what compiles the one in Java. None of them is started.
const SERVERS: [&str; 7] = [
    "postgresql",
    "redis-server",
    "nginx-light",
    "openjdk-17-jdk-headless",
    "python3",
    "nodejs",
    "golang-go",
];

fn servers(workspace: &Workspace) {
    for package in SERVERS {
        if let Err(error) = command::script(workspace, "install-servers.sh", &[package]) {
            println!("xtask: {error:#}; tests that need {package} will be skipped");
        }
    }
}

/// Installs those Debian packages that are missing.
///
/// # Errors
/// When apt cannot.
pub fn packages(workspace: &Workspace, names: &[&str]) -> Result<()> {
    command::script(workspace, "install-packages.sh", names)
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
