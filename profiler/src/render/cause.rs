//! What a call slept on, recognized by its kernel stack.
//!
//! In: kernel functions, leaf first. Out: a word such as `pipe` or `disk`. A word is a guess by
//! function names, not a proof: the first known function decides.

const PAGE_FAULT: &str = "page fault";

/// Beginning of a function's name → what waits there. The leaf-most function that matches any of them counts.
const PLACES: &[(&str, &str)] = &[
    ("anon_pipe_", "pipe"),
    ("pipe_", "pipe"),
    ("fifo_open", "pipe"),
    ("wait_for_partner", "pipe"),
    ("futex_", "futex"),
    ("do_futex", "futex"),
    ("hrtimer_nanosleep", "timer"),
    ("common_nsleep", "timer"),
    ("do_nanosleep", "timer"),
    ("ep_poll", "poll"),
    ("do_epoll_wait", "poll"),
    ("do_sys_poll", "poll"),
    ("do_select", "poll"),
    ("do_poll", "poll"),
    ("handle_userfault", PAGE_FAULT),
    ("exc_page_fault", PAGE_FAULT),
    ("do_user_addr_fault", PAGE_FAULT),
    ("handle_mm_fault", PAGE_FAULT),
    ("__do_fault", PAGE_FAULT),
    ("filemap_fault", PAGE_FAULT),
    ("try_to_free_", "memory reclaim"),
    ("do_try_to_free_", "memory reclaim"),
    ("shrink_", "memory reclaim"),
    ("reclaim_throttle", "memory reclaim"),
    ("mem_cgroup_handle_over_high", "memory limit"),
    ("balance_dirty_pages", "dirty page limit"),
    ("nfs", "network file system"),
    ("rpc_", "network file system"),
    ("cifs_", "network file system"),
    ("fuse_", "FUSE"),
    ("request_wait_answer", "FUSE"),
    ("jbd2_", "disk"),
    ("blk_", "disk"),
    ("bio_", "disk"),
    ("submit_bio_wait", "disk"),
    ("folio_wait_", "disk"),
    ("wait_on_page_", "disk"),
    ("__wait_on_buffer", "disk"),
    ("xlog_", "disk"),
    ("rq_qos_wait", "disk limit"),
    ("__sys_accept4", "network"),
    ("inet_", "network"),
    ("tcp_", "network"),
    ("udp_", "network"),
    ("__skb_wait_", "network"),
    ("sk_wait_", "network"),
    ("sk_stream_wait_", "network"),
    ("sock_alloc_send_", "network"),
    ("unix_", "unix socket"),
    ("n_tty_", "terminal"),
    ("tty_", "terminal"),
    ("flock_lock_inode_wait", "file lock"),
    ("posix_lock_inode_wait", "file lock"),
    ("fcntl_setlk", "file lock"),
    ("do_wait", "child process"),
    ("kernel_wait4", "child process"),
    ("synchronize_rcu", "RCU"),
    ("__wait_rcu_gp", "RCU"),
    ("do_signal_stop", "stopped"),
    ("__refrigerator", "frozen"),
    ("ptrace_stop", "debugger"),
    ("do_sigtimedwait", "signal"),
    ("sigsuspend", "signal"),
    ("eventfd_read", "eventfd"),
    ("inotify_read", "inotify"),
    ("io_cqring_wait", "io_uring"),
];

/// What a thread with this stack waits for; `None` if no function is known.
pub fn of<'a>(functions: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let place = |function: &str| PLACES.iter().find(|(start, _)| function.starts_with(start));
    functions
        .filter_map(|function| place(function.trim_start_matches("__x64_sys_")))
        .map(|(_, what)| *what)
        .next()
}

/// What a thread outside of calls waits for: as [`of`], with `page fault` in front if a page fault waits.
pub fn outside_calls(functions: &[&str]) -> Option<&'static str> {
    let fault = functions.iter().any(|function| of(std::iter::once(*function)) == Some(PAGE_FAULT));
    match of(functions.iter().copied()) {
        Some("disk") if fault => Some("page fault: disk"),
        Some("disk limit") if fault => Some("page fault: disk limit"),
        Some("network file system") if fault => Some("page fault: network file system"),
        Some("FUSE") if fault => Some("page fault: FUSE"),
        Some("memory reclaim") if fault => Some("page fault: memory reclaim"),
        Some("memory limit") if fault => Some("page fault: memory limit"),
        other => other,
    }
}

/// Whether a wait for this is work wherever it happens: the kernel is at it, or another holds what is wanted.
pub fn is_work(what: &str) -> bool {
    matches!(
        what,
        PAGE_FAULT
            | "memory reclaim"
            | "memory limit"
            | "dirty page limit"
            | "network file system"
            | "FUSE"
            | "disk"
            | "disk limit"
            | "file lock"
            | "RCU"
    )
}

#[cfg(test)]
mod tests {
    use super::{of, outside_calls};

    #[test]
    fn the_leaf_most_function_that_tells_decides() {
        assert_eq!(of(["schedule", "anon_pipe_read", "vfs_read"].into_iter()), Some("pipe"));
        assert_eq!(of(["io_schedule", "folio_wait_bit_common", "filemap_fault"].into_iter()), Some("disk"));
        assert_eq!(
            of(["schedule", "handle_userfault", "do_user_addr_fault", "vfs_read"].into_iter()),
            Some("page fault")
        );
        assert_eq!(of(["schedule", "somewhere"].into_iter()), None);
    }

    #[test]
    fn outside_of_calls_a_page_fault_is_named_with_what_it_waits_for() {
        let fault = ["folio_wait_bit_common", "__do_fault", "handle_mm_fault", "exc_page_fault"];
        assert_eq!(outside_calls(&fault), Some("page fault: disk"));
        assert_eq!(outside_calls(&fault[1..]), Some("page fault"));
        assert_eq!(outside_calls(&["shrink_node", "exc_page_fault"]), Some("page fault: memory reclaim"));
        assert_eq!(outside_calls(&["do_signal_stop", "get_signal"]), Some("stopped"));
        assert_eq!(outside_calls(&["shrink_node", "kswapd"]), Some("memory reclaim"));
    }
}
