//! `peer` probe. Hooks: BTF tracepoints `tcp_rcv_space_adjust`, `sock_send_length`, or the entry of `tcp_sendmsg`; `syscall` calls
//! `row` at the end of a call that slept, `cpu` calls `sample`.
//!
//! Produces: what each thread received last, which `crash` and slow calls tell; rows of calls that slept
//! until they received, per (process, call, peer); CPU samples per (stack, peer); how many sends went to the
//! peer that the thread received from last, and how many to others.

pub mod last;
mod receive;
pub mod row;
pub mod sample;
mod send;

use aya_ebpf::macros::{btf_tracepoint, fentry};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext};

use crate::held::held;

/// Data of a socket was taken out of its queue.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
fn tcp_rcv_space_adjust(ctx: BtfTracePointContext) -> Result<(), ()> {
    held(|| receive::received(ctx.arg(0)));
    Ok(())
}

/// Data was given to a socket, or was not.
#[btf_tracepoint(function = "sock_send_length")]
fn sock_send_length(ctx: BtfTracePointContext) -> Result<(), ()> {
    if ctx.arg::<u64>(1) as i32 > 0 {
        held(|| send::sent(ctx.arg(0)));
    }
    Ok(())
}

/// Data is about to be given to a socket of TCP.
#[fentry]
fn tcp_sendmsg_entry(ctx: FEntryContext) -> Result<(), ()> {
    send::sent(ctx.arg(0));
    Ok(())
}
