//! The request as read-only globals of the kernel-side object.
//!
//! In: a [`Request`]. Out: values that live as long as the loader borrows them.

use aya::EbpfLoader;
use profiler_common::COMM_BYTES;
use profiler_common::follow::Followed;
use profiler_common::glob::{GLOBS, Glob};
use profiler_common::global::{CGROUPS, COMMS, CPU_WORDS, Offsets};

use super::clock::now_ns;
use super::offsets::{self, Hierarchy};
use super::peers::PeerOffsets;
use super::request::Request;
use super::requests::BlockOffsets;
use super::{copies, follow, log};
use crate::failure::Failure;
use crate::plan::table;
use crate::probe::Probes;

/// Every injected value.
pub struct Globals {
    slow_ns: u64,
    wait_min_ns: u64,
    /// Monotonic time of the load, ns: threads older than this existed before attach.
    pub attach_ns: u64,
    self_tgid: u32,
    by_tgid: u32,
    cgroup_count: u32,
    cgroup_hierarchy: u32,
    tell_cgroups: u32,
    cgroup_v1: u32,
    comm_count: u32,
    thread_count: u32,
    by_cpu: u32,
    have_offsets: u32,
    log_level: u8,
    task_storage: u32,
    status_of_current: u32,
    last_calls: u32,
    probes: Probes,
    stack_frames: u32,
    copy_bytes: u32,
    copies_each_period: u32,
    copies_wake_bytes: u64,
    data_start: u64,
    data_end: u64,
    offsets: Offsets,
    block: BlockOffsets,
    peer: PeerOffsets,
    followed: [Followed; CGROUPS],
    comm_names: [[u8; COMM_BYTES]; COMMS],
    thread_globs: [Glob; GLOBS],
    cpu_mask: [u64; CPU_WORDS],
}

impl Globals {
    /// Turns a request into globals.
    ///
    /// # Errors
    /// More cgroups or names than the programs hold; a cgroup target without kernel BTF.
    pub fn new(request: &Request) -> Result<Self, Failure> {
        let filter = &request.filter;
        let slow_ns = u64::try_from(request.slow.as_nanos()).unwrap_or(u64::MAX);
        let layout = offsets::read(&filter.hierarchy);
        if layout.is_none() && !filter.cgroups.is_empty() {
            return Err(Failure::Privilege(format!(
                "a container or cgroup target needs the kernel's type information, and {} has not what it takes: use --pid",
                offsets::BTF_PATH
            )));
        }
        let mut globals = Self {
            slow_ns,
            wait_min_ns: slow_ns / 16,
            attach_ns: now_ns(),
            self_tgid: std::process::id(),
            by_tgid: u32::from(!filter.tgids.is_empty()),
            cgroup_count: filter.cgroups.len() as u32,
            cgroup_hierarchy: filter.hierarchy_number,
            tell_cgroups: u32::from(filter.by_name),
            cgroup_v1: u32::from(filter.hierarchy != Hierarchy::V2),
            comm_count: filter.comms.len() as u32,
            thread_count: filter.threads.len() as u32,
            by_cpu: u32::from(request.cpus.is_some()),
            have_offsets: u32::from(layout.is_some()),
            log_level: if request.log { log::DEBUG } else { log::OFF },
            // Nothing is known without types: most kernels have it.
            task_storage: u32::from(layout.is_none_or(|layout| layout.task_storage)),
            status_of_current: status_of_current(layout.as_ref()),
            last_calls: u32::from(copies::keeps_calls(request)),
            probes: request.probes,
            stack_frames: request.stack_frames,
            copy_bytes: request.copy_bytes.unwrap_or(0),
            copies_each_period: copies::each_period(),
            copies_wake_bytes: u64::from(copies::ring_bytes(request)) / 4,
            data_start: 0xffff_ffff_8000_0000,
            data_end: 0xffff_ffff_ff00_0000,
            offsets: layout.map(|layout| layout.offsets).unwrap_or_default(),
            block: layout.map(|layout| layout.block).unwrap_or_default(),
            peer: layout.map(|layout| layout.peer).unwrap_or_default(),
            followed: follow::initial(&filter.cgroups),
            comm_names: [[0; COMM_BYTES]; COMMS],
            thread_globs: [Glob::NONE; GLOBS],
            cpu_mask: [0; CPU_WORDS],
        };
        globals.fill_lists(request)?;
        Ok(globals)
    }

