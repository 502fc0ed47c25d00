//! In: this machine. Out: one line that says where numbers come from, and a bystander in a cgroup of
//! its own to aim filters at.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use anyhow::{Context, Result};

/// Kernel, processor and number of CPUs.
pub fn described() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    format!("Linux {}, {count} × {model}", read("/proc/sys/kernel/osrelease").trim())
}

/// A sleeping process in a cgroup of its own: a target that the workload does not belong to.
pub struct Bystander {
    child: Child,
    cgroup: PathBuf,
}

impl Bystander {
    /// # Errors
    /// When the cgroup cannot be made.
    pub fn start() -> Result<Self> {
        let unified = Path::new("/sys/fs/cgroup/unified");
        let root = if unified.is_dir() { unified } else { Path::new("/sys/fs/cgroup") };
        let cgroup = root.join("profiler-bench");
        if !cgroup.is_dir() {
            fs::create_dir(&cgroup).with_context(|| format!("creating {}", cgroup.display()))?;
        }
        let child = Command::new("sleep").arg("infinity").spawn().context("starting sleep")?;
        let bystander = Self { child, cgroup };
        let members = bystander.cgroup.join("cgroup.procs");
        fs::write(&members, bystander.pid()).with_context(|| format!("writing {}", members.display()))?;
        Ok(bystander)
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    pub fn cgroup(&self) -> String {
        self.cgroup.display().to_string()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir(&self.cgroup);
    }
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
