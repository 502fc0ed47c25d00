//! `peer` probe. Hook: BTF tracepoint `tcp_rcv_space_adjust`; `syscall` calls `row` at the end of a call that slept.
//!
//! Produces: what each thread received last, which `crash` tells; rows of calls that slept until they received, per
//! (process, call, peer).

pub mod last;
mod receive;
pub mod row;

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

/// Data of a socket was taken out of its queue.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
fn tcp_rcv_space_adjust(ctx: BtfTracePointContext) -> Result<(), ()> {
    receive::received(ctx.arg(0));
    Ok(())
}
