//! Judges what the profiler says by what a workload and the kernel know: the one harness of the live tests and the lab.
//!
//! In: a workload's words, arguments for `profiler record`. Out: `summary.json` beside the workload's own account, bounds
//! between the two, and a rule for how many of how many runs must be right.

pub mod bounds;
pub mod bpf;
pub mod lines;
pub mod recording;
pub mod runs;
pub mod summary;
pub mod taken;
pub mod wait;
pub mod workload;
