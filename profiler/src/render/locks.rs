//! What a lock is called.
//!
//! In: the kind of lock, its symbol where it is static, the kernel functions that wait for it
//! (leaf first). Out: a name (`mmap_lock`, `pipe mutex`, … or `unnamed`) and the caller: the
//! first function that is not locking machinery. A name by its caller is a guess, not a proof.

use crate::profile::rows::LockKind;

/// Functions of the locking machinery; a trailing `*` matches any rest.
const MACHINERY: &[&str] = &[
    "*queued_spin_lock_slowpath",
    "*queued_read_lock_slowpath",
    "*queued_write_lock_slowpath",
    "_raw_*",
    "__raw_*",
    "do_raw_*",
    "__mutex_*",
    "mutex_lock*",
    "ww_mutex_*",
    "rwsem_*",
    "down_read*",
    "down_write*",
    "__down_read*",
    "__down_write*",
    "down_interruptible",
    "__down*",
    "percpu_rwsem_*",
    "__percpu_*",
    "percpu_down_*",
    "percpu_up_*",
    "rt_mutex_*",
    "__rt_mutex_*",
    "rt_spin_*",
    "rtlock_*",
    "rt_read_*",
    "rt_write_*",
    "trace_contention_*",
    "__pv_queued_*",
    "native_queued_*",
    "lock_acquire",
];

/// How many functions above the machinery may tell a lock's name.
const LOOK_UP: usize = 5;

const RQ: &str = "run queue lock";
const FILES: &str = "file_lock";
const INODE: &str = "inode rwsem";

