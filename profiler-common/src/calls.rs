//! Calls that need special treatment, by their numbers in the tables of x86-64, x32 and i386.
//!
//! In: a short number (see [`crate::abi`]). Out: whether it waits by purpose, or takes a descriptor.

use crate::abi::{I386, X32};

/// Whether a call waits for another thread of user space. (x86-64: futex, futex_waitv, futex_wait; i386: the same and
/// futex_time64.)
#[inline(always)]
pub const fn waits_for_thread(short: u32) -> bool {
    if short & I386 != 0 {
        matches!(short & !I386, 240 | 422 | 449 | 455)
    } else {
        matches!(short & !X32, 202 | 449 | 455)
    }
}

/// Whether a call's first argument is a descriptor that is still open after the call.
pub const fn takes_descriptor(short: u32) -> bool {
    if short & I386 != 0 {
        return descriptor_of_i386(short & !I386);
    }
    // Of x32 alone: ioctl to recvmsg, vmsplice, preadv, pwritev, recvmmsg, sendmmsg, setsockopt, getsockopt, preadv2, pwritev2.
    if short & X32 != 0
        && matches!(short & !X32, 514..=519 | 532 | 534 | 535 | 537 | 538 | 541 | 542 | 546 | 547)
    {
        return true;
    }
    matches!(
        short & !X32,
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

const fn descriptor_of_i386(place: u32) -> bool {
    matches!(
        place,
        // read, write, lseek, oldfstat, dup, ioctl, fcntl, dup2, ftruncate to fchown, fstatfs, fstat, fsync
        3 | 4 | 19 | 28 | 41 | 54 | 55 | 63 | 93..=95 | 100 | 108 | 118
            // fchdir, _llseek, getdents, flock, readv, writev, fdatasync, pread64, pwrite64, sendfile
            | 133 | 140 | 141 | 143 | 145 | 146 | 148 | 180 | 181 | 187
            // ftruncate64, fstat64, fchown32, getdents64, fcntl64, readahead, the f…xattr, sendfile64, fadvise64
            | 194 | 197 | 207 | 220 | 221 | 225 | 228 | 231 | 234 | 237 | 239 | 250
            // epoll_ctl, fstatfs64, fadvise64_64, openat to linkat, readlinkat to faccessat
            | 255 | 269 | 272 | 295..=303 | 305..=307
            // splice, sync_file_range, tee, vmsplice, utimensat, fallocate, timerfd_settime, timerfd_gettime
            | 313..=316 | 320 | 324..=326
            // dup3, preadv, pwritev, recvmmsg, syncfs, sendmmsg, setns, finit_module
            | 330 | 333 | 334 | 337 | 344..=346 | 350
            // bind to listen, getsockopt to shutdown, copy_file_range to pwritev2, statx
            | 361..=363 | 365..=373 | 377..=379 | 383
            // timerfd_gettime64 to utimensat_time64, recvmmsg_time64, openat2, faccessat2
            | 410..=412 | 417 | 437 | 439
    )
}

/// Whether a call waits by purpose, for something to do or for another thread of user space: that such a
/// call is long means nothing.
#[inline(always)]
pub const fn waits_by_purpose(short: u32) -> bool {
    if short & I386 != 0 { by_purpose_of_i386(short & !I386) } else { by_purpose(short) }
}

/// Of x86-64: poll, select, pause, nanosleep, accept, wait4, rt_sigtimedwait, rt_sigsuspend, futex, io_getevents,
/// restart_syscall, clock_nanosleep, epoll_wait, waitid, pselect6, ppoll, epoll_pwait, accept4, io_pgetevents,
/// io_uring_enter, epoll_pwait2, futex_waitv, futex_wait; of x32 also its own rt_sigtimedwait, waitid.
#[inline(always)]
const fn by_purpose(short: u32) -> bool {
    if short == X32 | 523 || short == X32 | 529 {
        return true;
    }
    matches!(
        short & !X32,
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

/// The same by their i386 numbers, and waitpid, sigsuspend, _newselect, and those that take times of 64 bits.
#[inline(always)]
const fn by_purpose_of_i386(place: u32) -> bool {
    matches!(
        place,
        0 | 7
            | 29
            | 72
            | 82
            | 114
            | 142
            | 162
            | 168
            | 177
            | 179
            | 240
            | 247
            | 256
            | 267
            | 284
            | 308
            | 309
            | 319
            | 364
            | 385
            | 407
            | 413
            | 414
            | 416
            | 421
            | 422
            | 426
            | 441
            | 449
            | 455
    )
}
