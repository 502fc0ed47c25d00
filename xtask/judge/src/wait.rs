//! In: a condition that will come true. Out: it is true, or an error that names it and says how long it was
//! waited for.

use std::{
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Attaching under load is slow where four CPUs share one, or where a quota gives a part of one.
pub const ATTACH: Duration = Duration::from_secs(120);
/// For everything else: longer than anything that a workload does on the slowest machine, and shorter than the silence at
/// which `cargo xtask test` ends a run.
pub const USUAL: Duration = Duration::from_secs(240);

/// Asks until there is an answer.
///
/// # Errors
/// When there is none in time, or asking fails.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().with_context(|| format!("waiting for {what}"))? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A child that is killed when nobody waits for it any more.
pub struct Reaped(pub Child);

impl Reaped {
    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn ended(&mut self, what: &str, limit: Duration) -> Result<ExitStatus> {
        until(what, limit, || Ok(self.0.try_wait()?))
    }

    /// Sends a signal, by pid.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child is ours and not waited for yet, so the pid is still its own.
        unsafe { libc::kill(self.0.id().cast_signed(), signal) };
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
