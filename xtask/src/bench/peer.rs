//! In: nothing. Out: the peers' packages on this machine, and the command lines that measure what
//! `record --probe syscall` measures.

use crate::{command, setup, workspace::Workspace};

use super::rounds::Variant;

const PACKAGES: [&str; 4] = ["bpftrace", "libbpf-tools", "bpfcc-tools", "linux-perf"];

/// Latency histograms over all calls, as people write them in an incident.
const RAW: &str = "rawtracepoint:sys_enter { @start[tid] = nsecs; } \
     rawtracepoint:sys_exit /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }";
const CLASSIC: &str = "tracepoint:raw_syscalls:sys_enter { @start[tid] = nsecs; } \
     tracepoint:raw_syscalls:sys_exit /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }";

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

/// What the peers are called with. `BPFTRACE` names another bpftrace than the packaged one: old ones
/// do not know raw tracepoints by name.
pub fn syscall_histograms() -> Vec<Variant> {
    let bpftrace = std::env::var("BPFTRACE").unwrap_or_else(|_| "bpftrace".to_owned());
    let variant = |name, line: &[&str]| Variant {
        name,
        words: line.iter().map(|&word| word.to_owned()).collect(),
        output: None,
    };
    vec![
        variant("libbpf-tools syscount -L", &[&libbpf_syscount(), "-L"]),
        variant("bpftrace raw tracepoints, hist", &[&bpftrace, "-q", "-e", RAW]),
        variant("bpftrace classic tracepoints, hist", &[&bpftrace, "-q", "-e", CLASSIC]),
    ]
}

/// Debian installs the libbpf one as `syscount`; where bcc's has that name it is a script.
fn libbpf_syscount() -> String {
    let found = command::on_path("libbpf-syscount").or_else(|| command::on_path("syscount"));
    found.map_or_else(|| "syscount".to_owned(), |path| path.display().to_string())
}
