//! Waits for other threads of user space: contended or parked.
//!
//! In: user stacks of the waiter and of who woke it, how it ended. Out: contended (a lock's functions on the stack, a
//! wait inside a request, or a waker that runs the waiter's own code), parked (a timer ended it, or a condition's
//! functions), or unknown: a stack without names may be either, unless the word that it waits on tells (`words`).

use super::ended::Cause;

/// What a futex wait was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserLock {
    /// Another thread holds what is wanted.
    Contended,
    /// Nothing to do.
    Parked,
    /// Either.
    Untold,
    /// Either; it began before the recording, and nobody was seen ending it.
    Endless,
}

impl UserLock {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contended => "contended",
            Self::Parked => "parked",
            Self::Untold => "contended or parked",
            Self::Endless => "not ended meanwhile",
        }
    }
}

/// Parts of the names of functions that wait for a lock, those of databases' rows and tables among them.
const LOCKS: [&str; 18] = [
    "lll_lock_wait",
    "pthread_mutex_lock",
    "pthread_mutex_timedlock",
    "pthread_rwlock_",
    "pthread_spin_lock",
    "ObjectMonitor::enter",
    "ObjectMonitor::EnterI",
    "ObjectSynchronizer::enter",
    "Mutex::lock_contended",
    "RawMutex::lock_slow",
    "RwLock::read_contended",
    "RwLock::write_contended",
    "runtime.lock2",
    "take_gil",
    "ProcSleep",
    "MDL_wait::timed_wait",
    "lock_wait_suspend_thread",
    "lock_wait(",
];

/// Parts of the names of functions that wait for something to do.
const CONDITIONS: [&str; 12] = [
    "pthread_cond_",
    "sem_wait",
    "sem_timedwait",
    "sem_clockwait",
    "ObjectMonitor::wait",
    "JVM_MonitorWait",
    "Parker::park",
    "Unsafe_Park",
    "runtime.notesleep",
    "runtime.notetsleep",
    "thread::park",
    "Condvar::wait",
];

/// Parts of the names of functions that wait for either: a lock of Python is a semaphore, and its queues wait for such a lock.
const EITHER: [&str; 2] = ["PyThread_acquire_lock", "acquire_timed"];

/// Beginnings of the names of functions by which threads of all programs wait: their callers tell what for.
const WAYS: [&str; 33] = [
    "pthread_",
    "__pthread_",
    "___pthread_",
    "__futex_",
    "futex",
    "__lll_",
    "lll_",
    "__GI_",
    "sem_",
    "__new_sem_",
    "do_futex_wait",
    "__timedwait",
    "__wait",
    "cnd_",
    "mtx_",
    "syscall",
    "std::condition_variable",
    "std::__condvar",
    "std::mutex",
    "std::__1::",
    "std::sync::",
    "std::sys::",
    "std::thread::",
    "std::this_thread",
    "parking_lot",
    "lock_api::",
    "uv_cond_",
    "uv_mutex_",
    "uv_sem_",
    "g_cond_",
    "g_mutex_",
    "PyThread_",
    "absl::",
];
/// Of the JVM and of Go, whose names say it at other places.
const WAYS_OF_RUNTIMES: [&str; 9] = [
    "os::PlatformEvent::",
    "PlatformEvent::",
    "PlatformMonitor::",
    "Parker::park",
    "Unsafe_Park",
    "ObjectMonitor::",
    "ObjectSynchronizer::",
    "runtime.futex",
    "runtime.note",
];

/// Where threads begin, whatever they do.
const BEGINNINGS: [&str; 6] =
    ["start_thread", "clone", "__clone", "_start", "__libc_start", "runtime.goexit"];

/// The function that waits, of those on a user stack, leaf first; without its arguments. None if none of the program's own has a
/// name.
pub fn waiting<'a>(functions: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let begins = |name: &str, beginnings: &[&str]| beginnings.iter().any(|start| name.starts_with(start));
    let own = |name: &&str| !begins(name, &WAYS) && !begins(name, &WAYS_OF_RUNTIMES);
    functions.take_while(|name| !begins(name, &BEGINNINGS)).find(own).map(bare)
}

/// A function's name without its arguments.
fn bare(name: &str) -> &str {
    match name.find('(') {
        Some(at) if at > 0 && !name[..at].ends_with("operator") => &name[..at],
        _ => name,
    }
}

/// Whether one of these functions waits for a lock, by whatever call.
pub fn waits_for_lock<'a>(mut functions: impl Iterator<Item = &'a str>) -> bool {
    functions.any(|function| LOCKS.iter().any(|part| function.contains(part)))
}

/// What a wait was for. `functions` are those on the waiter's user stack, in any order.
pub fn of<'a>(
    functions: &(impl Iterator<Item = &'a str> + Clone),
    cause: Option<Cause>,
    (in_request, by_its_like): (bool, bool),
) -> UserLock {
    let has =
        |parts: &[&str]| functions.clone().any(|function| parts.iter().any(|part| function.contains(part)));
    if cause == Some(Cause::Timer) {
        UserLock::Parked
    } else if waits_for_lock(functions.clone()) || in_request {
        UserLock::Contended
    } else if has(&CONDITIONS) && !has(&EITHER) {
        UserLock::Parked
    } else if by_its_like {
        UserLock::Contended
    } else {
        UserLock::Untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_the_first_that_is_no_way_to_wait() {
        let of = |functions: &[&'static str]| waiting(functions.iter().copied());
        let worker =
            ["__futex_abstimed_wait_common", "pthread_cond_wait", "Pool::take(Task*, bool)", "start_thread"];
        assert_eq!(of(&worker), Some("Pool::take"));
        assert_eq!(of(&["__lll_lock_wait", "pthread_mutex_lock", "start_thread", "clone3"]), None);
        assert_eq!(of(&["Queue::operator()(int)"]), Some("Queue::operator()(int)"));
        assert_eq!(of(&["(anonymous namespace)::run()"]), Some("(anonymous namespace)::run()"));
    }

    #[test]
    fn a_lock_is_told_from_a_pool() {
        let of = |functions: &[&str], cause, like| of(&functions.iter().copied(), cause, like);
        let java = [
            "__pthread_cond_wait",
            "os::PlatformEvent::park",
            "ObjectMonitor::enter(JavaThread*)",
            "Shop.sell",
        ];
        assert_eq!(of(&java, Some(Cause::Futex), (false, false)), UserLock::Contended);
        assert_eq!(of(&java[..2], Some(Cause::Futex), (false, true)), UserLock::Parked);
        assert_eq!(
            of(&java[..2], Some(Cause::Futex), (true, false)),
            UserLock::Contended,
            "inside a request"
        );
        assert_eq!(of(&["syscall", "work", "run"], Some(Cause::Futex), (false, true)), UserLock::Contended);
        assert_eq!(of(&["syscall"], Some(Cause::Futex), (false, false)), UserLock::Untold);
        assert_eq!(of(&["__lll_lock_wait"], Some(Cause::Timer), (false, false)), UserLock::Parked);
        let python = ["__futex_abstimed_wait_common", "sem_clockwait", "PyThread_acquire_lock_timed"];
        assert_eq!(of(&python, Some(Cause::Futex), (false, false)), UserLock::Untold);
    }
}
