//! In: how many reads, and how long each lasts. Out: reads that a signal's handler leaves by a jump, as `siglongjmp` does.

use std::{
    arch::global_asm,
    cell::UnsafeCell,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    report::{Report, Timed},
    system::{self, timed},
};

// `left_read` is `read`, and keeps what a jump back to its caller needs; `leave_read` is that jump: the read returns -EINTR.
global_asm!(
    ".text",
    ".type left_read, @function",
    "left_read:",
    "push rbp",
    "mov rbp, rsp",
    "mov [rcx], rbx",
    "mov [rcx + 8], rbp",
    "mov [rcx + 16], r12",
    "mov [rcx + 24], r13",
    "mov [rcx + 32], r14",
    "mov [rcx + 40], r15",
    "mov [rcx + 48], rsp",
    "mov r8, rcx",
    "mov qword ptr [r8 + 56], 1",
    "xor eax, eax",
    "syscall",
    "mov qword ptr [r8 + 56], 0",
    "pop rbp",
    "ret",
    ".size left_read, . - left_read",
    ".type leave_read, @function",
    "leave_read:",
    "mov rbx, [rdi]",
    "mov rbp, [rdi + 8]",
    "mov r12, [rdi + 16]",
    "mov r13, [rdi + 24]",
    "mov r14, [rdi + 32]",
    "mov r15, [rdi + 40]",
    "mov rsp, [rdi + 48]",
    "mov qword ptr [rdi + 56], 0",
    "mov rax, -4",
    "pop rbp",
    "ret",
    ".size leave_read, . - leave_read",
);

unsafe extern "C" {
    fn left_read(fd: i32, buffer: *mut u8, length: usize, kept: *mut Jump) -> isize;
    fn leave_read(kept: *const Jump) -> !;
}

/// What `left_read` keeps: seven registers, and whether it is in its call.
type Jump = [u64; 8];

struct Kept(UnsafeCell<Jump>);
// SAFETY: only the one thread that reads uses it, and its handler.
unsafe impl Sync for Kept {}

static KEPT: Kept = Kept(UnsafeCell::new([0; 8]));
/// Signals whose handler has run.
static HANDLED: AtomicU64 = AtomicU64::new(0);

/// Where a jump goes; none where the signal came outside of a read.
fn place() -> Option<*const Jump> {
    let kept = KEPT.0.get();
    // SAFETY: an aligned word that this thread alone writes.
    let reads = unsafe { kept.cast::<u64>().add(7).read_volatile() } != 0;
    HANDLED.fetch_add(u64::from(reads), Ordering::Relaxed);
    reads.then_some(kept.cast_const())
}

extern "C" fn jump(_signal: libc::c_int) {
    if let Some(place) = place() {
        // SAFETY: `left_read` waits, and the jump goes to its caller.
        unsafe { leave_read(place) }
    }
}

extern "C" fn unblock_and_jump(_signal: libc::c_int) {
    if let Some(place) = place() {
        // SAFETY: the set is plain and fully made; then as in `jump`. `siglongjmp` sets the mask of before, too.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
            leave_read(place)
        }
    }
}

/// N reads of an empty pipe, each left after MS. With `mask` the handler makes a call before it jumps; without, nothing is
/// between one read and the next.
pub fn left_reads(count: u64, ms: u64, mask: bool) -> io::Result<Report> {
    let ends = system::pipe(0)?;
    handle(mask);
    every(ms)?;
    let mut calls = Vec::with_capacity(count as usize);
    for _ in 0..count {
        calls.push(if mask { timed_left(ends[0]) } else { read_left(ends[0]) });
    }
    every(0)?;
    let left = calls.iter().filter(|(_, result)| *result == -(libc::EINTR as isize)).count();
    let calls: Vec<Timed> = calls.into_iter().map(|(call, _)| call).collect();
    let handled = HANDLED.load(Ordering::Relaxed);
    Ok(Report::new().with("handled", handled).with("left", left as u64).with_timed(&calls))
}

fn timed_left(fd: i32) -> (Timed, isize) {
    let mut result = 0;
    let call = timed(|| result = read_left(fd).1);
    (call, result)
}

/// Without a call beside it: the next one that the thread makes may be the next read.
#[inline(never)]
fn read_left(fd: i32) -> (Timed, isize) {
    let mut byte = [0_u8];
    let begin = system::now();
    // SAFETY: the buffer lives as long as the read; nothing with a destructor is between here and the jump.
    let result = unsafe { left_read(fd, byte.as_mut_ptr(), 1, KEPT.0.get()) };
    (Timed { ns: system::now() - begin, least_ns: 0 }, result)
}

/// As `signal` does it: interrupted calls are restarted where the handler returns.
fn handle(mask: bool) {
    // SAFETY: the record is plain and fully set.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int) = if mask { unblock_and_jump } else { jump };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART | if mask { 0 } else { libc::SA_NODEFER };
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
    }
}

/// A signal every `ms`; 0: none.
fn every(ms: u64) -> io::Result<()> {
    let time = libc::timeval { tv_sec: (ms / 1000) as i64, tv_usec: (ms % 1000 * 1000) as i64 };
    let timer = libc::itimerval { it_interval: time, it_value: time };
    // SAFETY: the timer is alive, the old one is not asked for.
    let result = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
