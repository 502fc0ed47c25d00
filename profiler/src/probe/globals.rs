//! The request as read-only globals of the kernel-side object.
//!
//! In: a [`Request`]. Out: values that live as long as the loader borrows them.

use aya::EbpfLoader;
use profiler_common::COMM_BYTES;
use profiler_common::global::{CGROUPS, COMMS, CPU_WORDS, Offsets};
use rustix::time::{ClockId, clock_gettime};

use super::offsets::{self, Hierarchy};
use super::{Request, log};
use crate::failure::Failure;

/// Every injected value.
pub struct Globals {
    slow_ns: u64,
    wait_min_ns: u64,
    /// Monotonic time of the load, ns: threads older than this existed before attach.
    pub attach_ns: u64,
    self_tgid: u32,
    by_tgid: u32,
    cgroup_count: u32,
    cgroup_v1: u32,
    comm_count: u32,
    by_cpu: u32,
    have_offsets: u32,
    log_level: u8,
    task_storage: u32,
    syscall_rows: u32,
    cpu_rows: u32,
    offcpu_rows: u32,
    runq_rows: u32,
    ignore_switches: u32,
    ignore_arrivals: u32,
    data_start: u64,
    data_end: u64,
    offsets: Offsets,
    cgroup_ids: [u64; CGROUPS],
    cgroup_levels: [u32; CGROUPS],
    comm_names: [[u8; COMM_BYTES]; COMMS],
    cpu_mask: [u64; CPU_WORDS],
}

/// Monotonic clock, ns: the one `bpf_ktime_get_ns` reads.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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
            cgroup_v1: u32::from(filter.hierarchy != Hierarchy::V2),
            comm_count: filter.comms.len() as u32,
            by_cpu: u32::from(request.cpus.is_some()),
            have_offsets: u32::from(layout.is_some()),
            log_level: if request.log { log::DEBUG } else { log::OFF },
            // Nothing is known without types: most kernels have it.
            task_storage: u32::from(layout.is_none_or(|layout| layout.task_storage)),
            syscall_rows: u32::from(request.syscall),
            cpu_rows: u32::from(request.cpu),
            offcpu_rows: u32::from(request.offcpu),
            runq_rows: u32::from(request.runq),
            ignore_switches: request.ignore_switches,
            ignore_arrivals: request.ignore_arrivals,
            data_start: 0xffff_ffff_8000_0000,
            data_end: 0xffff_ffff_ff00_0000,
            offsets: layout.map(|layout| layout.offsets).unwrap_or_default(),
            cgroup_ids: [0; CGROUPS],
            cgroup_levels: [0; CGROUPS],
            comm_names: [[0; COMM_BYTES]; COMMS],
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
        for (index, (id, level)) in filter.cgroups.iter().enumerate() {
            (self.cgroup_ids[index], self.cgroup_levels[index]) = (*id, *level);
        }
        for (slot, name) in self.comm_names.iter_mut().zip(&filter.comms) {
            let length = name.len().min(COMM_BYTES - 1);
            slot[..length].copy_from_slice(&name.as_bytes()[..length]);
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
            .override_global("CGROUP_V1", &self.cgroup_v1, true)
            .override_global("COMM_COUNT", &self.comm_count, true)
            .override_global("BY_CPU", &self.by_cpu, true)
            .override_global("HAVE_OFFSETS", &self.have_offsets, true)
            .override_global("TASK_STORAGE", &self.task_storage, true)
            .override_global(aya_log::LEVEL, &self.log_level, true)
            .override_global("SYSCALL_ROWS", &self.syscall_rows, true)
            .override_global("CPU_ROWS", &self.cpu_rows, true)
            .override_global("OFFCPU_ROWS", &self.offcpu_rows, true)
            .override_global("RUNQ_ROWS", &self.runq_rows, true)
            .override_global("IGNORE_SWITCHES", &self.ignore_switches, true)
            .override_global("IGNORE_ARRIVALS", &self.ignore_arrivals, true)
            .override_global("DATA_START", &self.data_start, true)
            .override_global("DATA_END", &self.data_end, true)
            .override_global("OFFSETS", &self.offsets, true)
            .override_global("CGROUP_IDS", &self.cgroup_ids, true)
            .override_global("CGROUP_LEVELS", &self.cgroup_levels, true)
            .override_global("COMM_NAMES", &self.comm_names, true)
            .override_global("CPU_MASK", &self.cpu_mask, true);
    }
}

fn too_many(what: &str, found: usize, most: usize) -> Failure {
    Failure::Usage(format!("the target names {found} {what}, at most {most} at once: narrow it"))
}
