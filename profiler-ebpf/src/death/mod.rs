//! Deaths of processes. Hooks: raw tracepoints `signal_generate`, `mark_victim`; `process` calls `end` at the end of each
//! thread.
//!
//! Produces: a death event for each process of the target that failed or was killed, with who sent the signal.

pub mod end;
pub mod sender;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

#[raw_tracepoint(tracepoint = "signal_generate")]
fn signal_generate(ctx: RawTracePointContext) -> Result<(), ()> {
    let about = (ctx.arg::<u64>(1), ctx.arg::<u64>(2));
    sender::signal(ctx.arg::<u64>(0) as u32, about, ctx.arg::<u64>(4) as u32);
    Ok(())
}

#[raw_tracepoint(tracepoint = "mark_victim")]
fn mark_victim(ctx: RawTracePointContext) -> Result<(), ()> {
    sender::victim(ctx.arg::<u64>(0));
    Ok(())
}
