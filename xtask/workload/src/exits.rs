//! In: how many processes, or when to die. Out: calls that begin or end in unusual ways.

use std::{io, thread};

use crate::{report, report::Report, system};

/// Calls of `getppid` that each spawned child makes.
const CALLS_PER_CHILD: u64 = 5;

/// Children one after the other, each alive for about 2 ms with a known number of calls.
pub fn spawn(count: u64) -> io::Result<Report> {
    for _ in 0..count {
        let pid = system::fork(|| {
            for _ in 0..CALLS_PER_CHILD {
                system::getppid();
            }
            system::nanosleep(2_000_000);
        })?;
        system::reap(pid);
    }
    Ok(Report::new()
        .with("processes", count)
        .with("getppid_calls", count * CALLS_PER_CHILD)
        .with("nanosleep_calls", count))
}

/// Never returns: blocks in `read` on a pipe nobody writes to.
pub fn hang_read() -> io::Result<Report> {
    let ends = system::pipe(0)?;
    report::line("ready")?;
    hang_in_read(ends[0]);
    Ok(Report::new())
}

#[inline(never)]
fn hang_in_read(fd: i32) {
    let mut byte = [0];
    while system::read(fd, &mut byte) != 1 {}
}

/// Ends the whole process while a second thread is blocked in `read`.
pub fn exit_in_call(ms: u64) -> io::Result<Report> {
    let ends = system::pipe(0)?;
    thread::spawn(move || hang_in_read(ends[0]));
    system::nanosleep(ms * 1_000_000);
    report::line(&Report::new().with("blocked_ms", ms).finish("exit-in-call"))?;
    // SAFETY: exit_group takes one number and does not return.
    unsafe { system::call(libc::SYS_exit_group, [0; 6]) };
    Ok(Report::new())
}
