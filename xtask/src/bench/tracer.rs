//! In: the command line of a tracer, how it is known to have attached, a directory for what it says.
//! Out: it runs and is attached; it is gone when stopped or dropped.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
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
/// The header of a capture is longer, and written once all is attached.
const HEADER: u64 = 200;

/// The profiler times its programs for 0.2 s at the start and every few seconds: rounds are measured
/// between two such windows, and what a window adds is a row of its own.
const OWN_COST: Duration = Duration::from_millis(250);

/// How a tracer is known to have attached.
pub enum Ready {
    /// It says `ready`.
    Says,
    /// The capture in this directory, which it wants to be new each time, has its header.
    Capture(PathBuf),
    /// The same, but its first window of own cost is wanted, not waited for.
    OwnCost(PathBuf),
    /// It does not tell: it has once been quiet.
    Quiet,
}

/// A running tracer.
pub struct Tracer {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    reaped: bool,
}

/// How a tracer ended.
pub struct Ended {
    /// From the signal to its end.
    pub wall: Duration,
    /// CPU time from the signal to its end, to 10 ms.
    pub cpu: Duration,
    /// What it wrote to stdout.
    pub output: String,
}

impl Tracer {
    /// Starts it and waits until it has attached.
    ///
    /// # Errors
    /// When it cannot be started or ends by itself.
    pub fn start(words: &[String], ready: &Ready, scratch: &Path) -> Result<Self> {
        let mut tracer = Self::spawn(words, ready, scratch)?;
        tracer.settle(ready)?;
        Ok(tracer)
    }

    /// Only starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(words: &[String], ready: &Ready, scratch: &Path) -> Result<Self> {
        if let Ready::Capture(output) | Ready::OwnCost(output) = ready {
            // From the round before; when it was not there, there is nothing to remove.
            let _ = fs::remove_dir_all(output);
        }
        let (stdout, stderr) = (scratch.join("stdout"), scratch.join("stderr"));
        let create = |path: &Path| File::create(path).with_context(|| format!("creating {}", path.display()));
        let (program, arguments) = words.split_first().context("an empty command")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(create(&stdout)?)
            .stderr(create(&stderr)?)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        Ok(Self { child, stdout, stderr, reaped: false })
    }

    /// Waits until it has attached.
    ///
    /// # Errors
    /// When it ends by itself.
    pub fn settle(&mut self, ready: &Ready) -> Result<()> {
        let begin = Instant::now();
        let (mut used, mut since) = (self.cpu_time(), begin);
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                self.reaped = true;
                bail!("{status}: {}", last_line(&self.stderr));
            }
            match ready {
                Ready::Says if self.output().contains("ready") => return Ok(()),
                Ready::Capture(output) if has_header(output) => {
                    thread::sleep(OWN_COST);
                    return Ok(());
                }
                Ready::OwnCost(output) if has_header(output) => return Ok(()),
                Ready::Quiet => {
                    let now = self.cpu_time();
                    if now != used {
                        (used, since) = (now, Instant::now());
                    } else if begin.elapsed() > EARLIEST && since.elapsed() > QUIET {
                        return Ok(());
                    }
                }
                _ => {}
            }
            thread::sleep(Duration::from_millis(10));
        }
        match ready {
            // One that drains all the time never is quiet; it has been given time enough.
            Ready::Quiet => Ok(()),
            _ => bail!("not attached after {} s: {}", PATIENCE.as_secs(), last_line(&self.stderr)),
        }
    }

    /// Interrupts it and waits for its end.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub fn stop(mut self, patience: Duration) -> Result<Ended> {
        let (begin, before) = (Instant::now(), self.cpu_time());
        let total = self.end(patience);
        let wall = begin.elapsed();
        let total = total.with_context(|| format!("still running {} s after SIGINT", patience.as_secs()))?;
        Ok(Ended { wall, cpu: total.saturating_sub(before), output: self.output() })
    }

    /// Its CPU time, if it ended by the signal.
    fn end(&mut self, patience: Duration) -> Option<Duration> {
        drop(self.child.stdin.take());
        let pid = self.child.id() as libc::pid_t;
        // SAFETY: a signal to our own child, which has not been waited for.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let begin = Instant::now();
        while begin.elapsed() < patience {
            // SAFETY: all zero is a valid `rusage`.
            let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: our own child; no status is asked for, and the kernel writes one `rusage`.
            let ended = unsafe { libc::wait4(pid, std::ptr::null_mut(), libc::WNOHANG, &mut usage) };
            if ended == pid {
                self.reaped = true;
                return Some(duration(usage.ru_utime) + duration(usage.ru_stime));
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.reaped = true;
        None
    }

    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// User and system time of the process, to 10 ms.
    fn cpu_time(&self) -> Duration {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.child.id())) else {
            return Duration::ZERO;
        };
        let Some((_, fields)) = stat.rsplit_once(')') else { return Duration::ZERO };
        let times = fields.split_whitespace().skip(11).take(2);
        Duration::from_millis(times.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.end(PATIENCE);
        }
    }
}

/// What the kernel counts in, as a duration.
pub fn duration(time: libc::timeval) -> Duration {
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_micros(part(time.tv_usec))
}

fn has_header(output: &Path) -> bool {
    fs::metadata(output.join("capture.partial")).is_ok_and(|found| found.len() > HEADER)
}

/// The last thing it said, made fit for a table.
fn last_line(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    line.chars().filter(|letter| !letter.is_control() && *letter != '|').take(120).collect()
}
