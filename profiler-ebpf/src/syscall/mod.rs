//! `syscall` probe. Hooks: raw tracepoints `sys_enter`, `sys_exit`, `signal_deliver`; the task iterator.
//!
//! Produces: latency rows per (process, call), errno counters, rows of slow calls by stacks and parts, the slowest
//! calls one by one, calls in flight.

pub mod asked;
mod call;
mod enter;
mod exit;
mod in_flight;
pub mod interrupted;
mod object;
mod registers;
mod slow;
mod slowest;
mod unmatched;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::held::held;

#[raw_tracepoint(tracepoint = "sys_enter")]
fn sys_enter(ctx: RawTracePointContext) -> Result<(), ()> {
    enter::enter(&ctx);
    Ok(())
}

#[raw_tracepoint(tracepoint = "sys_exit")]
fn sys_exit(ctx: RawTracePointContext) -> Result<(), ()> {
    exit::exit(&ctx);
    Ok(())
}

#[raw_tracepoint(tracepoint = "signal_deliver")]
fn signal_deliver(ctx: RawTracePointContext) -> Result<(), ()> {
    held(|| interrupted::deliver(&ctx));
    Ok(())
}

/// aya has no macro for iterators: the section name is what the loader goes by.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn in_flight_tasks(ctx: *mut core::ffi::c_void) -> i32 {
    in_flight::visit(ctx);
    0
}
