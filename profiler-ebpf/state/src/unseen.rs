//! A thread was switched in and no program saw it: the kernel's own accounting of the thread fills the gap.
//!
//! In: a running thread, whose last known event is a switch-out. Out: parts and waits of the time since, counted as
//! [`Outcome::SwitchRecovered`]. Without that accounting the switch counts as missed.

use profiler_common::outcome::Outcome;
use profiler_common::part::Part;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::Wait;

use crate::missed::missed;
use crate::thread::Thread;
use crate::wait_kind;
use crate::world::World;

/// The kernel's accounting is kept in units of 1,024 ns, so that both sums fit a word; they wrap after 73 minutes of
/// running, or of waiting, without any switch.
const UNIT_BITS: u32 = 10;

/// The accounts of a thread that leaves a CPU are kept.
#[inline(always)]
pub fn note_accounts(world: &impl World, thread: &Thread) {
    if world.has_accounts() {
        let (ran, queued) = world.accounts();
        thread.slice.ran.set((ran >> UNIT_BITS) as u32);
        thread.slice.queued.set((queued >> UNIT_BITS) as u32);
    }
}

/// Whether the running thread left a CPU when the kernel had counted `switches`, and was not seen since.
#[inline(always)]
pub fn is(thread: &Thread, switches: u64) -> bool {
    thread.slice.out_ns.get() != 0 && thread.slice.switches.get() == switches
}

/// The running thread enters a call at `now`, and is not marked as inside of it yet: the wait before it that nobody
/// saw end.
#[inline(always)]
pub fn recover_before(world: &impl World, thread: &Thread, now: u64) {
    if world.follows_all() && thread.slice.out_ns.get() != 0 {
        world.recover(thread, now);
    }
}

/// Recovers the switch-in of the running thread, whose last known event is a switch-out. It does nothing when switches are
/// ignored on purpose: those tests look at what the slices alone miss.
#[inline(always)]
pub fn recover(world: &impl World, thread: &Thread, now: u64) {
    let slice = &thread.slice;
    let (out_ns, woken_ns, wait) = (slice.out_ns.get(), slice.woken_ns.get(), u32::from(slice.wait.get()));
    slice.out_ns.set(0);
    if !world.has_accounts() || wait == Wait::Throttled as u32 {
        missed(world, thread);
        return;
    }
    let away_ns = now.saturating_sub(out_ns);
    // Time it ran is up to date when a thread leaves a CPU, else as of the last tick; time it was ready, up to its last
    // switch-in.
    let (ran, queued) = world.accounts();
    let queued_ns = since(queued, slice.queued.get()).min(away_ns);
    let asleep_ns = if wait_kind::is_runnable(wait) {
        0
    } else if woken_ns >= out_ns {
        (woken_ns - out_ns).min(away_ns - queued_ns)
    } else {
        // What it runs since the last tick is not in the account yet.
        (away_ns - queued_ns).saturating_sub(since(ran, slice.ran.get()))
    };
    thread.parts.add(Part::OnCpu, away_ns - queued_ns - asleep_ns);
    let mut queue = wait;
    if !wait_kind::is_runnable(wait) {
        queue = u32::from(slice.queue.get());
        thread.parts.add_wait(wait, asleep_ns);
        world.blocked(thread, asleep_ns, NO_STACK);
    }
    thread.parts.add_wait(queue, queued_ns);
    world.queued_unseen(thread, queue, queued_ns);
    world.count(Outcome::SwitchRecovered);
}

/// From a kept account to the account now, ns.
#[inline(always)]
fn since(now_ns: u64, then: u32) -> u64 {
    u64::from(((now_ns >> UNIT_BITS) as u32).wrapping_sub(then)) << UNIT_BITS
}
