//! The end of a recording.
//!
//! In: a recorder whose time is over. Out: what is left in maps and buffers, names, the capture's end; then the results.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Recorder, identity};
use crate::cli::settings::RecordSettings;
use crate::command::record::output::{self, Output};
use crate::command::record::stop::Impatience;
use crate::command::record::{limits, losses, overrun};
use crate::failure::Failure;
use crate::profile::{Chunk, Class, End, Profile};
use crate::symbol::Limits;

impl Recorder {
    /// Detaches, takes what is left, and writes capture, pictures and summary.
    ///
    /// # Errors
    /// As [`Self::interval`]; a file that cannot be written.
    pub async fn finish(mut self, settings: &RecordSettings, impatience: Impatience) -> Result<(), Failure> {
        let recorded = self.begun.elapsed();
        self.end_ns = Some(self.elapsed_ns());
        self.follow_cpus(true);
        let in_flight = self.in_flight();
        let mut end = End { in_flight, cost: self.meter.finish(&self.probes.ebpf), ..End::default() };
        self.probes.stop();
        self.stopped = true;
        self.open_waits();
        end.duration_ns = self.elapsed_ns();
        // Announcements first: a name that is read now is newer.
        self.take_events();
        let renamed = self.identities.renamed(&self.profile.processes, &self.pending.processes);
        self.pending.processes.extend(renamed);
        self.interval().await?;
        end.cost.windows = self.meter.windows();
        self.work.queued = overrun::queued().saturating_sub(self.work.queued);
        let took = (recorded, self.begun.elapsed());
        self.told.extend(settings.duration.and_then(|asked| overrun::sentence(asked, took, self.work)));
        end.counters = self.watch.all();
        let naming = Limits { stop: Arc::clone(&impatience.came), ..Limits::default() };
        let symbols = self.interner.symbolize(&self.kernel, &naming);
        self.keep(Chunk::Symbols(symbols))?;
        end.ledger.count(Class::SuspendedNs, identity::suspended_ns(self.asleep_ns));
        end.limits = limits::unread(&self.interner);
        end.limits.append(&mut self.told);
        losses::count(&self.profile, &mut end);
        self.keep(Chunk::End(Box::new(end)))?;
        let (output, mut profile) = self.into_results();
        let (directory, why) = output.finish()?;
        impatience.expendable.store(true, Ordering::Relaxed);
        profile.missing_tail = why.map(|why| format!("{why}; what is shown here was still in memory"));
        output::publish(&profile, &directory, settings, &impatience)
    }

    /// What is left to write. All else goes: symbols, executables and maps take memory that the results need.
    fn into_results(self) -> (Output, Profile) {
        let Self { output, profile, .. } = self;
        (output, profile)
    }
}
