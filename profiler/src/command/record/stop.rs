//! When recording ends: the duration, Ctrl-C, SIGTERM.
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
}

impl Stop {
    /// Starts the clock and takes the signals over.
    ///
    /// # Errors
    /// The signals could not be taken over.
    pub fn new(duration: Option<Duration>) -> Result<Self, Failure> {
        Ok(Self {
            deadline: duration.map(|duration| Instant::now() + duration),
            interrupt: signal(SignalKind::interrupt()).context("taking over SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("taking over SIGTERM")?,
        })
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
        }
    }
}
