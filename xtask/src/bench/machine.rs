//! In: this machine. Out: one line that says where numbers come from, its clocks, and a bystander in
//! cgroups of its own to aim filters at.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

use super::tracer;

/// Kernel, processor, number of CPUs, load and day: what a block of numbers opens with.
pub fn described() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("Linux {}, {count} × {model}, load average {load} at the end, {}", kernel.trim(), today())
}

/// A sleeping process in cgroups of its own: a target that the workload does not belong to.
pub struct Bystander {
    child: Child,
    /// In the unified hierarchy.
    pub unified: PathBuf,
    /// In version 1's memory hierarchy, where there is one.
    pub memory: Option<PathBuf>,
}

impl Bystander {
    /// # Errors
    /// When a cgroup cannot be made.
    pub fn start() -> Result<Self> {
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let root = if hybrid.is_dir() { hybrid } else { Path::new("/sys/fs/cgroup") };
        let name = format!("profiler-bench-{}", std::process::id());
        let memory = Path::new("/sys/fs/cgroup/memory");
        let memory = memory.join("cgroup.procs").is_file().then(|| memory.join(&name));
        let child = Command::new("sleep").arg("infinity").spawn().context("starting sleep")?;
        let bystander = Self { child, unified: root.join(&name), memory };
        for cgroup in std::iter::once(&bystander.unified).chain(&bystander.memory) {
            fs::create_dir(cgroup).with_context(|| format!("creating {}", cgroup.display()))?;
            let members = cgroup.join("cgroup.procs");
            fs::write(&members, bystander.pid()).with_context(|| format!("writing {}", members.display()))?;
        }
        Ok(bystander)
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for cgroup in std::iter::once(&self.unified).chain(&self.memory) {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

/// The date, UTC, as year-month-day.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(0);
    // SAFETY: all zero is a valid `tm`.
    let mut date: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to live values.
    unsafe { libc::gmtime_r(&seconds, &mut date) };
    format!("{}-{:02}-{:02}", date.tm_year + 1900, date.tm_mon + 1, date.tm_mday)
}

/// Now, by the clock the workload and the kernel use; ns since boot.
pub fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

/// User and system time of all children that have been waited for.
pub fn children_cpu() -> Duration {
    // SAFETY: all zero is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage`.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    tracer::duration(usage.ru_utime) + tracer::duration(usage.ru_stime)
}

const TRACEFS: &str = "/sys/kernel/tracing";

/// tracefs, mounted for the peers that cannot do without; unmounted again if it was not there.
pub struct Tracefs {
    mounted: bool,
}

impl Tracefs {
    pub fn mount() -> Self {
        if Path::new(TRACEFS).join("events").is_dir() {
            return Self { mounted: false };
        }
        println!("xtask: as root: mount -t tracefs tracefs {TRACEFS} (until the end of the run)");
        let status = Command::new("mount").args(["-t", "tracefs", "tracefs", TRACEFS]).status();
        Self { mounted: status.is_ok_and(|status| status.success()) }
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.mounted {
            // Nothing more can be done than say it, which umount does.
            let _ = Command::new("umount").arg(TRACEFS).status();
        }
    }
}
