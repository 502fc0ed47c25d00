//! Reading other people's ELF files in a child process.
//!
//! In: open files and offsets. Out: names, or why there are none.
//! A hostile file may crash a parser, overflow its stack, eat memory, hang it, shrink while it is mapped (SIGBUS), or lie
//! with a server that does not answer: so the child has limits of memory, time, silence and open files. If it dies, the file
//! is tried once more without DWARF, and then given up; a silent one at once. Other files are not affected.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::elf::ElfNames;
use super::limits::Limits;
use super::names::Pool;
use crate::machine::child::{self, Waited};
use crate::profile::stack::{Reason, Resolution};

/// Offsets asked at once: an answer within the stall limit, however many there are.
const BATCH: usize = 256;

/// Whether somebody still waits for names is looked at so often; not before a silent child is given up.
const LOOK: Duration = Duration::from_millis(2 * child::PATIENCE.as_millis() as u64);

const NOT_REACHED: Resolution = Resolution::Unnamed(Reason::NotReached);

/// One file to read.
#[derive(Debug)]
pub struct Job {
    /// The open file.
    pub file: RawFd,
    /// Offsets to name.
    pub offsets: Vec<u64>,
    /// Its debug information may be used.
    pub dwarf: bool,
}

/// Names all jobs; one answer per offset.
pub fn run(jobs: &mut [Job], limits: &Limits, pool: &mut Pool) -> Vec<Vec<Resolution>> {
    let mut answers: Vec<_> = jobs.iter().map(|job| vec![NOT_REACHED; job.offsets.len()]).collect();
    let deadline = Instant::now() + limits.total;
    let mut silence = limits.silence;
    let mut next = 0;
    while next < jobs.len() && Instant::now() < deadline && !limits.stopped() {
        let rest = jobs.get(next..).unwrap_or_default();
        let files: Vec<RawFd> = rest.iter().map(|job| job.file).collect();
        let work = |line: &mut UnixStream| serve(rest, line);
        let Ok(mut child) = Child::start(&files, limits, (deadline, silence), work) else { break };
        let reached = child.collect(&mut answers, next, pool);
        let silent = child.silent;
        silence = child.silence;
        drop(child);
        next = reached;
        let Some(job) = jobs.get_mut(next) else { break };
        if silent {
            give_up(&mut answers, next, Reason::NoAnswer);
            next += 1;
        } else if Instant::now() >= deadline || limits.stopped() {
            break;
        } else if job.dwarf {
            job.dwarf = false;
        } else {
            give_up(&mut answers, next, Reason::Unreadable);
            next += 1;
        }
        if silence == Duration::ZERO {
            break;
        }
    }
    answers
}

/// The child died reading this file, or was silent: what it had not named stays without a name.
fn give_up(answers: &mut [Vec<Resolution>], job: usize, reason: Reason) {
    for answer in answers.get_mut(job).into_iter().flatten() {
        if *answer == NOT_REACHED {
            *answer = Resolution::Unnamed(reason);
        }
    }
}

/// A confined child that reads files.
pub(super) struct Child {
    child: child::Child,
    /// What was read and not yet used: a system call per field would cost more than the names.
    read: VecDeque<u8>,
    deadline: Instant,
    /// What all files together may still be silent.
    pub(super) silence: Duration,
    /// It neither answered nor worked.
    silent: bool,
    limits: Limits,
}

impl Child {
    /// Forks; the child does `work` with the files at those places, writes its answers, and ends.
    pub(super) fn start(
        files: &[RawFd],
        limits: &Limits,
        (deadline, silence): (Instant, Duration),
        work: impl FnOnce(&mut UnixStream) -> io::Result<()>,
    ) -> io::Result<Self> {
        let memory = own_memory()?.saturating_add(limits.memory_bytes);
        let child = child::Child::start(files, |line| confine(memory).and_then(|()| work(line)))?;
        let limits = limits.clone();
        Ok(Self { child, read: VecDeque::new(), deadline, silence, silent: false, limits })
    }

    /// Reads answers until the child is done, dead or silent; the first job that is not finished.
    fn collect(&mut self, answers: &mut [Vec<Resolution>], first: usize, pool: &mut Pool) -> usize {
        let mut job = first;
        while let Some(message) = self.message(pool) {
            match message {
                Message::Answer(at, answer) => {
                    if let Some(slot) = answers.get_mut(job).and_then(|answers| answers.get_mut(at)) {
                        *slot = answer;
                    }
                }
                Message::Done => job += 1,
            }
        }
        job
    }

