//! The floor that `cargo xtask bench` measures against: what any tracer must pay.
//!
//! In: `sys_enter`, `sys_exit`. Out: nothing, or one clock read each.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

#[btf_tracepoint(function = "sys_enter")]
fn floor_empty_enter(_ctx: BtfTracePointContext) -> Result<(), ()> {
    Ok(())
}

#[btf_tracepoint(function = "sys_exit")]
fn floor_empty_exit(_ctx: BtfTracePointContext) -> Result<(), ()> {
    Ok(())
}

#[btf_tracepoint(function = "sys_enter")]
fn floor_clock_enter(_ctx: BtfTracePointContext) -> Result<(), ()> {
    clock();
    Ok(())
}

#[btf_tracepoint(function = "sys_exit")]
fn floor_clock_exit(_ctx: BtfTracePointContext) -> Result<(), ()> {
    clock();
    Ok(())
}

#[btf_tracepoint(function = "sched_switch")]
fn floor_empty_switch(_ctx: BtfTracePointContext) -> Result<(), ()> {
    Ok(())
}

#[inline(always)]
fn clock() {
    // SAFETY: the helper has no preconditions; black_box keeps the read.
    core::hint::black_box(unsafe { bpf_ktime_get_ns() });
}
