//! In: how many calls and how long each should last. Out: calls of that length, timed one by one by
//! the caller's own clock.

use std::io;

use crate::{
    long_read::LongRead,
    report::{Report, Timed},
    system::{self, cpu_time, timed},
};

const MILLISECOND: u64 = 1_000_000;

/// A child process that does something a fixed time after each request.
pub struct Answerer {
    requests: i32,
    pid: i32,
}

impl Answerer {
    /// Forks it; `answer` runs there.
    ///
    /// # Errors
    /// When the kernel refuses a pipe or a process.
    #[inline(never)]
    pub fn start(delay_ms: u64, mut answer: impl FnMut()) -> io::Result<Self> {
        let [asked, requests] = system::pipe(0)?;
        let pid = system::fork(|| {
            system::close(requests);
            let mut byte = [0];
            while system::read(asked, &mut byte) == 1 {
                system::nanosleep(delay_ms * MILLISECOND);
                answer();
            }
        })?;
        system::close(asked);
        Ok(Self { requests, pid })
    }

    /// The descriptor that takes requests, a byte each.
    pub fn requests(&self) -> i32 {
        self.requests
    }

    /// Asks for one answer.
    pub fn ask(&self) {
        system::write(self.requests, b"?");
    }

    /// Waits for its end.
    pub fn end(self) {
        system::close(self.requests);
        system::reap(self.pid);
    }
}

/// N reads on a pipe whose other end answers each after a delay.
pub fn pipe_reads(count: u64, ms: u64) -> io::Result<Report> {
    let [answers, answering] = system::pipe(0)?;
    let answerer = Answerer::start(ms, || {
        system::write(answering, b"!");
    })?;
    let mut cpu_ns = 0;
    let durations = (0..count).map(|_| {
        answerer.ask();
        let before = cpu_time();
        let read = read_answered_late(answers);
        cpu_ns += cpu_time() - before;
        read
    });
    let report = Report::new().with_timed(&durations.collect::<Vec<_>>()).with("cpu_ns", cpu_ns);
    answerer.end();
    system::close(answers);
    system::close(answering);
    Ok(report)
}

#[inline(never)]
fn read_answered_late(fd: i32) -> Timed {
    let mut byte = [0];
    timed(|| {
        system::read(fd, &mut byte);
    })
}

/// N sleeps.
pub fn nanosleep(count: u64, ms: u64) -> io::Result<Report> {
    Ok(Report::new().with_timed(&(0..count).map(|_| sleep_once(ms)).collect::<Vec<_>>()))
}

#[inline(never)]
fn sleep_once(ms: u64) -> Timed {
    let call = timed(|| {
        system::nanosleep(ms * MILLISECOND);
    });
    Timed { least_ns: call.least_ns.max(ms * MILLISECOND), ..call }
}

/// N waits on a word shared with a child that changes and wakes it after a delay.
pub fn futex(count: u64, ms: u64) -> io::Result<Report> {
    let word = Word::map()?;
    let answerer = Answerer::start(ms, || word.change_and_wake())?;
    let mut durations = Vec::new();
    for _ in 0..count {
        let before = word.value();
        answerer.ask();
        while word.value() == before {
            durations.push(wait_on_futex(&word, before));
        }
    }
    let report = Report::new().with_timed(&durations);
    answerer.end();
    Ok(report)
}

#[inline(never)]
fn wait_on_futex(word: &Word, expected: u32) -> Timed {
    timed(|| {
        // SAFETY: the word's page stays mapped; no time limit is given.
        unsafe {
            system::call(
                libc::SYS_futex,
                [word.0 as *const _ as usize, libc::FUTEX_WAIT as usize, expected as usize, 0, 0, 0],
            );
        }
    })
}

/// A futex word on a page shared with children.
struct Word(&'static std::sync::atomic::AtomicU32);

impl Word {
    fn map() -> io::Result<Self> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, nothing replaced.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed, aligned, and never unmapped.
        Ok(Self(unsafe { &*page.cast() }))
    }

    fn value(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn change_and_wake(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // SAFETY: wakes at most one waiter of a mapped word.
        unsafe {
            system::call(
                libc::SYS_futex,
                [self.0 as *const _ as usize, libc::FUTEX_WAKE as usize, 1, 0, 0, 0],
            );
        }
    }
}

/// N sleeps, each interrupted half way by stop and continue: the kernel goes on with `restart_syscall`.
pub fn interrupted_sleep(count: u64, ms: u64) -> io::Result<Report> {
    let parent = std::process::id() as i32;
    let interrupter = Answerer::start(ms / 2, || {
        // SAFETY: signals to our own parent, which waits for us.
        unsafe { libc::kill(parent, libc::SIGSTOP) };
        system::nanosleep(5 * MILLISECOND);
        // SAFETY: as above.
        unsafe { libc::kill(parent, libc::SIGCONT) };
    })?;
    let durations = (0..count).map(|_| {
        interrupter.ask();
        sleep_once(ms)
    });
    let report = Report::new().with_timed(&durations.collect::<Vec<_>>());
    interrupter.end();
    Ok(report)
}

/// N reads that each compute in the kernel for as long as was measured.
pub fn random_reads(count: u64, mut read: LongRead) -> Report {
    let durations: Vec<_> = (0..count).map(|_| compute_in_kernel(&mut read)).collect();
    Report::new().with_timed(&durations)
}

#[inline(never)]
fn compute_in_kernel(read: &mut LongRead) -> Timed {
    timed(|| read.make())
}
