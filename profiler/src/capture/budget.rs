//! How much memory and work one capture may ask for.
//!
//! In: chunks as they are decoded and the profile they make. Out: go on, or why not. Rows of the same key
//! merge, so a long honest session stays small; only memory that remains after merging counts. Text is
//! bounded where it is written out: names of a stack, bytes of a name, frames of a picture, bytes of a file.

use crate::profile::row_set::ENTRY;
use crate::profile::stack::{FRAME_MEMORY, Module, Resolution, Segment, Symbols};
use crate::profile::{Chunk, Interval, Profile};

/// Memory one decoded chunk may take, bytes.
pub(super) const CHUNK_MEMORY_MAX: u64 = 512 << 20;
/// CBOR of a header at most, bytes: all of it stands in `summary.json`.
pub(super) const HEADER_MAX: usize = 2 << 20;
/// Memory the whole profile may take, bytes: a million stacks of some dozen frames, with their rows.
const PROFILE_MEMORY_MAX: u64 = 1 << 30;
/// Uncompressed bytes of a whole capture: a day at 100 KB a second.
const RAW_TOTAL_MAX: u64 = 8 << 30;
/// Rows are weighed anew whenever this much was decoded since the last time, bytes.
const WEIGH_EVERY: u64 = 64 << 20;
/// What a capture has asked for so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    raw_total: u64,
    raw_since_weighing: u64,
    /// What is never given back: modules, frames, names.
    kept: u64,
    /// Stacks and processes: those of the profile at the last weighing, and all since.
    passing: u64,
}

impl Budget {
    /// Counts one decoded chunk of `raw_len` bytes, before it is applied.
    pub fn spend(&mut self, chunk: &Chunk, raw_len: u32) -> Result<(), &'static str> {
        self.raw_total += u64::from(raw_len);
        self.raw_since_weighing += u64::from(raw_len);
        match chunk {
            Chunk::Interval(interval) => {
                self.kept = self.kept.saturating_add(weigh_tables(interval));
                self.passing = self.passing.saturating_add(weigh_passing(interval));
            }
            Chunk::Symbols(symbols) => self.kept = self.kept.saturating_add(weigh_symbols(symbols)),
            // At most once each, and bounded by what one chunk may take.
            Chunk::Header(_) | Chunk::End(_) => {}
        }
        if self.raw_total > RAW_TOTAL_MAX {
            Err("it is larger than any capture this version reads")
        } else {
            Ok(())
        }
    }

    /// Looks, from time to time, at what the rows of the profile have grown to.
    pub fn check(&mut self, profile: &Profile) -> Result<(), &'static str> {
        let mut rows = 0;
        if self.raw_since_weighing >= WEIGH_EVERY {
            self.raw_since_weighing = 0;
            self.passing = profile.stacks.weigh() + profile.processes.iter().count() as u64 * ENTRY;
            rows = profile.weigh_rows();
        }
        let weight = self.kept.saturating_add(self.passing).saturating_add(rows);
        if weight > PROFILE_MEMORY_MAX {
            Err("it needs more memory than any capture this version reads")
        } else {
            Ok(())
        }
    }
}

fn weigh_tables(interval: &Interval) -> u64 {
    let weigh = |module: &Module| {
        module.path.len() + module.build_id.len() + module.segments.len() * size_of::<Segment>()
    };
    let modules: usize = interval.modules.iter().map(weigh).sum();
    let counters: usize = interval.counters.keys().map(|name| name.len() + ENTRY as usize).sum();
    (modules + counters) as u64
        + interval.modules.len() as u64 * ENTRY
        + interval.frames.len() as u64 * FRAME_MEMORY
}

/// What goes away again when processes have ended.
fn weigh_passing(interval: &Interval) -> u64 {
    let frames: usize = interval.stacks.iter().map(|stack| stack.frames.len() * 4).sum();
    frames as u64 + (interval.stacks.len() + interval.processes.len()) as u64 * ENTRY
}

fn weigh_symbols(symbols: &Symbols) -> u64 {
    let names = symbols.frames.iter().map(|(_, resolution)| match resolution {
        Resolution::Named(names) => names.iter().map(|name| name.len() as u64 + ENTRY).sum(),
        Resolution::Unnamed(_) => 0,
    });
    let locks = symbols.locks.iter().map(|(_, name)| name.len() as u64 + ENTRY);
    names.chain(locks).sum()
}
