//! What every row's key has: its one writer, and the octave of its durations.
//!
//! In: this CPU, a duration. Out: those parts of a key.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use profiler_common::histogram::octave;
use profiler_common::writer;

use crate::global;

/// The octave of a duration. A global function: the verifier walks its branches once, and continues the caller
/// with one state instead of one for each octave.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn octave_of(ns: u64) -> u32 {
    u32::from(octave(ns))
}

/// This CPU as a writer, in the epoch that is being written.
#[inline(always)]
pub fn this_writer() -> u32 {
    // SAFETY: the helper has no preconditions.
    writer(unsafe { bpf_get_smp_processor_id() }, global::epoch())
}