    fn message(&mut self, pool: &mut Pool) -> Option<Message> {
        let [kind, count] = self.bytes()?;
        let at = u32::from_le_bytes(self.bytes()?) as usize;
        let answer = match kind {
            b'.' => return Some(Message::Done),
            b'!' => Resolution::Unnamed(Reason::Unreadable),
            b'?' => Resolution::Unnamed(Reason::NoSymbol),
            _ => Resolution::Named((0..count).map(|_| self.name(pool)).collect::<Option<_>>()?),
        };
        Some(Message::Answer(at, answer))
    }

    fn name(&mut self, pool: &mut Pool) -> Option<Arc<str>> {
        let length = usize::from(u16::from_le_bytes(self.bytes()?));
        self.need(length)?;
        let name: Vec<u8> = self.read.drain(..length).collect();
        Some(pool.share(std::str::from_utf8(&name).ok()?))
    }

    /// The next bytes of an answer; `None` when the child is done, dead, or silent for too long.
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.need(N)?;
        let mut bytes = [0; N];
        for (slot, byte) in bytes.iter_mut().zip(self.read.drain(..N)) {
            *slot = byte;
        }
        Some(bytes)
    }

    /// Waits until there is something to read, the child is given up, or nobody wants to know any more.
    fn wait(&mut self) -> Waited {
        let until = self.deadline.min(Instant::now() + self.limits.stall);
        while !self.limits.stopped() {
            let left = &mut self.silence;
            let look = until.min(Instant::now() + LOOK);
            let waited = self.child.wait_paying(child::PATIENCE, look, &mut |silent| {
                *left = left.saturating_sub(silent);
                *left > Duration::ZERO
            });
            if waited != Waited::Late || Instant::now() >= until {
                return waited;
            }
        }
        Waited::Late
    }

    /// Waits until that many bytes are there.
    fn need(&mut self, length: usize) -> Option<()> {
        while self.read.len() < length {
            let waited = self.wait();
            if waited != Waited::Ready {
                self.silent = waited == Waited::Silent;
                return None;
            }
            let mut chunk = [0; 16 << 10];
            let count = self.child.line.read(&mut chunk).ok().filter(|count| *count > 0)?;
            self.read.extend(chunk.get(..count)?);
        }
        Some(())
    }
}

enum Message {
    /// Answer for an offset, by its position.
    Answer(usize, Resolution),
    /// The job is finished.
    Done,
}

/// What the child does.
fn serve(jobs: &[Job], line: &mut impl Write) -> io::Result<()> {
    let mut pipe = io::BufWriter::with_capacity(16 << 10, line);
    for job in jobs {
        let path = PathBuf::from(format!("/proc/self/fd/{}", job.file));
        let mut names = Some(ElfNames::new(&path, job.dwarf));
        let mut plain = !job.dwarf;
        for (batch, offsets) in job.offsets.chunks(BATCH).enumerate() {
            let mut found = names.as_ref().and_then(|names| names.find(offsets));
            if found.is_none() && !plain {
                // Debug information that cannot be read (or links elsewhere) leaves the symbol
                // table. The first reader goes before the second comes: one file may be open.
                drop(names.take());
                names = Some(ElfNames::new(&path, false));
                plain = true;
                found = names.as_ref().and_then(|names| names.find(offsets));
            }
            for index in 0..offsets.len() {
                let functions = found.as_ref().map(|found| found.get(index).map_or(&[][..], Vec::as_slice));
                write_answer(&mut pipe, batch * BATCH + index, functions)?;
            }
            pipe.flush()?;
        }
        pipe.write_all(&[b'.', 0, 0, 0, 0, 0])?;
        pipe.flush()?;
    }
    Ok(())
}

fn write_answer(pipe: &mut impl Write, at: usize, functions: Option<&[String]>) -> io::Result<()> {
    let kind = match functions {
        None => b'!',
        Some([]) => b'?',
        Some(_) => b'=',
    };
    let functions = functions.unwrap_or_default();
    pipe.write_all(&[kind, functions.len() as u8])?;
    pipe.write_all(&(at as u32).to_le_bytes())?;
    for name in functions {
        pipe.write_all(&(name.len() as u16).to_le_bytes())?;
        pipe.write_all(name.as_bytes())?;
    }
    Ok(())
}