/// Place → name, for locks that spin.
const SPINNING: &[(&str, &str)] = &[
    ("raw_spin_rq_*", RQ),
    ("__schedule", RQ),
    ("try_to_wake_up", RQ),
    ("ttwu_*", RQ),
    ("sched_ttwu_*", RQ),
    ("task_rq_lock", RQ),
    ("__task_rq_lock", RQ),
    ("double_*rq_lock*", RQ),
    ("sched_balance_*", RQ),
    ("load_balance", RQ),
    ("newidle_balance", RQ),
    ("scheduler_tick", RQ),
    ("sched_tick", RQ),
    ("alloc_fd", FILES),
    ("close_fd*", FILES),
    ("file_close_*", FILES),
    ("pick_file", FILES),
    ("fd_install", FILES),
    ("do_dup2", FILES),
    ("ksys_dup3", FILES),
    ("put_unused_fd", FILES),
    ("dup_fd", FILES),
    ("__range_close", FILES),
    ("__x64_sys_close", FILES),
    ("lock_task_sighand", "siglock"),
    ("__lock_task_sighand", "siglock"),
    ("do_send_*", "siglock"),
    ("get_signal", "siglock"),
    ("*set_current_blocked", "siglock"),
    ("sigprocmask", "siglock"),
    ("do_sigaction", "siglock"),
    ("do_sigtimedwait", "siglock"),
    ("__exit_signal", "siglock"),
    ("futex_*", "futex hash bucket"),
    ("do_futex", "futex hash bucket"),
    ("rmqueue*", "zone lock"),
    ("__rmqueue*", "zone lock"),
    ("free_pcppages_bulk", "zone lock"),
    ("free_one_page", "zone lock"),
    ("get_page_from_freelist", "zone lock"),
    ("folio_lruvec_*", "lru_lock"),
    ("release_pages", "lru_lock"),
    ("lru_*", "lru_lock"),
    ("folio_batch_move_lru", "lru_lock"),
    ("shrink_*_list", "lru_lock"),
    ("lockref_*", "dentry d_lock"),
    ("d_*", "dentry d_lock"),
    ("dput", "dentry d_lock"),
    ("dget_parent", "dentry d_lock"),
    ("__d_*", "dentry d_lock"),
    ("shrink_dentry_*", "dentry d_lock"),
    ("iput", "inode i_lock"),
    ("igrab", "inode i_lock"),
    ("evict", "inode i_lock"),
    ("skb_queue_*", "socket queue lock"),
    ("skb_dequeue*", "socket queue lock"),
    ("__skb_*", "socket queue lock"),
    ("sock_queue_*", "socket queue lock"),
    ("__sock_queue_*", "socket queue lock"),
    ("udp_*", "socket queue lock"),
    ("__udp_*", "socket queue lock"),
    ("lock_sock*", "socket lock"),
    ("__lock_sock*", "socket lock"),
    ("release_sock", "socket lock"),
    ("tcp_v4_rcv", "socket lock"),
    ("tcp_v6_rcv", "socket lock"),
    ("unix_*", "unix socket lock"),
    ("ep_*", "epoll lock"),
    ("do_epoll_*", "epoll lock"),
    ("__ep_*", "epoll lock"),
    ("__wake_up*", "wait queue lock"),
    ("prepare_to_wait*", "wait queue lock"),
    ("add_wait_queue*", "wait queue lock"),
    ("remove_wait_queue", "wait queue lock"),
    ("finish_wait", "wait queue lock"),
    ("complete*", "wait queue lock"),
    ("*pte_offset_map*", "page table lock"),
    ("do_anonymous_page", "page table lock"),
    ("wp_page_copy", "page table lock"),
    ("zap_p*", "page table lock"),
    ("__handle_mm_fault", "page table lock"),
    ("__dev_queue_xmit", "network queue lock"),
    ("sch_direct_xmit", "network queue lock"),
    ("__dev_xmit_skb", "network queue lock"),
    ("net_tx_action", "network queue lock"),
    ("___slab_alloc", "slab list lock"),
    ("__slab_free", "slab list lock"),
    ("*htab_*", "BPF map lock"),
    ("*bpf_ringbuf_*", "BPF ring buffer lock"),
    ("get_partial_*", "slab list lock"),
    ("*hrtimer_*", "timer base lock"),
    ("*mod_timer*", "timer base lock"),
    ("lock_timer_base", "timer base lock"),
    ("rcu_*", "rcu lock"),
    ("call_rcu*", "rcu lock"),
    ("note_gp_changes", "rcu lock"),
    ("__queue_work", "worker pool lock"),
    ("worker_thread", "worker pool lock"),
    ("process_one_work", "worker pool lock"),
    ("*cgroup_rstat_*", "cgroup rstat lock"),
    ("css_rstat_*", "cgroup rstat lock"),
    ("aa_get_buffer", "AppArmor buffer lock"),
    ("aa_put_buffer", "AppArmor buffer lock"),
    ("tty_*", "tty lock"),
    ("n_tty_*", "tty lock"),
    ("blk_*", "block queue lock"),
    ("dd_*", "block queue lock"),
    ("bfq_*", "block queue lock"),
    ("*filemap_add_folio", "page cache lock"),
    ("*folio_mark_dirty", "page cache lock"),
    ("*folio_end_writeback", "page cache lock"),
    ("do_wait", "tasklist_lock"),
    ("release_task", "tasklist_lock"),
    ("exit_notify", "tasklist_lock"),
    ("copy_process", "tasklist_lock"),
    ("kill_*", "tasklist_lock"),
    ("fcntl_*", "file lock list"),
    ("posix_lock_*", "file lock list"),
    ("flock_lock_*", "file lock list"),
];

