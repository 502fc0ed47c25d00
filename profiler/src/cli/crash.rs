//! `profiler crash` as what it is of `profiler record`: one probe, and each death told at once.
//!
//! In: what was typed of the one. Out: the same of the other.

use super::defaults::{DEFAULT_FREQUENCY, DEFAULT_SLOW, DEFAULT_STACK_BYTES};
use super::typed::{Crash, Record, Unwind};
use crate::failure::Failure;
use crate::probe::Probe;

/// What `record` would be given.
///
/// # Errors
/// The capture and the deaths cannot both go to stdout.
pub(super) fn as_record(typed: Crash) -> Result<Record, Failure> {
    if typed.output.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        return Err(Failure::Usage("--output: deaths are printed on stdout; give a directory".into()));
    }
    let Crash { target, duration, output, max_size, no_memory, verbosity, command } = typed;
    Ok(Record {
        target,
        probe: vec![Probe::Crash.name().to_owned()],
        lsm_hooks: Vec::new(),
        backend: Vec::new(),
        duration,
        slow: DEFAULT_SLOW.to_owned(),
        output,
        max_size,
        frequency: DEFAULT_FREQUENCY.to_owned(),
        unwind: Unwind::Auto,
        stack_bytes: DEFAULT_STACK_BYTES.to_owned(),
        cpu: None,
        no_memory,
        json: false,
        idle: false,
        no_idle: false,
        verbosity,
        exit_code: false,
        command,
    })
}
