//! The slowest calls one by one.
//!
//! In: slow calls. Out: per CPU and epoch, the [`KEPT`] longest of those that do not wait by purpose.

use crate::part::PARTS;

/// Calls a CPU keeps per epoch.
pub const KEPT: usize = 16;

/// One call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SlowestCall {
    /// From enter to exit, ns; 0 = free.
    pub wall_ns: u64,
    /// When it was entered, monotonic ns.
    pub enter_ns: u64,
    /// What it returned.
    pub ret: i64,
    /// Its first three arguments.
    pub arguments: [u64; 3],
    /// `wall_ns` by [`crate::part::Part`], ns.
    pub parts: [u64; PARTS],
    /// Kernel stack during the call.
    pub kernel: u64,
    /// User stack that made it.
    pub user: u64,
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// System call number.
    pub nr: u32,
    /// Explicit padding.
    pub pad: u32,
}
crate::shared_record!(SlowestCall, 80 + 8 * PARTS);

/// Those of one CPU and epoch, in no order.
pub type Slowest = [SlowestCall; KEPT];

/// Whether a call waits by purpose, for something to do or for another thread of user space: the longest
/// of these say nothing. (x86-64: poll, select, pause, nanosleep, accept, wait4, rt_sigtimedwait,
/// rt_sigsuspend, futex, io_getevents, restart_syscall, clock_nanosleep, epoll_wait, waitid, pselect6,
/// ppoll, epoll_pwait, accept4, io_pgetevents, io_uring_enter, epoll_pwait2, futex_waitv, futex_wait.)
#[inline(always)]
pub const fn waits_by_purpose(nr: u32) -> bool {
    matches!(
        nr,
        7 | 23
            | 34
            | 35
            | 43
            | 61
            | 128
            | 130
            | 202
            | 208
            | 219
            | 230
            | 232
            | 247
            | 270
            | 271
            | 281
            | 288
            | 333
            | 426
            | 441
            | 449
            | 455
    )
}
