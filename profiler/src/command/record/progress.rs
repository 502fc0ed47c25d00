//! The progress line: elapsed time, events, slow calls so far. Without a terminal: nothing.
//!
//! In: the profile as it grows. Out: one line on a terminal, rewritten in place.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use crate::cli::settings::RecordSettings;
use crate::profile::Profile;
use crate::profile::ledger::Population;
use crate::render::clean;

/// The line, if there is a terminal to show it on.
pub struct Progress {
    shown: bool,
    total: Option<Duration>,
}

impl Progress {
    /// A line for a terminal; silent with `-q` and on pipes.
    pub fn new(settings: &RecordSettings) -> Self {
        Self { shown: settings.verbosity >= 0 && stderr().is_terminal(), total: settings.duration }
    }

    /// Rewrites the line.
    pub fn show(&self, elapsed: Duration, profile: &Profile) {
        if !self.shown {
            return;
        }
        let calls = profile.ledger.population(Population::Calls);
        let waits = profile.ledger.population(Population::LockWaits);
        let samples = profile.ledger.population(Population::Samples);
        let slow: u64 = profile.syscall.slow.values().map(|row| row.count).sum();
        let end = self
            .total
            .map_or_else(|| ", Ctrl-C ends".to_owned(), |total| format!(" of {} s", total.as_secs()));
        let _ = write!(
            stderr(),
            "\r\x1b[Krecording {} s{end} · {calls} calls, {slow} slow · {waits} lock waits · {samples} samples",
            elapsed.as_secs()
        );
    }

    /// Says what is waited for.
    pub fn waiting(&self, what: &str) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[Kwaiting for {} · Ctrl-C ends", clean::name(what));
        }
    }

    /// Removes the line.
    pub fn clear(&self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
