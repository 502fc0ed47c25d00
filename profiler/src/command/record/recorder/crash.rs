//! Faults become rows.
//!
//! In: faults in their ring. Out: rows with unwound stacks; processes whose mappings are known before they die.

use std::time::{Duration, Instant};

use profiler_common::processor::DWARF_ORDER;

use super::Recorder;
use crate::collect::{ToldFault, comm};
use crate::command::record::ahead::AT_BEGIN;
use crate::command::record::{copied, fault};
use crate::command::stdout::to_stdout;
use crate::failure::Failure;
use crate::probe::Probe;
use crate::probes::crash::rows::KEPT;
use crate::probes::crash::screen;
use crate::profile::{Chunk, Class, Pid, StackCopy};
use crate::symbol::{Foreseen, Limits};

impl Recorder {
    /// Whether deaths have their places told.
    fn tells_places(&self) -> bool {
        self.probes.has(Probe::Crash.name()) && self.unwound.faults.is_asked()
    }

    /// A process came into view: its mappings are read now, and once more when it has loaded its libraries. When it dies it
    /// is too late.
    pub(super) fn foresee(&mut self, pid: Pid) {
        if self.tells_places() && self.unwound.faults.note_new(pid) {
            self.interner.pin(pid);
        }
    }

    /// Looks at a target of few processes before recording begins.
    pub(super) fn look_at_few(&mut self) {
        if self.unwound.faults.ahead.are_few() {
            self.look_ahead(AT_BEGIN);
        }
    }

    /// Looks at processes of the target that were there before the recording: one that makes its first event when it dies is
    /// gone before anybody takes that.
    pub fn look_ahead(&mut self, within: Duration) {
        let tells = self.tells_places();
        let mut ahead = std::mem::take(&mut self.unwound.faults.ahead);
        ahead.look(within, Instant::now, |pid, until| {
            self.owners.foresee(pid.0);
            if tells { self.interner.foresee(pid, until) } else { Foreseen::Not }
        });
        self.unwound.faults.ahead = ahead;
    }

    /// Whether there are more of them.
    pub fn looks_ahead(&self) -> bool {
        !self.unwound.faults.ahead.is_over()
    }

    /// Reads the mappings of processes again that came into view a moment ago.
    pub(super) fn look_again(&mut self) {
        for pid in self.unwound.faults.take_new() {
            self.interner.look_again(pid);
        }
    }

    /// Whether somebody died, and that is to be printed.
    pub fn has_deaths_to_tell(&self) -> bool {
        let deaths = self.profile.deaths.told().len() + self.pending.deaths.len();
        self.unwound.faults.tells && deaths > self.unwound.faults.told
    }

    /// Ends the interval, names what is in it, and prints who died.
    ///
    /// # Errors
    /// As [`Self::interval`]; stdout that cannot be written.
    pub async fn tell_deaths(&mut self) -> Result<(), Failure> {
        self.interval().await?;
        let symbols = self.interner.symbolize(&self.kernel, &Limits::default());
        self.keep(Chunk::Symbols(symbols))?;
        let from = std::mem::replace(&mut self.unwound.faults.told, self.profile.deaths.told().len());
        to_stdout(|out| Ok(screen::write(&self.profile, from, out)?))
    }

    /// The same of those that died as the recording ended.
    ///
    /// # Errors
    /// As [`Self::tell_deaths`].
    pub async fn tell_last_deaths(&mut self) -> Result<(), Failure> {
        if self.unwound.faults.tells {
            self.take_events();
            self.take_faults();
        }
        if self.has_deaths_to_tell() { self.tell_deaths().await } else { Ok(()) }
    }

    /// Takes faults out of their ring, and unwinds their stacks.
    pub(super) fn take_faults(&mut self) {
        loop {
            let (faults, senseless) = self.unwound.faults.take();
            self.pending.ledger.count(Class::Implausible, senseless);
            if faults.is_empty() {
                return;
            }
            for ToldFault { head, .. } in &faults {
                let [.., ip] = DWARF_ORDER.map(|word| head.registers.get(word).copied().unwrap_or(0));
                let code = (ip, head.ip_area.start, comm(&head.ip_area.name));
                self.interner.inherit(Pid(head.tgid), Pid(head.parent), (code.0, code.1, &code.2));
            }
            let copies: Vec<StackCopy> = faults.iter().map(|fault| fault.copy.clone()).collect();
            let found = self.interner.unwind(&copies);
            for (ToldFault { head, calls, .. }, found) in faults.iter().zip(found) {
                copied::count(&mut self.pending.ledger, found.cut);
                let owner = self.owners.owner_of_cgroup(head.cgroup).unwrap_or_default();
                let about = (owner.container, self.probes.start_ns);
                let mut row = fault::row((head, calls), about, self.unwound.faults.with_memory);
                row.stack = found.stack;
                let known = self.profile.crash.faults.len() + self.pending.crash.faults.len();
                if known < KEPT {
                    self.pending.crash.faults.push(row);
                } else {
                    self.pending.ledger.count(Class::FaultUntold, 1);
                }
            }
        }
    }
}
