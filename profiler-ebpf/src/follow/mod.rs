//! Restarts: the target's cgroups are followed when they are made anew and get other ids. Hooks: raw
//! tracepoints `cgroup_mkdir`, `cgroup_rmdir`; `process` calls `inside` at each exec, `death` where a process
//! ended.
//!
//! Produces: the ids of `FOLLOWED`, by which the target filter decides, and a cgroup event for each change.

pub mod inside;
pub mod instance;
mod made;
mod removed;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
fn cgroup_mkdir(ctx: RawTracePointContext) -> Result<(), ()> {
    made::made(ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    Ok(())
}

#[raw_tracepoint(tracepoint = "cgroup_rmdir")]
fn cgroup_rmdir(ctx: RawTracePointContext) -> Result<(), ()> {
    removed::removed(ctx.arg::<u64>(0));
    Ok(())
}
