//! `profiler record` while it runs.
//!
//! In: the program, its arguments, a directory. Out: how it ended, and what it left in `out` below the directory. What it
//! held of BPF is remembered, and must be gone after it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    bpf::Objects,
    summary,
    wait::{self, Reaped},
};

/// A recording; killed when it drops.
pub struct Recording {
    child: Reaped,
    directory: PathBuf,
    held: Option<Objects>,
}

/// How a recording ended.
pub struct Ended {
    pub status: ExitStatus,
    /// The profiler's resident memory at its highest, as seen until its end, bytes.
    pub peak_rss: u64,
}

impl Recording {
    /// Starts `PROGRAM record ARGUMENTS -o DIRECTORY/out --json`; everything is attached, and the calls in flight are seeded,
    /// when this returns.
    ///
    /// # Errors
    /// When it ends, is not attached in time, or holds no BPF program.
    pub fn start(program: &Path, arguments: &[&str], directory: &Path) -> Result<Self> {
        let mut recording = Self::launch(program, arguments, directory)?;
        // The header is the first chunk, written in one go when all is attached; a line with the magic is before it.
        let partial = recording.output().join("capture.partial");
        wait::until("the recording to be attached", wait::ATTACH, || {
            if let Some(status) = recording.child.0.try_wait()? {
                bail!("profiler record ended ({status}): {}", recording.complaint());
            }
            let bytes = fs::read(&partial).unwrap_or_default();
            let magic = bytes.iter().position(|&byte| byte == b'\n');
            Ok(magic.filter(|magic| bytes.len() > magic + 1).map(drop))
        })?;
        let held = Objects::held_by(recording.pid());
        ensure!(held.has_programs(), "an attached recording holds BPF programs");
        recording.held = Some(held);
        Ok(recording)
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(program: &Path, arguments: &[&str], directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let _ = fs::remove_dir_all(directory.join("out"));
        let file = |name: &str| File::create(directory.join(name));
        let mut command = Command::new(program);
        command.args(["record", "--json", "-o"]).arg(directory.join("out")).args(arguments);
        command.stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?);
        let child = Reaped(command.spawn().with_context(|| format!("starting {}", program.display()))?);
        Ok(Self { child, directory: directory.to_owned(), held: None })
    }

    /// Ends it as Ctrl-C does.
    ///
    /// # Errors
    /// As [`Self::ended`].
    pub fn stop(self) -> Result<Ended> {
        self.child.signal(libc::SIGINT);
        self.ended()
    }

    /// Waits for one that ends by itself (`-d`, `-- CMD`); what it held must be gone.
    ///
    /// # Errors
    /// When it fails, does not end in time, or leaves something in the kernel.
    pub fn ended(mut self) -> Result<Ended> {
        let mut peak_rss = 0;
        let status = wait::until("the recording to end", wait::USUAL, || {
            peak_rss = peak_rss.max(self.peak_rss());
            Ok(self.child.0.try_wait()?)
        })?;
        if !status.success() {
            bail!("profiler record: {status}: {}", self.complaint());
        }
        self.held.as_ref().map_or(Ok(()), Objects::await_gone)?;
        Ok(Ended { status, peak_rss })
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

    /// The profiler's pid.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// The output directory.
    pub fn output(&self) -> PathBuf {
        self.directory.join("out")
    }

    /// The BPF objects it has open.
    pub fn held(&self) -> Objects {
        Objects::held_by(self.pid())
    }

    /// The highest resident memory so far; 0 when it has ended.
    fn peak_rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
    }

    fn complaint(&self) -> String {
        let text = fs::read(self.directory.join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().replace('\n', " | ")
    }
}

/// `summary.json` of an output directory, each stack spelled where a row refers to it.
///
/// # Errors
/// When there is none.
pub fn summary(output: &Path) -> Result<Value> {
    let path = output.join("summary.json");
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut summary = serde_json::from_slice(&text).context("reading summary.json")?;
    summary::spell(&mut summary);
    lasts_no_longer(&summary)?;
    Ok(summary)
}

/// What the end of a recording may be late, ns.
const LATE_NS: u64 = 1_000_000_000;

/// No call may be longer than its recording, whatever else is held against it.
fn lasts_no_longer(summary: &Value) -> Result<()> {
    let most = summary["duration_ns"].as_u64().context("a summary without its duration")? + LATE_NS;
    for row in summary["probes"]["syscall"]["rows"].as_array().into_iter().flatten() {
        ensure!(row["max_ns"].as_u64().is_some_and(|ns| ns <= most), "longer than the recording: {row}");
    }
    Ok(())
}
