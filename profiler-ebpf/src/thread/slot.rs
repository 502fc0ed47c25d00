//! This CPU's slot: the call of the thread that runs here, as long as it runs.
//!
//! In: enter, exit, sample, switch. Out: the slot, without a look-up in task storage. It keeps the verdict of the target
//! filter for one time slice.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::syscall::verdict;
use profiler_state::call;
use profiler_state::field::Field;
use profiler_state::slot::Slot;
use profiler_state::thread::Thread;

use crate::task::{self, Task};
use crate::thread::record;
use crate::thread::world::Of;

/// What each CPU knows of the thread it runs.
#[map]
static SLOTS: PerCpuArray<Slot> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's slot.
#[inline(always)]
pub fn get() -> Option<&'static Slot> {
    // SAFETY: this CPU's own value, for good; programs do not migrate. All its words are fields that may be shared.
    SLOTS.get_ptr(0).map(|slot| unsafe { &*slot })
}

/// The slot, if the thread that runs here is inside a call that it holds.
#[inline(always)]
pub fn calling() -> Option<&'static Slot> {
    let slot = get()?;
    if slot.is_calling() { Some(slot) } else { None }
}

/// How many CPUs have a line in [`OUTSIDE`]; the others look at their slot.
const CPUS: usize = 512;

/// 1 while a CPU runs a thread outside the target. Each CPU has its own cache line, so writes of other CPUs cost it nothing.
#[repr(C, align(64))]
struct Line {
    outside: Field<u32>,
}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.outside")]
static OUTSIDE: [Line; CPUS] = [const { Line { outside: Field::new(0) } }; CPUS];

/// This CPU's line.
#[inline(always)]
fn line() -> Option<&'static Line> {
    // SAFETY: the helper has no preconditions.
    OUTSIDE.get(unsafe { bpf_get_smp_processor_id() } as usize)
}

/// Whether the thread that runs here is known to be outside the target. Its calls pay only for this. To compute an address
/// from the CPU's number costs less than a look-up in a map.
#[inline(always)]
pub fn is_outside() -> bool {
    line().is_some_and(|line| line.outside.get() != 0)
}

/// Sets the verdict on the thread that runs here.
#[inline(always)]
pub fn decide(slot: &Slot, verdict: u32) {
    slot.verdict.set(verdict);
    if let Some(line) = line() {
        line.outside.set(u32::from(verdict == verdict::OUTSIDE));
    }
}

/// Forgets the thread, because it leaves the CPU, or because its next call must look at more than the slot.
#[inline(always)]
pub fn forget(slot: &Slot) {
    decide(slot, verdict::UNKNOWN);
    slot.in_call.set(0);
}

/// Whether `task`, which runs here, is inside a call, as far as is known.
#[inline(always)]
pub fn in_call(task: Task) -> bool {
    calling().is_some() || record::get(task).is_some_and(Thread::in_call)
}

/// The running thread's own state while it is inside a call, moved there if the slot has it.
#[inline(always)]
pub fn moved(task: Task) -> Option<&'static Thread> {
    if let Some(slot) = calling() {
        let thread = record::get(task)?;
        call::moves(&Of(task), thread, slot, task::switches(task));
        return Some(thread);
    }
    record::get(task).filter(|thread| thread.in_call())
}

/// The running thread ends: the call it was in, if the slot held it.
#[inline(always)]
pub fn leave() -> Option<u32> {
    let slot = calling()?;
    forget(slot);
    Some(slot.nr.get())
}
