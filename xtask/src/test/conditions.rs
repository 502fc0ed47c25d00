//! Other machines, imitated by taking time, CPUs or quiet from this one.
//!
//! In: a condition, and the command that runs the live tests. Out: the command runs under it: with a quarter or four times of
//! the workloads' unit of work, under a quota of half a CPU, on one CPU, or beside two busy loops. What was set up for it is
//! gone when the value drops.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// What to hold the live tests under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Condition {
    /// A quarter of each piece of work
    UnitQuarter,
    /// Four times each piece of work
    UnitFour,
    /// A quota of half a CPU for everything that is not of a real-time class
    HalfCpu,
    /// One CPU
    OneCpu,
    /// Two loops that never sleep, beside the tests
    Busy,
}

/// A condition that holds.
#[derive(Default)]
pub struct Imposed {
    loops: Vec<Child>,
    cgroup: Option<PathBuf>,
}

/// Every 100 ms, µs.
const PERIOD_US: &str = "100000";
const QUOTA_US: &str = "50000";
/// Threads that live at once, where the test of that is under this quota: a hundred thousand take a quarter of an hour there.
const CROWD: &str = "10000";
/// Of each second: threads of a real-time class are not what the quota is for, and may not run at all without this.
const REAL_TIME_US: &str = "900000";

impl Condition {
    /// Sets it up for what that command will run.
    ///
    /// # Errors
    /// When this machine has no such thing.
    pub fn impose(self, tests: &mut Command) -> Result<Imposed> {
        let mut imposed = Imposed::default();
        match self {
            Self::UnitQuarter => drop(tests.env("WORKLOAD_UNIT", "0.25")),
            Self::UnitFour => drop(tests.env("WORKLOAD_UNIT", "4")),
            Self::OneCpu => on_one_cpu(tests),
            Self::HalfCpu => {
                let cgroup = half_a_cpu()?;
                enter(tests, &cgroup)?;
                tests.env("LIVE_CROWD", CROWD);
                imposed.cgroup = Some(cgroup);
            }
            Self::Busy => {
                for _ in 0..2 {
                    let mut shell = Command::new("sh");
                    shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
                    imposed.loops.push(shell.spawn().context("starting a busy loop")?);
                }
            }
        }
        Ok(imposed)
    }
}

impl Drop for Imposed {
    fn drop(&mut self) {
        for busy in &mut self.loops {
            let _ = busy.kill();
            let _ = busy.wait();
        }
        let Some(cgroup) = &self.cgroup else { return };
        // What has just ended stays in it for a moment.
        let begin = Instant::now();
        while fs::remove_dir(cgroup).is_err() && begin.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The first CPU that we may run on.
fn on_one_cpu(tests: &mut Command) {
    let pin = || {
        // SAFETY: all zero is the empty set, which both calls read or fill by its size.
        unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            let size = size_of::<libc::cpu_set_t>();
            libc::sched_getaffinity(0, size, &raw mut allowed);
            let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &allowed));
            libc::CPU_SET(first.unwrap_or(0), &mut one);
            match libc::sched_setaffinity(0, size, &raw const one) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
    };
    // SAFETY: between fork and exec it makes two system calls and touches its own stack.
    unsafe { tests.pre_exec(pin) };
}

/// Has the command write its own pid into the cgroup, so that it never runs outside.
fn enter(tests: &mut Command, cgroup: &Path) -> Result<()> {
    use std::io::Write as _;
    let path = cgroup.join("cgroup.procs");
    let procs = fs::OpenOptions::new().write(true).open(&path);
    let mut procs = procs.with_context(|| format!("opening {}", path.display()))?;
    // SAFETY: between fork and exec it writes to an open file; 0 is who writes.
    unsafe { tests.pre_exec(move || procs.write_all(b"0")) };
    Ok(())
}

/// A new cgroup with the quota, in whichever hierarchy has the CPU controller.
fn half_a_cpu() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    let name = format!("profiler-live-{}", std::process::id());
    for line in mounts.lines().filter(|line| has_controller(line)) {
        let Some(mount) = line.split(' ').nth(4) else { continue };
        let cgroup = Path::new(mount).join(&name);
        if fs::create_dir(&cgroup).is_err() {
            continue;
        }
        let set = |file: &str, value: &str| fs::write(cgroup.join(file), value).is_ok();
        let limited = set("cpu.max", &format!("{QUOTA_US} {PERIOD_US}"))
            || set("cpu.cfs_period_us", PERIOD_US) && set("cpu.cfs_quota_us", QUOTA_US);
        // Only a kernel with real-time groups has this.
        set("cpu.rt_runtime_us", REAL_TIME_US);
        if limited {
            return Ok(cgroup);
        }
        let _ = fs::remove_dir(&cgroup);
    }
    bail!(
        "no hierarchy of cgroups here has a CPU controller that can be limited: --live-under half-cpu cannot run"
    )
}

fn has_controller(mount: &str) -> bool {
    mount.contains(" - cgroup2 ")
        || mount.contains(" - cgroup ") && mount.rsplit([' ', ',']).any(|option| option == "cpu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_reaches_what_is_run() {
        for (condition, factor) in [(Condition::UnitQuarter, "0.25\n"), (Condition::UnitFour, "4\n")] {
            let mut shell = Command::new("sh");
            shell.args(["-c", "echo $WORKLOAD_UNIT"]);
            let imposed = condition.impose(&mut shell).unwrap();
            assert_eq!(String::from_utf8(shell.output().unwrap().stdout).unwrap(), factor);
            drop(imposed);
        }
    }

    #[test]
    fn one_cpu_is_one_cpu() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "grep Cpus_allowed_list /proc/self/status"]);
        let _imposed = Condition::OneCpu.impose(&mut shell).unwrap();
        let said = String::from_utf8(shell.output().unwrap().stdout).unwrap();
        let list = said.split_whitespace().nth(1).unwrap();
        assert!(list.parse::<usize>().is_ok(), "{said}");
    }

    #[test]
    fn busy_loops_end_with_their_condition() {
        let imposed = Condition::Busy.impose(&mut Command::new("true")).unwrap();
        let pids: Vec<u32> = imposed.loops.iter().map(Child::id).collect();
        drop(imposed);
        assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()), "{pids:?}");
    }
}
