//! Processes: their lives, and what user space is told of them. Hooks: raw tracepoints `sched_process_exec`, `_fork`,
//! `_exit`, `_free`.

pub mod announce;
mod life;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::held::held;

#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn process_exec(_ctx: RawTracePointContext) -> Result<(), ()> {
    held(life::exec);
    Ok(())
}

#[raw_tracepoint(tracepoint = "sched_process_fork")]
fn process_fork(ctx: RawTracePointContext) -> Result<(), ()> {
    held(|| life::fork(&ctx));
    Ok(())
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn process_exit(_ctx: RawTracePointContext) -> Result<(), ()> {
    held(life::exit);
    Ok(())
}

/// Attached where threads' state is a hash, the target a set of processes, or the `lsm` probe on.
#[raw_tracepoint(tracepoint = "sched_process_free")]
fn process_free(ctx: RawTracePointContext) -> Result<(), ()> {
    life::free(ctx.arg::<u64>(0));
    Ok(())
}
