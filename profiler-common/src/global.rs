//! Names and shapes of the read-only globals that user space injects before load.
//!
//! In: the validated configuration and offsets from the kernel's BTF. Out: constants that the
//! verifier folds, so a mode that is off costs nothing.

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
    /// `task_struct.thread_info.status`, where it tells the table of a call; 0: there is none.
    pub task_status: u32,
    /// `cgroup.root`.
    pub cgroup_root: u32,
    /// `cgroup_root.hierarchy_id`.
    pub root_hierarchy: u32,
    /// `task_struct.nsproxy`; 0: not known.
    pub task_nsproxy: u32,
    /// `nsproxy.mnt_ns`.
    pub nsproxy_mnt: u32,
    /// `task_struct.signal`; 0: not known.
    pub task_signal: u32,
    /// `task_struct.exit_code`.
    pub task_exit_code: u32,
    /// `signal_struct.live`.
    pub signal_live: u32,
    /// `signal_struct.flags`.
    pub signal_flags: u32,
    /// `signal_struct.group_exit_code`.
    pub signal_exit_code: u32,
    /// `kernel_siginfo.si_code`.
    pub siginfo_code: u32,
    /// `task_struct.files`; 0: the fields of open files are not known.
    pub task_files: u32,
    /// `files_struct.fdt`.
    pub files_fdt: u32,
    /// `fdtable.max_fds`.
    pub fdtable_max: u32,
    /// `fdtable.fd`.
    pub fdtable_fd: u32,
    /// `file.f_inode`.
    pub file_inode: u32,
    /// `inode.i_mode`.
    pub inode_mode: u32,
    /// `inode.i_sb`.
    pub inode_sb: u32,
    /// `super_block.s_magic`.
    pub sb_magic: u32,
    /// `task_struct.se.exec_start`.
    pub task_exec_start: u32,
    /// `cfs_rq.rq`.
    pub cfs_rq_rq: u32,
    /// `rq.clock_task`; 0: how long a thread has been off the CPU is not known.
    pub rq_clock_task: u32,
    /// `task_struct.mm`; 0: mappings are not known.
    pub task_mm: u32,
    /// `mm_struct.mm_mt.ma_root`, since Linux 6.1; 0: mappings are in a red-black tree.
    pub mm_tree: u32,
    /// `mm_struct.mm_rb.rb_node` before.
    pub mm_rb: u32,
    /// `vm_area_struct.vm_rb`.
    pub area_rb: u32,
    /// `vm_area_struct.vm_start`.
    pub area_start: u32,
    /// `vm_area_struct.vm_end`.
    pub area_end: u32,
    /// `vm_area_struct.vm_flags`.
    pub area_flags: u32,
    /// `vm_area_struct.vm_pgoff`.
    pub area_page: u32,
    /// `vm_area_struct.vm_file`.
    pub area_file: u32,
    /// `file.f_path.dentry`.
    pub file_dentry: u32,
    /// `dentry.d_name.name`.
    pub dentry_name: u32,
    /// `inode.i_ino`.
    pub inode_number: u32,
    /// `inode.i_size`.
    pub inode_bytes: u32,
    /// `mm_struct.flags`; 0: not known.
    pub mm_flags: u32,
    /// `signal_struct.rlim`; 0: not known.
    pub signal_limits: u32,
    /// `task_struct.real_parent`; 0: not known.
    pub task_parent: u32,
    /// `task_struct.thread_pid`; 0: pids of other namespaces are not known.
    pub task_thread_pid: u32,
    /// `pid.level`.
    pub pid_level: u32,
    /// `pid.numbers`, each a number and its namespace.
    pub pid_numbers: u32,
    /// `task_struct.pid_links`.
    pub task_pid_links: u32,
    /// `pid.tasks`.
    pub pid_tasks: u32,
    /// `upid.ns`.
    pub upid_ns: u32,
    /// `pid_namespace.idr.idr_rt.xa_head`.
    pub namespace_head: u32,
    /// `xa_node.shift`.
    pub node_shift: u32,
    /// `xa_node.slots`.
    pub node_slots: u32,
    /// `task_struct.thread.fsbase`; 0: not known.
    pub task_fs: u32,
}
crate::shared_record!(Offsets, 196 + 26 * 4);
