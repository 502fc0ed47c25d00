//! In: arguments for `profiler record`, the name of a workload. Out: what the profiler says (`summary.json`) beside
//! what the workload says of itself, recorded from before its first call to after its last.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    bpf::Objects,
    wait::{self, Reaped},
};

/// A program of the workload that waits for its start.
pub struct Workload {
    child: Reaped,
    output: PathBuf,
}

impl Workload {
    /// Starts it; it has not done anything when this returns.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(program: &str, words: &[&str], directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let output = directory.join(format!("{}.json", words.first().unwrap_or(&"workload")));
        let mut command = Command::new(program);
        command.arg("--wait").args(words).stdin(Stdio::piped()).stdout(File::create(&output)?);
        let workload = Self { child: Reaped(command.spawn().context("starting the workload")?), output };
        workload.line("the workload to be ready", 0)?;
        Ok(workload)
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
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

    /// Lets it go.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn go(&mut self) -> Result<()> {
        let stdin = self.child.0.stdin.as_mut().context("the workload has no input")?;
        stdin.write_all(b"\n").context("starting the workload")
    }

    /// Waits for its own account.
    ///
    /// # Errors
    /// When it does not come in time, or says nothing.
    pub fn truth(&self) -> Result<Value> {
        let line = self.line("the workload to be done", 1)?;
        serde_json::from_str(&line).with_context(|| format!("reading {line}"))
    }

    fn line(&self, what: &str, index: usize) -> Result<String> {
        wait::until(what, wait::USUAL, || {
            let text = fs::read_to_string(&self.output)?;
            let complete = text.rfind('\n').map_or("", |end| &text[..end]);
            Ok(complete.lines().nth(index).map(str::to_owned))
        })
    }
}

/// `profiler record` while it runs.
pub struct Recording {
    child: Reaped,
    directory: PathBuf,
}

impl Recording {
    /// Starts it; everything is attached when this returns.
    ///
    /// # Errors
    /// When it ends, or is not attached in time.
    pub fn start(arguments: &[&str], directory: &Path) -> Result<Self> {
        let mut recording = Self::launch(arguments, directory)?;
        // The header is the first chunk, written in one go when all is attached; a line with the magic is before it.
        let partial = directory.join("out/capture.partial");
        wait::until("the recording to be attached", wait::ATTACH, || {
            if let Some(status) = recording.child.0.try_wait()? {
                bail!("profiler record ended ({status}): {}", recording.complaint());
            }
            let bytes = fs::read(&partial).unwrap_or_default();
            let magic = bytes.iter().position(|&byte| byte == b'\n');
            Ok(magic.filter(|magic| bytes.len() > magic + 1).map(drop))
        })?;
        Ok(recording)
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(arguments: &[&str], directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let _ = fs::remove_dir_all(directory.join("out"));
        let mut command = Command::new("profiler");
        command.args(["record", "--json", "-o"]).arg(directory.join("out")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(directory.join("stderr"))?);
        let child = Reaped(command.spawn().context("starting profiler")?);
        Ok(Self { child, directory: directory.to_owned() })
    }

    /// Ends it as Ctrl-C does, and reads what it found: the summary, and the folded file of a probe.
    ///
    /// # Errors
    /// When it does not end well, in time.
    pub fn stop(mut self, probe: &str) -> Result<(Value, String)> {
        self.child.signal(libc::SIGINT);
        let status = self.child.ended("the recording to end", wait::USUAL)?;
        if !status.success() {
            bail!("profiler record: {status}: {}", self.complaint());
        }
        let path = self.directory.join("out/summary.json");
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let folded =
            fs::read(path.with_file_name(format!("{probe}.folded"))).context("reading the folded file")?;
        let summary = serde_json::from_slice(&text).context("reading summary.json")?;
        Ok((summary, String::from_utf8_lossy(&folded).into_owned()))
    }

    /// The BPF objects it has open.
    pub fn held(&self) -> Objects {
        Objects::held_by(self.pid())
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Ends it as nothing can be prepared for; what it held then.
    ///
    /// # Errors
    /// When it does not go away.
    pub fn kill(mut self) -> Result<Objects> {
        // Between the look and the end it must not open more.
        self.child.signal(libc::SIGSTOP);
        let held = self.held();
        self.child.signal(libc::SIGKILL);
        self.child.ended("the killed recording to be gone", wait::USUAL)?;
        Ok(held)
    }

    fn complaint(&self) -> String {
        let text = fs::read(self.directory.join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().replace('\n', " | ")
    }
}
