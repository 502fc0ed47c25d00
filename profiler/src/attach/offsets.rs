//! The offsets at which the kernel-side programs read fields.
//!
//! In: the kernel's types, the hierarchy that tells containers apart. Out: the shared record.

use std::ffi::c_void;
use std::fs::File;

use profiler_common::global::Offsets;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::btf::Types;
use super::peers::{self, PeerOffsets};
use super::requests::{self, BlockOffsets};

/// The file in which the kernel describes its own types.
pub const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Which cgroup of a task counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// The unified one.
    V2,
    /// The hierarchy of a v1 controller, by its name (`memory`, `cpu` …).
    V1(String),
}

/// What can be read from the kernel's types.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Where the fields are.
    pub offsets: Offsets,
    /// Where the fields of disk requests are.
    pub block: BlockOffsets,
    /// Where the fields of TCP sockets are.
    pub peer: PeerOffsets,
    /// Whether tracing programs may use task storage, and the helpers that came with it.
    pub task_storage: bool,
}

/// Reads the offsets from the kernel's BTF; `None` when it has none or lacks a field.
pub fn read(hierarchy: &Hierarchy) -> Option<Layout> {
    with_btf(|bytes| parse(bytes, hierarchy))
}

/// Hands the kernel's BTF to `scan`; `None` when there is none, or when that finds nothing.
pub(super) fn with_btf<T>(scan: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let file = File::open(BTF_PATH).ok()?;
    match Mapped::new(&file) {
        Some(mapped) => scan(mapped.bytes()),
        None => scan(&std::fs::read(BTF_PATH).ok()?),
    }
}

/// The kernel's types mapped instead of read (Linux 6.16 and later): sysfs hands out a page per read,
/// which is more than a thousand system calls.
struct Mapped {
    address: *mut c_void,
    length: usize,
}

impl Mapped {
    fn new(file: &File) -> Option<Self> {
        let length = usize::try_from(file.metadata().ok()?.len()).ok().filter(|length| *length > 0)?;
        // SAFETY: a new private read-only mapping of a sysfs attribute, which never shrinks.
        let address =
            unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }
                .ok()?;
        Some(Self { address, length })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.address.cast(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and no slice of it outlives `self`. A failure leaves it mapped.
        let _ = unsafe { munmap(self.address, self.length) };
    }
}

fn parse(bytes: &[u8], hierarchy: &Hierarchy) -> Option<Layout> {
    const OWN: [&str; 37] = [
        "sched_entity",
        "sched_info",
        "cfs_rq",
        "rq",
        "mutex",
        "rw_semaphore",
        "bpf_func_id",
        "task_struct",
        "thread_info",
        "thread_struct",
        "css_set",
        "cgroup_subsys_state",
        "cgroup",
        "kernfs_node",
        "cgroup_subsys_id",
        "cgroup_root",
        "nsproxy",
        "signal_struct",
        "kernel_siginfo",
        "files_struct",
        "fdtable",
        "file",
        "inode",
        "super_block",
        "mm_struct",
        "maple_tree",
        "rb_root",
        "vm_area_struct",
        "path",
        "dentry",
        "qstr",
        "pid",
        "upid",
        "pid_namespace",
        "idr",
        "xarray",
        "xa_node",
    ];
    let types = Types::scan(bytes, &[OWN.as_slice(), requests::WANTED, peers::WANTED].concat())?;
    let task = |member| types.offset("task_struct", member);
    let ancestors = types.offset("cgroup", "ancestors");
    let offsets = Offsets {
        task_flags: task("flags")?,
        task_tgid: task("tgid")?,
        task_pid: task("pid")?,
        task_comm: task("comm")?,
        task_group_leader: task("group_leader")?,
        task_start_time: task("start_time")?,
        task_on_cpu: task("on_cpu")?,
        task_cpu: task_cpu(&types)?,
        task_state: task("__state").or_else(|| task("state"))?,
        task_nvcsw: task("nvcsw")?,
        task_nivcsw: task("nivcsw")?,
        task_cgroups: task("cgroups")?,
        set_entry: set_entry(&types, hierarchy)?,
        css_cgroup: types.offset("cgroup_subsys_state", "cgroup")?,
        cgroup_level: types.offset("cgroup", "level")?,
        cgroup_ancestors: ancestors.or_else(|| types.offset("cgroup", "ancestor_ids"))?,
        cgroup_kn: types.offset("cgroup", "kn")?,
        kn_id: types.offset("kernfs_node", "id")?,
        ancestor_ids: u32::from(ancestors.is_none()),
        task_stack: task("stack")?,
        task_throttled: task("throttled").unwrap_or(0),
        task_ran: inside(&types, "se", ("sched_entity", "sum_exec_runtime")).unwrap_or(0),
        task_queued: inside(&types, "sched_info", ("sched_info", "run_delay")).unwrap_or(0),
        task_cfs_rq: queue(&types).unwrap_or(0),
        cfs_rq_throttle_count: queue(&types).and(types.offset("cfs_rq", "throttle_count")).unwrap_or(0),
        mutex_owner: types.offset("mutex", "owner")?,
        rwsem_owner: types.offset("rw_semaphore", "owner")?,
        task_fs: inside(&types, "thread", ("thread_struct", "fsbase")).unwrap_or(0),
        task_status: inside(&types, "thread_info", ("thread_info", "status")).unwrap_or(0),
        cgroup_root: types.offset("cgroup", "root")?,
        root_hierarchy: types.offset("cgroup_root", "hierarchy_id")?,
        ..Offsets::default()
    };
    let offsets = deaths(&types, mounts(&types, offsets).unwrap_or(offsets)).unwrap_or(offsets);
    let offsets = files(&types, offsets).unwrap_or(offsets);
    let offsets = absence(&types, offsets).unwrap_or(offsets);
    let offsets = super::mappings::add(&types, offsets);
    let offsets = numbers(&types, offsets).unwrap_or(offsets);
    // The helper that came last of those that the programs call where there is task storage.
    let task_storage = types.variant("bpf_func_id", "BPF_FUNC_task_pt_regs").is_some();
    Some(Layout {
        offsets,
        block: requests::offsets(&types).unwrap_or_default(),
        peer: peers::offsets(&types).unwrap_or_default(),
        task_storage,
    })
}

