//! In: how many times to attach and detach, how many recordings to kill, how long at most. Out: two `@cell` lines: under
//! spinning threads, every recording attaches within its time and leaves nothing: no program, map, link, kprobe, traced
//! function or open file; and neither does one that is killed, at any moment. The kernel's log stays clean.

use std::{
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    clean::Clean,
    matrix::{offered, tell},
    recording::{self, Workload},
};

const DIRECTORY: &str = "/tmp/soak";
/// Threads on one file table, and for how long at most, in ms.
const SPINNERS: &[&str] = &["dup-close-paused", "2", "86400000"];
/// Cycles between two words of progress.
const PROGRESS: u64 = 10;

/// What to do, and where.
pub struct Soak {
    pub cycles: u64,
    pub kills: u64,
    /// No cycle and no kill begins later; what was not done is told.
    pub limit: Duration,
    /// Whether others use BPF here, too: then only what our own recordings held is looked at.
    pub shared: bool,
}

impl Soak {
    /// Runs both; whether all was well.
    ///
    /// # Errors
    /// When the output is closed.
    pub fn run(&self, out: &mut dyn Write) -> Result<bool> {
        let begin = Instant::now();
        let cycled = self.under_load(|ways, clean| self.attach_and_detach(begin, ways, clean, out));
        let well = report(out, ("recordings", "attach and detach", "under spinning threads"), &cycled)?;
        let killed = self.under_load(|ways, clean| self.kill(begin, ways, clean));
        Ok(report(out, ("recordings", "SIGKILL", "at random moments"), &killed)? && well)
    }

    fn under_load(&self, work: impl FnOnce(&[Vec<String>], &Clean) -> Result<String>) -> Result<String> {
        let (clean, ways) = (Clean::now(self.shared)?, ways()?);
        let mut load = Workload::start("workload", SPINNERS)?;
        // The least of all, so that the profiler is not the one that waits for a CPU.
        load.be_nice();
        load.go()?;
        let found = work(&ways, &clean)?;
        drop(load);
        clean.require_files()?;
        Ok(found)
    }

    fn attach_and_detach(
        &self,
        begin: Instant,
        ways: &[Vec<String>],
        clean: &Clean,
        out: &mut dyn Write,
    ) -> Result<String> {
        // The rest is for those that are killed.
        let limit = self.limit * 2 / 3;
        let mut attached = Vec::new();
        for (cycle, way) in (1..=self.cycles).zip(ways.iter().cycle()) {
            if begin.elapsed() > limit {
                break;
            }
            let name = || format!("cycle {cycle}, {}", way.join(" "));
            attached.push(once(way, clean).with_context(name)?);
            if cycle % PROGRESS == 0 {
                let (longest, seconds) = (attached.iter().max().unwrap_or(&0), begin.elapsed().as_secs());
                writeln!(out, "{cycle} cycles in {seconds} s, attached within {longest} ms")?;
                out.flush()?;
            }
        }
        ensure!(!attached.is_empty(), "no cycle in {} s", limit.as_secs());
        attached.sort_unstable();
        let at = |percent: usize| attached.get((attached.len() - 1) * percent / 100).copied().unwrap_or(0);
        let names: Vec<String> = ways.iter().map(|way| way.join(" ")).collect();
        Ok(format!(
            "{} of {} cycles in {} s, attached within {} ms (half within {} ms) by turns of: {}; nothing left",
            attached.len(),
            self.cycles,
            begin.elapsed().as_secs(),
            at(100),
            at(50),
            names.join(", ")
        ))
    }

    fn kill(&self, begin: Instant, ways: &[Vec<String>], clean: &Clean) -> Result<String> {
        // Half of them die while they attach.
        let attaching = once(ways.first().context("no way to record")?, clean)?;
        let (mut random, mut killed) = (Random::new(), 0);
        for (kill, way) in (1..=self.kills).zip(ways.iter().cycle()) {
            if begin.elapsed() > self.limit {
                break;
            }
            let life = random.next() % (2 * attaching).max(1);
            let name = || format!("recording {kill}, {}, killed after {life} ms", way.join(" "));
            kill_after(way, life, clean).with_context(name)?;
            killed = kill;
        }
        Ok(format!(
            "{killed} of {} killed within {} ms of their start; nothing left",
            self.kills,
            2 * attaching
        ))
    }
}

fn report(out: &mut dyn Write, names: (&str, &str, &str), found: &Result<String>) -> Result<bool> {
    match found {
        Ok(text) => tell(out, names, ("ok", text))?,
        Err(error) => tell(out, names, ("FAILED", &format!("{error:#}")))?,
    }
    Ok(found.is_ok())
}

/// One recording from nothing to nothing; how long it took to attach, in ms.
fn once(way: &[String], clean: &Clean) -> Result<u64> {
    let arguments: Vec<&str> = way.iter().map(String::as_str).collect();
    let begin = Instant::now();
    let recording = recording::start(&arguments, Path::new(DIRECTORY))?;
    let took = u64::try_from(begin.elapsed().as_millis())?;
    let held = recording.held();
    recording::stop(recording)?.summary()?;
    clean.require(&held)?;
    Ok(took)
}

fn kill_after(way: &[String], life: u64, clean: &Clean) -> Result<()> {
    let arguments: Vec<&str> = way.iter().map(String::as_str).collect();
    let recording = recording::launch(&arguments, Path::new(DIRECTORY))?;
    thread::sleep(Duration::from_millis(life));
    let held = recording.kill()?;
    clean.require(&held)
}

/// The probes that incidents begin with, by each backend that locks have here in turn: those patch the kernel. The LSM
/// probe by one hook: to hook its dozens of functions under load takes an emulated machine longer than a minute.
fn ways() -> Result<Vec<Vec<String>>> {
    let way = |choice: String| match choice.split('.').next() {
        Some("lock") => Some(vec!["--probe", "syscall,lock,cpu", "--backend"]).map(|words| (words, choice)),
        _ if choice.starts_with("lsm=") => {
            Some((vec!["--probe", "lsm", "--lsm-hooks", "file_open", "--backend"], choice))
        }
        _ => None,
    };
    let ways: Vec<Vec<String>> = offered()?
        .into_iter()
        .filter_map(way)
        .map(|(words, choice)| words.into_iter().map(str::to_owned).chain([choice]).collect())
        .collect();
    ensure!(!ways.is_empty(), "`profiler check` offers no backend for locks");
    Ok(ways)
}

/// Pseudo-random numbers, different in every run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(now.map_or(1, |now| now.subsec_nanos().into()) | 1)
    }

    /// The next one (xorshift64*).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }
}
