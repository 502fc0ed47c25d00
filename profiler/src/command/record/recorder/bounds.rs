//! What keeps a recording's memory and files bounded.
//!
//! In: a recorder. Out: of processes that ended long ago, only the sums of their rows are kept; stacks that
//! have no room count as one stack; the recording ends before its capture or its disk is full.

use super::Recorder;
use crate::failure::Failure;
use crate::profile::folding::Dropped;
use crate::profile::{Chunk, Class, Interval};

impl Recorder {
    /// Whether the recording must end because there is no more room for its capture; it says so, then.
    pub fn is_full(&mut self) -> bool {
        let Some(why) = self.output.full() else { return false };
        let told = format!("Recording ended at second {:.1}: {why}", self.profile.duration_ns as f64 / 1e9);
        tracing::warn!("{told}");
        self.told.push(told);
        true
    }

    /// Makes rows of stacks that had no room one row, so that they take no room either.
    pub(super) fn drop_stacks(&mut self, interval: &mut Interval) {
        if self.interner.is_full() {
            interval.rekey(&Dropped(|stack| self.interner.knows(stack)));
            interval.ledger.count(Class::StackDropped, self.interner.take_dropped());
        }
    }

    /// Keeps the names of processes that have ended long ago, and nothing else of them; their rows are summed up next.
    pub(super) fn forget_ended(&mut self) -> Result<(), Failure> {
        let ended = self.ended.look(&self.profile.processes, self.intervals);
        if ended.is_empty() {
            return Ok(());
        }
        for pid in &ended {
            self.identities.forget(*pid);
            self.roles.forget(*pid);
        }
        let symbols = self.interner.end(&ended);
        self.ended.put_off(ended);
        self.keep(Chunk::Symbols(symbols))
    }
}
