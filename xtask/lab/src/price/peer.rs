//! In: the command line of somebody else's tracer. Out: it runs and is attached; what it said, once it is stopped.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use judge::{
    bpf::Objects,
    wait::{self, Reaped},
};

use super::cost::DIRECTORY;

/// A tracer that has programs is attached when it has not run for this long; some wake up every second.
const QUIET: Duration = Duration::from_millis(400);

/// A running tracer.
pub struct Peer {
    child: Reaped,
    name: String,
    said: PathBuf,
}

impl Peer {
    /// Only starts it.
    ///
    /// # Errors
    /// When it is not here.
    pub fn start(words: &[&str]) -> Result<Self> {
        let (name, arguments) = words.split_first().context("an empty command")?;
        fs::create_dir_all(DIRECTORY)?;
        let said = Path::new(DIRECTORY).join(name);
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::null()).stdout(File::create(&said)?);
        command.stderr(File::create(said.with_extension("stderr"))?);
        let child = Reaped(command.spawn().with_context(|| format!("there is no {name} here"))?);
        Ok(Self { child, name: (*name).to_owned(), said })
    }

    /// Waits until it has said that.
    ///
    /// # Errors
    /// When it ends, or does not say it in time.
    pub fn says(&mut self, word: &str, limit: Duration) -> Result<()> {
        let said = self.said.clone();
        self.attached(limit, |_| Ok(fs::read_to_string(&said)?.contains(word)))
    }

    /// Waits until it has programs and nothing to do: not everyone says when they are attached.
    ///
    /// # Errors
    /// When it ends, or is not so in time.
    pub fn is_quiet(&mut self, limit: Duration) -> Result<()> {
        let (mut used, mut since) = (String::new(), Instant::now());
        self.attached(limit, |pid| {
            let now = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
            if now != used {
                (used, since) = (now, Instant::now());
            }
            Ok(since.elapsed() > QUIET && Objects::held_by(pid).has_programs())
        })
    }

    fn attached(&mut self, limit: Duration, mut is: impl FnMut(u32) -> Result<bool>) -> Result<()> {
        let (name, stderr) = (&self.name, self.said.with_extension("stderr"));
        wait::until(&format!("{name} to be attached"), limit, || {
            if let Some(status) = self.child.0.try_wait()? {
                let text = fs::read_to_string(&stderr).unwrap_or_default();
                bail!("{name} ended ({status}): {}", text.trim());
            }
            Ok(is(self.child.0.id())?.then_some(()))
        })
    }

    /// Interrupts it: what it said, to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(mut self, limit: Duration) -> Result<String> {
        self.child.signal(libc::SIGINT);
        self.child.ended(&format!("{} to end", self.name), limit)?;
        let said = fs::read(&self.said).with_context(|| format!("reading {}", self.said.display()))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}
