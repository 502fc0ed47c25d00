//! `lsm` probe. Hooks: functions of the kernel's security layer, by fentry/fexit or kprobe/kretprobe.
//!
//! Produces: rows of time per (process, site, call), and stacks that stand for the time since the one before.

mod call;
mod function;
mod level;
pub mod open;
mod row;
mod site;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};

/// Loaded once per site by `probe::lsm`, as fentry or as kprobe: it does not look into its context.
#[fentry]
fn lsm_enter(_ctx: FEntryContext) -> Result<(), ()> {
    function::enter();
    Ok(())
}

/// As fexit or as kretprobe.
#[fexit]
fn lsm_exit(ctx: FExitContext) -> Result<(), ()> {
    function::exit(ctx.as_ptr());
    Ok(())
}
