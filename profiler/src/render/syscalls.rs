//! The system call tables of x86-64, and which calls are waits rather than work.
//!
//! In: a call number. Out: its name, marked when it is not of the processor's own table, and the class it is ranked in.

mod tables;

use std::borrow::Cow;
use std::sync::LazyLock;

pub use profiler_common::abi::began_before;
use profiler_common::abi::{BEGAN_BEFORE_BIT, I386_BIT, PLACE, X32_BIT};

use super::humane;

/// Calls 0 to 336, in order.
const FIRST: &str = "
    read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction
    rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select sched_yield
    mremap msync mincore madvise shmget shmat shmctl dup dup2 pause nanosleep getitimer alarm setitimer
    getpid sendfile socket connect accept sendto recvfrom sendmsg recvmsg shutdown bind listen
    getsockname getpeername socketpair setsockopt getsockopt clone fork vfork execve exit wait4 kill
    uname semget semop semctl shmdt msgget msgsnd msgrcv msgctl fcntl flock fsync fdatasync truncate
    ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink symlink readlink chmod
    fchmod chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo times ptrace getuid syslog
    getgid setuid setgid geteuid getegid setpgid getppid getpgrp setsid setreuid setregid getgroups
    setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid capget capset
    rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack utime mknod uselib
    personality ustat statfs fstatfs sysfs getpriority setpriority sched_setparam sched_getparam
    sched_setscheduler sched_getscheduler sched_get_priority_max sched_get_priority_min
    sched_rr_get_interval mlock munlock mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl
    arch_prctl adjtimex setrlimit chroot sync acct settimeofday mount umount2 swapon swapoff reboot
    sethostname setdomainname iopl ioperm create_module init_module delete_module get_kernel_syms
    query_module quotactl nfsservctl getpmsg putpmsg afs_syscall tuxcall security gettid readahead
    setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
    removexattr lremovexattr fremovexattr tkill time futex sched_setaffinity sched_getaffinity
    set_thread_area io_setup io_destroy io_getevents io_submit io_cancel get_thread_area lookup_dcookie
    epoll_create epoll_ctl_old epoll_wait_old remap_file_pages getdents64 set_tid_address
    restart_syscall semtimedop fadvise64 timer_create timer_settime timer_gettime timer_getoverrun
    timer_delete clock_settime clock_gettime clock_getres clock_nanosleep exit_group epoll_wait
    epoll_ctl tgkill utimes vserver mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend
    mq_timedreceive mq_notify mq_getsetattr kexec_load waitid add_key request_key keyctl ioprio_set
    ioprio_get inotify_init inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat mknodat
    fchownat futimesat newfstatat unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat
    pselect6 ppoll unshare set_robust_list get_robust_list splice tee sync_file_range vmsplice
    move_pages utimensat epoll_pwait signalfd timerfd_create eventfd fallocate timerfd_settime
    timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev
    rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at
    open_by_handle_at clock_adjtime syncfs sendmmsg setns getcpu process_vm_readv process_vm_writev kcmp
    finit_module sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create kexec_file_load
    bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc
    pkey_free statx io_pgetevents rseq
    uretprobe uprobe
";

/// Where the numbers that all architectures share begin.
const GENERIC: u32 = 424;

/// Calls from 424 on, in order, up to Linux 6.18.
const SECOND: &str = "
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen
    fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise
    epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule
    landlock_restrict_self memfd_secret process_mrelease futex_waitv set_mempolicy_home_node cachestat
    fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr
    lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat
    open_tree_attr file_getattr file_setattr
";

/// The frame of waits outside of calls.
pub const NO_CALL: &str = "(no call)";

/// Names by number.
struct Names {
    first: Vec<&'static str>,
    second: Vec<&'static str>,
    i386: Vec<&'static str>,
    x32: Vec<&'static str>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let [first, second, i386, x32] =
        [FIRST, SECOND, tables::I386, tables::X32].map(|names| names.split_whitespace().collect());
    Names { first, second, i386, x32 }
});

/// Where x32's own numbers begin.
const X32_OWN: u32 = 512;

