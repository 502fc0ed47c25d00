//! When recording ends: the duration, Ctrl-C, SIGTERM, a terminal that goes away.
//!
//! In: an optional duration. Out: a future that is ready when it is time, and later whether somebody does not want to wait
//! for the results. Ctrl-C is no failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::failure::Failure;

/// The ends that were asked for.
pub struct Stop {
    deadline: Option<Instant>,
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Stop {
    /// Takes the signals over, for good: they no longer end the process. [`Impatience`] watches for a second Ctrl-C.
    ///
    /// # Errors
    /// The signals could not be taken over.
    pub fn new() -> Result<Self, Failure> {
        let hangup = signal_wanted(libc::SIGHUP).then(|| signal(SignalKind::hangup())).transpose();
        Ok(Self {
            deadline: None,
            interrupt: signal(SignalKind::interrupt()).context("taking over SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("taking over SIGTERM")?,
            hangup: hangup.context("taking over SIGHUP")?,
        })
    }

    /// Starts the clock.
    pub fn start(&mut self, duration: Option<Duration>) {
        self.deadline = duration.map(|duration| Instant::now() + duration);
    }

    /// Ready when recording shall end.
    pub async fn wait(&mut self) {
        let deadline = self.deadline;
        let elapsed = async move {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = elapsed => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = received(&mut self.hangup) => {}
        }
    }
}

/// Ctrl-C or SIGTERM after the recording has ended: whoever sends it does not want to wait for the results.
#[derive(Clone, Debug, Default)]
pub struct Impatience {
    /// One came.
    pub came: Arc<AtomicBool>,
    /// The capture is whole: one more ends the process, which something holds up that cannot be told to stop, such as a
    /// reader of stdout that does not read.
    pub expendable: Arc<AtomicBool>,
}

impl Impatience {
    /// Watches from now on.
    pub fn watch() -> Self {
        let impatience = Self::default();
        for signal in [libc::SIGINT, libc::SIGTERM] {
            let Self { came, expendable } = impatience.clone();
            let act = move || {
                if came.swap(true, Ordering::Relaxed) && expendable.load(Ordering::Relaxed) {
                    // SAFETY: `_exit` may be called in a signal handler, and what is being written is expendable.
                    unsafe { libc::_exit(128 + signal) }
                }
            };
            // SAFETY: the action touches atomics or ends the process, which a signal handler may do.
            if let Err(error) = unsafe { signal_hook_registry::register(signal, act) } {
                tracing::warn!("signal {signal} does not end the writing of results: {error}");
            }
        }
        impatience
    }

    /// Whether one came.
    pub fn has_come(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

/// Whether whoever started us left the signal alone: `nohup` ignores SIGHUP, and means it.
fn signal_wanted(number: libc::c_int) -> bool {
    // SAFETY: the record is plain integers; a null new action only asks for the present one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction != libc::SIG_IGN
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
