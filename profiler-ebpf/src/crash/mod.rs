//! `crash` probe. Hook: raw tracepoint `signal_deliver`; `process` calls `caught` at the end of each thread.
//!
//! Produces: for each signal that ends a process of the target, the thread's registers, the top of its stack, the mappings
//! that its instruction and the address of the fault are in. The same of a fault that a handler caught, if its thread ends
//! soon after. Where Go had called C, the stack of the goroutine, too.

mod area;
mod buffer;
pub mod calls;
pub mod caught;
mod fault;
mod goroutine;
mod head;
mod tree;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

#[raw_tracepoint(tracepoint = "signal_deliver")]
fn crash_deliver(ctx: RawTracePointContext) -> Result<(), ()> {
    fault::deliver(ctx.arg::<u64>(0) as u32, ctx.arg(1), ctx.arg(2));
    Ok(())
}
