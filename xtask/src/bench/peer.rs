//! In: nothing. Out: the peers' packages on this machine, and the command lines that measure what
//! `record` measures.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{command, setup, workspace::Workspace};

use super::{place::Place, rounds::Variant, tracer::Ready};

const PACKAGES: [&str; 4] = ["bpftrace", "libbpf-tools", "bpfcc-tools", "linux-perf"];
/// bcc compiles against headers of the running kernel, which no package has here: any kernel's do for
/// programs that read tracepoint arguments or take stacks.
const HEADERS: &str = "linux-headers-amd64";

/// Latency histograms over all calls, as people write them in an incident.
const RAW: &str = "rawtracepoint:sys_enter { @start[tid] = nsecs; } \
     rawtracepoint:sys_exit /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }";
const CLASSIC: &str = "tracepoint:raw_syscalls:sys_enter { @start[tid] = nsecs; } \
     tracepoint:raw_syscalls:sys_exit /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }";

pub const SYSCOUNT: &str = "libbpf-tools syscount -L";
pub const OFF_CPU_AND_SYSCALLS: &str = "bcc offcputime and syscount -L";
pub const LIBBPF_OFF_CPU_AND_SYSCALLS: &str = "libbpf-tools offcputime and syscount -L";
pub const BPFTRACE_RAW: &str = "bpftrace raw tracepoints, hist";
pub const BPFTRACE_CLASSIC: &str = "bpftrace classic tracepoints, hist";

/// Installs the peers. One that cannot be had is said to be missing, and its rows stay empty.
pub fn install(workspace: &Workspace) {
    let own = command::read(Command::new("uname").arg("-r")).unwrap_or_default();
    let headers = !Path::new("/lib/modules").join(own.trim()).join("build").exists();
    for package in PACKAGES.into_iter().chain(headers.then_some(HEADERS)) {
        if let Err(error) = setup::packages(workspace, &[package]) {
            println!("xtask: {error:#}; going on without {package}");
        }
    }
    if headers && let Err(error) = merge_headers(workspace) {
        println!("xtask: {error:#}; going on without headers for bcc");
    }
    if !inferno(workspace, "inferno-flamegraph").is_file()
        && let Err(error) = install_inferno(workspace)
    {
        println!("xtask: {error:#}; going on without inferno");
    }
}

fn install_inferno(workspace: &Workspace) -> Result<()> {
    println!("setup: cargo install inferno --root target/tools (downloads it and its crates, no root)");
    let mut cargo = command::cargo(workspace);
    cargo.args(["install", "--quiet", "--locked", "inferno", "--root"]).arg(workspace.tools());
    command::run(&mut cargo)
}

/// One of inferno's commands.
pub fn inferno(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.tools().join("bin").join(name)
}

/// What the peers are called with; `other` is a process outside the workload.
pub fn syscall_histograms(place: &Place<'_>, other: &str) -> Vec<Variant> {
    vec![
        variant(SYSCOUNT, &[&libbpf("syscount"), "-L"]),
        bcc(place, "bcc syscount -L", &["syscount-bpfcc", "-L"]),
        bcc(place, "bcc syscount -L, -p of another", &["syscount-bpfcc", "-L", "-p", other]),
        variant(BPFTRACE_RAW, &[&bpftrace(), "-q", "-e", RAW]),
        variant(BPFTRACE_CLASSIC, &[&bpftrace(), "-q", "-e", CLASSIC]),
    ]
}

/// Those that can tell how many `getppid` a process made since they began.
pub fn getppid_counts(place: &Place<'_>, pid: &str) -> Vec<Variant> {
    let count = format!(
        "tracepoint:raw_syscalls:sys_enter {{ @start[tid] = nsecs; }} tracepoint:raw_syscalls:sys_exit \
         /pid == {pid} && args->id == {}/ {{ @getppid = count(); }}",
        libc::SYS_getppid
    );
    vec![
        variant("libbpf-tools syscount -L", &[&libbpf("syscount"), "-L", "-p", pid]),
        variant("bpftrace", &[&bpftrace(), "-q", "-e", &count]),
        bcc(place, "bcc syscount -L", &["syscount-bpfcc", "-L", "-p", pid]),
    ]
}

