//! `offcpu` probe. Hooks: those of `thread`; BTF tracepoint `sched_waking`.
//!
//! Produces: a row for every wait that blocks, and for the long ones rows by their stacks and waker.

pub mod blocked;
pub mod waker;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

#[btf_tracepoint(function = "sched_waking")]
fn sched_waking(ctx: BtfTracePointContext) -> Result<(), ()> {
    waker::waking(ctx.as_ptr(), ctx.arg(0));
    Ok(())
}
