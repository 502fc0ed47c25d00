//! Rows of the `syscall` probe.
//!
//! In: a call that ended. Out: its latency row and errno counter; slow ones go on to `slow`.

use profiler_common::outcome::Outcome;
use profiler_common::processor::RT_SIGRETURN;
use profiler_common::syscall::ErrorKey;

use crate::global;
use crate::maps::ERRORS;
use crate::outcome::{busy, count};
use crate::row::{self, Calls, this_writer};

/// A call that ended: what its rows need.
pub struct Ended {
    pub tgid: u32,
    pub nr: u32,
    pub latency_ns: u64,
    pub ret: i64,
}

/// Adds a call that ended to its rows; whether it is slow.
#[inline(always)]
pub fn add(ended: &Ended) -> bool {
    if global::syscall_rows() == 0 {
        return false;
    }
    // What rt_sigreturn leaves behind is the interrupted code's register, no errno of its own.
    if ended.ret < 0 && ended.ret >= -4095 && ended.nr != RT_SIGRETURN {
        add_error(ended);
    }
    row::add::<Calls>(ended.tgid, ended.nr as u16, ended.latency_ns);
    ended.latency_ns >= global::slow_ns()
}

#[inline(never)]
fn add_error(ended: &Ended) -> u32 {
    let key =
        ErrorKey { tgid: ended.tgid, nr: ended.nr as u16, errno: (-ended.ret) as u16, writer: this_writer() };
    if let Some(row) = ERRORS.get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe { *row += 1 };
    } else if busy(|| ERRORS.insert(&key, &1, 0)).is_err() {
        count(Outcome::ErrorRowFull, 1);
    }
    0
}
