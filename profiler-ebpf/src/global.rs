//! Read-only globals injected before load; the verifier folds them into constants.
//!
//! In: what the loader wrote. Out: accessors that cost a constant.

use profiler_common::Control;
use profiler_common::global::{COMMS, CPU_WORDS, Offsets};

pub use crate::ignored::{ignore_arrivals, ignore_switches};

macro_rules! globals {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr, fn $get:ident;)*) => {$(
        #[unsafe(no_mangle)]
        static $name: $type = $value;
        $(#[$doc])*
        #[inline(always)]
        pub fn $get() -> $type {
            // SAFETY: a static of this object; volatile because the loader changes it.
            unsafe { core::ptr::read_volatile(&raw const $name) }
        }
    )*};
}

globals! {
    /// Slow-call threshold, ns.
    SLOW_NS: u64 = 10_000_000, fn slow_ns;
    /// Waits shorter than this never pay for a stack, ns.
    WAIT_MIN_NS: u64 = 625_000, fn wait_min_ns;
    /// Monotonic time of attach, ns.
    ATTACH_NS: u64 = 0, fn attach_ns;
    /// The profiler's own process: never measured.
    SELF_TGID: u32 = 0, fn self_tgid;
    /// 1: only tgids of the target set.
    BY_TGID: u32 = 0, fn by_tgid;
    /// How many cgroups count; 0 = all.
    CGROUP_COUNT: u32 = 0, fn cgroup_count;
    /// The hierarchy they are in, by the kernel's number; 0: v2.
    CGROUP_HIERARCHY: u32 = 0, fn cgroup_hierarchy;
    /// 1: other new cgroups are told of, one may be the target's by its name.
    TELL_CGROUPS: u32 = 0, fn tell_cgroups;
    /// 1: the cgroup is found through a v1 controller's state.
    CGROUP_V1: u32 = 0, fn cgroup_v1;
    /// How many command names count; 0 = all.
    COMM_COUNT: u32 = 0, fn comm_count;
    /// How many patterns on threads' names count; 0 = all.
    THREAD_COUNT: u32 = 0, fn thread_count;
    /// 1: only CPUs of the mask.
    BY_CPU: u32 = 0, fn by_cpu;
    /// 1: the BTF offsets are known.
    HAVE_OFFSETS: u32 = 0, fn have_offsets;
    /// 1: the kernel has task storage, and the verifier knows the type of the running task.
    TASK_STORAGE: u32 = 1, fn task_storage;
    /// Where the running task says which table its call is of, if every call can be asked; else 0.
    STATUS_OF_CURRENT: u32 = 0, fn status_of_current;
    /// 1: system calls are rows.
    SYSCALL_ROWS: u32 = 1, fn syscall_rows;
    /// 1: CPU samples are rows (else they only label slow calls).
    CPU_ROWS: u32 = 1, fn cpu_rows;
    /// 1: receives that were waited for are rows (else they only say from whom a thread received last).
    PEER_ROWS: u32 = 1, fn peer_rows;
    /// 1: faults are told.
    CRASH_ROWS: u32 = 1, fn crash_rows;
    /// 1: each CPU keeps the last calls.
    KEEP_LAST_CALLS: u32 = 0, fn last_calls;
    /// 1: waits that block are rows.
    OFFCPU_ROWS: u32 = 1, fn offcpu_rows;
    /// 1: waits for a CPU are rows.
    RUNQ_ROWS: u32 = 1, fn runq_rows;
    /// Frames after which a stack is cut: the record's, or what the kernel takes at most.
    STACK_FRAMES: u32 = 127, fn stack_frames;
    /// Bytes of a user stack that are copied at most; 0: none are.
    COPY_BYTES: u32 = 0, fn copy_bytes;
    /// Copies that a CPU may make in a fifteenth of a second, of each kind.
    COPIES_EACH_PERIOD: u32 = 0, fn copies_each_period;
    /// User space is woken when so many bytes of copies wait.
    COPIES_WAKE_BYTES: u64 = 0, fn copies_wake_bytes;
    /// First address of the kernel's static data.
    DATA_START: u64 = 0, fn data_start;
    /// End of the kernel's static data.
    DATA_END: u64 = 0, fn data_end;
}

#[unsafe(no_mangle)]
// SAFETY: plain integers; 0 of each: not known.
static OFFSETS: Offsets = unsafe { core::mem::zeroed() };
#[unsafe(no_mangle)]
static COMM_NAMES: [[u64; 2]; COMMS] = [[0; 2]; COMMS];
#[unsafe(no_mangle)]
static CPU_MASK: [u64; CPU_WORDS] = [0; CPU_WORDS];
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss")]
static mut CONTROL: Control = Control { epoch: 0, slots: 0 };

/// One field of the offsets.
macro_rules! offset {
    ($field:ident) => {
        $crate::global::read_offset(core::mem::offset_of!(profiler_common::global::Offsets, $field)) as usize
    };
}
pub(crate) use offset;

/// Reads the offset at `field` bytes into the record, so that the verifier sees a constant.
#[inline(always)]
pub fn read_offset(field: usize) -> u32 {
    // SAFETY: `field` comes from `offset_of!` of that record.
    unsafe { core::ptr::read_volatile((&raw const OFFSETS).cast::<u32>().byte_add(field)) }
}

/// Whether the target is given by names, which may change while a thread runs.
#[inline(always)]
pub fn by_name() -> bool {
    comm_count() != 0 || thread_count() != 0
}

/// Whether threads are followed outside of calls, too.
#[inline(always)]
pub fn follows_all() -> bool {
    offcpu_rows() != 0 || runq_rows() != 0
}

/// Whether processes are announced by their calls, before they have a row.
#[inline(always)]
pub fn announces_all() -> bool {
    follows_all() || crash_rows() != 0
}

/// Whether a switch that was not seen can be recovered from the scheduler's own accounting of the thread.
#[inline(always)]
pub fn kernel_accounts() -> bool {
    offset!(task_ran) != 0 && offset!(task_queued) != 0 && ignore_switches() == 0
}

/// A command name of the target as two words; `index` is a constant below [`COMMS`].
#[inline(always)]
pub fn comm(index: usize) -> (u64, u64) {
    // SAFETY: `index` is below COMMS by the caller's constant loop.
    unsafe {
        let words = (&raw const COMM_NAMES).cast::<u64>();
        (core::ptr::read_volatile(words.add(2 * index)), core::ptr::read_volatile(words.add(2 * index + 1)))
    }
}

/// Whether the CPU is in the mask.
#[inline(always)]
pub fn cpu_selected(cpu: u32) -> bool {
    let word = (cpu / 64) as usize;
    if word >= CPU_WORDS {
        return false;
    }
    // SAFETY: `word` was just bounded.
    let bits = unsafe { core::ptr::read_volatile((&raw const CPU_MASK).cast::<u64>().add(word)) };
    bits & (1 << (cpu % 64)) != 0
}

/// Parity of the epoch being written.
#[inline(always)]
pub fn epoch() -> u32 {
    // SAFETY: a static of this object that user space writes through its map.
    unsafe { core::ptr::read_volatile(&raw const CONTROL.epoch) }
}

/// Whether the slots can be trusted: `sched_switch` is attached.
#[inline(always)]
pub fn slots_usable() -> bool {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const CONTROL.slots) != 0 }
}
