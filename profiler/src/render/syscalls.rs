//! The x86-64 system call table, and which calls are waits rather than work.
//!
//! In: a call number. Out: its name, and the class it is ranked in.

use std::borrow::Cow;
use std::sync::LazyLock;

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

static NAMES: LazyLock<(Vec<&'static str>, Vec<&'static str>)> =
    LazyLock::new(|| (FIRST.split_whitespace().collect(), SECOND.split_whitespace().collect()));

/// The class a call is ranked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
}

/// Calls whose purpose is to wait for something to do.
const IDLE: &[&str] = &[
    "accept",
    "accept4",
    "clock_nanosleep",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "io_getevents",
    "io_pgetevents",
    "io_uring_enter",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "restart_syscall",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "select",
    "wait4",
    "waitid",
];

/// Calls that wait for a lock or condition of user space.
const USER_LOCK: &[&str] = &["futex", "futex_wait", "futex_waitv"];

/// The name of a call; `syscall_N` where this version knows none.
pub fn name(nr: u32) -> Cow<'static, str> {
    let (first, second) = &*NAMES;
    let known = if nr < GENERIC { first.get(nr as usize) } else { second.get((nr - GENERIC) as usize) };
    known.map_or_else(|| Cow::Owned(format!("syscall_{nr}")), |name| Cow::Borrowed(*name))
}

/// The class of a call.
pub fn class(nr: u32) -> CallClass {
    let name = name(nr);
    if IDLE.contains(&&*name) {
        CallClass::Idle
    } else if USER_LOCK.contains(&&*name) {
        CallClass::UserLock
    } else {
        CallClass::Work
    }
}

#[cfg(test)]
mod tests {
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
        for nr in 0..600 {
            let apart = profiler_common::slowest::waits_by_purpose(nr);
            assert_eq!(apart, class(nr) != CallClass::Work, "{nr}: {}", name(nr));
        }
    }

    fn expected_number(nr: libc::c_long) -> u32 {
        u32::try_from(nr).unwrap()
    }

    #[test]
    fn every_classed_name_is_in_the_table() {
        let all: Vec<_> = (0..600).map(name).collect();
        for listed in IDLE.iter().chain(USER_LOCK) {
            assert!(all.iter().any(|name| name == listed), "{listed} is no system call");
        }
        assert_eq!(class(0), CallClass::Work);
        assert_eq!(class(202), CallClass::UserLock);
        assert_eq!(class(232), CallClass::Idle);
    }
}
