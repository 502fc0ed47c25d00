//! Live tests: what the profiler says of this machine's kernel, beside a known truth and a witness. One program, so that what
//! they share is compiled and linked once.
//!
//! In: root; `PROFILER_BIN`, `PROFILER_LAB_BIN` and `WORKLOAD_BIN`, as `cargo xtask test` sets them. Out: one test at a time, because
//! they measure; `cargo xtask test --live NAME` runs those of `live/NAME.rs`.

#[path = "../support/mod.rs"]
mod support;

mod blame;
mod block;
mod bounds;
mod counters;
mod cpu;
mod crash;
mod dist;
mod hostile;
mod identity;
mod limits;
mod lock;
mod names;
mod objects;
mod open;
mod output;
mod parts;
mod peer;
mod real_redis;
mod real_servers;
mod refusal;
mod restarts;
mod scale;
mod scope;
mod scope_process;
mod session;
mod silent;
mod spin;
mod stream;
mod subjects;
mod syscall;
mod unwind;
mod waits;
mod wakers;
mod who;
mod zombie;
