//! In: arguments of system calls. Out: their raw results. The instruction is inlined into its caller,
//! so that a frame-pointer walk begins in the function that made the call and not in libc.

use std::io;

use crate::report::Timed;

/// One system call by number; negative results are `-errno`.
///
/// # Safety
/// The arguments must be valid for that call: pointers alive and large enough for its duration.
#[inline(always)]
pub unsafe fn call(number: i64, arguments: [usize; 6]) -> isize {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let result: isize;
    // SAFETY: the kernel's calling convention on x86-64; it clobbers rcx and r11 only. What the
    // call itself does with its arguments is the caller's promise.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") first, in("rsi") second, in("rdx") third,
            in("r10") fourth, in("r8") fifth, in("r9") sixth,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

#[inline(always)]
pub fn read(fd: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: the buffer is exclusively ours and as long as said.
    unsafe { call(libc::SYS_read, [fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) }
}

#[inline(always)]
pub fn write(fd: i32, buffer: &[u8]) -> isize {
    // SAFETY: the buffer is alive and as long as said.
    unsafe { call(libc::SYS_write, [fd as usize, buffer.as_ptr() as usize, buffer.len(), 0, 0, 0]) }
}

#[inline(always)]
pub fn getppid() -> isize {
    // SAFETY: takes no arguments.
    unsafe { call(libc::SYS_getppid, [0; 6]) }
}

/// One `nanosleep` of that many nanoseconds.
#[inline(always)]
pub fn nanosleep(nanoseconds: u64) -> isize {
    let time = libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as i64,
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    };
    // SAFETY: the kernel reads one timespec, alive here; no remainder is asked for.
    unsafe { call(libc::SYS_nanosleep, [&raw const time as usize, 0, 0, 0, 0, 0]) }
}

/// Nanoseconds of a clock.
pub fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds since boot, never set back.
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// CPU time of the calling thread, in nanoseconds. By a call of its own: libc keeps no frame pointer, so a sample in
/// its function loses the caller.
#[inline(always)]
pub fn cpu_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let (id, place) = (libc::CLOCK_THREAD_CPUTIME_ID as usize, (&raw mut time) as usize);
    // SAFETY: the kernel writes one timespec.
    unsafe { call(libc::SYS_clock_gettime, [id, place, 0, 0, 0, 0]) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How often the calling thread lost its CPU while it had work.
#[inline(always)]
pub fn losses_of_cpu() -> u64 {
    // SAFETY: all zero is a value of this struct, which the kernel fills.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let (who, place) = (libc::RUSAGE_THREAD as usize, (&raw mut usage) as usize);
    // SAFETY: the kernel writes one rusage.
    unsafe { call(libc::SYS_getrusage, [who, place, 0, 0, 0, 0]) };
    usage.ru_nivcsw as u64
}

/// Times a call. The CPU may have been lost within it or around it: then nothing is known of it but the most.
#[inline(always)]
pub fn timed(call: impl FnOnce()) -> Timed {
    let before = losses_of_cpu();
    let begin = now();
    call();
    let ns = now() - begin;
    Timed { ns, least_ns: if losses_of_cpu() == before { ns } else { 0 } }
}

/// CPUs that this thread may run on.
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: all zero is the empty set, which the call fills by its size.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed);
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &allowed)).collect()
    }
}

/// Pins the calling thread to the CPU of that place among those it may run on.
///
/// # Errors
/// When there are fewer.
pub fn pin(place: usize) -> io::Result<()> {
    let cpus = allowed_cpus();
    let few = || io::Error::other(format!("this needs {} CPUs and may run on {}", place + 1, cpus.len()));
    let cpu = *cpus.get(place).ok_or_else(few)?;
    // SAFETY: a zeroed set is an empty one; the kernel reads as many bytes as said.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        match libc::sched_setaffinity(0, size_of_val(&set), &set) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A pipe's reading and writing ends.
///
/// # Errors
/// When the process has no descriptors left.
pub fn pipe(flags: i32) -> io::Result<[i32; 2]> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    match unsafe { libc::pipe2(ends.as_mut_ptr(), flags) } {
        0 => Ok(ends),
        _ => Err(io::Error::last_os_error()),
    }
}

pub fn close(fd: i32) {
    // SAFETY: only called on descriptors this program opened, once.
    unsafe { libc::close(fd) };
}

/// Runs `child` in a forked process, which then exits; returns its pid. Only before threads exist.
///
/// # Errors
/// When the kernel refuses another process.
pub fn fork(child: impl FnOnce()) -> io::Result<i32> {
    // SAFETY: the process has one thread, so that the child's copy is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            child();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        pid => Ok(pid),
    }
}

/// Waits for a child to end.
pub fn reap(pid: i32) {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

/// Blocks until a line or the end of input on stdin, without calling `read`.
pub fn wait_for_line() {
    let mut byte = 0_u8;
    loop {
        let vector = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: one vector over one byte, both alive.
        let got = unsafe { libc::readv(0, &vector, 1) };
        if got != 1 || byte == b'\n' {
            return;
        }
    }
}

/// Pseudo-random numbers, different in every run.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(now() ^ (u64::from(std::process::id()) << 32) | 1)
    }

    /// The next number (xorshift64*).
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
