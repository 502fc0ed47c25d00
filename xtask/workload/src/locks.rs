//! In: a kind of mutex, how often and how long it is held. Out: waits for it, each timed by the waiter, and the threads that held it.

use std::{
    cell::UnsafeCell,
    io,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use crate::{
    report::{Report, Timed},
    system::{self, nanosleep, timed},
};

const MILLISECOND: u64 = 1_000_000;
/// The thread that holds the lock.
const KEEPER: &str = "keeper";

/// Kinds of mutexes, by the number that asks for one.
const RECURSIVE: u64 = 1;
const CHECKING: u64 = 2;
const ROBUST: u64 = 3;
const INHERITING: u64 = 4;
const SHARED: u64 = 5;
const ROBUST_AND_LEFT: u64 = 6;
const LEFT: u64 = 7;

/// `count` waits of `ms` for a mutex of that kind.
pub fn held(kind: u64, count: u64, ms: u64) -> io::Result<Report> {
    let lock = Lock::map(kind)?;
    match kind {
        ROBUST_AND_LEFT => left_again_and_again(lock, count, ms),
        LEFT => left_once(lock, count, ms),
        _ => kept(lock, kind == SHARED, (count, ms)),
    }
}

/// Another thread, or process, takes the mutex whenever it is asked, and holds it for `ms`.
fn kept(lock: &'static Lock, by_process: bool, (count, ms): (u64, u64)) -> io::Result<Report> {
    let ([asked, ask], [told, tell]) = (system::pipe(0)?, system::pipe(0)?);
    let keep = move || {
        lock.note_holder();
        let mut byte = [0];
        while system::read(asked, &mut byte) == 1 {
            lock.take();
            system::write(tell, b"!");
            nanosleep(ms * MILLISECOND);
            lock.give();
        }
    };
    let keeper = if by_process {
        Keeper::Process(system::fork(|| {
            system::close(ask);
            keep();
        })?)
    } else {
        Keeper::Thread(thread::Builder::new().name(KEEPER.to_owned()).spawn(keep)?)
    };
    let wait = |_| {
        system::write(ask, b"?");
        system::read(told, &mut [0]);
        let waited = Waited::of(|| lock.take());
        lock.give();
        waited
    };
    let waits: Vec<Waited> = (0..count).map(wait).collect();
    let report = report(&waits).with("holder", u64::from(lock.holder()));
    system::close(ask);
    match keeper {
        Keeper::Process(pid) => system::reap(pid),
        Keeper::Thread(thread) => drop(thread.join()),
    }
    Ok(report)
}

enum Keeper {
    Process(i32),
    Thread(thread::JoinHandle<()>),
}

/// One thread after the other takes the mutex and ends with it.
fn left_again_and_again(lock: &'static Lock, count: u64, ms: u64) -> io::Result<Report> {
    let [told, tell] = system::pipe(0)?;
    let (mut waits, mut holders) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mortal = thread::Builder::new().name(KEEPER.to_owned()).spawn(move || {
            lock.note_holder();
            lock.take();
            system::write(tell, b"!");
            nanosleep(ms * MILLISECOND);
        })?;
        system::read(told, &mut [0]);
        waits.push(Waited::of(|| lock.take()));
        holders.push(lock.holder().to_string());
        lock.mend();
        lock.give();
        drop(mortal.join());
    }
    Ok(report(&waits).with_list("holders", &format!("[{}]", holders.join(","))))
}

/// A thread takes the mutex and ends with it; nobody gets it any more.
fn left_once(lock: &'static Lock, count: u64, ms: u64) -> io::Result<Report> {
    let mortal = thread::Builder::new().name(KEEPER.to_owned()).spawn(move || {
        lock.note_holder();
        lock.take();
    })?;
    drop(mortal.join());
    let waits: Vec<Waited> = (0..count).map(|_| Waited::of(|| lock.try_for(ms))).collect();
    Ok(report(&waits).with("holder", u64::from(lock.holder())))
}

