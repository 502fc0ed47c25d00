//! In: the command line of a tracer, and a file for what it says. Out: it runs and has settled; it is
//! gone when dropped.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A tracer is settled when it used no CPU time for this long.
const QUIET: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(15);
/// bpftrace compiles, python imports: none is attached earlier than this.
const EARLIEST: Duration = Duration::from_millis(800);

/// A running tracer.
pub struct Tracer {
    child: Child,
}

impl Tracer {
    /// Starts it and waits until it has attached: until it stays quiet.
    ///
    /// # Errors
    /// When it cannot be started or ends by itself.
    pub fn start(words: &[String], log: &Path) -> Result<Self> {
        let messages = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let (program, arguments) = words.split_first().context("an empty command")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let mut tracer = Self { child };
        tracer.settle(log)?;
        Ok(tracer)
    }

    fn settle(&mut self, log: &Path) -> Result<()> {
        let begin = Instant::now();
        let (mut used, mut since) = (self.cpu_ticks(), begin);
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("{status}: {}", last_line(log));
            }
            let ticks = self.cpu_ticks();
            if ticks != used {
                (used, since) = (ticks, Instant::now());
            }
            if begin.elapsed() > EARLIEST && since.elapsed() > QUIET {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        // One that drains all the time never is quiet; it has been given time enough.
        Ok(())
    }

    /// User and system time of the process, in clock ticks.
    fn cpu_ticks(&self) -> u64 {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.child.id())) else { return 0 };
        let Some((_, fields)) = stat.rsplit_once(')') else { return 0 };
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // SAFETY: a signal to our own child, which has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGINT) };
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last thing it said, made fit for a table.
fn last_line(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    line.chars().filter(|letter| !letter.is_control() && *letter != '|').take(200).collect()
}
