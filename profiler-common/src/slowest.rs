//! The slowest calls one by one.
//!
//! In: slow calls. Out: per CPU and epoch, the [`KEPT`] longest of those that do not wait by purpose, and of those
//! that wait for another thread.

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

/// Kinds of calls that are kept apart: those that wait for another thread of user space, and the others.
pub const KINDS: usize = 2;

/// Those of one CPU, epoch and kind, in no order.
pub type Slowest = [SlowestCall; KEPT];

/// Whether a call waits for another thread of user space. (x86-64: futex, futex_waitv, futex_wait.)
#[inline(always)]
pub const fn waits_for_thread(nr: u32) -> bool {
    matches!(nr, 202 | 449 | 455)
}

/// Whether a call's first argument is a descriptor that stays one when the call is over. (x86-64.)
pub const fn takes_descriptor(nr: u32) -> bool {
    matches!(
        nr,
        // read, write, fstat, lseek, ioctl, pread64 to writev, dup, dup2, sendfile
        0 | 1 | 5 | 8 | 16..=20 | 32 | 33 | 40
            // connect, sendto to getpeername, setsockopt, getsockopt
            | 42 | 44..=52 | 54 | 55
            // fcntl to fdatasync, ftruncate, getdents, fchdir, fchmod, fchown, fstatfs, readahead
            | 72..=75 | 77 | 78 | 81 | 91 | 93 | 138 | 187
            // fsetxattr, fgetxattr, flistxattr, fremovexattr, getdents64, fadvise64, epoll_ctl
            | 190 | 193 | 196 | 199 | 217 | 221 | 233
            // openat to linkat, readlinkat, fchmodat, faccessat, splice to vmsplice, utimensat
            | 257..=265 | 267..=269 | 275..=278 | 280
            // fallocate, timerfd_settime, timerfd_gettime, dup3, preadv, pwritev, recvmmsg
            | 285..=287 | 292 | 295 | 296 | 299
            // syncfs, sendmmsg, setns, finit_module, copy_file_range, preadv2, pwritev2, statx
            | 306..=308 | 313 | 326..=328 | 332
            // openat2, faccessat2
            | 437 | 439
    )
}

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
