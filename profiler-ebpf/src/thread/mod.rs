//! Threads: the call that each is in, and where its time goes. Hooks: BTF tracepoints `sched_switch`, `sched_wakeup`; raw
//! tracepoints of the entries and exits of interrupts.

mod interrupt;
pub mod record;
pub mod slot;
pub mod storage;
mod switch;
pub mod world;

use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};

#[btf_tracepoint(function = "sched_switch")]
fn sched_switch(ctx: BtfTracePointContext) -> Result<(), ()> {
    switch::switch(ctx.arg::<u64>(0) & 1 != 0, ctx.arg(1), ctx.arg(2));
    Ok(())
}

#[btf_tracepoint(function = "sched_wakeup")]
fn sched_wakeup(ctx: BtfTracePointContext) -> Result<(), ()> {
    switch::wakeup(ctx.arg(0));
    Ok(())
}

/// Each pair has programs of its own: they nest, and the recursion guard would skip a program that already runs.
macro_rules! interrupts {
    ($($entry:ident $exit:ident;)*) => {$(
        #[raw_tracepoint]
        fn $entry(_ctx: RawTracePointContext) -> Result<(), ()> {
            interrupt::enter();
            Ok(())
        }

        #[raw_tracepoint]
        fn $exit(_ctx: RawTracePointContext) -> Result<(), ()> {
            interrupt::exit();
            Ok(())
        }
    )*};
}

interrupts! {
    softirq_entry softirq_exit;
    irq_handler_entry irq_handler_exit;
    local_timer_entry local_timer_exit;
}
