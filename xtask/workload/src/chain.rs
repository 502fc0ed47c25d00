//! In: how often, and how long the last one sleeps. Out: waits of a thread for a mutex whose holder reads a pipe, whose writer reads
//! another pipe, whose writer sleeps: four threads of three processes, and what each wait took.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use crate::{
    report::{Report, Timed},
    system::{self, nanosleep, timed},
};

/// A byte there, a byte back.
struct Line {
    asked: i32,
    ask: i32,
    told: i32,
    tell: i32,
}

impl Line {
    fn new() -> io::Result<Self> {
        let ([asked, ask], [told, tell]) = (system::pipe(0)?, system::pipe(0)?);
        Ok(Self { asked, ask, told, tell })
    }

    /// Asks, and waits for the answer.
    fn request(&self) {
        system::write(self.ask, b"?");
        system::read(self.told, &mut [0]);
    }

    /// Answers each request once `work` is done.
    fn serve(&self, work: impl Fn()) {
        system::close(self.ask);
        let mut byte = [0];
        while system::read(self.asked, &mut byte) == 1 {
            work();
            system::write(self.tell, b"!");
        }
    }
}

/// A number that children share.
fn counter() -> io::Result<&'static AtomicU64> {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, nothing replaced.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, aligned, and never unmapped.
    Ok(unsafe { &*page.cast() })
}

/// Whether the process's first thread sleeps.
fn is_asleep() -> bool {
    let pid = std::process::id();
    let stat = std::fs::read_to_string(format!("/proc/self/task/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

/// `count` waits for a mutex, each as long as the last of the chain sleeps: `ms`.
pub fn mutex_pipe_pipe_sleep(count: u64, ms: u64) -> io::Result<Report> {
    let (first, second) = (Line::new()?, Line::new()?);
    let slept = counter()?;
    let sleeper = system::fork(|| {
        system::close(first.ask);
        second.serve(|| {
            let begin = system::now();
            nanosleep(ms * 1_000_000);
            slept.fetch_add(system::now() - begin, SeqCst);
        });
    })?;
    system::close(second.asked);
    let middle = system::fork(|| first.serve(|| second.request()))?;
    system::close(second.ask);
    let (lock, held) = (Arc::new(Mutex::new(())), system::pipe(0)?);
    let ([begun, begin], [has, have]) = (system::pipe(0)?, held);
    let waiting = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&waiting);
    let (kept, ask, told) = (Arc::clone(&lock), first.ask, first.told);
    let keeper = thread::Builder::new().name("keeper".to_owned()).spawn(move || {
        let mut byte = [0];
        while system::read(begun, &mut byte) == 1 {
            let guard = kept.lock().unwrap_or_else(PoisonError::into_inner);
            system::write(have, b"!");
            while !waits.load(SeqCst) || !is_asleep() {
                nanosleep(200_000);
            }
            system::write(ask, b"?");
            system::read(told, &mut [0]);
            drop(guard);
        }
    })?;
    let wait = |_| {
        system::write(begin, b"?");
        system::read(has, &mut [0]);
        waiting.store(true, SeqCst);
        let waited = timed(|| drop(lock.lock()));
        waiting.store(false, SeqCst);
        waited
    };
    let waits: Vec<Timed> = (0..count).map(wait).collect();
    let report = Report::new().with_timed(&waits).with("slept_ns", count * ms * 1_000_000);
    let report = report.with("slept_most_ns", slept.load(SeqCst));
    let report = report.with("middle", middle as u64).with("sleeper", sleeper as u64);
    system::close(begin);
    drop(keeper.join());
    system::close(first.ask);
    system::reap(middle);
    system::reap(sleeper);
    Ok(report)
}
