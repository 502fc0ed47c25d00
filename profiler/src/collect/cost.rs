//! What measuring costs: program run time in short windows, own CPU and memory.
//!
//! In: the loaded programs and maps. Out: a [`Cost`]. Run-time statistics cost about 20 ns a run,
//! so they are on for a twentieth of the time only.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::programs::Program;
use aya::sys::{Stats, enable_stats};
use aya_obj::generated::{bpf_cmd, bpf_prog_info};

use crate::machine::limit;
use crate::profile::estimate::{self, TimedWindow};
use crate::profile::{Cost, ProgramCost};
use crate::sys;

/// Program run time is measured in a window of this length.
const WINDOW: Duration = Duration::from_millis(200);
/// The first windows are shorter, and more often: so a recording of a few seconds has several.
const SHORT_WINDOW: Duration = Duration::from_millis(50);
const SHORT_WINDOWS: usize = 4;

/// Measures the session's own cost.
pub struct Meter {
    cost: Cost,
    programs: BTreeMap<String, (ProgramCost, Reading)>,
    /// Programs beside those of the object, by name.
    others: Vec<(String, OwnedFd)>,
    window: Option<(OwnedFd, Instant)>,
    /// Windows that began.
    windows: usize,
    /// What was timed since the last window began, and whether it ended: its last events are not drained yet.
    timed: (TimedWindow, bool),
    start: (u64, u64),
    possible_cpus: u64,
    /// Memory of the maps, where it was asked before some were let go.
    map_bytes: Option<(u64, u64)>,
}

/// Where fewer files may still be opened, maps that only the kernel side uses are let go.
const FEW_FILES: u64 = 64;

/// A program's counters at one moment.
#[derive(Clone, Copy, Default)]
struct Reading {
    runs: u64,
    run_ns: u64,
    misses: u64,
}

impl Meter {
    /// Starts measuring own CPU time.
    pub fn new(cpus: u32, possible_cpus: u32) -> Self {
        Self {
            cost: Cost { cpus, ..Cost::default() },
            programs: BTreeMap::new(),
            others: Vec::new(),
            window: None,
            windows: 0,
            timed: (TimedWindow::default(), false),
            start: own_cpu_ns(),
            possible_cpus: u64::from(possible_cpus.max(1)),
            map_bytes: None,
        }
    }

    /// Measures a program that is not in the object too; without a descriptor of our own it goes unmeasured.
    pub fn watch(&mut self, name: &str, program: BorrowedFd<'_>) {
        if let Ok(own) = program.try_clone_to_owned() {
            self.others.push((name.to_owned(), own));
        }
    }

    /// Lets go of maps that the kernel side alone uses, where few files may be open: the programs hold them. Call it when all
    /// others were taken out of the object.
    pub fn release_maps(&mut self, ebpf: &mut Ebpf) {
        if limit::free_files() >= FEW_FILES {
            return;
        }
        self.map_bytes = Some(map_bytes(self.possible_cpus));
        let names: Vec<String> = ebpf.maps().map(|(name, _)| name.to_owned()).collect();
        names.iter().for_each(|name| drop(ebpf.take_map(name)));
    }

    /// Whether a window is open.
    pub const fn window_open(&self) -> bool {
        self.window.is_some()
    }

    /// Begins a window in which the kernel measures program run time, and returns when it shall end. Call it when the rows
    /// were just drained. Where the kernel does not measure, no window opens.
    pub fn open_window(&mut self, ebpf: &Ebpf) -> Instant {
        self.each(ebpf, |_, _, _| {});
        self.windows += 1;
        self.timed = (TimedWindow::default(), false);
        self.window = enable_stats(Stats::RunTime).ok().map(|fd| (fd, Instant::now()));
        Instant::now() + if self.windows <= SHORT_WINDOWS { SHORT_WINDOW } else { WINDOW }
    }

    /// Ends the window; drain the rows next, so that [`Self::note_events`] is told of all events in it.
    pub fn close_window(&mut self, ebpf: &Ebpf) {
        let Some((stats, begin)) = self.window.take() else { return };
        let mut run_ns = 0u64;
        self.each(ebpf, |cost, before, now| {
            cost.runs += now.runs.saturating_sub(before.runs);
            let ran = now.run_ns.saturating_sub(before.run_ns);
            cost.run_ns += ran;
            run_ns += ran;
        });
        let length_ns = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.cost.window_ns += length_ns;
        self.timed = (TimedWindow { length_ns, run_ns, ..self.timed.0 }, true);
        drop(stats);
    }

