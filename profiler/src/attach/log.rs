//! What the kernel side logs with `-vv`: rare events that no output counts, such as a child that joins the
//! target. Without `-vv` the verifier removes that code.
//!
//! In: aya's log ring. Out: lines of `tracing`. They hold only numbers, never names that others chose.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;

/// aya-log's levels: 1 is error, 4 debug.
pub const DEBUG: u8 = 4;
/// Nothing.
pub const OFF: u8 = 0;

/// Hands records of the `log` crate to `tracing`.
struct Bridge;

static BRIDGE: Bridge = Bridge;

impl log::Log for Bridge {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        tracing::debug!("kernel side: {}", record.args());
    }

    fn flush(&self) {}
}

/// Follows the log for as long as the runtime lives.
///
/// # Errors
/// An object without the log's ring; a runtime that cannot watch it.
pub fn follow(ebpf: &mut Ebpf) -> Result<()> {
    let logger = EbpfLogger::init_with_logger(ebpf, &BRIDGE).context("the kernel side's log")?;
    // SAFETY: the logger keeps its descriptor open for as long as it lives, inside the AsyncFd.
    let mut logger = unsafe { AsyncFd::register(logger) }.context("watching the kernel side's log")?;
    tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}
