//! Processes that no signal but SIGKILL wakes: each waits in `vfork` for a child that only sleeps.
//!
//! In: how many. Out: `ready` once all of them wait; they end with the process that made them.

use std::{fs, io, thread, time::Duration};

use crate::report::{self, Report};

/// How often a process is looked at, every millisecond.
const POLLS: u32 = 30_000;

/// `count` processes in `vfork` until killed.
pub fn vforks(count: u64) -> io::Result<Report> {
    let pids = (0..count).map(|_| one()).collect::<io::Result<Vec<_>>>()?;
    for pid in pids {
        wait_until_held(pid)?;
    }
    report::line("ready")?;
    loop {
        // SAFETY: no preconditions.
        unsafe { libc::pause() };
    }
}

/// A process that waits for its child's exec or end, neither of which comes before it is killed itself.
fn one() -> io::Result<i32> {
    // SAFETY: this process has one thread here.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let flags = libc::CLONE_VFORK | libc::SIGCHLD;
            // SAFETY: asks for its own death with its parent's; then a child with a copy of the memory, as fork makes
            // one, which is waited for. Both only call the kernel.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) == 0 {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    loop {
                        libc::pause();
                    }
                }
                libc::_exit(1)
            }
        }
        pid => Ok(pid),
    }
}

fn wait_until_held(pid: i32) -> io::Result<()> {
    for _ in 0..POLLS {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('D')) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err(io::Error::other(format!("process {pid} does not wait in vfork")))
}
