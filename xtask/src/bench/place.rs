//! In: the workspace and the options. Out: where measurements write, and the command lines of what is
//! measured. Everything written is removed at the end.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use super::{rounds::Variant, tracer::Ready};
use crate::{command, statics, workspace::Workspace};

/// Where and with what to measure.
pub struct Place<'a> {
    pub workspace: &'a Workspace,
    pub rounds: usize,
    pub scratch: PathBuf,
    workload: PathBuf,
}

impl<'a> Place<'a> {
    /// # Errors
    /// When the scratch directory cannot be made.
    pub fn new(workspace: &'a Workspace, rounds: usize) -> Result<Self> {
        let scratch = workspace.target().join(format!("bench/recordings-{}", std::process::id()));
        fs::create_dir_all(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
        let workload = statics::binary(workspace, "workload");
        Ok(Self { workspace, rounds, scratch, workload })
    }

    /// `profiler record -q WORDS -o DIRECTORY`, the directory being in scratch.
    pub fn record(&self, name: &'static str, directory: &str, words: &[&str]) -> Variant {
        let output = self.scratch.join(directory);
        let path = output.display().to_string();
        let words = self.profiler(&[&["record", "-q"], words, &["-o", &path]].concat());
        Variant { name, words, ready: Ready::Capture(output), beside: None }
    }

    /// A program of the object that is built with the floors, so that compiler, loader and hooks are the profiler's.
    pub fn floor(&self, name: &'static str, kind: &str) -> Variant {
        let program = statics::binary(self.workspace, "profiler-lab").display().to_string();
        let words = vec![program, "floor".to_owned(), kind.to_owned()];
        Variant { name, words, ready: Ready::Says, beside: None }
    }

    fn profiler(&self, words: &[&str]) -> Vec<String> {
        let program = self.workspace.binary("release", "profiler").display().to_string();
        std::iter::once(program).chain(words.iter().map(|&word| word.to_owned())).collect()
    }

    /// Runs the workload to its end.
    ///
    /// # Errors
    /// When it fails or prints something else than asked for.
    pub fn measure<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T> {
        let output = command::read(Command::new(&self.workload).args(words))?;
        serde_json::from_str(&output).context("reading the workload's result")
    }

    /// Starts the workload up to the point where it waits to be let go.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn waiting(&self, words: &[&str]) -> Result<Waiting> {
        let mut command = Command::new(&self.workload);
        command.args(["--wait", "--linger"]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting the workload")?;
        let input = child.stdin.take().context("no stdin")?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut waiting = Waiting { child, input, lines };
        waiting.line()?;
        Ok(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// A workload that waits before its work, and lives on after it until dropped.
pub struct Waiting {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Waiting {
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Lets it go.
    ///
    /// # Errors
    /// When it is gone.
    pub fn go(&mut self) -> Result<()> {
        self.input.write_all(b"\n").context("the workload is gone")
    }

    /// Waits for its result.
    ///
    /// # Errors
    /// When it fails or prints something else than asked for.
    pub fn result<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_json::from_str(&self.line()?).context("reading the workload's result")
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).context("the workload is gone")?;
        Ok(line)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a directory's `summary.json` says.
///
/// # Errors
/// When it cannot be read.
pub fn summary(directory: &Path) -> Result<serde_json::Value> {
    let path = directory.join("summary.json");
    let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))
}

/// Samples and distinct stacks of a folded file.
///
/// # Errors
/// When it cannot be read.
pub fn folded(path: &Path) -> Result<(u64, usize)> {
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let counts = text.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    Ok((counts.sum(), text.lines().count()))
}