/// The class a call is ranked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallClass {
    /// It does something, or waits for something that should come soon.
    Work,
    /// It waits for another thread of user space: `futex`.
    UserLock,
    /// It waits for something to do: `epoll_wait`, `nanosleep`, `accept`.
    Idle,
}

impl CallClass {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::UserLock => "user-lock",
            Self::Idle => "idle",
        }
    }

    /// A table's cell: the name, marked where the call's name alone decides; see [`GUESSED`].
    pub fn cell(self, guessed: bool) -> String {
        let mark = if guessed { " *" } else { "" };
        format!("{}{mark}", self.name())
    }
}

/// What the mark in a table means.
pub const GUESSED: &str =
    "  * classed by the call's name alone: what ended most of this time is not known, or does not decide";

/// Calls whose purpose is to wait for something to do.
const IDLE: &[&str] = &[
    "_newselect",
    "accept",
    "accept4",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
    "io_uring_enter",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "restart_syscall",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "select",
    "sigsuspend",
    "wait4",
    "waitid",
    "waitpid",
];

/// Calls that wait for a lock or condition of user space.
const USER_LOCK: &[&str] = &["futex", "futex_time64", "futex_wait", "futex_waitv"];

/// The name of a call; `syscall_N` where this version knows none; `no_such_call` where no kernel has that number.
/// `(i386)` and `(x32)` behind it: the call is of that table. `(began before)`: see [`began_before`].
pub fn name(nr: u32) -> Cow<'static, str> {
    let (table, place) = split(nr);
    let mark = match (table, began_before(nr)) {
        (I386_BIT, false) => " (i386)",
        (X32_BIT, false) => " (x32)",
        (I386_BIT, true) => " (i386, began before)",
        (X32_BIT, true) => " (x32, began before)",
        (_, true) => " (began before)",
        (_, false) => "",
    };
    match base(nr) {
        Some(name) if mark.is_empty() => Cow::Borrowed(name),
        Some(name) => Cow::Owned(format!("{name}{mark}")),
        None if place == PLACE => Cow::Owned(format!("no_such_call{mark}")),
        None => Cow::Owned(format!("syscall_{place}{mark}")),
    }
}

/// The name without the mark of calls that began before the recording: where `≥` stands at their times.
pub fn name_only(nr: u32) -> Cow<'static, str> {
    name(if began_before(nr) { nr & !BEGAN_BEFORE_BIT } else { nr })
}

/// A time in these calls, `≥` before it if they began before the recording: then it is their time since it began.
pub fn time(nr: u32, ns: u64) -> String {
    humane::least(ns, began_before(nr))
}

/// The name without its table's mark.
pub fn base(nr: u32) -> Option<&'static str> {
    let names = &*NAMES;
    let (table, place) = split(nr);
    let found = match table {
        _ if place >= GENERIC && !(table == X32_BIT && place >= X32_OWN) => {
            names.second.get((place - GENERIC) as usize)
        }
        I386_BIT => names.i386.get(place as usize),
        X32_BIT if place >= X32_OWN => names.x32.get((place - X32_OWN) as usize),
        _ => names.first.get(place as usize),
    };
    found.copied().filter(|name| *name != "-")
}

/// The number in its table.
pub fn place(nr: u32) -> u32 {
    split(nr).1
}

/// Table and place. A number in a capture from before there were tables means the same as ever.
fn split(nr: u32) -> (u32, u32) {
    let nr = if began_before(nr) { nr & !BEGAN_BEFORE_BIT } else { nr };
    let (table, place) = (nr & (I386_BIT | X32_BIT), nr & !(I386_BIT | X32_BIT));
    if matches!(table, I386_BIT | X32_BIT) && place <= PLACE { (table, place) } else { (0, nr) }
}

/// Whether a call may wait for a file lock that another process holds.
pub fn waits_for_file_locks(nr: u32) -> bool {
    matches!(&*name_only(nr), "flock" | "fcntl" | "fcntl64")
}

/// Whether a call waits for several futexes at once.
pub fn waits_for_futexes(nr: u32) -> bool {
    base(nr) == Some("futex_waitv")
}