/// Place → name, for locks that sleep.
const SLEEPING: &[(&str, &str)] = &[
    ("mmap_read_*", "mmap_lock"),
    ("mmap_write_*", "mmap_lock"),
    ("do_user_addr_fault", "mmap_lock"),
    ("exc_page_fault", "mmap_lock"),
    ("lock_mm_and_find_vma", "mmap_lock"),
    ("vm_mmap_pgoff", "mmap_lock"),
    ("ksys_mmap_pgoff", "mmap_lock"),
    ("*vm_munmap", "mmap_lock"),
    ("*sys_munmap", "mmap_lock"),
    ("*madvise*", "mmap_lock"),
    ("do_mprotect_pkey", "mmap_lock"),
    ("*sys_brk", "mmap_lock"),
    ("*sys_mremap", "mmap_lock"),
    ("do_mremap", "mmap_lock"),
    ("dup_mmap*", "mmap_lock"),
    ("exit_mmap", "mmap_lock"),
    ("exit_mm", "mmap_lock"),
    ("m_start", "mmap_lock"),
    ("__mm_populate", "mmap_lock"),
    ("do_mlock", "mmap_lock"),
    ("*get_user_pages*", "mmap_lock"),
    ("*gup_*", "mmap_lock"),
    ("__access_remote_vm", "mmap_lock"),
    ("userfaultfd_*", "mmap_lock"),
    ("mfill_*", "mmap_lock"),
    ("*fdget_pos", "f_pos_lock"),
    ("pipe_*", "pipe mutex"),
    ("anon_pipe_*", "pipe mutex"),
    ("fifo_*", "pipe mutex"),
    ("*splice*", "pipe mutex"),
    ("ep_*", "epoll mutex"),
    ("__ep_*", "epoll mutex"),
    ("do_epoll_*", "epoll mutex"),
    ("rtnl_*", "rtnl_mutex"),
    ("rtnetlink_*", "rtnl_mutex"),
    ("unix_stream_read_*", "unix socket iolock"),
    ("namespace_lock", "namespace_sem"),
    ("path_mount", "namespace_sem"),
    ("do_mount", "namespace_sem"),
    ("copy_process", "cgroup_threadgroup_rwsem"),
    ("exit_signals", "cgroup_threadgroup_rwsem"),
    ("cgroup_threadgroup_*", "cgroup_threadgroup_rwsem"),
    ("cgroup_*", "cgroup_mutex"),
    ("sb_start_*", "superblock freeze"),
    ("mnt_want_write*", "superblock freeze"),
    ("prepare_bprm_creds", "cred_guard_mutex"),
    ("begin_new_exec", "exec_update_lock"),
    ("tty_*", "tty mutex"),
    ("n_tty_*", "tty mutex"),
    ("unlink_anon_vmas", "anon_vma rwsem"),
    ("anon_vma_*", "anon_vma rwsem"),
    ("*unlink_file_vma*", "i_mmap_rwsem"),
    ("vma_link*", "i_mmap_rwsem"),
    ("vma_prepare", "i_mmap_rwsem"),
    ("kernfs_*", "kernfs rwsem"),
    ("jbd2_*", "journal lock"),
    ("inode_lock*", INODE),
    ("lock_rename*", INODE),
    ("open_last_lookups", INODE),
    ("do_last", INODE),
    ("path_openat", INODE),
    ("lookup_slow", INODE),
    ("walk_component", INODE),
    ("do_unlinkat", INODE),
    ("do_rmdir", INODE),
    ("filename_create", INODE),
    ("do_renameat2", INODE),
    ("start_dirop", INODE),
    ("iterate_dir", INODE),
    ("chmod_common", INODE),
    ("chown_common", INODE),
    ("do_truncate", INODE),
    ("generic_file_write_iter", INODE),
    ("shmem_*", INODE),
    ("ext4_*", INODE),
    ("xfs_*", INODE),
    ("btrfs_*", INODE),
    ("vfs_*", INODE),
];

/// A lock as outputs name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName {
    /// Symbol, or name by place, or `unnamed`.
    pub lock: String,
    /// The function that wanted it; empty when the stack is missing.
    pub caller: String,
}

