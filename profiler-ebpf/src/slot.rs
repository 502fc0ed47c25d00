//! This CPU's slot: the call of the thread that runs here, as long as it runs.
//!
//! In: enter, exit, sample, switch. Out: the same record, without a storage look-up; the verdict of
//! the target filter is kept in it for one time slice.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use profiler_common::part::Part;
use profiler_common::stack::NO_STACK;
use profiler_common::syscall::{Slot, verdict};

use crate::maps::SLOTS;
use crate::state::{Parts, Thread, flag};
use crate::task::{self, Task};
use crate::{slice, thread, unseen};

/// This CPU's slot.
#[inline(always)]
pub fn get() -> Option<&'static mut Slot> {
    // SAFETY: this CPU's own value; programs do not migrate.
    SLOTS.get_ptr_mut(0).map(|slot| unsafe { &mut *slot })
}

/// The slot, if the thread that runs here is inside a call that it holds.
#[inline(always)]
pub fn calling() -> Option<&'static mut Slot> {
    let slot = get()?;
    if slot.verdict == verdict::INSIDE && slot.in_call != 0 { Some(slot) } else { None }
}

/// CPUs with a line in [`OUTSIDE`]; others look at their slot.
const CPUS: usize = 512;

/// 1 while a CPU runs a thread that the target leaves out. A cache line each: nobody else's writes cost a reader.
#[repr(C, align(64))]
struct Line {
    outside: u32,
}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.outside")]
static mut OUTSIDE: [Line; CPUS] = [const { Line { outside: 0 } }; CPUS];

/// This CPU's line.
#[inline(always)]
fn line() -> Option<*mut Line> {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as usize;
    // SAFETY: below the length of the array.
    if cpu < CPUS { Some(unsafe { (&raw mut OUTSIDE).cast::<Line>().add(cpu) }) } else { None }
}

/// Whether the thread that runs here is known to be outside the target: all that its calls pay for. An address
/// from the CPU's number costs less than a look-up in a map.
#[inline(always)]
pub fn is_outside() -> bool {
    // SAFETY: this CPU's own line.
    line().is_some_and(|line| unsafe { (&raw const (*line).outside).read_volatile() } != 0)
}

/// Sets the verdict on the thread that runs here.
#[inline(always)]
pub fn decide(slot: &mut Slot, verdict: u32) {
    slot.verdict = verdict;
    if let Some(line) = line() {
        // SAFETY: this CPU's own line.
        unsafe { (&raw mut (*line).outside).write_volatile(u32::from(verdict == verdict::OUTSIDE)) };
    }
}

/// Forgets the thread: it leaves the CPU, or its next call must look at more than the slot.
#[inline(always)]
pub fn forget(slot: &mut Slot) {
    decide(slot, verdict::UNKNOWN);
    slot.in_call = 0;
}

/// Begins a call in the slot; the caller has set verdict and ids.
#[inline(always)]
pub fn enter(slot: &mut Slot, nr: u32, now: u64) {
    slot.nr = nr;
    slot.sample_stack = NO_STACK;
    slot.irq_ns = 0;
    slot.enter_ns = now;
    slot.in_call = 1;
}

/// Whether `task`, which runs here, is inside a call, as far as is known.
#[inline(always)]
pub fn in_call(task: Task) -> bool {
    if calling().is_some() {
        return true;
    }
    match thread::get(task) {
        Some(thread) => thread.flags & flag::IN_CALL != 0,
        None => false,
    }
}

/// Moves the slot's call to the thread's own state: it leaves the CPU, or needs more than a slot.
/// `switches`: how often the thread had left a CPU when the call began.
#[inline(always)]
pub fn save(slot: &mut Slot, thread: &mut Thread, switches: u64) {
    unseen::recover_before(thread, slot.enter_ns);
    thread.nr = slot.nr;
    thread.enter_ns = slot.enter_ns;
    thread.parts = Parts::NONE;
    thread.parts.sample_stack = slot.sample_stack;
    thread.parts.ns[Part::Irq as usize] = slot.irq_ns;
    thread.flags = flag::KNOWN | flag::IN_CALL;
    slice::begin(thread, slot.enter_ns, switches);
    slot.in_call = 0;
}

/// The running thread's own state while it is inside a call, moved there if the slot has it.
#[inline(always)]
pub fn moved(task: Task) -> Option<&'static mut Thread> {
    if let Some(slot) = calling() {
        let thread = thread::get(task)?;
        save(slot, thread, task::switches(task));
        return Some(thread);
    }
    let thread = thread::get(task)?;
    if thread.flags & flag::IN_CALL != 0 { Some(thread) } else { None }
}

/// The running thread ends: the call it was in, if the slot held it.
#[inline(always)]
pub fn leave() -> Option<u32> {
    let slot = calling()?;
    forget(slot);
    Some(slot.nr)
}
