//! `lock` probe. Hooks: BTF tracepoints `contention_begin`, `contention_end`; those of `slow_path`.
//!
//! Produces: rows of waits per (process, kind, static lock, stacks), and of who held the locks.

mod begin;
mod end;
mod holder;
mod part;
mod row;
mod slow_path;
pub mod spins;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::held::held;

#[btf_tracepoint(function = "contention_begin")]
fn contention_begin(ctx: BtfTracePointContext) -> Result<(), ()> {
    held(|| begin::begin(ctx.as_ptr(), ctx.arg::<u64>(0), ctx.arg::<u64>(1) as u32));
    Ok(())
}

#[btf_tracepoint(function = "contention_end")]
fn contention_end(ctx: BtfTracePointContext) -> Result<(), ()> {
    held(|| end::end(ctx.arg::<u64>(0)));
    Ok(())
}
