//! How a wait ended.
//!
//! In: the kernel stack of the wakeup, leaf first. Out: what happened there: a timer ran out, a disk was
//! done, a message or a signal came, a child ended, something was written or released; nothing if no function
//! on the stack decides.

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A timer ran out.
    Timer,
    /// A disk, a file system or what stands behind it was done.
    Disk,
    /// Something came through a socket, or its peer took something.
    Message,
    /// A signal was sent.
    Signal,
    /// A child stopped or ended.
    Child,
    /// A pipe, an eventfd or a queue was written, or room was made in it.
    Written,
    /// A lock was released, of the kernel, of a file or a semaphore.
    Released,
    /// A futex was woken.
    Futex,
}

/// Beginning of a function's name → what it does to who waits. The leaf-most function that matches decides.
const DOES: &[(&str, Cause)] = &[
    ("hrtimer_wakeup", Cause::Timer),
    ("process_timeout", Cause::Timer),
    ("timerfd_tmrproc", Cause::Timer),
    ("timerfd_triggered", Cause::Timer),
    ("call_timer_fn", Cause::Timer),
    ("it_real_fn", Cause::Timer),
    ("posix_timer_", Cause::Timer),
    ("io_timeout_fn", Cause::Timer),
    ("folio_end_", Cause::Disk),
    ("folio_unlock", Cause::Disk),
    ("end_page_writeback", Cause::Disk),
    ("end_buffer_", Cause::Disk),
    ("end_bio_", Cause::Disk),
    ("bio_endio", Cause::Disk),
    ("blk_", Cause::Disk),
    ("blkdev_bio_", Cause::Disk),
    ("iomap_dio_", Cause::Disk),
    ("dio_", Cause::Disk),
    ("jbd2_", Cause::Disk),
    ("ext4_end_", Cause::Disk),
    ("xlog_", Cause::Disk),
    ("io_complete_rw", Cause::Disk),
    ("io_wq_", Cause::Disk),
    ("io_worker_", Cause::Disk),
    ("nfs", Cause::Disk),
    ("rpc_", Cause::Disk),
    ("fuse_", Cause::Disk),
    ("sock_def_", Cause::Message),
    ("sk_stream_write_space", Cause::Message),
    ("tcp_", Cause::Message),
    ("udp_", Cause::Message),
    ("unix_", Cause::Message),
    ("netlink_", Cause::Message),
    ("net_rx_action", Cause::Message),
    ("signalfd_", Cause::Signal),
    ("signal_wake_up", Cause::Signal),
    ("complete_signal", Cause::Signal),
    ("__send_signal", Cause::Signal),
    ("send_signal", Cause::Signal),
    ("do_notify_parent", Cause::Child),
    ("__wake_up_parent", Cause::Child),
    ("exit_notify", Cause::Child),
    ("mm_release", Cause::Child),
    ("pipe_", Cause::Written),
    ("anon_pipe_", Cause::Written),
    ("eventfd_", Cause::Written),
    ("do_mq_timedsend", Cause::Written),
    ("do_msgsnd", Cause::Written),
    ("mutex_unlock", Cause::Released),
    ("__mutex_unlock", Cause::Released),
    ("up_read", Cause::Released),
    ("up_write", Cause::Released),
    ("rwsem_wake", Cause::Released),
    ("__locks_wake_up_blocks", Cause::Released),
    ("locks_", Cause::Released),
    ("flock_", Cause::Released),
    ("wake_up_sem_queue", Cause::Released),
    ("do_semtimedop", Cause::Released),
    ("futex_", Cause::Futex),
    ("do_futex", Cause::Futex),
];

/// Beginnings of functions in which a process tells its parent that it ended: by a signal, too.
const TELLS_PARENT: [&str; 2] = ["do_notify_parent", "exit_notify"];

/// The cause that the stack of a wakeup shows.
pub fn of<'a>(functions: impl Iterator<Item = &'a str>) -> Option<Cause> {
    let mut found = None;
    for function in functions {
        if TELLS_PARENT.iter().any(|start| function.starts_with(start)) {
            return Some(Cause::Child);
        }
        let does = || DOES.iter().find(|(start, _)| function.starts_with(start)).map(|(_, cause)| *cause);
        found = found.or_else(does);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaf_most_function_that_tells_decides() {
        let stacks: [(&[&str], Option<Cause>); 7] = [
            (
                &["signal_wake_up_state", "__send_signal_locked", "do_notify_parent", "do_exit"],
                Some(Cause::Child),
            ),
            (&["try_to_wake_up", "hrtimer_wakeup", "__hrtimer_run_queues"], Some(Cause::Timer)),
            (&["ep_poll_callback", "sock_def_readable", "unix_stream_sendmsg"], Some(Cause::Message)),
            (
                &["ep_poll_callback", "signalfd_notify", "__send_signal_locked", "do_send_sig_info"],
                Some(Cause::Signal),
            ),
            (
                &["autoremove_wake_function", "folio_end_writeback", "bio_endio", "blk_mq_end_request"],
                Some(Cause::Disk),
            ),
            (&["ep_poll_callback", "eventfd_write", "vfs_write"], Some(Cause::Written)),
            (&["try_to_wake_up", "swake_up_one"], None),
        ];
        for (stack, cause) in stacks {
            assert_eq!(of(stack.iter().copied()), cause, "{stack:?}");
        }
    }
}
