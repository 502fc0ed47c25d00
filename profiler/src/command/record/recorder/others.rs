//! Processes that nobody announced: holders of locks, neighbours on a CPU, those that only waited, who is at another's other end.
//!
//! In: their pids. Out: each is known to the capture by its name and container, once.

use super::{Recorder, identity};
use crate::collect::Drained;
use crate::profile::Pid;

impl Recorder {
    /// Names holders of locks and neighbours on a CPU, most of them outside the target, and processes that only
    /// waited: nobody announced those.
    pub(super) fn see_others(&mut self, drained: &Drained) {
        for (pid, comm) in drained.others() {
            if !self.knows(pid) {
                self.see(pid, comm, 0);
            }
        }
        for pid in drained.unannounced() {
            if !self.knows(pid)
                && let Some(comm) = identity::name(pid)
            {
                self.see(pid, comm, 0);
            }
        }
    }

    /// A process that was met somewhere, if nobody knows it yet.
    pub(super) fn see_met(&mut self, pid: Pid) {
        if !self.knows(pid) {
            self.see(pid, identity::name(pid).unwrap_or_default(), 0);
        }
    }

    pub(super) fn knows(&self, pid: Pid) -> bool {
        self.profile.processes.get(pid).is_some()
            || self.pending.processes.iter().any(|process| process.pid == pid)
    }
}
