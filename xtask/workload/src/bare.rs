//! In: a function, its argument, maybe the id to have. Out: a thread or a process made by the kernel's own
//! call, without a line of libc around it: each of its calls is written here, and its id is the one asked for.
//! A bare thread has no thread-local storage: its function makes system calls and touches atomics, no more.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::system;

/// Bytes of a bare thread's stack; it touches one page of them.
const STACK: usize = 16 << 10;
/// `struct clone_args` of linux/sched.h, with `set_tid` and without `cgroup`.
const ARGUMENT_BYTES: usize = 80;
/// How often an id is asked for that its owner has not given back yet.
const ASKED: u32 = 10_000;

#[derive(Default)]
#[repr(C)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Room for threads that live at once.
pub struct Threads {
    stacks: usize,
    /// Each thread's id; 0 before it and after it.
    ids: Vec<AtomicU32>,
}

impl Threads {
    /// Room for that many.
    ///
    /// # Errors
    /// When the kernel has no addresses for their stacks.
    pub fn new(count: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, nothing replaced; it is never unmapped.
        let stacks = unsafe { libc::mmap(std::ptr::null_mut(), count * STACK, access, flags, -1, 0) };
        if stacks == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { stacks: stacks as usize, ids: (0..count).map(|_| AtomicU32::new(0)).collect() })
    }

    /// Starts `work(argument)` in the thread of that place, which has ended before or never begun; with `tid`
    /// as its id, as soon as it is free.
    ///
    /// # Errors
    /// When the kernel refuses the thread.
    pub fn start(
        &self,
        place: usize,
        tid: Option<u32>,
        (work, argument): (extern "C" fn(usize), usize),
    ) -> io::Result<u32> {
        let id = self.ids[place].as_ptr() as u64;
        let arguments = Arguments {
            flags: (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND) as u64
                | (libc::CLONE_THREAD | libc::CLONE_SYSVSEM) as u64
                | (libc::CLONE_PARENT_SETTID | libc::CLONE_CHILD_CLEARTID) as u64,
            child_tid: id,
            parent_tid: id,
            stack: (self.stacks + place * STACK) as u64,
            stack_size: STACK as u64,
            ..Arguments::default()
        };
        // SAFETY: the stack is this place's own and free, the words are alive as long as the process.
        with_id(arguments, tid, |arguments| unsafe { thread(arguments, work, argument) })
    }

    /// Waits for the end of the thread of that place.
    pub fn wait(&self, place: usize) {
        loop {
            let id = self.ids[place].load(Ordering::SeqCst);
            if id == 0 {
                return;
            }
            let word = self.ids[place].as_ptr() as usize;
            // SAFETY: the word is alive; no time limit is given. The kernel wakes its waiters when it clears it.
            unsafe {
                system::call(libc::SYS_futex, [word, libc::FUTEX_WAIT as usize, id as usize, 0, 0, 0]);
            }
        }
    }
}

/// Runs `child` in a process, which then exits; with `pid` as its id, as soon as it is free. Only before
/// threads exist.
///
/// # Errors
/// When the kernel refuses the process.
pub fn process(pid: Option<u32>, child: impl Fn()) -> io::Result<u32> {
    let arguments = Arguments { exit_signal: libc::SIGCHLD as u64, ..Arguments::default() };
    with_id(arguments, pid, |arguments| {
        let words = [arguments as *const Arguments as usize, ARGUMENT_BYTES, 0, 0, 0, 0];
        // SAFETY: as fork: the child has a copy of this process and of its one thread.
        let result = unsafe { system::call(libc::SYS_clone3, words) };
        if result == 0 {
            child();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        result
    })
}

/// Clones with that id; `EEXIST` is an owner that is on its way out.
fn with_id(
    mut arguments: Arguments,
    id: Option<u32>,
    clone: impl Fn(&Arguments) -> isize,
) -> io::Result<u32> {
    let wanted = id.unwrap_or(0);
    if id.is_some() {
        (arguments.set_tid, arguments.set_tid_size) = (&raw const wanted as u64, 1);
    }
    for _ in 0..ASKED {
        match clone(&arguments) {
            result if result == -libc::EEXIST as isize => system::nanosleep(100_000),
            result if result < 0 => return Err(io::Error::from_raw_os_error(-result as i32)),
            result => return Ok(result as u32),
        };
    }
    Err(io::Error::other(format!("the id {wanted} is somebody's")))
}

/// A thread on a stack of its own, which ends when `work` returns.
///
/// # Safety
/// The stack and the words that `arguments` name must be free and outlive the thread.
unsafe fn thread(arguments: &Arguments, work: extern "C" fn(usize), argument: usize) -> isize {
    let result: isize;
    // SAFETY: the parent goes on behind the jump with its stack untouched; the thread begins on its own, calls
    // `work` and ends by SYS_exit.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r14",
            "call r15",
            "mov eax, 60",
            "xor edi, edi",
            "syscall",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") &raw const *arguments, in("rsi") ARGUMENT_BYTES,
            in("r14") argument, in("r15") work,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}
