//! In: how many processes, or when to die. Out: calls that begin or end in unusual ways.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use crate::{
    report,
    report::{Report, Timed},
    system::{self, timed},
    timed::Answerer,
};

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

/// Bytes that one `readv` takes at most, in so many pieces.
const MOST: usize = 0x7fff_f000;
const PIECES: usize = 1024;

/// One `readv` of random bytes, 2 GiB at most, which is on the CPU until SIGUSR1 ends it; then it waits to be killed.
pub fn run_in_call() -> io::Result<Report> {
    catch(0);
    // SAFETY: the name is a C string.
    let random = unsafe { libc::open(c"/dev/urandom".as_ptr(), libc::O_RDONLY) };
    let mut bytes = vec![0_u8; MOST / PIECES + 1];
    let piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let pieces = [piece; PIECES];
    report::line("ready")?;
    let arguments = [random as usize, pieces.as_ptr() as usize, PIECES, 0, 0, 0];
    // SAFETY: the pieces live until the call returns.
    let read = unsafe { system::call(libc::SYS_readv, arguments) };
    let whole = u64::from(read >= MOST as isize);
    report::line(&Report::new().with("whole", whole).finish("run-in-call"))?;
    loop {
        // SAFETY: takes nothing.
        unsafe { system::call(libc::SYS_pause, [0; 6]) };
    }
}

/// N opens of a file that is not there.
pub fn failing_opens(count: u64) -> io::Result<Report> {
    let name = c"/nowhere/at/all";
    let mut missing = 0;
    for _ in 0..count {
        // SAFETY: the name is a C string; nothing is opened.
        let result = unsafe { system::call(libc::SYS_open, [name.as_ptr() as usize, 0, 0, 0, 0, 0]) };
        missing += u64::from(result == -libc::ENOENT as isize);
    }
    Ok(Report::new().with("calls", count).with("missing", missing))
}

/// N calls that a seccomp filter answers itself: they end without ever having begun.
pub fn refused(count: u64) -> io::Result<Report> {
    refuse(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32)?;
    let refused = (0..count).filter(|_| system::getppid() == -libc::EPERM as isize).count();
    Ok(Report::new().with("calls", count).with("refused", refused as u64))
}

/// Has seccomp answer each `getppid` of this process so.
///
/// # Errors
/// When the kernel takes no filter.
pub fn refuse(action: u32) -> io::Result<()> {
    let load_number = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        step(load_number, 0, 0, 0),
        step(if_equal, 0, 1, libc::SYS_getppid as u32),
        step(answer, 0, 0, action),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the filter and its program are alive; the kernel copies them.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Signals whose handler has run.
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn handle(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Counts SIGUSR1, by an action with these flags.
fn catch(flags: libc::c_int) {
    // SAFETY: the handler touches an atomic only; the record is plain and fully set.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = flags;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
}

/// N answers, each read while a signal comes half way. With `restart` the kernel resumes the read and it
/// is one call; without, it fails with `EINTR` and the program reads again.
pub fn signalled_reads(count: u64, ms: u64, restart: bool) -> io::Result<Report> {
    catch(if restart { libc::SA_RESTART } else { 0 });
    let parent = std::process::id() as i32;
    let [answers, answering] = system::pipe(0)?;
    let answerer = Answerer::start(ms / 2, || {
        // SAFETY: a signal to our own parent, which waits for us.
        unsafe { libc::kill(parent, libc::SIGUSR1) };
        system::nanosleep(ms / 2 * 1_000_000);
        system::write(answering, b"!");
    })?;
    let (mut calls, mut interrupted) = (Vec::new(), 0_u64);
    for _ in 0..count {
        answerer.ask();
        loop {
            let (call, result) = read_signalled(answers);
            calls.push(call);
            if result == 1 {
                break;
            }
            interrupted += 1;
        }
    }
    answerer.end();
    let handled = HANDLED.load(Ordering::Relaxed);
    Ok(Report::new().with("handled", handled).with("interrupted", interrupted).with_timed(&calls))
}

#[inline(never)]
fn read_signalled(fd: i32) -> (Timed, isize) {
    let (mut byte, mut result) = ([0], 0);
    let call = timed(|| result = system::read(fd, &mut byte));
    (call, result)
}
