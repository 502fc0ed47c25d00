//! In: nothing. Out: the peers' packages on this machine, and the command lines that measure what
//! `record --probe syscall` measures.

use crate::{command, setup, workspace::Workspace};

use super::rounds::Variant;

const PACKAGES: [&str; 4] = ["bpftrace", "libbpf-tools", "bpfcc-tools", "linux-perf"];

/// A latency histogram over all calls, as people write it in an incident.
const BPFTRACE: &str = "rawtracepoint:sys_enter { @start[tid] = nsecs; } \
     rawtracepoint:sys_exit /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }";

/// Installs the peers. One that cannot be had is said to be missing, and its rows stay empty.
pub fn install(workspace: &Workspace) {
    for package in PACKAGES {
        if let Err(error) = setup::packages(workspace, &[package]) {
            println!("xtask: {error:#}; going on without {package}");
        }
    }
    if !workspace.tools().join("bin/inferno-flamegraph").is_file()
        && let Err(error) = install_inferno(workspace)
    {
        println!("xtask: {error:#}; going on without inferno");
    }
}

fn install_inferno(workspace: &Workspace) -> anyhow::Result<()> {
    println!("setup: cargo install inferno --root target/tools (downloads it and its crates, no root)");
    let mut cargo = command::cargo(workspace);
    cargo.args(["install", "--quiet", "--locked", "inferno", "--root"]).arg(workspace.tools());
    command::run(&mut cargo)
}

/// What the peers are called with.
pub fn syscall_histograms() -> Vec<Variant> {
    let words = |line: &[&str]| line.iter().map(|&word| word.to_owned()).collect();
    vec![
        Variant { name: "libbpf-tools syscount -L", words: words(&[&libbpf_syscount(), "-L"]) },
        Variant { name: "bpftrace raw tracepoints, hist", words: words(&["bpftrace", "-q", "-e", BPFTRACE]) },
    ]
}

/// Debian installs the libbpf one as `syscount`; where bcc's has that name it is a script.
fn libbpf_syscount() -> String {
    let found = command::on_path("libbpf-syscount").or_else(|| command::on_path("syscount"));
    found.map_or_else(|| "syscount".to_owned(), |path| path.display().to_string())
}
