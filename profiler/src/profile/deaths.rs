//! Processes of the target that failed or were killed.
//!
//! In: deaths as they are told. Out: the same, bounded, in the order of their time.

use serde::{Deserialize, Serialize};

use super::process::Pid;

/// Deaths that are kept one by one; what is more is counted.
pub const KEPT: usize = 4_096;

/// Who sent a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// Not known.
    #[default]
    Unknown,
    /// The kernel, on its own account: memory ran out, a terminal, the end of a pid namespace.
    Kernel,
    /// The kernel, for what a thread of the process did.
    Fault,
    /// A process.
    Process {
        /// Its pid.
        pid: Pid,
        /// The sending thread's name.
        comm: String,
        /// Its container; empty: none, or an older capture.
        #[serde(default)]
        container: String,
    },
}

/// A process ended, otherwise than with exit code 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// When, ns since the start of the session.
    pub at_ns: u64,
    /// Process.
    pub pid: Pid,
    /// Its name.
    pub comm: String,
    /// Its container; empty: none.
    pub container: String,
    /// How long it lived, ns.
    pub age_ns: u64,
    /// The signal that ended it; 0: none.
    pub signal: u8,
    /// Its exit code, where no signal ended it.
    pub exit_code: u8,
    /// The kernel wrote a core.
    pub core: bool,
    /// The kernel chose it when memory ran out.
    pub out_of_memory: bool,
    /// Who sent the signal.
    pub sender: Sender,
    /// A signal that was sent before, and did not end it by itself: it may have ended because of that. 0: none.
    pub after_signal: u8,
    /// How long before its end that signal was sent, where another one ended it, ns.
    #[serde(default)]
    pub after_ns: u64,
}

/// All deaths of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deaths {
    told: Vec<Death>,
}

impl Deaths {
    /// Adds deaths; how many of them there was no room for.
    pub fn extend(&mut self, deaths: Vec<Death>) -> u64 {
        let room = KEPT.saturating_sub(self.told.len());
        let over = deaths.len().saturating_sub(room);
        self.told.extend(deaths.into_iter().take(room));
        over as u64
    }

    /// One by one.
    pub fn told(&self) -> &[Death] {
        &self.told
    }
}