/// Takes from the child what reading an ELF file does not need.
///
/// Only one more file can be opened, the ELF file itself: links in it to separate debug files
/// are chosen by who wrote it, and opening the wrong device as root can stop a machine.
fn confine(memory: u64) -> io::Result<()> {
    let probe = std::fs::File::open("/dev/null")?;
    let free = probe.as_raw_fd() as u64;
    drop(probe);
    lower(Resource::Nofile, free + 1)?;
    lower(Resource::Data, memory)
}

fn lower(resource: Resource, value: u64) -> io::Result<()> {
    let hard = getrlimit(resource).maximum;
    let value = hard.map_or(value, |hard| hard.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: hard })?)
}

/// Bytes of private writable memory this process has (what `RLIMIT_DATA` counts).
fn own_memory() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes << 10)
        .ok_or_else(|| io::Error::other("no VmData in /proc/self/status"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn unnamed(reason: Reason) -> Resolution {
        Resolution::Unnamed(reason)
    }

    fn limits() -> Limits {
        Limits { stall: Duration::from_secs(20), ..Limits::default() }
    }

    #[test]
    fn garbage_costs_only_its_own_names() {
        let mut garbage = tempfile::tempfile().unwrap();
        garbage.write_all(&[b"\x7fELF\x02\x01\x01".as_slice(), &[0xff; 4096]].concat()).unwrap();
        let exe = File::open("/proc/self/exe").unwrap();
        let mapping = super::super::maps::read(crate::profile::Pid(std::process::id())).unwrap();
        let here = garbage_costs_only_its_own_names as fn() as usize as u64;
        let mapping = mapping.iter().find(|mapping| mapping.start <= here && here < mapping.end).unwrap();
        let job = |file: &File| Job {
            file: file.as_raw_fd(),
            offsets: vec![here - mapping.start + mapping.offset, u64::MAX],
            dwarf: true,
        };
        let answers = run(&mut [job(&garbage), job(&exe)], &limits(), &mut Pool::default());
        assert_eq!(answers[0], [unnamed(Reason::Unreadable), unnamed(Reason::Unreadable)]);
        let Resolution::Named(names) = &answers[1][0] else { panic!("no name: {:?}", answers[1]) };
        assert!(names.last().unwrap().contains("garbage_costs_only_its_own_names"), "{names:?}");
        assert_eq!(answers[1][1], unnamed(Reason::NoSymbol));
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_given_up() {
        let exe = std::fs::read("/proc/self/exe").unwrap();
        for length in [1, 64, 4096, exe.len() / 2, exe.len() - 64] {
            let mut cut = tempfile::tempfile().unwrap();
            cut.write_all(&exe[..length]).unwrap();
            let job = Job { file: cut.as_raw_fd(), offsets: vec![0x1000, 0], dwarf: true };
            let answers = run(&mut [job], &limits(), &mut Pool::default());
            assert!(answers[0].iter().all(|answer| *answer != NOT_REACHED), "{length}: {answers:?}");
        }
    }

    #[test]
    fn a_silent_child_is_ended_and_its_files_given_up() {
        let exe = File::open("/proc/self/exe").unwrap();
        let job = || Job { file: exe.as_raw_fd(), offsets: vec![1], dwarf: true };
        let limits = Limits { stall: Duration::ZERO, ..Limits::default() };
        let answers = run(&mut [job(), job()], &limits, &mut Pool::default());
        assert_eq!(answers, [[unnamed(Reason::Unreadable)], [unnamed(Reason::Unreadable)]]);
    }

    #[test]
    fn nobody_who_waits_any_more_is_said() {
        let exe = File::open("/proc/self/exe").unwrap();
        let job = Job { file: exe.as_raw_fd(), offsets: vec![1], dwarf: false };
        let limits = limits();
        limits.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(run(&mut [job], &limits, &mut Pool::default()), [[NOT_REACHED]]);
    }

    #[test]
    fn out_of_time_is_said() {
        let exe = File::open("/proc/self/exe").unwrap();
        let job = Job { file: exe.as_raw_fd(), offsets: vec![1], dwarf: false };
        let answers =
            run(&mut [job], &Limits { total: Duration::ZERO, ..Limits::default() }, &mut Pool::default());
        assert_eq!(answers, [[NOT_REACHED]]);
    }
}
