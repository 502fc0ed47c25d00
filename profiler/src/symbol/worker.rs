//! Reading other people's ELF files in a child process.
//!
//! In: open files and offsets. Out: names, or why there are none.
//! A hostile file may crash a parser, overflow its stack, eat memory, hang it, shrink while it is mapped (SIGBUS), or lie
//! with a server that does not answer: so the child has limits of memory, time, silence and open files. If it dies, the file
//! is tried once more by its symbol table alone, and then given up; a silent one at once. Other files are not affected, and debug files
//! are read by children of their own.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::confined::{confine, own_memory};
use super::job::{Job, Source};
use super::limits::Limits;
use super::names::Pool;
use super::reading::serve;
use crate::machine::child::{self, Waited};
use crate::profile::stack::{Reason, Resolution};

/// Whether somebody still waits for names is looked at so often; not before a silent child is given up.
const LOOK: Duration = Duration::from_millis(2 * child::PATIENCE.as_millis() as u64);

const NOT_REACHED: Resolution = Resolution::Unnamed(Reason::NotReached);

/// Names all jobs; one answer per offset. What a file has no name for is looked up in its debug file, if this machine has one:
/// whatever becomes of that, the answers of the file itself stay.
pub fn run(jobs: &mut [Job], limits: &Limits, pool: &mut Pool) -> Vec<Vec<Resolution>> {
    let deadline = Instant::now() + limits.total;
    let mut answers = rounds(jobs, limits, deadline, pool);
    let (mut others, asked) = elsewhere(jobs, &answers);
    let found = if others.is_empty() { Vec::new() } else { rounds(&mut others, limits, deadline, pool) };
    for ((job, at), resolution) in asked.into_iter().zip(found.into_iter().flatten()) {
        if let (Resolution::Named(_), Some(slot)) = (&resolution, answers[job].get_mut(at)) {
            *slot = resolution;
        }
    }
    answers
}

/// What files have no names for, to be asked of their debug files: the jobs, and each offset's job and position.
fn elsewhere(jobs: &[Job], answers: &[Vec<Resolution>]) -> (Vec<Job>, Vec<(usize, usize)>) {
    let nameless = [Reason::NoSymbol, Reason::Unreadable].map(Resolution::Unnamed);
    let (mut others, mut asked) = (Vec::new(), Vec::new());
    for (index, (job, answers)) in jobs.iter().zip(answers).enumerate() {
        let Source::Itself(path) = &job.source else { continue };
        let places = job.offsets.iter().zip(answers).enumerate();
        let places = places.filter(|(_, (_, answer))| !path.is_empty() && nameless.contains(answer));
        let (at, offsets): (Vec<usize>, Vec<u64>) = places.map(|(at, (offset, _))| (at, *offset)).unzip();
        if !offsets.is_empty() {
            others.push(Job {
                file: job.file,
                offsets,
                dwarf: true,
                golang: true,
                source: Source::Host(path.clone()),
            });
            asked.extend(at.into_iter().map(|at| (index, at)));
        }
    }
    (others, asked)
}

/// Names all jobs, each from its own source alone.
pub(super) fn rounds(
    jobs: &mut [Job],
    limits: &Limits,
    deadline: Instant,
    pool: &mut Pool,
) -> Vec<Vec<Resolution>> {
    let mut answers: Vec<_> = jobs.iter().map(|job| vec![NOT_REACHED; job.offsets.len()]).collect();
    let mut silence = limits.silence;
    let mut next = 0;
    while next < jobs.len() && Instant::now() < deadline && !limits.stopped() {
        let rest = jobs.get(next..).unwrap_or_default();
        let files: Vec<RawFd> = rest.iter().map(|job| job.file).collect();
        let work = |line: &mut UnixStream| serve(rest, limits, line);
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
        } else if job.dwarf || job.golang {
            (job.dwarf, job.golang) = (false, false);
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
                    let slot = answers.get_mut(job).and_then(|answers| answers.get_mut(at));
                    // A second reading, after the first one died, knows less.
                    if let Some(slot) = slot.filter(|slot| !matches!(slot, Resolution::Named(_))) {
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
        Some(pool.share(std::str::from_utf8(&self.part(length)?).ok()?))
    }

    /// The next so many bytes of an answer; `None` as of [`Self::bytes`].
    pub(super) fn part(&mut self, length: usize) -> Option<Vec<u8>> {
        self.need(length)?;
        Some(self.read.drain(..length).collect())
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    fn unnamed(reason: Reason) -> Resolution {
        Resolution::Unnamed(reason)
    }

    fn job(file: &File, offsets: Vec<u64>) -> Job {
        Job {
            file: file.as_raw_fd(),
            offsets,
            dwarf: true,
            golang: true,
            source: Source::Itself(String::new()),
        }
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
        let job = |file: &File| job(file, vec![here - mapping.start + mapping.offset, u64::MAX]);
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
            let job = job(&cut, vec![0x1000, 0]);
            let answers = run(&mut [job], &limits(), &mut Pool::default());
            assert!(answers[0].iter().all(|answer| *answer != NOT_REACHED), "{length}: {answers:?}");
        }
    }

    #[test]
    fn a_silent_child_is_ended_and_its_files_given_up() {
        let exe = File::open("/proc/self/exe").unwrap();
        let job = || job(&exe, vec![1]);
        let limits = Limits { stall: Duration::ZERO, ..Limits::default() };
        let answers = run(&mut [job(), job()], &limits, &mut Pool::default());
        assert_eq!(answers, [[unnamed(Reason::Unreadable)], [unnamed(Reason::Unreadable)]]);
    }

    #[test]
    fn nobody_who_waits_any_more_is_said() {
        let exe = File::open("/proc/self/exe").unwrap();
        let job = job(&exe, vec![1]);
        let limits = limits();
        limits.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(run(&mut [job], &limits, &mut Pool::default()), [[NOT_REACHED]]);
    }

    #[test]
    fn out_of_time_is_said() {
        let exe = File::open("/proc/self/exe").unwrap();
        let job = job(&exe, vec![1]);
        let answers =
            run(&mut [job], &Limits { total: Duration::ZERO, ..Limits::default() }, &mut Pool::default());
        assert_eq!(answers, [[NOT_REACHED]]);
    }
}
