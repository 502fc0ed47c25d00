//! Loading several programs at once.
//!
//! In: raw tracepoints that are not loaded. Out: loaded ones. The kernel takes longest for verifying them, and does that on the
//! CPU that asks.

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use aya::programs::{Program, ProgramError, RawTracePoint};

/// Loads each on a thread of its own; one for which no thread is to be had stays as it is.
///
/// # Errors
/// One of them is no raw tracepoint, or the kernel refuses it.
pub fn side_by_side<'p>(programs: impl Iterator<Item = &'p mut Program>) -> Result<(), ProgramError> {
    let load = |program: &mut Program| <&mut RawTracePoint>::try_from(program)?.load();
    let loaded: Vec<Result<(), ProgramError>> = thread::scope(|scope| {
        let spawn = |program| thread::Builder::new().spawn_scoped(scope, move || load(program)).ok();
        let loads: Vec<_> = programs.filter_map(spawn).collect();
        let end = |load: ScopedJoinHandle<'_, _>| load.join().unwrap_or_else(|broke| resume_unwind(broke));
        loads.into_iter().map(end).collect()
    });
    loaded.into_iter().collect()
}