    fn fill_lists(&mut self, request: &Request) -> Result<(), Failure> {
        let filter = &request.filter;
        if filter.cgroups.len() > CGROUPS {
            return Err(too_many("cgroups", filter.cgroups.len(), CGROUPS));
        }
        if filter.comms.len() > COMMS {
            return Err(too_many("command names", filter.comms.len(), COMMS));
        }
        if filter.threads.len() > GLOBS {
            return Err(too_many("names of threads", filter.threads.len(), GLOBS));
        }
        for (slot, name) in self.comm_names.iter_mut().zip(&filter.comms) {
            let length = name.len().min(COMM_BYTES - 1);
            slot[..length].copy_from_slice(&name.as_bytes()[..length]);
        }
        for (slot, glob) in self.thread_globs.iter_mut().zip(&filter.threads) {
            *slot = *glob;
        }
        for &cpu in request.cpus.iter().flatten() {
            match self.cpu_mask.get_mut(cpu as usize / 64) {
                Some(word) => *word |= 1 << (cpu % 64),
                None => {
                    return Err(Failure::Usage(format!(
                        "--cpu {cpu}: the highest CPU is {}",
                        CPU_WORDS * 64 - 1
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether fields of tasks can be read.
    pub fn have_offsets(&self) -> bool {
        self.have_offsets != 0
    }

    /// Whether the ends of processes can be told.
    pub fn tells_deaths(&self) -> bool {
        self.have_offsets() && self.offsets.task_signal != 0
    }

    /// Whether threads' state is in task storage, else in a hash.
    pub fn task_storage(&self) -> bool {
        self.task_storage != 0
    }

    /// Hands every value to the loader.
    pub fn inject<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader
            .override_global("SLOW_NS", &self.slow_ns, true)
            .override_global("WAIT_MIN_NS", &self.wait_min_ns, true)
            .override_global("ATTACH_NS", &self.attach_ns, true)
            .override_global("SELF_TGID", &self.self_tgid, true)
            .override_global("BY_TGID", &self.by_tgid, true)
            .override_global("CGROUP_COUNT", &self.cgroup_count, true)
            .override_global("CGROUP_HIERARCHY", &self.cgroup_hierarchy, true)
            .override_global("TELL_CGROUPS", &self.tell_cgroups, true)
            .override_global("CGROUP_V1", &self.cgroup_v1, true)
            .override_global("COMM_COUNT", &self.comm_count, true)
            .override_global("THREAD_COUNT", &self.thread_count, true)
            .override_global("THREAD_GLOBS", &self.thread_globs, true)
            .override_global("BY_CPU", &self.by_cpu, true)
            .override_global("HAVE_OFFSETS", &self.have_offsets, true)
            .override_global("TASK_STORAGE", &self.task_storage, true)
            .override_global(aya_log::LEVEL, &self.log_level, true)
            .override_global("STATUS_OF_CURRENT", &self.status_of_current, true)
            .override_global("KEEP_LAST_CALLS", &self.last_calls, true)
            .override_global("STACK_FRAMES", &self.stack_frames, true)
            .override_global("COPY_BYTES", &self.copy_bytes, true)
            .override_global("COPIES_EACH_PERIOD", &self.copies_each_period, true)
            .override_global("COPIES_WAKE_BYTES", &self.copies_wake_bytes, true)
            .override_global("DATA_START", &self.data_start, true)
            .override_global("DATA_END", &self.data_end, true)
            .override_global("OFFSETS", &self.offsets, true)
            .override_global("BLOCK_OFFSETS", &self.block, true)
            .override_global("PEER_OFFSETS", &self.peer, true)
            .override_global("FOLLOWED", &self.followed, true)
            .override_global("COMM_NAMES", &self.comm_names, true)
            .override_global("CPU_MASK", &self.cpu_mask, true);
        for row in table::rows() {
            if let Some(global) = row.kernel.rows {
                let on: &'static u32 = if self.probes.has(row.probe) { &1 } else { &0 };
                loader.override_global(global, on, true);
            }
        }
    }
}

/// On kernels with task storage, programs may load fields of the running task.
fn status_of_current(layout: Option<&offsets::Layout>) -> u32 {
    layout.filter(|layout| layout.task_storage).map_or(0, |layout| layout.offsets.task_status)
}

fn too_many(what: &str, found: usize, most: usize) -> Failure {
    Failure::Usage(format!("the target names {found} {what}, at most {most} at once: narrow it"))
}
