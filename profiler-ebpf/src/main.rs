//! The kernel side: a list of entry points, one file per probe.
//!
//! In: hooks. Out: rows in `maps`, rare events in the ring buffer.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(static_mut_refs, reason = "maps and globals are statics the loader fills")]

mod away;
mod call;
mod cgroup;
mod clock;
mod floor;
mod global;
mod in_flight;
mod irq;
mod lock;
mod lock_end;
mod lock_part;
mod lsm;
mod lsm_open;
mod lsm_row;
mod lsm_site;
mod lsm_stack;
mod maps;
mod neighbour;
mod off_cpu;
mod outcome;
mod owner;
mod pending;
mod process;
mod restart;
mod row;
mod sample;
mod slice;
mod slot;
mod slow;
mod slow_path;
mod slowest;
mod stack;
mod state;
mod switch;
mod syscall;
mod target;
mod task;
mod thread;
mod unmatched;
mod unseen;
mod wait;
mod waker;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{btf_tracepoint, fentry, fexit, perf_event, raw_tracepoint};
use aya_ebpf::programs::{
    BtfTracePointContext, FEntryContext, FExitContext, PerfEventContext, RawTracePointContext,
};

#[raw_tracepoint(tracepoint = "sys_enter")]
fn sys_enter(ctx: RawTracePointContext) -> Result<(), ()> {
    syscall::enter(&ctx);
    Ok(())
}

#[raw_tracepoint(tracepoint = "sys_exit")]
fn sys_exit(ctx: RawTracePointContext) -> Result<(), ()> {
    syscall::exit(&ctx);
    Ok(())
}

#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn process_exec(_ctx: RawTracePointContext) -> Result<(), ()> {
    process::exec();
    Ok(())
}

#[raw_tracepoint(tracepoint = "sched_process_fork")]
fn process_fork(ctx: RawTracePointContext) -> Result<(), ()> {
    process::fork(&ctx);
    Ok(())
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn process_exit(_ctx: RawTracePointContext) -> Result<(), ()> {
    process::exit();
    Ok(())
}

/// Attached where threads' state is a hash, the target a set of processes, or the `lsm` probe on.
#[raw_tracepoint(tracepoint = "sched_process_free")]
fn process_free(ctx: RawTracePointContext) -> Result<(), ()> {
    process::free(ctx.arg::<u64>(0));
    Ok(())
}

#[btf_tracepoint(function = "sched_switch")]
fn sched_switch(ctx: BtfTracePointContext) -> Result<(), ()> {
    switch::switch(ctx.arg::<u64>(0) & 1 != 0, ctx.arg(1), ctx.arg(2));
    Ok(())
}

#[btf_tracepoint(function = "sched_wakeup")]
fn sched_wakeup(ctx: BtfTracePointContext) -> Result<(), ()> {
    switch::wakeup(ctx.arg(0));
    Ok(())
}

#[btf_tracepoint(function = "sched_waking")]
fn sched_waking(ctx: BtfTracePointContext) -> Result<(), ()> {
    waker::waking(ctx.as_ptr(), ctx.arg(0));
    Ok(())
}

#[btf_tracepoint(function = "contention_begin")]
fn contention_begin(ctx: BtfTracePointContext) -> Result<(), ()> {
    lock::begin(ctx.as_ptr(), ctx.arg::<u64>(0), ctx.arg::<u64>(1) as u32);
    Ok(())
}

#[btf_tracepoint(function = "contention_end")]
fn contention_end(ctx: BtfTracePointContext) -> Result<(), ()> {
    lock_end::end(ctx.arg::<u64>(0));
    Ok(())
}

/// Programs of their own for each pair: the recursion guard is one for each program, and these nest.
macro_rules! interrupts {
    ($($entry:ident $exit:ident;)*) => {$(
        #[raw_tracepoint]
        fn $entry(_ctx: RawTracePointContext) -> Result<(), ()> {
            irq::enter();
            Ok(())
        }

        #[raw_tracepoint]
        fn $exit(_ctx: RawTracePointContext) -> Result<(), ()> {
            irq::exit();
            Ok(())
        }
    )*};
}

interrupts! {
    softirq_entry softirq_exit;
    irq_handler_entry irq_handler_exit;
    local_timer_entry local_timer_exit;
}

/// Loaded once per site by `probe::lsm`, as fentry or as kprobe: it does not look into its context.
#[fentry]
fn lsm_enter(_ctx: FEntryContext) -> Result<(), ()> {
    lsm::enter();
    Ok(())
}

/// As fexit or as kretprobe.
#[fexit]
fn lsm_exit(ctx: FExitContext) -> Result<(), ()> {
    lsm::exit(ctx.as_ptr());
    Ok(())
}

#[perf_event]
fn cpu_sample(ctx: PerfEventContext) -> u32 {
    sample::sample(ctx.as_ptr());
    0
}

/// aya has no macro for iterators: the section name is what the loader goes by.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn in_flight_tasks(ctx: *mut core::ffi::c_void) -> i32 {
    in_flight::visit(ctx);
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers marked GPL-only need a compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