/// Mount namespaces: a kernel may have none.
fn mounts(types: &Types<'_>, offsets: Offsets) -> Option<Offsets> {
    Some(Offsets {
        task_nsproxy: types.offset("task_struct", "nsproxy")?,
        nsproxy_mnt: types.offset("nsproxy", "mnt_ns")?,
        ..offsets
    })
}

/// How processes end.
fn deaths(types: &Types<'_>, offsets: Offsets) -> Option<Offsets> {
    let signal = |member| types.offset("signal_struct", member);
    Some(Offsets {
        task_signal: types.offset("task_struct", "signal")?,
        task_exit_code: types.offset("task_struct", "exit_code")?,
        signal_live: signal("live")?,
        signal_flags: signal("flags")?,
        signal_exit_code: signal("group_exit_code")?,
        siginfo_code: types.offset("kernel_siginfo", "si_code")?,
        ..offsets
    })
}

/// What a task's descriptors stand for.
fn files(types: &Types<'_>, offsets: Offsets) -> Option<Offsets> {
    Some(Offsets {
        task_files: types.offset("task_struct", "files")?,
        files_fdt: types.offset("files_struct", "fdt")?,
        fdtable_max: types.offset("fdtable", "max_fds")?,
        fdtable_fd: types.offset("fdtable", "fd")?,
        file_inode: types.offset("file", "f_inode")?,
        inode_mode: types.offset("inode", "i_mode")?,
        inode_sb: types.offset("inode", "i_sb")?,
        sb_magic: types.offset("super_block", "s_magic")?,
        ..offsets
    })
}

/// Fields that say since when a thread is off the CPU. A kernel without CPU cgroups has no field that leads
/// from the thread to the clock of that CPU.
fn absence(types: &Types<'_>, offsets: Offsets) -> Option<Offsets> {
    queue(types)?;
    Some(Offsets {
        task_exec_start: inside(types, "se", ("sched_entity", "exec_start"))?,
        cfs_rq_rq: types.offset("cfs_rq", "rq")?,
        rq_clock_task: types.offset("rq", "clock_task")?,
        ..offsets
    })
}

/// Which thread has a number in a pid namespace.
fn numbers(types: &Types<'_>, offsets: Offsets) -> Option<Offsets> {
    Some(Offsets {
        task_thread_pid: types.offset("task_struct", "thread_pid")?,
        task_pid_links: types.offset("task_struct", "pid_links")?,
        pid_level: types.offset("pid", "level")?,
        pid_tasks: types.offset("pid", "tasks")?,
        pid_numbers: types.offset("pid", "numbers")?,
        upid_ns: types.offset("upid", "ns")?,
        namespace_head: types.offset("pid_namespace", "idr")?
            + types.offset("idr", "idr_rt")?
            + types.offset("xarray", "xa_head")?,
        node_shift: types.offset("xa_node", "shift")?,
        node_slots: types.offset("xa_node", "slots")?,
        ..offsets
    })
}

/// Kernels without quotas, or without groups, have no such fields.
fn queue(types: &Types<'_>) -> Option<u32> {
    inside(types, "se", ("sched_entity", "cfs_rq"))
}

/// A member of a structure that is a task's member.
fn inside(types: &Types<'_>, member: &str, (structure, inner): (&str, &str)) -> Option<u32> {
    Some(types.offset("task_struct", member)? + types.offset(structure, inner)?)
}

fn task_cpu(types: &Types<'_>) -> Option<u32> {
    types.offset("task_struct", "cpu").or_else(|| inside(types, "thread_info", ("thread_info", "cpu")))
}

fn set_entry(types: &Types<'_>, hierarchy: &Hierarchy) -> Option<u32> {
    match hierarchy {
        Hierarchy::V2 => types.offset("css_set", "dfl_cgrp"),
        Hierarchy::V1(controller) => {
            // The block controller's directory is `blkio`, its kernel name `io`.
            let name = if controller == "blkio" { "io" } else { controller };
            let index = types.variant("cgroup_subsys_id", &format!("{name}_cgrp_id"))?;
            Some(types.offset("css_set", "subsys")? + 8 * index)
        }
    }
}
