//! All maps. Rows carry their writer in the key (see `profiler_common::writer`).
//!
//! In: rows and counters from the probes. Out: what user space drains.

use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use profiler_common::lock::{LockKey, LockRow, OwnerKey, OwnerRow};
use profiler_common::lsm::{LsmKey, LsmStackKey, SITES, SiteRows};
use profiler_common::outcome::OUTCOMES;
use profiler_common::part::{PartKey, PartRow};
use profiler_common::sample::SampleKey;
use profiler_common::slowest::{self, Slowest};
use profiler_common::stack::{FRAMES, StackHead};
use profiler_common::syscall::{CachedRows, ErrorKey, LatencyKey, LatencyRow, Slot, SlowKey, SlowRow};
use profiler_common::wait::{NeighbourKey, NeighbourRow, WaitStackKey, WaitStackRow};

use crate::irq::Interrupt;
use crate::neighbour::Turns;
use crate::stack::BUFFERS;
use crate::state::{NESTING, Thread, Wait};

/// Latency rows of the `syscall` probe.
#[map]
pub static LATENCY: HashMap<LatencyKey, LatencyRow> = HashMap::with_max_entries(32_768, 0);
/// Latency rows at hand, by the epoch's parity.
#[map]
pub static CACHE: PerCpuArray<CachedRows> = PerCpuArray::with_max_entries(2, 0);
/// Errno counters of the `syscall` probe.
#[map]
pub static ERRORS: HashMap<ErrorKey, u64> = HashMap::with_max_entries(8_192, 0);
/// Slow calls by stacks.
#[map]
pub static SLOW: HashMap<SlowKey, SlowRow> = HashMap::with_max_entries(32_768, 0);
/// Parts of slow calls.
#[map]
pub static PARTS: HashMap<PartKey, PartRow> = HashMap::with_max_entries(16_384, 0);
/// The slowest calls, by the epoch's parity, then by kind.
#[map]
pub static SLOWEST: PerCpuArray<Slowest> = PerCpuArray::with_max_entries(2 * slowest::KINDS as u32, 0);
/// Lock waits.
#[map]
pub static LOCKS: HashMap<LockKey, LockRow> = HashMap::with_max_entries(16_384, 0);
/// Who held the locks that were waited for.
#[map]
pub static OWNERS: HashMap<OwnerKey, OwnerRow> = HashMap::with_max_entries(4_096, 0);
/// Time in functions of the security layer.
#[map]
pub static LSM_ROWS: HashMap<LsmKey, LatencyRow> = HashMap::with_max_entries(16_384, 0);
/// Rows of it at hand: by site, then by the epoch's parity.
#[map]
pub static LSM_CACHE: PerCpuArray<SiteRows> = PerCpuArray::with_max_entries(2 * SITES as u32, 0);
/// Their stacks: ns that each stands for.
#[map]
pub static LSM_STACKS: HashMap<LsmStackKey, u64> = HashMap::with_max_entries(16_384, 0);
/// 1: a program is at work on the buffer of this level.
#[map]
pub static LSM_LEVELS: PerCpuArray<u32> = PerCpuArray::with_max_entries(2, 0);
/// Waits off the CPU, of the `offcpu` and `runq` probes.
#[map]
pub static WAITS: HashMap<LatencyKey, LatencyRow> = HashMap::with_max_entries(32_768, 0);
/// Rows of them at hand, by the epoch's parity.
#[map]
pub static WAIT_CACHE: PerCpuArray<CachedRows> = PerCpuArray::with_max_entries(2, 0);
/// Long ones that block, by stacks.
#[map]
pub static WAIT_STACKS: HashMap<WaitStackKey, WaitStackRow> = HashMap::with_max_entries(32_768, 0);
/// Who ran while others waited for a CPU.
#[map]
pub static NEIGHBOURS: HashMap<NeighbourKey, NeighbourRow> = HashMap::with_max_entries(16_384, 0);
/// The last turns on each CPU.
#[map]
pub static TURNS: PerCpuArray<Turns> = PerCpuArray::with_max_entries(1, 0);
/// CPU samples.
#[map]
pub static SAMPLES: HashMap<SampleKey, u64> = HashMap::with_max_entries(32_768, 0);
/// Stacks whose frames user space has. What is forgotten is sent again, nothing is lost.
#[map]
pub static SEEN: LruHashMap<u64, u8> = LruHashMap::with_max_entries(131_072, 0);
/// Processes user space knows.
#[map]
pub static PROCESSES: HashMap<u32, u8> = HashMap::with_max_entries(32_768, 0);
/// Processes of a `--pid` target and their children, with the address of their leader's task; 0: not known.
#[map]
pub static TARGETS: HashMap<u32, u64> = HashMap::with_max_entries(16_384, 0);
/// New stacks and process events.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);
/// Counters of [`profiler_common::outcome::Outcome`].
#[map]
pub static OUTCOME_COUNTS: PerCpuArray<[u64; OUTCOMES]> = PerCpuArray::with_max_entries(1, 0);
/// Stack buffers, one per program and nesting, never shared.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(BUFFERS, 0);
/// Spinning waits of this CPU, innermost last.
#[map]
pub static SPINS: PerCpuArray<[Wait; NESTING]> = PerCpuArray::with_max_entries(1, 0);
/// What runs on top of each CPU's thread.
#[map]
pub static INTERRUPTS: PerCpuArray<Interrupt> = PerCpuArray::with_max_entries(1, 0);
/// What each CPU knows of the thread it runs.
#[map]
pub static SLOTS: PerCpuArray<Slot> = PerCpuArray::with_max_entries(1, 0);
/// Not 0 while one of our programs on this CPU may hold a lock of ours.
#[map]
pub static BUSY: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);
/// Per-thread state.
#[btf_map]
pub static THREADS: TaskStorage<Thread> = TaskStorage::new();
/// Per-thread state by the task's address, for kernels without task storage; one entry elsewhere.
#[map]
pub static TASKS: HashMap<u64, Thread> = HashMap::with_max_entries(16_384, 0);
/// What a new entry of `TASKS` is copied from: too large for a program's stack. Never written.
#[map]
pub static NEW_THREAD: Array<Thread> = Array::with_max_entries(1, 0);

/// A stack on its way to user space.
#[repr(C)]
pub struct Scratch {
    /// What it is.
    pub head: StackHead,
    /// Its addresses, leaf first.
    pub frames: [u64; FRAMES],
}

/// Task-local storage: aya 0.14 has no type for it. The layout is what BTF-defined maps use.
#[repr(C)]
pub struct TaskStorage<T> {
    r#type: *const [i32; 29],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; 1],
}

// SAFETY: never dereferenced by the program, only its address is taken.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    const fn new() -> Self {
        use core::ptr::null;
        Self { r#type: null(), key: null(), value: null(), max_entries: null(), map_flags: null() }
    }

    /// The map as helpers want it.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut core::ffi::c_void {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}
