//! Names and shapes of the read-only globals that user space injects before load.
//!
//! In: the validated configuration and offsets from the kernel's BTF. Out: constants the
//! verifier folds, so that a mode that is off costs nothing.

/// Cgroups a session may be limited to.
pub const CGROUPS: usize = 8;
/// Command names a session may be limited to.
pub const COMMS: usize = 4;
/// 64-bit words of the CPU mask.
pub const CPU_WORDS: usize = 16;

/// Where the fields are that the programs read (bytes from the start of their struct).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `task_struct.flags`.
    pub task_flags: u32,
    /// `task_struct.tgid`.
    pub task_tgid: u32,
    /// `task_struct.pid`.
    pub task_pid: u32,
    /// `task_struct.comm`.
    pub task_comm: u32,
    /// `task_struct.group_leader`.
    pub task_group_leader: u32,
    /// `task_struct.start_time`.
    pub task_start_time: u32,
    /// `task_struct.on_cpu`.
    pub task_on_cpu: u32,
    /// `task_struct.thread_info.cpu`, `task_struct.cpu` before Linux 5.16.
    pub task_cpu: u32,
    /// `task_struct.__state`, `task_struct.state` before Linux 5.14.
    pub task_state: u32,
    /// `task_struct.nvcsw`.
    pub task_nvcsw: u32,
    /// `task_struct.nivcsw`.
    pub task_nivcsw: u32,
    /// `task_struct.cgroups`.
    pub task_cgroups: u32,
    /// The cgroup pointer of the wanted hierarchy inside `css_set` (v2: `dfl_cgrp`), or of the
    /// controller's state (v1: `subsys[i]`, see `css_cgroup`).
    pub set_entry: u32,
    /// v1: `cgroup_subsys_state.cgroup`.
    pub css_cgroup: u32,
    /// `cgroup.level`.
    pub cgroup_level: u32,
    /// `cgroup.ancestors`, or `cgroup.ancestor_ids` before Linux 6.1: see `ancestor_ids`.
    pub cgroup_ancestors: u32,
    /// `cgroup.kn`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`.
    pub kn_id: u32,
    /// No offset. 1: `cgroup_ancestors` holds ids, else pointers.
    pub ancestor_ids: u32,
    /// `task_struct.stack`.
    pub task_stack: u32,
    /// `mutex.owner`.
    pub mutex_owner: u32,
    /// `rw_semaphore.owner`.
    pub rwsem_owner: u32,
    /// `task_struct.throttled` (Linux 6.18 and later); 0: there is none.
    pub task_throttled: u32,
    /// `task_struct.se.sum_exec_runtime`.
    pub task_ran: u32,
    /// `task_struct.sched_info.run_delay`; 0: the kernel keeps none.
    pub task_queued: u32,
    /// `task_struct.se.cfs_rq`; 0: there is none.
    pub task_cfs_rq: u32,
    /// `cfs_rq.throttle_count`; 0: there is none.
    pub cfs_rq_throttle_count: u32,
}
crate::shared_record!(Offsets, 108);