/// The class of a call.
pub fn class(nr: u32) -> CallClass {
    match base(nr) {
        Some(name) if IDLE.contains(&name) => CallClass::Idle,
        Some(name) if USER_LOCK.contains(&name) => CallClass::UserLock,
        _ => CallClass::Work,
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::abi;

    use super::*;

    #[test]
    fn the_table_agrees_with_libc() {
        for (nr, expected) in [
            (libc::SYS_read, "read"),
            (libc::SYS_futex, "futex"),
            (libc::SYS_restart_syscall, "restart_syscall"),
            (libc::SYS_rseq, "rseq"),
            (libc::SYS_pidfd_send_signal, "pidfd_send_signal"),
            (libc::SYS_mseal, "mseal"),
        ] {
            assert_eq!(name(expected_number(nr)), expected);
        }
        assert_eq!((name(335), name(336)), ("uretprobe".into(), "uprobe".into()));
        assert_eq!(name(469), "file_setattr");
        assert_eq!(name(470), "syscall_470");
        assert_eq!(name(400), "syscall_400");
        assert_eq!(name(u32::MAX), "syscall_4294967295");
    }

    #[test]
    fn the_kernel_side_ranks_the_same_calls_apart() {
        for short in 0..abi::X32 | abi::I386 {
            let nr = abi::wide(short);
            let apart = profiler_common::slowest::waits_by_purpose(short);
            assert_eq!(apart, class(nr) != CallClass::Work, "{short}: {}", name(nr));
            let for_thread = profiler_common::slowest::waits_for_thread(short);
            assert_eq!(for_thread, class(nr) == CallClass::UserLock, "{short}: {}", name(nr));
        }
    }

    #[test]
    fn each_table_has_names_of_its_own() {
        for (short, expected) in [
            (abi::I386 | 162, "nanosleep (i386)"),
            (abi::I386, "restart_syscall (i386)"),
            (abi::I386 | 36, "sync (i386)"),
            (abi::I386 | 407, "clock_nanosleep_time64 (i386)"),
            (abi::I386 | 449, "futex_waitv (i386)"),
            (abi::I386 | 386, "rseq (i386)"),
            (abi::I386 | 223, "syscall_223 (i386)"),
            (abi::X32 | 35, "nanosleep (x32)"),
            (abi::X32 | 513, "rt_sigreturn (x32)"),
            (abi::X32 | 547, "pwritev2 (x32)"),
            (abi::X32 | 548, "syscall_548 (x32)"),
            (abi::X32 | 435, "clone3 (x32)"),
            (PLACE, "no_such_call"),
            (abi::I386 | PLACE, "no_such_call (i386)"),
        ] {
            assert_eq!(name(abi::wide(short)), expected);
        }
        assert_eq!(class(abi::wide(abi::I386 | 162)), CallClass::Idle);
        assert_eq!(class(abi::wide(abi::I386 | 36)), CallClass::Work);
        assert_eq!(
            (name(65_535), name(2082)),
            ("syscall_65535".into(), "syscall_2082".into()),
            "as old captures have it"
        );
    }

    /// By what the kernel's headers say, where they are installed.
    #[test]
    fn the_tables_agree_with_the_headers() {
        for (file, table, bit) in
            [("unistd_32.h", abi::I386, ""), ("unistd_x32.h", abi::X32, "(__X32_SYSCALL_BIT + ")]
        {
            let Ok(text) = std::fs::read_to_string(format!("/usr/include/x86_64-linux-gnu/asm/{file}"))
            else {
                continue;
            };
            let defined = text.lines().filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '));
            for (call, number) in defined {
                let number: u32 = number.trim_start_matches(bit).trim_end_matches(')').parse().unwrap();
                assert_eq!(base(abi::wide(table | number)), Some(call), "{file} {number}");
            }
        }
    }

    fn expected_number(nr: libc::c_long) -> u32 {
        u32::try_from(nr).unwrap()
    }

    #[test]
    fn every_classed_name_is_in_the_table() {
        let all: Vec<_> = (0..abi::X32 | abi::I386).filter_map(|short| base(abi::wide(short))).collect();
        for listed in IDLE.iter().chain(USER_LOCK) {
            assert!(all.contains(listed), "{listed} is no system call");
        }
        assert_eq!(class(0), CallClass::Work);
        assert_eq!(class(202), CallClass::UserLock);
        assert_eq!(class(232), CallClass::Idle);
    }
}
