//! `profiler bench-floor` (hidden): the least any tracer pays, for `cargo xtask bench`.
//!
//! In: the kind of floor. Out: `ready` on stdout once it is attached; detaches when stdin ends.

use std::io::Read as _;

use super::to_stdout;
use crate::failure::Failure;
use crate::probe;

/// Runs it.
///
/// # Errors
/// An unknown kind; whatever the kernel says.
pub fn run(kind: &str) -> Result<(), Failure> {
    let _attached = probe::floor(kind)?;
    to_stdout(|out| Ok(writeln!(out, "ready")?))?;
    // Any end of input will do, an error included.
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
    Ok(())
}
