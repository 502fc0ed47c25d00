//! In: how many threads or processes. Out: crowds of them, each with a known number of calls: a hundred
//! thousand threads that live at once, processes that come and go by the thousand.

use std::{
    io,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use crate::{bare::Threads, report, report::Report, system};

/// Calls of `getppid` of each thread before it waits, and after; of each process.
const CALLS: u64 = 3;

static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// 0 while the threads shall wait.
static GATE: AtomicU32 = AtomicU32::new(0);

/// Threads that make calls, wait until all are there, and make calls again. Prints a line when all wait, and
/// goes on at a line on stdin.
pub fn threads(count: u64) -> io::Result<Report> {
    let threads = Threads::new(count as usize)?;
    let mut made = 0;
    while made < count && threads.start(made as usize, None, (stand, 0)).is_ok() {
        made += 1;
    }
    while ARRIVED.load(Ordering::SeqCst) < made {
        system::nanosleep(10_000_000);
    }
    report::line(&Report::new().with("threads", made).finish("crowd"))?;
    system::wait_for_line();
    GATE.store(1, Ordering::SeqCst);
    // SAFETY: wakes the waiters of a word that lives as long as the process.
    unsafe {
        let all = i32::MAX as usize;
        system::call(libc::SYS_futex, [GATE.as_ptr() as usize, libc::FUTEX_WAKE as usize, all, 0, 0, 0]);
    }
    (0..made as usize).for_each(|place| threads.wait(place));
    Ok(Report::new().with("threads", made).with("getppid_calls", 2 * CALLS * made))
}

extern "C" fn stand(_: usize) {
    for _ in 0..CALLS {
        system::getppid();
    }
    ARRIVED.fetch_add(1, Ordering::SeqCst);
    while GATE.load(Ordering::SeqCst) == 0 {
        // SAFETY: the word lives as long as the process; no time limit is given.
        unsafe {
            system::call(libc::SYS_futex, [GATE.as_ptr() as usize, libc::FUTEX_WAIT as usize, 0, 0, 0, 0]);
        }
    }
    for _ in 0..CALLS {
        system::getppid();
    }
}

/// Threads that only sleep, `naps` times `ms` each.
pub fn sleepers(count: u64, naps: u64, ms: u64) -> io::Result<Report> {
    let threads = Threads::new(count as usize)?;
    let nap = (nap as extern "C" fn(usize), (naps << 32 | ms) as usize);
    for place in 0..count as usize {
        threads.start(place, None, nap)?;
    }
    (0..count as usize).for_each(|place| threads.wait(place));
    Ok(Report::new()
        .with("threads", count)
        .with("naps", count * naps)
        .with("least_total_ns", count * naps * ms * 1_000_000))
}

extern "C" fn nap(times: usize) {
    for _ in 0..times >> 32 {
        system::nanosleep((times as u64 & u64::from(u32::MAX)) * 1_000_000);
    }
}

/// Processes, so many at a time, each with calls and one `nanosleep` of 2 ms.
pub fn processes(count: u64, at_once: u64) -> io::Result<Report> {
    let mut alive = 0;
    for _ in 0..count {
        if alive == at_once {
            // SAFETY: any child, no status is asked for.
            unsafe { libc::wait(std::ptr::null_mut()) };
            alive -= 1;
        }
        system::fork(|| {
            for _ in 0..CALLS {
                system::getppid();
            }
            system::nanosleep(2_000_000);
        })?;
        alive += 1;
    }
    for _ in 0..alive {
        // SAFETY: as above.
        unsafe { libc::wait(std::ptr::null_mut()) };
    }
    let report = Report::new().with("processes", count);
    Ok(report.with("getppid_calls", count * CALLS).with("nanosleep_calls", count))
}
