//! When recording ends: the duration, Ctrl-C, SIGTERM, a terminal that goes away.
//!
//! In: an optional duration. Out: a future that is ready when it is time. Ctrl-C is no failure.

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
    /// Takes the signals over, for good: a second Ctrl-C does not cut the writing of the capture.
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
