//! A session made by hand, chunk by chunk, as a capture would hold it. In: nothing. Out: [`session`], with hostile names,
//! and what other scenes are made of.

#[path = "hanging.rs"]
mod hanging;
#[path = "layer.rs"]
mod layer;
#[path = "slowest.rs"]
mod slowest;

use std::collections::BTreeMap;
use std::sync::Arc;

use profiler::profile::chunk::{Chunk, End, Header, Interval};
use profiler::profile::estimate::TimedWindow;
use profiler::profile::ledger::Population;
use profiler::profile::parts::{Part, PartKey, Parts};
use profiler::profile::rows::{
    CpuKey, Holder, HolderKey, HolderRow, LockContext, LockKey, LockKind, SlowKey, StackSource,
};
use profiler::profile::stack::{Module, ModuleId, Stack, Symbols};
use profiler::profile::{
    CgroupLimits, Class, Cost, CpuRow, Environment, Frame, FrameId, FrameSpace, LockRow, Pid, ProbePlan,
    Process, Profile, ProgramCost, Reason, Resolution, SlowRow, StackId, SyscallRow, TargetNote,
};

pub const MS: u64 = 1_000_000;
pub const HOSTILE: &str = "a;b\n<script>\x1b[31m";

/// Builds stacks frame by frame, leaf first, as a capture holds them.
#[derive(Default)]
pub struct Stacks {
    pub interval: Interval,
    pub symbols: Symbols,
    known: BTreeMap<String, FrameId>,
}

impl Stacks {
    fn frame(&mut self, key: &str, space: FrameSpace, resolution: Resolution) -> FrameId {
        if let Some(id) = self.known.get(key) {
            return *id;
        }
        let id = FrameId(self.interval.frames.len() as u32);
        self.interval.frames.push(Frame { space, address: 0x1000 + u64::from(id.0) * 16 });
        self.symbols.frames.push((id, resolution));
        self.known.insert(key.to_owned(), id);
        id
    }

    fn stack(&mut self, id: u64, space: FrameSpace, functions: &[&str]) -> StackId {
        let frames = functions.iter().map(|function| {
            let resolution = match *function {
                "?stripped" => Resolution::Unnamed(Reason::NoSymbol),
                "?gone" => Resolution::Unnamed(Reason::ProcessGone),
                names => Resolution::Named(names.split('|').map(Arc::from).collect()),
            };
            self.frame(&format!("{space:?}{function}"), space, resolution)
        });
        let frames = frames.collect();
        self.interval.stacks.push(Stack { id: StackId(id), frames, truncated: id == 24 });
        StackId(id)
    }

    pub fn kernel(&mut self, id: u64, functions: &[&str]) -> StackId {
        self.stack(id, FrameSpace::Kernel, functions)
    }

    pub fn user(&mut self, id: u64, functions: &[&str]) -> StackId {
        self.stack(id, FrameSpace::Module(ModuleId(0)), functions)
    }
}

const ENTRY: [&str; 2] = ["do_syscall_64", "entry_SYSCALL_64_after_hwframe"];

