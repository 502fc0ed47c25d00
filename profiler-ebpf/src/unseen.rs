//! A thread came back to a CPU and no program ran: the kernel's own accounting of it tells what the slices cannot.
//!
//! In: a thread of which a switch-out is known, and that runs. Out: parts and waits of the time since, counted as
//! [`Outcome::SwitchRecovered`]; without that accounting the switch stays missed.

use profiler_common::outcome::Outcome;
use profiler_common::part::Part;
use profiler_common::wait::Wait;

use crate::away::add_part;
use crate::global::offset;
use crate::outcome::count;
use crate::slice::missed;
use crate::stack::NONE;
use crate::state::{Thread, wait};
use crate::task::{self, Task, load};
use crate::{global, off_cpu, thread};

/// The kernel's accounting is kept in units of 1,024 ns, so that both sums fit a word; they wrap after 73 minutes of
/// running, or of waiting, without any switch.
const UNIT_BITS: u32 = 10;

/// What the scheduler has on a task, in units: time it ran, up to date when it leaves a CPU, else as of the last tick; time
/// it was ready to run and did not, up to its last coming to a CPU.
#[inline(always)]
pub fn accounts(task: Task) -> (u32, u32) {
    // SAFETY: `task` is a BTF pointer.
    let (ran, queued): (u64, u64) =
        unsafe { (load(task.cast(), offset!(task_ran)), load(task.cast(), offset!(task_queued))) };
    ((ran >> UNIT_BITS) as u32, (queued >> UNIT_BITS) as u32)
}

/// Whether the running thread left a CPU when the kernel had counted `switches`, and was not seen since.
#[inline(always)]
pub fn is(thread: &Thread, switches: u64) -> bool {
    thread.slice.out_ns != 0 && thread.slice.switches == switches
}

/// The running thread enters a call at `now`: the wait before it that nobody saw end.
#[inline(always)]
pub fn recover_before(thread: &Thread, now: u64) {
    if global::follows_all() && thread.slice.out_ns != 0 {
        recover(now);
    }
}

/// Makes up for the switch-in of the running thread, which is one that [`is`] is true of. Not where switches are ignored
/// on purpose: what the slices alone then miss is the test. Global: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn recover(now: u64) -> u32 {
    let task = task::current();
    let Some(thread) = thread::get(task) else { return 0 };
    let slice = thread.slice;
    thread.slice.out_ns = 0;
    if !global::kernel_accounts() || slice.wait == Wait::Throttled as u16 {
        missed(thread);
        return 0;
    }
    let away_ns = now.saturating_sub(slice.out_ns);
    let (ran, queued) = accounts(task);
    let queued_ns = since(queued, slice.queued).min(away_ns);
    let asleep_ns = if wait::is_runnable(u32::from(slice.wait)) {
        0
    } else if slice.woken_ns >= slice.out_ns {
        (slice.woken_ns - slice.out_ns).min(away_ns - queued_ns)
    } else {
        // What it runs since the last tick is not in the account yet.
        (away_ns - queued_ns).saturating_sub(since(ran, slice.ran))
    };
    thread.parts.ns[Part::OnCpu as usize] += away_ns - queued_ns - asleep_ns;
    add_waits(thread, task, (asleep_ns, queued_ns));
    count(Outcome::SwitchRecovered, 1);
    0
}

/// Adds the sleep and the wait for a CPU that followed it, of the slice that is still the thread's.
#[inline(always)]
fn add_waits(thread: &mut Thread, task: Task, (asleep_ns, queued_ns): (u64, u64)) {
    let slice = thread.slice;
    let (wait, mut queue) = (u32::from(slice.wait), u32::from(slice.wait));
    if !wait::is_runnable(wait) {
        queue = u32::from(slice.queue);
        add_part(thread, wait, asleep_ns);
        off_cpu::blocked(thread, task, asleep_ns, NONE);
    }
    add_part(thread, queue, queued_ns);
    off_cpu::queued_unseen(thread, task, queue, queued_ns);
}

/// From one account to a later one, ns.
#[inline(always)]
fn since(now: u32, then: u32) -> u64 {
    u64::from(now.wrapping_sub(then)) << UNIT_BITS
}
