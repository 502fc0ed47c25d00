//! `block` probe. Hooks: BTF tracepoints `block_io_start` or, before Linux 6.5, `block_getrq`; `block_rq_complete`.
//!
//! Produces: rows of requests per (device, cgroup, submitter, kind), and the longest ones of the target one by one.

mod complete;
mod field;
mod long;
mod row;
mod submitter;

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::block::field::block_offset;

/// A request begins to be counted: its submitter runs.
#[btf_tracepoint(function = "block_io_start")]
fn block_io_start(ctx: BtfTracePointContext) -> Result<(), ()> {
    submitter::note(ctx.arg(0));
    Ok(())
}

/// A request is about to be made of a bio: the same on older kernels, which tell no request yet.
#[btf_tracepoint(function = "block_getrq")]
fn block_getrq(ctx: BtfTracePointContext) -> Result<(), ()> {
    let bio = if block_offset!(getrq_bio) == 0 {
        ctx.arg(0)
    } else {
        // SAFETY: the context of this kernel has a second argument. Volatile: the compiler must not make one load of
        // both, whose place the verifier does not accept.
        unsafe { ctx.as_ptr().cast::<*const c_void>().add(1).read_volatile() }
    };
    submitter::note(bio);
    Ok(())
}

/// A request, or a part of it, is complete.
#[btf_tracepoint(function = "block_rq_complete")]
fn block_rq_complete(ctx: BtfTracePointContext) -> Result<(), ()> {
    complete::complete(ctx.arg(0), ctx.arg::<u64>(1) as u32, ctx.arg::<u64>(2) as u32);
    Ok(())
}
