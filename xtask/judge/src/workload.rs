//! A workload that waits for its start.
//!
//! In: its words. Out: how long one unit of its work takes on this machine, and its own account as JSON.

use std::{
    io::{self, Write as _},
    process::{ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    lines::Lines,
    wait::{self, Reaped},
};

/// It waits for a line before its work; killed when it drops.
pub struct Workload {
    child: Reaped,
    stdin: Option<ChildStdin>,
    lines: Lines,
    unit_ns: Option<u64>,
}

impl Workload {
    /// Starts `PROGRAM --wait WORDS`; it has done nothing of its work when this returns, but measured its unit.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(program: &str, words: &[&str]) -> Result<Self> {
        Self::spawn(Command::new(program).arg("--wait").args(words))
    }

    /// The same by any command that runs a waiting workload.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take();
        let lines = Lines::of(child.stdout.take().context("the workload has no output")?);
        let mut workload = Self { child: Reaped(child), stdin, lines, unit_ns: None };
        let line = workload.line()?;
        let mut said = line.split(' ');
        ensure!(said.next() == Some("ready"), "{command:?} said {line:?} and not that it is ready");
        workload.unit_ns = said.next().map(|ns| ns.parse().context("reading a unit")).transpose()?;
        Ok(workload)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// How long one call takes that is sized by time, as measured just now; `None` where the words ask for no such calls.
    pub fn unit_ns(&self) -> Option<u64> {
        self.unit_ns
    }

    /// What to call slow, so that each of those calls is: half as long as one takes alone, or the usual 10 ms.
    pub fn slow(&self) -> Option<String> {
        self.slow_ns().map(|ns| format!("{ns}ns"))
    }

    /// The same in nanoseconds.
    pub fn slow_ns(&self) -> Option<u64> {
        self.unit_ns.map(|ns| (ns / 2).min(10_000_000))
    }

    /// Gives way to everybody else; also its threads, which begin later.
    pub fn be_nice(&self) {
        // SAFETY: takes numbers only; a process that is gone is an error of no consequence.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, self.pid(), 19) };
    }

    /// Keeps it on one CPU.
    ///
    /// # Errors
    /// When there is no such CPU.
    pub fn pin(&self, cpu: usize) -> Result<()> {
        // SAFETY: a zeroed set is an empty one; the kernel reads as many bytes as said.
        let pinned = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut set);
            libc::sched_setaffinity(i32::try_from(self.pid())?, size_of_val(&set), &raw const set)
        };
        ensure!(pinned == 0, "pinning the workload: {}", io::Error::last_os_error());
        Ok(())
    }

    /// Lets it begin, or, when it lingers, end.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn go(&mut self) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the workload has no input")?;
        stdin.write_all(b"\n").context("letting the workload go")
    }

    /// The next line it prints; empty when it ended.
    ///
    /// # Errors
    /// When it is silent for too long.
    pub fn line(&self) -> Result<String> {
        Ok(self.lines.take()?.unwrap_or_default())
    }

    /// Its own account.
    ///
    /// # Errors
    /// When it does not come in time, or says something else.
    pub fn truth(&self) -> Result<Value> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("the workload said {line:?}"))
    }

    /// Lets it run to its end; what it knows.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn finish(mut self) -> Result<Value> {
        self.go()?;
        let truth = self.truth()?;
        drop(self.stdin.take());
        while self.lines.take()?.is_some() {}
        let status = self.child.ended("the workload to end", wait::USUAL)?;
        if !status.success() {
            bail!("workload: {status}");
        }
        Ok(truth)
    }
}
