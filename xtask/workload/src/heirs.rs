//! In: how often. Out: tasks that get the id of one that has just ended, and what their calls took by their own
//! clock: threads one after the other, processes killed inside a call, threads that take over their leader's id
//! by an exec.

use std::{
    ffi::CString,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    ptr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use crate::{
    bare::{self, Threads},
    report::Report,
    system::{self, now},
    timed::Answerer,
};

/// Calls of `getppid` of each of them.
const CALLS: u64 = 7;
/// How often a process's call is looked at, every millisecond.
const POLLS: u32 = 10_000;

/// What the heirs share, also across processes: descriptors and figures.
#[derive(Default)]
struct Shared {
    asking: u64,
    answers: u64,
    silent: u64,
    reads: AtomicU64,
    total_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Shared {
    /// Memory that children keep sharing.
    fn map() -> io::Result<&'static mut Self> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, nothing replaced.
        let page = unsafe { libc::mmap(ptr::null_mut(), 4096, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed, which is a value of every field; aligned; never unmapped.
        Ok(unsafe { &mut *page.cast() })
    }

    /// What one heir does: a few calls, and a read that is answered late.
    #[inline(always)]
    fn live(&self) {
        for _ in 0..CALLS {
            system::getppid();
        }
        let begin = now();
        system::write(self.asking as i32, b"?");
        system::read(self.answers as i32, &mut [0]);
        let took = now() - begin;
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.total_ns.fetch_add(took, Ordering::SeqCst);
        self.max_ns.fetch_max(took, Ordering::SeqCst);
    }

    fn report(&self, id: u32, count: u64) -> Report {
        let of = |value: &AtomicU64| value.load(Ordering::SeqCst);
        Report::new()
            .with("id", id.into())
            .with("count", count)
            .with("getppid_calls", count * CALLS)
            .with("calls", of(&self.reads))
            .with("total_ns", of(&self.total_ns))
            .with("max_ns", of(&self.max_ns))
    }
}

/// Starts what answers each byte after so many ms, and tells the heirs of it.
fn answered(ms: u64) -> io::Result<(&'static mut Shared, Answerer)> {
    let [answers, answering] = system::pipe(0)?;
    let answerer = Answerer::start(ms, || {
        system::write(answering, b"!");
    })?;
    let shared = Shared::map()?;
    (shared.asking, shared.answers) = (answerer.requests() as u64, answers as u64);
    Ok((shared, answerer))
}

/// Threads of one id, one after the other, each inside `exit` when it ends.
pub fn threads(count: u64, ms: u64) -> io::Result<Report> {
    let (shared, answerer) = answered(ms)?;
    let threads = Threads::new(1)?;
    let heir = (live as extern "C" fn(usize), ptr::from_ref::<Shared>(shared) as usize);
    let mut id = None;
    for _ in 0..count {
        id = Some(threads.start(0, id, heir)?);
        threads.wait(0);
    }
    answerer.end();
    Ok(shared.report(id.unwrap_or(0), count))
}

extern "C" fn live(shared: usize) {
    // SAFETY: `threads` passes the address of what lives as long as the process.
    unsafe { &*(shared as *const Shared) }.live();
}

/// Processes of one id, one after the other, each killed while it waits in a read that nobody answers.
pub fn processes(count: u64, ms: u64) -> io::Result<Report> {
    let (shared, answerer) = answered(ms)?;
    let [silent, _kept] = system::pipe(0)?;
    shared.silent = silent as u64;
    let (mut id, mut killed_ns, mut longest_ns) = (None, 0, 0);
    for _ in 0..count {
        let begin = now();
        let pid = bare::process(id, || {
            shared.live();
            system::read(shared.silent as i32, &mut [0]);
        })?;
        await_read(pid, silent)?;
        // SAFETY: a child of ours that is not reaped yet.
        unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        system::reap(pid as i32);
        // The read that ends with it is within that.
        let lived = now() - begin;
        (killed_ns, longest_ns) = (killed_ns + lived, longest_ns.max(lived));
        id = Some(pid);
    }
    answerer.end();
    let report = shared.report(id.unwrap_or(0), count).with("killed", count);
    Ok(report.with("killed_total_ns", killed_ns).with("killed_max_ns", longest_ns))
}

/// Until a process is blocked in a read of that descriptor.
fn await_read(pid: u32, fd: i32) -> io::Result<()> {
    let inside = format!("{} {fd:#x} ", libc::SYS_read);
    for _ in 0..POLLS {
        if fs::read_to_string(format!("/proc/{pid}/syscall"))?.starts_with(&inside) {
            return Ok(());
        }
        system::nanosleep(1_000_000);
    }
    Err(io::Error::other("the child does not read"))
}

/// Threads that replace their program, one after the other: each execs this workload anew while the leader,
/// whose id it gets, stands in `pause`. `left` of `count` are still to come; `began_ns` is when the last exec
/// began, `total_ns` what those before took, both by the clock of this program.
pub fn execs(count: u64, left: u64, began_ns: u64, total_ns: u64) -> io::Result<Report> {
    let total_ns = total_ns + if began_ns == 0 { 0 } else { now() - began_ns };
    if left == 0 {
        let report = Report::new().with("execs", count).with("getppid_calls", count * CALLS);
        return Ok(report.with("execs_ns", total_ns));
    }
    thread::spawn(move || {
        for _ in 0..CALLS {
            system::getppid();
        }
        execute(&[count, left - 1, now(), total_ns])
    });
    // SAFETY: takes nothing; the thread's exec ends it.
    unsafe { system::call(libc::SYS_pause, [0; 6]) };
    Err(io::Error::other("the leader survived an exec"))
}

/// Becomes this program again, with these numbers.
fn execute(numbers: &[u64]) -> io::Result<()> {
    let leader = format!("/proc/self/task/{}/syscall", std::process::id());
    let paused = libc::SYS_pause.to_string();
    while fs::read_to_string(&leader)?.split(' ').next() != Some(&paused) {
        thread::yield_now();
    }
    let program = fs::read_link("/proc/self/exe")?;
    let mut words = vec![CString::new(program.as_os_str().as_bytes())?, CString::new("heir-execs")?];
    for number in numbers {
        words.push(CString::new(number.to_string())?);
    }
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(ptr::null());
    // SAFETY: all strings live until the exec.
    unsafe { libc::execv(pointers[0], pointers.as_ptr()) };
    Err(io::Error::last_os_error())
}
