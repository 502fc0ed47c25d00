//! In: how many. Out: children that die, each in a way that is known: their pids, and who killed them.

use std::{hint::black_box, io, ptr, thread};

use crate::{
    report::Report,
    system::{self, Random},
};

/// Frames below the fault, from the root on.
const DEEP: &[fn(u32)] = &[die_outer];
/// A stack that is soon full.
const SMALL_STACK: usize = 64 << 10;
/// What a victim that is asked to end gets before it is killed, ns.
const GRACE_NS: u64 = 50_000_000;
/// The exit code of a child that fails in peace, and of one whose handler gives up.
const FAILED: i32 = 7;
const GAVE_UP: i32 = 2;
/// The name of who kills.
const KILLER: &std::ffi::CStr = c"assassin";

/// Ways to die at the leaf.
const NULL: u32 = 0;
const TRUNCATED: u32 = 1;
const ABORT: u32 = 2;
const SECCOMP: u32 = 3;
const NO_PERMISSION: u32 = 4;
const UNMAPPED: u32 = 5;

/// Starts a child that dies in one way, and tells its pid.
type Way = fn() -> io::Result<i32>;

/// `count` children of each way to die, one after the other.
pub fn deaths(count: u64) -> io::Result<Report> {
    let mut report = Report::new();
    let ways: [(&str, Way); 11] = [
        ("null", || plain(|| die(NULL))),
        ("unmapped", || plain(|| die(UNMAPPED))),
        ("no_permission", || plain(|| die(NO_PERMISSION))),
        ("file_truncated", || plain(|| die(TRUNCATED))),
        ("stack_overflow", || plain(overflow)),
        ("raised", || plain(|| die(ABORT))),
        ("refused", || plain(|| die(SECCOMP))),
        ("handled", || system::fork(|| die(NULL))),
        ("gave_up", || system::fork(give_up)),
        ("failed", || system::fork(|| leave(FAILED))),
        ("asked", ask_then_kill),
    ];
    for (name, way) in ways {
        let pids =
            (0..count).map(|_| way().inspect(|pid| system::reap(*pid))).collect::<io::Result<Vec<_>>>()?;
        report = report.with_list(name, &format!("{pids:?}"));
    }
    let (victim, killer) = killed()?;
    Ok(report.with("killed", victim as u64).with("killer", killer as u64))
}

/// `count` children that write to a null pointer, three functions deep.
pub fn faults(count: u64) -> io::Result<Report> {
    for _ in 0..count {
        system::reap(plain(|| die(NULL))?);
    }
    Ok(Report::new().with("faults", count))
}

/// A child for which a handler catches `count` faults, and which ends well; how many it caught, and the time each took.
pub fn caught(count: u64) -> io::Result<Report> {
    let [reading, writing] = system::pipe(0)?;
    let pid = system::fork(|| {
        catch_and_step();
        let begun = system::now();
        for _ in 0..count {
            // SAFETY: the handler steps over the instruction, which is 2 bytes long.
            unsafe { std::arch::asm!("mov byte ptr [rax], al", in("rax") 8_u64) };
        }
        let each = (system::now() - begun) / count.max(1);
        system::write(
            writing,
            &[CAUGHT.load(std::sync::atomic::Ordering::Relaxed), each].map(u64::to_ne_bytes).concat(),
        );
    })?;
    let mut told = [0; 16];
    system::read(reading, &mut told);
    system::reap(pid);
    let word = |at: usize| u64::from_ne_bytes(told[at..at + 8].try_into().unwrap_or_default());
    Ok(Report::new().with("caught", word(0)).with("each_ns", word(8)))
}

static CAUGHT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

extern "C" fn step(_signal: libc::c_int, _about: *mut libc::siginfo_t, context: *mut libc::c_void) {
    CAUGHT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: the kernel gives a handler with SA_SIGINFO the interrupted registers.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        context.uc_mcontext.gregs[libc::REG_RIP as usize] += 2;
    }
}

extern "C" fn leave_it(_signal: libc::c_int) {
    leave(GAVE_UP);
}

fn catch_and_step() {
    handle(libc::SIGSEGV, step as *const () as usize, libc::SA_SIGINFO);
}

/// A handler that ends the process, as runtimes do.
fn give_up() {
    handle(libc::SIGSEGV, leave_it as *const () as usize, 0);
    die(NULL);
}

fn handle(signal: libc::c_int, handler: usize, flags: libc::c_int) {
    // SAFETY: the record is plain and fully set.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

/// A child without the standard library's own handlers, and without a core.
fn plain(way: impl FnOnce()) -> io::Result<i32> {
    system::fork(|| {
        forget_handlers();
        way();
    })
}

/// Faults end this process, and leave no core.
fn forget_handlers() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        handle(signal, libc::SIG_DFL, 0);
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the record lives until the call returns.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}