/// CPU samples with kernel and user stacks of one process, aggregated by the tracer.
pub fn cpu_stacks(place: &Place<'_>, pid: &str, frequency: &str) -> Vec<Variant> {
    let profile = format!("profile:hz:{frequency} /pid == {pid}/ {{ @[kstack, ustack] = count(); }}");
    vec![
        variant("bpftrace", &[&bpftrace(), "-q", "-f", "json", "-e", &profile]),
        bcc(place, "bcc profile", &["profile-bpfcc", "-F", frequency, "-f", "-p", pid]),
    ]
}

/// What people run together to see where the time of system calls goes.
pub fn off_cpu_and_syscalls(place: &Place<'_>) -> Variant {
    let mut offcputime = bcc(place, OFF_CPU_AND_SYSCALLS, &["offcputime-bpfcc", "-f"]);
    offcputime.beside = Some(Box::new(bcc(place, "bcc syscount -L", &["syscount-bpfcc", "-L"])));
    offcputime
}

/// The same of libbpf-tools, which need no kprobes.
pub fn libbpf_off_cpu_and_syscalls() -> Variant {
    let mut offcputime = variant(LIBBPF_OFF_CPU_AND_SYSCALLS, &[&libbpf("offcputime")]);
    offcputime.beside = Some(Box::new(variant(SYSCOUNT, &[&libbpf("syscount"), "-L"])));
    offcputime
}

pub fn variant(name: &'static str, line: &[&str]) -> Variant {
    Variant {
        name,
        words: line.iter().map(|&word| word.to_owned()).collect(),
        ready: Ready::Quiet,
        beside: None,
    }
}

/// Another bpftrace than the packaged one by `BPFTRACE`: old ones do not know raw tracepoints.
fn bpftrace() -> String {
    std::env::var("BPFTRACE").unwrap_or_else(|_| "bpftrace".to_owned())
}

/// What it calls itself.
pub fn bpftrace_version() -> String {
    let version = command::read(Command::new(bpftrace()).arg("--version"));
    version.map_or_else(|_| "no bpftrace".to_owned(), |text| text.trim().to_owned())
}

fn bcc(place: &Place<'_>, name: &'static str, line: &[&str]) -> Variant {
    let merged = headers(place.workspace);
    let source = merged.is_dir().then(|| format!("BCC_KERNEL_SOURCE={}", merged.display()));
    let words = ["env"].into_iter().chain(source.as_deref()).chain(line.iter().copied());
    variant(name, &words.collect::<Vec<_>>())
}

/// Debian splits the headers into a common and a generated part; bcc wants one directory. This one is
/// made of links.
fn merge_headers(workspace: &Workspace) -> Result<()> {
    let entries = fs::read_dir("/usr/src").context("reading /usr/src")?.flatten().map(|entry| entry.path());
    let part = |path: &Path, end: &str| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("linux-headers-") && name.ends_with(end)
    };
    let paths: Vec<PathBuf> = entries.collect();
    let merged = headers(workspace);
    let _ = fs::remove_dir_all(&merged);
    fs::create_dir_all(&merged).with_context(|| format!("creating {}", merged.display()))?;
    for end in ["-common", "-amd64"] {
        let newest = paths.iter().filter(|path| part(path, end)).max().context("no headers in /usr/src")?;
        // The generated part has its own Makefile: the later one wins.
        command::run(Command::new("cp").args(["-rsf"]).arg(newest.join(".")).arg(&merged))?;
    }
    Ok(())
}

fn headers(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("kernel-headers")
}

/// Debian installs libbpf's tools under their plain names; where bcc's has that name it is a script.
pub fn libbpf(name: &str) -> String {
    let found = command::on_path(&format!("libbpf-{name}")).or_else(|| command::on_path(name));
    found.map_or_else(|| name.to_owned(), |path| path.display().to_string())
}
