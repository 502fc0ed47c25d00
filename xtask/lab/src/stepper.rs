//! In: arguments for `profiler record`. Out: a profiler that attaches and detaches when it is told, in one process:
//! what it has open by then, nobody but itself has closed.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    bpf::Objects,
    recording::line,
    wait::{self, Reaped},
};

/// A profiler that waits to be told.
pub struct Stepper {
    child: Reaped,
    said: PathBuf,
    steps: usize,
    /// Files open after the first detachment.
    files: Option<usize>,
}

impl Stepper {
    /// Starts it; nothing is attached yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(arguments: &[String], directory: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let said = directory.join(name);
        let mut command = Command::new("profiler");
        command.args(["record", "--steps"]).args(arguments).stdin(Stdio::piped());
        command.stdout(File::create(&said)?).stderr(File::create(said.with_extension("stderr"))?);
        let child = Reaped(command.spawn().context("starting profiler")?);
        Ok(Self { child, said, steps: 0, files: None })
    }

    /// Attaches: how long that took, in ms, and what it holds then.
    ///
    /// # Errors
    /// When it does not in time, or holds nothing.
    pub fn attach(&mut self) -> Result<(u64, Objects)> {
        let told = self.step("the probes to be attached", wait::ATTACH)?;
        let took = told.strip_prefix("attached ").and_then(|ms| ms.parse().ok());
        let held = Objects::held_by(self.child.0.id());
        ensure!(held.has_programs(), "attached, and it holds no program");
        Ok((took.with_context(|| format!("it said {told:?}"))?, held))
    }

    /// Detaches; then it has as many files open as it had after the first time.
    ///
    /// # Errors
    /// When it does not in time, or has more.
    pub fn detach(&mut self) -> Result<()> {
        self.step("the probes to be detached", wait::USUAL)?;
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.0.id()))?.count();
        let first = *self.files.get_or_insert(files);
        ensure!(files <= first, "{files} files open, {first} after the first time");
        Ok(())
    }

    fn step(&mut self, what: &str, limit: Duration) -> Result<String> {
        let stdin = self.child.0.stdin.as_mut().context("the profiler has no input")?;
        let told = stdin.write_all(b"\n").map_err(anyhow::Error::from);
        let told = told.and_then(|()| line(&self.said, what, limit, self.steps));
        self.steps += 1;
        told.with_context(|| fs::read_to_string(self.said.with_extension("stderr")).unwrap_or_default())
    }
}