/// What this process needs to die by a null pointer, three functions deep, with no call before that but the one that lets it.
pub fn itself() -> impl FnOnce() -> io::Result<Report> {
    forget_handlers();
    || {
        die(NULL);
        Err(io::Error::other("it lives"))
    }
}

/// Such a child, which does something and then writes to a null pointer.
pub fn plain_null(before: impl FnOnce()) -> io::Result<i32> {
    plain(|| {
        before();
        die(NULL);
    })
}

fn die(way: u32) {
    DEEP.iter().for_each(|outer| outer(way));
}

#[inline(never)]
fn die_outer(way: u32) {
    die_middle(black_box(way));
    black_box(());
}

#[inline(never)]
fn die_middle(way: u32) {
    die_leaf(black_box(way));
    black_box(());
}

#[inline(never)]
fn die_leaf(way: u32) {
    match way {
        // SAFETY: it faults, which is what is wanted.
        NULL => unsafe { ptr::write_volatile(black_box(0x10) as *mut u32, 1) },
        // SAFETY: as above: behind the largest address of a process's own, less a page.
        UNMAPPED => unsafe { ptr::write_volatile(black_box(0x5dea_d000_usize) as *mut u32, 1) },
        // SAFETY: as above: code is not writable.
        NO_PERMISSION => unsafe { ptr::write_volatile(black_box(die_outer as *const () as *mut u32), 1) },
        TRUNCATED => read_truncated(),
        // SAFETY: ends the process.
        ABORT => unsafe { libc::abort() },
        SECCOMP => refuse_and_call(),
        _ => {}
    }
    black_box(());
}

#[inline(never)]
fn read_truncated() {
    // SAFETY: a file of a page, mapped and then cut: reading it faults.
    unsafe {
        let file = libc::memfd_create(c"cut".as_ptr(), 0);
        libc::ftruncate(file, 4096);
        let page = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        libc::ftruncate(file, 0);
        black_box(ptr::read_volatile(page.cast::<u8>()));
    }
}

#[inline(never)]
fn refuse_and_call() {
    if crate::exits::refuse(libc::SECCOMP_RET_KILL_PROCESS).is_ok() {
        system::getppid();
    }
}

/// A thread whose stack is full.
fn overflow() {
    let full = thread::Builder::new().stack_size(SMALL_STACK).spawn(|| descend(1));
    let _ = full.map(thread::JoinHandle::join);
}

#[inline(never)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == 0 {
        return 0;
    }
    descend(black_box(depth + 1)) + frame[(depth % 64) as usize]
}

fn leave(code: i32) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

fn sleep_for_good() {
    loop {
        // SAFETY: no preconditions.
        unsafe { libc::pause() };
    }
}

extern "C" fn shrug(_signal: libc::c_int) {}

/// As a runtime stops a container: a victim that does not obey is killed after a while.
fn ask_then_kill() -> io::Result<i32> {
    let [reading, writing] = system::pipe(0)?;
    let victim = system::fork(|| {
        handle(libc::SIGTERM, shrug as *const () as usize, libc::SA_RESTART);
        system::write(writing, b"!");
        sleep_for_good();
    })?;
    system::read(reading, &mut [0]);
    // SAFETY: our own child.
    unsafe { libc::kill(victim, libc::SIGTERM) };
    system::nanosleep(GRACE_NS);
    // SAFETY: as above.
    unsafe { libc::kill(victim, libc::SIGKILL) };
    for end in [reading, writing] {
        system::close(end);
    }
    Ok(victim)
}

/// A victim, and who killed it: another process, with a name of its own.
fn killed() -> io::Result<(i32, i32)> {
    let victim = system::fork(sleep_for_good)?;
    let killer = system::fork(|| {
        // SAFETY: the name is a C string; the victim is our brother.
        unsafe {
            libc::prctl(libc::PR_SET_NAME, KILLER.as_ptr());
            libc::kill(victim, libc::SIGKILL);
        }
    })?;
    system::reap(killer);
    system::reap(victim);
    Ok((victim, killer))
}

/// Dies of null pointers, three functions deep, every `ms` with some jitter, `count` times; the times between.
pub fn periodic(count: u64, ms: u64) -> io::Result<Report> {
    let mut random = Random::new();
    let mut times = Vec::new();
    for _ in 0..count {
        system::nanosleep(ms * 1_000_000 - random.next() % 1_000_000);
        times.push(system::now());
        system::reap(plain(|| die(NULL))?);
    }
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    Ok(Report::new().with_list("gaps_ns", &format!("{gaps:?}")))
}
