//! Copies of user stacks are unwound.
//!
//! In: copies in their ring. Out: stacks in the interner; and for the kernel side, how to recognize these
//! stacks, so that it does not copy them again.

use super::Recorder;
use crate::cli::settings::Unwind;
use crate::command::record::copied::count;
use crate::profile::{Class, Cut, Pid, StackCopy};

/// Bytes of copies that are held until they are unwound together.
const HELD_BYTES: usize = 16 << 20;
/// So many copies are not held until the interval ends: what is unwound early, the kernel side need not copy again.
const HELD: usize = 256;

impl Recorder {
    /// Takes copies out of their ring.
    pub fn take_copies(&mut self) {
        self.take_faults();
        loop {
            let (copies, bytes, senseless) = self.unwound.copies.take(HELD_BYTES);
            self.pending.ledger.count(Class::Implausible, senseless);
            self.unwound.held_bytes += bytes;
            self.unwound.held.extend(copies);
            if self.unwound.held_bytes >= HELD_BYTES || self.unwound.held.len() >= HELD {
                self.unwind();
            }
            if bytes < HELD_BYTES {
                return;
            }
        }
    }

    /// Unwinds what is held.
    pub(super) fn unwind(&mut self) {
        let copies = std::mem::take(&mut self.unwound.held);
        self.unwound.held_bytes = 0;
        self.unwind_these(&copies);
    }

    /// A process executes another program at `time_ns`: stacks that were copied before are unwound by the
    /// mappings it had then.
    pub(super) fn unwind_before(&mut self, pid: Pid, time_ns: u64) {
        if self.profile.processes.get(pid).is_none() {
            return;
        }
        self.take_copies();
        let (old, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unwound.held)
            .into_iter()
            .partition(|copy| copy.pid == pid && copy.time_ns < time_ns);
        self.unwound.held = rest;
        self.unwind_these(&old);
    }

    fn unwind_these(&mut self, copies: &[StackCopy]) {
        for (copy, found) in copies.iter().zip(self.interner.unwind(copies)) {
            self.unwound.remember(&found);
            count(&mut self.pending.ledger, found.cut);
            if self.unwound.way == Unwind::Auto {
                self.unwound.copies.recognize(copy, found.stack, &found.words);
                // Where it ends too early, what was known of its beginning is wrong.
                if found.top != 0 || found.cut == Some(Cut::Window) {
                    self.unwound.copies.learn(copy.tid, found.top);
                }
            }
        }
    }
}