pub fn with_entry(functions: &[&'static str]) -> Vec<&'static str> {
    functions.iter().copied().chain(ENTRY).collect()
}

pub fn header() -> Header {
    Header {
        version: "0.1.0".into(),
        arguments: vec!["record".into(), "--container".into(), "web".into()],
        started_unix_s: 1_700_000_000,
        slow_ns: 10 * MS,
        frequency_hz: 99,
        limits: Vec::new(),
        cpus: vec![],
        target: TargetNote {
            label: "container web".into(),
            way: "cgroup v2 id 1234 at level 3".into(),
            details: vec![("image".into(), "shop/api:1.2".into())],
        },
        probes: vec![
            ProbePlan {
                probe: "syscall".into(),
                backend: "BTF tracepoints".into(),
                misses: vec![],
                active: true,
            },
            ProbePlan {
                probe: "lock".into(),
                backend: "contention tracepoints".into(),
                misses: vec!["the first waiter of a spinlock (no paravirtual locks).".into()],
                active: true,
            },
            layer::plan(),
            ProbePlan { probe: "cpu".into(), backend: "cpu-clock".into(), misses: vec![], active: true },
        ],
        lsm_sites: layer::sites(),
        environment: environment(),
    }
}

fn environment() -> Environment {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let cgroup = |path: &str, above, limits: &[(&str, &str)]| CgroupLimits {
        path: path.into(),
        hierarchy: "v2".into(),
        above,
        limits: map(limits),
    };
    Environment {
        hostname: "db1".into(),
        kernel_release: "6.18.5".into(),
        kernel_version: "#1 SMP PREEMPT_DYNAMIC Debian 6.18.5-1".into(),
        tainted: "OE".into(),
        machine: "x86_64".into(),
        boot_unix_s: 1_700_000_000 - 3 * 86_400 - 7,
        command_line: "BOOT_IMAGE=/vmlinuz ro mitigations=auto".into(),
        lsms: vec!["lockdown".into(), "apparmor".into(), "bpf".into()],
        mitigations: map(&[("spectre_v2", "Mitigation: Retpolines"), ("mds", "Vulnerable: no microcode")]),
        clock_source: "kvm-clock".into(),
        cpu_model: "AMD EPYC".into(),
        cpus_online: 2,
        cpus_possible: 2,
        memory_bytes: 8 << 30,
        hypervisor: "KVM".into(),
        modules: vec!["ext4".into(), "zfs 2.3.1-1".into()],
        other_bpf_programs: vec!["lsm guard".into(), "kprobe trace_read ×3".into()],
        bpf_lsm_programs: 1,
        other_kprobes: vec![format!("kprobe {HOSTILE}")],
        tracer: "nop".into(),
        cgroup_layout: "v2".into(),
        cgroups: vec![
            cgroup("/web", false, &[("cpu.max", "20000 100000"), ("memory.max", "67108864")]),
            cgroup("/", true, &[("pids.max", "4096")]),
        ],
        not_told: map(&[("lockdown", "securityfs is not mounted")]),
        network_of: "pid 812".into(),
        at_start: counters(0),
        ..Environment::default()
    }
}

/// The counters after so many steps.
fn counters(step: u64) -> BTreeMap<String, u64> {
    [
        ("cgroup_periods", 40, 100),
        ("cgroup_throttled_periods", 0, 62),
        ("cgroup_throttled_us", 17, 4_100_000),
        ("context_switches", 900, 61_000),
        ("major_faults", 7, 0),
        ("tcp_retransmits", 3, 4),
        ("tcp_listen_drops", 0, 2),
        ("steal_ms", 5_000, 30),
    ]
    .map(|(name, start, delta)| (name.to_owned(), start + step * delta))
    .into()
}

pub fn processes() -> Vec<Process> {
    [(812, "api", "web"), (813, HOSTILE, "web"), (33, "java", ""), (7, "kworker/0:1", "")]
        .map(|(pid, comm, container)| Process {
            pid: Pid(pid),
            comm: comm.into(),
            container: container.into(),
            cgroup: String::new(),
            label: if pid == 812 { "docker-default (enforce)".into() } else { String::new() },
            ..Process::default()
        })
        .into()
}

pub fn calls(interval: &mut Interval, pid: u32, nr: u32, latencies: &[(u64, u64)]) {
    let row: &mut SyscallRow = interval.syscall.rows.entry((Pid(pid), nr)).or_default();
    for &(ns, count) in latencies {
        (0..count).for_each(|_| row.latency.record(ns));
    }
}

pub fn slow(
    interval: &mut Interval,
    (pid, nr): (u32, u32),
    (kernel, user): (StackId, StackId),
    (count, ns): (u64, u64),
) {
    let source = if kernel == StackId::NONE { StackSource::None } else { StackSource::Wait };
    let key = SlowKey { pid: Pid(pid), nr, kernel, user, source };
    let total_ns = count * ns;
    let on_cpu = if kernel == StackId::NONE { total_ns } else { total_ns / 100 };
    let runnable = (total_ns - on_cpu) / 10;
    let asleep = total_ns - on_cpu - runnable;
    let parts = Parts::new([on_cpu, 0, 0, 0, asleep, runnable, 0, 0, 0, 0]);
    let row = SlowRow { count, total_ns, max_ns: ns, off_cpu_ns: total_ns - on_cpu, parts };
    interval.syscall.slow.insert(key, row);
    for (part, kernel) in [(Part::OnCpu, StackId::NONE), (Part::Sleep, kernel), (Part::Woken, StackId::NONE)]
    {
        let row = interval.syscall.parts.entry(PartKey { pid: Pid(pid), nr, part, kernel }).or_default();
        (row.ns, row.calls) = (row.ns + parts.get(part), row.calls + count);
    }
}

/// A hook of one process that took so many ms of its sends.
pub fn layer_of(interval: &mut Interval, pid: u32, ms: u64) {
    layer::one(interval, pid, ms);
}

pub fn lock(interval: &mut Interval, key: LockKey, waits: &[(u64, u64)]) {
    let mut row = LockRow::default();
    for &(ns, count) in waits {
        (0..count).for_each(|_| row.wait.record(ns));
    }
    interval.lock.rows.insert(key, row);
}

fn syscalls(stacks: &mut Stacks) {
    let sleep = ["__schedule", "schedule"];
    let pipe =
        stacks.kernel(1, &with_entry(&["__schedule", "schedule", "anon_pipe_read", "vfs_read", "ksys_read"]));
    let disk = stacks
        .kernel(2, &with_entry(&["__schedule", "io_schedule", "folio_wait_bit_common", "ext4_sync_file"]));
    let futex =
        stacks.kernel(3, &with_entry(&[sleep[0], sleep[1], "futex_do_wait", "futex_wait", "do_futex"]));
    let epoll = stacks.kernel(4, &with_entry(&[sleep[0], sleep[1], "ep_poll", "do_epoll_wait"]));
    let handler = stacks.user(
        21,
        &["read", "shop::Basket::load<int, std::less<int>>", "inlined_leaf|inlined|handle", "main"],
    );
    let hostile = stacks.user(22, &["read", HOSTILE, "operator new 12", "?stripped", "main"]);
    let gone = stacks.user(23, &["?gone"]);
    let deep = stacks.user(24, &["fsync", "recurse"]);
    let at = &mut stacks.interval;
    calls(at, 812, 0, &[(4_000, 9_000), (20 * MS, 120)]);
    calls(at, 812, 74, &[(35 * MS, 12)]);
    calls(at, 813, 0, &[(5_000, 400), (15 * MS, 3)]);
    calls(at, 33, 202, &[(900 * MS, 40)]);
    calls(at, 33, 232, &[(2_000 * MS, 30)]);
    calls(at, 33, 999, &[(700, 5)]);
    at.syscall.rows.entry((Pid(812), 0)).or_default().errors = BTreeMap::from([(11, 31), (4, 2)]);
    slow(at, (812, 0), (pipe, handler), (120, 20 * MS));
    slow(at, (812, 74), (disk, deep), (12, 35 * MS));
    slow(at, (813, 0), (StackId::NONE, hostile), (2, 15 * MS));
    slow(at, (813, 0), (StackId(404), gone), (1, 15 * MS));
    slow(at, (33, 202), (futex, StackId::NONE), (40, 900 * MS));
    slow(at, (33, 232), (epoll, StackId::NONE), (30, 2_000 * MS));
    at.slowest = slowest::calls(disk, futex, hostile);
}

fn locks(stacks: &mut Stacks) {
    let pipe = stacks.kernel(
        5,
        &with_entry(&[
            "bpf_prog_6deef7357e7b4530_lock",
            "bpf_trace_run2",
            "__traceiter_contention_begin",
            "__mutex_lock.constprop.0",
            "anon_pipe_write",
            "vfs_write",
        ]),
    );
    let files = stacks.kernel(
        6,
        &with_entry(&["native_queued_spin_lock_slowpath", "_raw_spin_lock", "alloc_fd", "ksys_dup"]),
    );
    let softirq = stacks
        .kernel(7, &["native_queued_spin_lock_slowpath", "_raw_spin_lock", "rcu_core", "handle_softirqs"]);
    let traced = stacks.kernel(
        10,
        &with_entry(&[
            "native_queued_spin_lock_slowpath",
            "_raw_spin_lock_irqsave",
            "htab_map_update_elem",
            "bpf_prog_77ef5357e7b45301_count_calls",
            "bpf_trace_run2",
        ]),
    );
    let user = StackId(21);
    let key =
        |pid, kind, context, lock, kernel, user| LockKey { pid: Pid(pid), kind, context, lock, kernel, user };
    let at = &mut stacks.interval;
    lock(at, key(812, LockKind::Mutex, LockContext::Task, 0, pipe, user), &[(3 * MS, 400), (20 * MS, 4)]);
    lock(at, key(813, LockKind::Spin, LockContext::Task, 0, files, StackId::NONE), &[(2_000, 5_000)]);
    lock(
        at,
        key(0, LockKind::Spin, LockContext::Softirq, 0xffff_ffff_8200_0000, softirq, StackId::NONE),
        &[(900, 70)],
    );
    lock(at, key(812, LockKind::Spin, LockContext::Task, 0, traced, StackId::NONE), &[(600 * 1_000, 700)]);
    // Held by a process with an attacking name, by itself, and by readers it is not.
    for (holder, waits, total_ns) in [(813, 320, 900 * MS), (812, 40, 250 * MS)] {
        let (holder, kind) = (Holder::Process(Pid(holder)), LockKind::Mutex);
        let key = HolderKey { pid: Pid(812), kind, lock: 0, kernel: pipe, holder };
        at.lock.holders.insert(key, HolderRow { waits, total_ns });
    }
    stacks.symbols.locks.push((0xffff_ffff_8200_0000, Arc::from("rcu_state")));
}

fn cpu(stacks: &mut Stacks) {
    let copy =
        stacks.kernel(8, &with_entry(&["bpf_get_stackid", "rep_movs_alternative", "copy_page_to_iter"]));
    let worker = stacks
        .kernel(9, &["blk_mq_run_work_fn", "process_one_work", "worker_thread", "kthread", "ret_from_fork"]);
    let burn_a = stacks.user(30, &["burn_a", "work", "main"]);
    let burn_b = stacks.user(31, &["burn_b", "work", "main"]);
    for (pid, kernel, user, samples) in [
        (812, StackId::NONE, burn_a, 700),
        (812, StackId::NONE, burn_b, 300),
        (812, copy, StackId(21), 60),
        (7, worker, StackId::NONE, 9),
        (33, StackId::NONE, StackId(505), 2),
        (33, StackId::NONE, StackId::NONE, 1),
    ] {
        stacks.interval.cpu.rows.insert(CpuKey { pid: Pid(pid), kernel, user }, CpuRow { samples });
    }
}

fn end() -> End {
    let mut end = End {
        duration_ns: 10_000 * MS,
        in_flight: hanging::calls(),
        counters: counters(1),
        ..End::default()
    };
    end.ledger.grow(Population::Calls, 9_610);
    end.ledger.grow(Population::Stacks, 200);
    end.ledger.count(Class::UserStackMissing, 3);
    end.ledger.count(Class::SyscallRowFull, 2);
    end.ledger.count(Class::CloneChild, 5);
    end.ledger.count(Class::Restarted, 1);
    end.cost = Cost {
        programs: vec![ProgramCost {
            program: "sys_enter".into(),
            runs: 9_000,
            run_ns: 900_000,
            recursion_misses: 1,
        }],
        window_ns: 300 * MS,
        windows: [(100, 900_000, 40), (100, 1_500_000, 90), (100, 600_000, 10)]
            .map(|(ms, run_ns, events)| TimedWindow { length_ns: ms * MS, run_ns, events })
            .to_vec(),
        cpus: 2,
        user_ns: 30 * MS,
        system_ns: 20 * MS,
        peak_rss_bytes: 23 << 20,
        map_bytes: 9 << 20,
        map_bytes_256_cpus: 90 << 20,
    };
    end
}

pub fn session() -> Profile {
    let mut profile = Profile::default();
    chunks().into_iter().for_each(|chunk| profile.apply(chunk));
    profile
}

/// The session as a capture holds it.
pub fn chunks() -> Vec<Chunk> {
    let mut stacks = Stacks::default();
    stacks.interval.modules = vec![Module { path: "/usr/lib/libshop.so.6".into(), ..Module::default() }];
    stacks.interval.processes = processes();
    stacks.interval.end_ns = 1_000 * MS;
    syscalls(&mut stacks);
    locks(&mut stacks);
    layer::add(&mut stacks);
    cpu(&mut stacks);
    vec![
        Chunk::Header(Box::new(header())),
        Chunk::Interval(Box::new(stacks.interval)),
        Chunk::Symbols(stacks.symbols),
        Chunk::End(Box::new(end())),
    ]
}