    /// Events of the target that were just drained: those of a window, if one is open or has just ended.
    pub fn note_events(&mut self, events: u64) {
        let (timed, ended) = &mut self.timed;
        if self.window.is_none() && !*ended {
            return;
        }
        timed.events = timed.events.saturating_add(events);
        if std::mem::take(ended) {
            estimate::keep(&mut self.cost.windows, *timed);
        }
    }

    /// The windows that ended, each with its events.
    pub fn windows(&self) -> Vec<TimedWindow> {
        self.cost.windows.clone()
    }

    fn each(&mut self, ebpf: &Ebpf, mut note: impl FnMut(&mut ProgramCost, Reading, Reading)) {
        let own = ebpf.programs().filter_map(|(name, program)| Some((name, program_fd(program)?)));
        let others = self.others.iter().map(|(name, program)| (name.as_str(), program.as_fd()));
        for (name, program) in own.chain(others) {
            let Some(now) = read(program) else { continue };
            let (cost, before) = self.programs.entry(name.to_owned()).or_default();
            cost.program = name.to_owned();
            cost.recursion_misses = now.misses;
            note(cost, *before, now);
            *before = now;
        }
    }

    /// The cost up to now; call before the programs are unloaded, with the map descriptors that
    /// were taken out of the object.
    pub fn finish(&mut self, ebpf: &Ebpf) -> Cost {
        self.close_window(ebpf);
        self.each(ebpf, |_, _, _| {});
        // What still holds a program keeps it loaded.
        self.others.clear();
        let mut cost = self.cost.clone();
        cost.programs = self.programs.values().map(|(cost, _)| cost.clone()).collect();
        let (user, system) = own_cpu_ns();
        cost.user_ns = user.saturating_sub(self.start.0);
        cost.system_ns = system.saturating_sub(self.start.1);
        cost.peak_rss_bytes = peak_rss_bytes();
        (cost.map_bytes, cost.map_bytes_256_cpus) =
            self.map_bytes.unwrap_or_else(|| map_bytes(self.possible_cpus));
        cost
    }
}

fn program_fd(program: &Program) -> Option<BorrowedFd<'_>> {
    match program {
        Program::RawTracePoint(program) => program.fd().ok().map(aya::programs::ProgramFd::as_fd),
        Program::BtfTracePoint(program) => program.fd().ok().map(aya::programs::ProgramFd::as_fd),
        Program::PerfEvent(program) => program.fd().ok().map(aya::programs::ProgramFd::as_fd),
        Program::FEntry(program) => program.fd().ok().map(aya::programs::ProgramFd::as_fd),
        Program::FExit(program) => program.fd().ok().map(aya::programs::ProgramFd::as_fd),
        Program::KProbe(program) => program.fd().ok().map(aya::programs::ProgramFd::as_fd),
        Program::Iter(program) => program.fd().ok().map(aya::programs::ProgramFd::as_fd),
        _ => None,
    }
}

fn read(program: BorrowedFd<'_>) -> Option<Reading> {
    // SAFETY: the record is plain integers, zero is a value of each.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attributes = sys::attributes();
    attributes.info.bpf_fd = program.as_raw_fd() as u32;
    attributes.info.info_len = size_of::<bpf_prog_info>() as u32;
    attributes.info.info = std::ptr::from_mut(&mut info) as u64;
    // SAFETY: `info` outlives the call, has the length that is passed, and names no buffers of its own.
    unsafe { sys::bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }.ok()?;
    Some(Reading { runs: info.run_cnt, run_ns: info.run_time_ns, misses: info.recursion_misses })
}

/// User and system CPU of this process and of its children that read foreign files, ns.
fn own_cpu_ns() -> (u64, u64) {
    // SAFETY: the record is plain integers and outlives the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    let children = crate::machine::child::cpu_ns();
    (ns(usage.ru_utime) + children.0, ns(usage.ru_stime) + children.1)
}

fn peak_rss_bytes() -> u64 {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    status.ok().and_then(|status| status.vmhwm).unwrap_or(0).saturating_mul(1024)
}

/// Memory of this process's BPF maps: (here, with 256 possible CPUs), bytes. The kernel tells
/// each map's memory in the descriptor's fdinfo.
fn map_bytes(possible_cpus: u64) -> (u64, u64) {
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(kind), Some(bytes)) = (field("map_id:"), field("map_type:"), field("memlock:"))
        {
            // BPF_MAP_TYPE_PERCPU_ARRAY and BPF_MAP_TYPE_PERCPU_HASH grow with the CPUs.
            let per_cpu = matches!(kind, 5 | 6);
            seen.insert(id, (bytes, if per_cpu { bytes / possible_cpus * 256 } else { bytes }));
        }
    }
    seen.values().fold((0, 0), |(here, there), (bytes, at_256)| (here + bytes, there + at_256))
}
