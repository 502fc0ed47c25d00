//! `lsm` probe. Hooks: functions of the kernel's security layer, by fentry/fexit or kprobe/kretprobe.
//! The two programs are loaded once per function (a site); the loader puts the site's number into them.
//!
//! Produces: time rows per (process, site, call), and stacks that stand for the time since the one
//! before. A thread's open functions are in a table by thread id: they may sleep, nest, and be
//! interrupted by softirqs, which run others on top and return first.

use core::ffi::c_void;
use core::hint::black_box;

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use profiler_common::lsm::{ASKS_CONTEXT, NO_NR, SITE_MARK, short_nr};
use profiler_common::outcome::Outcome;
use profiler_common::syscall::NO_CALL;

use crate::global::{self, offset};
use crate::lsm_row::{self, Ended};
use crate::maps::{LSM_CONTEXT, LSM_OPEN};
use crate::outcome::count;
use crate::state::{OPEN_DEPTH, OPEN_PLACES, OpenFunctions, flag};
use crate::task::KERNEL_THREAD;
use crate::{slot, target, task, thread};

/// Bytes of a task's kernel stack on x86-64: code outside of it runs on an interrupt's stack.
const STACK_BYTES: u64 = 16 << 10;

/// What the loader wrote in the place of [`SITE_MARK`].
#[inline(always)]
fn site() -> u32 {
    black_box(SITE_MARK)
}

/// Who runs: the thread, or the CPU where it is the idle task, whose id all CPUs share.
#[inline(always)]
fn runner(tid: u32) -> u32 {
    if tid != 0 {
        return tid;
    }
    // SAFETY: the helper has no preconditions.
    !unsafe { bpf_get_smp_processor_id() }
}

#[inline(always)]
fn open_of(runner: u32) -> Option<&'static mut OpenFunctions> {
    // SAFETY: a thread runs on one CPU, and what interrupts it leaves the record as it was; two
    // threads at one place take it from each other, which the owner's mark tells.
    LSM_OPEN.get_ptr_mut(runner & (OPEN_PLACES - 1)).map(|open| unsafe { &mut *open })
}

/// The site's function is entered.
#[inline(always)]
pub fn enter() {
    let ids = bpf_get_current_pid_tgid();
    if !target::admits_process((ids >> 32) as u32) {
        return;
    }
    let runner = runner(ids as u32);
    let Some(open) = open_of(runner) else { return };
    if open.owner != runner {
        open.owner = runner;
        open.depth = 0;
    }
    let mut depth = open.depth;
    if depth >= OPEN_DEPTH as u32 {
        // Only left-overs of missed returns fill it; their frames are gone by now.
        count(Outcome::LsmNestingFull, OPEN_DEPTH as u64);
        depth = 0;
    }
    let top = depth as usize & (OPEN_DEPTH - 1);
    open.sites[top] = site();
    // SAFETY: the helper has no preconditions.
    open.begin_ns[top] = unsafe { bpf_ktime_get_ns() };
    open.depth = depth + 1;
}

/// The site's function returns.
#[inline(always)]
pub fn exit(ctx: *mut c_void) {
    let ids = bpf_get_current_pid_tgid();
    let (tgid, runner) = ((ids >> 32) as u32, runner(ids as u32));
    let Some(open) = open_of(runner) else { return };
    if open.owner != runner || open.depth == 0 {
        unmatched(tgid);
        return;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let site = site();
    let mut index = below(open.depth, 1) as u32;
    if open.sites[index as usize & (OPEN_DEPTH - 1)] != site {
        index = search(open, site);
    }
    if index >= OPEN_DEPTH as u32 {
        unmatched(tgid);
        return;
    }
    open.depth = index;
    let ns = now.wrapping_sub(open.begin_ns[index as usize & (OPEN_DEPTH - 1)]);
    if add(ctx, tgid, site, ns) {
        excuse(open, now);
    }
}

/// A stack was taken since `now`: that time is not the functions' that this one was called by.
#[inline(never)]
fn excuse(open: &mut OpenFunctions, now: u64) -> u32 {
    // SAFETY: the helper has no preconditions.
    let spent = unsafe { bpf_ktime_get_ns() }.wrapping_sub(now);
    for begin_ns in &mut open.begin_ns {
        *begin_ns += spent;
    }
    0
}

/// The place of the function so many below the end: masked, for the verifier follows no sums.
#[inline(always)]
fn below(depth: u32, steps: u32) -> usize {
    black_box(depth.wrapping_sub(steps)) as usize & (OPEN_DEPTH - 1)
}

/// The function on top has missed its return: looks below.
#[inline(never)]
fn search(open: &OpenFunctions, site: u32) -> u32 {
    for steps in 2..=OPEN_DEPTH as u32 {
        let index = below(open.depth, steps);
        if steps <= open.depth && open.sites[index] == site {
            count(Outcome::LsmReturnMissed, u64::from(steps) - 1);
            return black_box(index as u32);
        }
    }
    u32::MAX
}

/// A return without its enter: not the target's, begun before attach, or its enter was skipped.
#[inline(always)]
fn unmatched(tgid: u32) {
    if target::admits_process(tgid) {
        count(Outcome::LsmUnmatchedReturn, 1);
    }
}

/// Adds the function to its row; whether a stack was taken for it.
#[inline(always)]
fn add(ctx: *mut c_void, tgid: u32, site: u32, ns: u64) -> bool {
    let mut ended = Ended { tgid, nr: NO_NR, site: site as u16, ns };
    if site & ASKS_CONTEXT != 0 && in_interrupt(ctx) {
        ended.tgid = 0;
    } else if global::syscall_rows() != 0 {
        ended.nr = short_nr(current_call());
    }
    lsm_row::add(ctx, &ended)
}

/// The call the running thread is in.
#[inline(always)]
fn current_call() -> u32 {
    if let Some(slot) = slot::calling() {
        return slot.nr;
    }
    match thread::get(task::current()) {
        Some(thread) if thread.flags & flag::IN_CALL != 0 => thread.nr,
        _ => NO_CALL,
    }
}

/// Whether the program's context, which lies on the kernel stack in use, is not on the stack of the
/// task: an interrupt's code. Kernel threads run such code on their own stack (ksoftirqd, NAPI).
#[inline(always)]
fn in_interrupt(ctx: *mut c_void) -> bool {
    let Some(place) = LSM_CONTEXT.get_ptr_mut(0) else { return false };
    let (mut stack, mut flags) = (0u64, 0u32);
    // SAFETY: this CPU's own value, by which the pointer becomes a number; the helper checks addresses.
    let address = unsafe {
        let task = bpf_get_current_task();
        read(&mut stack, task + offset!(task_stack) as u64);
        read(&mut flags, task + offset!(task_flags) as u64);
        core::ptr::write_volatile(place, ctx as u64);
        core::ptr::read_volatile(place)
    };
    stack != 0 && (flags & KERNEL_THREAD != 0 || address.wrapping_sub(stack) >= STACK_BYTES)
}

/// # Safety
/// Any address may be given, the helper refuses bad ones.
#[inline(always)]
unsafe fn read<T>(into: &mut T, address: u64) {
    // SAFETY: `into` has the size that is asked for.
    unsafe {
        bpf_probe_read_kernel(
            core::ptr::from_mut(into).cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
    }
}
