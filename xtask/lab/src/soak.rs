//! In: how many times to attach and detach, and how many recordings to kill. Out: two `@cell` lines: under spinning
//! threads, every recording attaches within its time and leaves nothing: no program, map, link, kprobe, traced
//! function or open file; and neither does one that is killed, at any moment. The kernel's log stays clean.

use std::{collections::BTreeSet, fs, io::Write, path::Path, thread, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    bpf::Objects,
    kernel,
    matrix::{offered, tell},
    recording::{Recording, Workload},
    wait,
};

const DIRECTORY: &str = "/tmp/soak";
/// Threads on one file table, and for how long at most, in ms.
const SPINNERS: &[&str] = &["dup-close", "2", "86400000"];
/// A killed recording has lived for less than this: attaching is a good part of it.
const LIFE_MS: u64 = 10_000;
/// What the whole guest may have more of at the end than at the beginning: files that came and went by themselves.
const FILES: u64 = 32;
/// Cycles between two words of progress.
const PROGRESS: u64 = 10;

/// Runs both; whether all was well.
///
/// # Errors
/// When the output is closed.
pub fn run(cycles: u64, kills: u64, out: &mut dyn Write) -> Result<bool> {
    let load = format!("{cycles} cycles under spinning threads");
    let cycled = attach_and_detach(cycles, out);
    let well = report(out, ("recordings", "attach and detach", &load), &cycled)?;
    let load = format!("{kills} killed at random moments");
    let killed = kill(kills);
    Ok(report(out, ("recordings", "SIGKILL", &load), &killed)? && well)
}

fn report(out: &mut dyn Write, names: (&str, &str, &str), found: &Result<String>) -> Result<bool> {
    match found {
        Ok(text) => tell(out, names, ("ok", text))?,
        Err(error) => tell(out, names, ("FAILED", &format!("{error:#}")))?,
    }
    Ok(found.is_ok())
}

fn attach_and_detach(cycles: u64, out: &mut dyn Write) -> Result<String> {
    let (clean, ways) = (Clean::now()?, ways()?);
    let mut load = Workload::start("workload", SPINNERS, Path::new(DIRECTORY))?;
    load.go()?;
    let mut attached = Vec::new();
    for (cycle, way) in (1..=cycles).zip(ways.iter().cycle()) {
        let name = || format!("cycle {cycle}, {}", way.join(" "));
        attached.push(once(way, &clean).with_context(name)?);
        if cycle % PROGRESS == 0 {
            writeln!(out, "{cycle} cycles, attached within {} ms", attached.iter().max().unwrap_or(&0))?;
            out.flush()?;
        }
    }
    drop(load);
    clean.require(true)?;
    attached.sort_unstable();
    let at = |percent: usize| attached.get(attached.len() * percent / 101).copied().unwrap_or(0);
    let names: Vec<String> = ways.iter().map(|way| way.join(" ")).collect();
    Ok(format!(
        "attached within {} ms (half within {} ms) by turns of: {}; nothing left",
        at(100),
        at(50),
        names.join(", ")
    ))
}

/// One recording from nothing to nothing; how long it took to attach, in ms.
fn once(way: &[String], clean: &Clean) -> Result<u64> {
    let arguments: Vec<&str> = way.iter().map(String::as_str).collect();
    let begin = std::time::Instant::now();
    let recording = Recording::start(&arguments, Path::new(DIRECTORY))?;
    let took = u64::try_from(begin.elapsed().as_millis())?;
    recording.stop("syscall")?;
    clean.require(false)?;
    Ok(took)
}

/// The probes that incidents begin with, by each backend that locks have here in turn: those patch the kernel. Without
/// `lsm`: hooking its dozens of functions under load takes an emulated machine longer than a minute.
fn ways() -> Result<Vec<Vec<String>>> {
    let locks = offered()?.into_iter().filter(|choice| choice.starts_with("lock."));
    let ways: Vec<Vec<String>> = locks
        .map(|choice| ["--probe", "syscall,lock,cpu", "--backend", &choice].map(str::to_owned).to_vec())
        .collect();
    ensure!(!ways.is_empty(), "`profiler check` offers no backend for locks");
    Ok(ways)
}

fn kill(kills: u64) -> Result<String> {
    let (clean, ways) = (Clean::now()?, ways()?);
    let mut load = Workload::start("workload", SPINNERS, Path::new(DIRECTORY))?;
    load.go()?;
    let mut random = Random::new();
    for (kill, way) in (1..=kills).zip(ways.iter().cycle()) {
        let arguments: Vec<&str> = way.iter().map(String::as_str).collect();
        let life = random.next() % LIFE_MS;
        let recording = Recording::launch(&arguments, Path::new(DIRECTORY))?;
        thread::sleep(Duration::from_millis(life));
        let killed = recording.kill().and_then(|()| clean.require(false));
        killed.with_context(|| format!("recording {kill}, {}, killed after {life} ms", way.join(" ")))?;
    }
    drop(load);
    clean.require(true)?;
    Ok(format!("within {LIFE_MS} ms of their start; nothing left"))
}

/// What the guest has while nobody records.
struct Clean {
    objects: Objects,
    hooks: BTreeSet<String>,
    files: u64,
    complaints: usize,
}

impl Clean {
    fn now() -> Result<Self> {
        let (objects, hooks) = (Objects::now(), hooks());
        Ok(Self { objects, hooks, files: files()?, complaints: kernel::complaints().len() })
    }

    /// That it is so again; files only once the load is gone, too.
    fn require(&self, at_the_end: bool) -> Result<()> {
        self.objects.await_gone_since()?;
        let hooks = wait::until("hooked functions to be released", wait::USUAL, || {
            Ok(hooks().is_subset(&self.hooks).then_some(()))
        });
        hooks.with_context(|| format!("still hooked: {:?}", hooks_since(&self.hooks)))?;
        let logged = kernel::complaints();
        ensure!(logged.len() <= self.complaints, "the kernel complained: {}", logged[self.complaints]);
        if at_the_end {
            wait::until("open files to be as many as before", wait::USUAL, || {
                Ok((files()? <= self.files + FILES).then_some(()))
            })?;
        }
        Ok(())
    }
}

fn hooks_since(before: &BTreeSet<String>) -> Vec<String> {
    hooks().difference(before).take(5).cloned().collect()
}

/// Functions that something is attached to: by kprobes, and by ftrace (fentry among them).
fn hooks() -> BTreeSet<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (kprobes, traced) =
        (read("/sys/kernel/debug/kprobes/list"), read("/sys/kernel/tracing/enabled_functions"));
    kprobes.lines().chain(traced.lines()).map(|line| line.trim().to_owned()).collect()
}

/// Files that are open in the whole guest.
fn files() -> Result<u64> {
    let text = fs::read_to_string("/proc/sys/fs/file-nr")?;
    text.split_whitespace().next().and_then(|number| number.parse().ok()).context("reading file-nr")
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