/// Names a lock. `functions` are the kernel functions of the wait, leaf first.
pub fn name<'a>(kind: LockKind, symbol: Option<&str>, functions: impl Iterator<Item = &'a str>) -> LockName {
    let table = if sleeps(kind) { SLEEPING } else { SPINNING };
    let mut callers = functions.map(base).skip_while(|function| is_machinery(function)).peekable();
    let caller = callers.peek().map_or_else(String::new, |function| (*function).to_owned());
    let by_place = || {
        callers
            .take(LOOK_UP)
            .find_map(|function| table.iter().find(|(pattern, _)| matches(pattern, function)))
            .map_or("unnamed", |(_, name)| name)
    };
    LockName { lock: symbol.map_or_else(|| by_place().to_owned(), str::to_owned), caller }
}

/// Whether waiters of this kind sleep.
pub fn sleeps(kind: LockKind) -> bool {
    !matches!(kind, LockKind::Spin | LockKind::RwlockRead | LockKind::RwlockWrite)
}

fn is_machinery(function: &str) -> bool {
    MACHINERY.iter().any(|pattern| matches(pattern, function))
}

/// A function's name without what the compiler appended (`.constprop.0`, `.isra.0`, `.cold`).
pub fn base(function: &str) -> &str {
    match function.find('.') {
        Some(at) if at > 0 => &function[..at],
        _ => function,
    }
}

/// Matches a name against a pattern with `*` at its ends or in its middle.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    if first.len() == pattern.len() {
        return rest.is_empty();
    }
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: LockKind, stack: &[&str]) -> (String, String) {
        let LockName { lock, caller } = name(kind, None, stack.iter().copied());
        (lock, caller)
    }

    #[test]
    fn locks_are_typed_by_their_place() {
        for (kind, stack, lock, caller) in [
            (
                LockKind::Mutex,
                &["__mutex_lock.constprop.0", "anon_pipe_read", "vfs_read"][..],
                "pipe mutex",
                "anon_pipe_read",
            ),
            (
                LockKind::Mutex,
                &["__mutex_lock.constprop.0", "fdget_pos", "ksys_read"],
                "f_pos_lock",
                "fdget_pos",
            ),
            (
                LockKind::Spin,
                &["native_queued_spin_lock_slowpath", "_raw_spin_lock", "alloc_fd", "ksys_dup"],
                FILES,
                "alloc_fd",
            ),
            (
                LockKind::Spin,
                &[
                    "__pv_queued_spin_lock_slowpath",
                    "_raw_spin_lock",
                    "raw_spin_rq_lock_nested",
                    "__schedule",
                ],
                RQ,
                "raw_spin_rq_lock_nested",
            ),
            (
                LockKind::RwsemRead,
                &["rwsem_down_read_slowpath", "down_read", "lock_mm_and_find_vma", "do_user_addr_fault"],
                "mmap_lock",
                "lock_mm_and_find_vma",
            ),
            (
                LockKind::RwsemWrite,
                &["rwsem_down_write_slowpath", "down_write", "shmem_file_write_iter", "vfs_write"],
                INODE,
                "shmem_file_write_iter",
            ),
            (LockKind::Spin, &["queued_spin_lock_slowpath", "something_new"], "unnamed", "something_new"),
            (LockKind::Spin, &[], "unnamed", ""),
        ] {
            assert_eq!(named(kind, stack), (lock.to_owned(), caller.to_owned()));
        }
    }

    #[test]
    fn a_symbol_beats_the_place() {
        let name = name(LockKind::Spin, Some("tasklist_lock"), ["_raw_spin_lock", "alloc_fd"].into_iter());
        assert_eq!((name.lock.as_str(), name.caller.as_str()), ("tasklist_lock", "alloc_fd"));
    }

    #[test]
    fn patterns() {
        assert!(matches("_raw_*", "_raw_spin_lock"));
        assert!(matches("*sys_brk", "__x64_sys_brk") && !matches("*sys_brk", "sys_brk2"));
        assert!(matches("double_*rq_lock*", "double_rq_lock"));
        assert!(matches("exact", "exact") && !matches("exact", "exactly"));
    }
}
