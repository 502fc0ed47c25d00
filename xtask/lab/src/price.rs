//! What a tracer adds to an operation, by each way to trace it.
//!
//! In: `send` or `switch`, in a guest whose clock counts instructions (`-icount`), so that a time is a number of them. Out: a line
//! `@price` with its fields by tabs for each way: name, ns added per operation (the middle, and the mean), or why there is none.

mod cost;
mod peer;
mod send;
mod switch;

use std::io::Write;

use anyhow::{Result, bail};

/// Measures every way; whether none of ours failed.
///
/// # Errors
/// When there is no such operation, the output is closed, or the guest's clock does not count instructions.
pub fn run(operation: &str, out: &mut dyn Write) -> Result<bool> {
    match operation {
        "send" => send::run(out),
        "switch" => switch::run(out),
        _ => bail!("{operation}: not an operation with a price"),
    }
}