/// A wait for the mutex.
struct Waited {
    timed: Timed,
    /// The thread slept in it, and was not only taken off the CPU.
    slept: bool,
}

impl Waited {
    fn of(wait: impl FnOnce()) -> Self {
        let before = sleeps();
        let timed = timed(wait);
        Self { timed, slept: sleeps() > before }
    }
}

/// How often the calling thread has gone to sleep.
fn sleeps() -> i64 {
    // SAFETY: all zero is a value of this struct, which the kernel fills.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage.ru_nvcsw
    }
}

/// The waits, how many the thread slept in, and how many of these were long.
fn report(waits: &[Waited]) -> Report {
    let slept = || waits.iter().filter(|wait| wait.slept);
    let long = slept().filter(|wait| wait.timed.ns >= MILLISECOND).count();
    let timed: Vec<Timed> = waits.iter().map(|wait| wait.timed).collect();
    Report::new().with_timed(&timed).with("slept", slept().count() as u64).with("long", long as u64)
}

/// A mutex, and who took it, on a page that children share.
#[repr(C)]
struct Lock {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    holder: AtomicU32,
}

// SAFETY: the mutex is made for several threads; nothing else is written without an atomic.
unsafe impl Sync for Lock {}

impl Lock {
    fn map(kind: u64) -> io::Result<&'static Self> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, nothing replaced.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed, aligned, never unmapped; the mutex is made before anybody uses it.
        let lock: &'static Self = unsafe { &*page.cast() };
        lock.make(kind)?;
        Ok(lock)
    }

    fn make(&self, kind: u64) -> io::Result<()> {
        let checks = match kind {
            RECURSIVE => libc::PTHREAD_MUTEX_RECURSIVE,
            CHECKING => libc::PTHREAD_MUTEX_ERRORCHECK,
            _ => libc::PTHREAD_MUTEX_NORMAL,
        };
        // SAFETY: all-zero attributes are made into ones before they are used; the mutex lies in a page of ours.
        let failed = unsafe {
            let mut attributes: libc::pthread_mutexattr_t = std::mem::zeroed();
            let mut failed = libc::pthread_mutexattr_init(&raw mut attributes);
            failed |= libc::pthread_mutexattr_settype(&raw mut attributes, checks);
            if matches!(kind, ROBUST | ROBUST_AND_LEFT) {
                failed |= libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST);
            }
            if kind == INHERITING {
                failed |=
                    libc::pthread_mutexattr_setprotocol(&raw mut attributes, libc::PTHREAD_PRIO_INHERIT);
            }
            if kind == SHARED {
                failed |=
                    libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED);
            }
            failed | libc::pthread_mutex_init(self.mutex.get(), &raw const attributes)
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::other("the mutex cannot be made")) }
    }

    /// Takes it; from one who ended with it, too.
    fn take(&self) {
        // SAFETY: it was made.
        unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
    }

    fn give(&self) {
        // SAFETY: it was made.
        unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
    }

    /// Makes one usable again whose owner ended with it.
    fn mend(&self) {
        // SAFETY: it was made, and is ours.
        unsafe { libc::pthread_mutex_consistent(self.mutex.get()) };
    }

    /// Waits for it for `ms`.
    fn try_for(&self, ms: u64) {
        let until = system::clock(libc::CLOCK_REALTIME) + ms * MILLISECOND;
        let until = libc::timespec {
            tv_sec: (until / 1_000_000_000) as i64,
            tv_nsec: (until % 1_000_000_000) as i64,
        };
        // SAFETY: it was made; the time is alive.
        unsafe { libc::pthread_mutex_timedlock(self.mutex.get(), &raw const until) };
    }

    /// The calling thread is the one that will hold it.
    fn note_holder(&self) {
        // SAFETY: takes nothing.
        let tid = unsafe { system::call(libc::SYS_gettid, [0; 6]) };
        self.holder.store(tid as u32, Ordering::SeqCst);
    }

    fn holder(&self) -> u32 {
        self.holder.load(Ordering::SeqCst)
    }
}
