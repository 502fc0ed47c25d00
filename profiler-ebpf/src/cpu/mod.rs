//! `cpu` probe. Hook: perf event `cpu-clock` on every CPU.
//!
//! Produces: sample counts per (process, kernel stack, user stack).

mod sample;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;

#[perf_event]
fn cpu_sample(ctx: PerfEventContext) -> u32 {
    sample::sample(ctx.as_ptr());
    0
}
