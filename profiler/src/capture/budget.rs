//! How much memory and work one capture may ask for.
//!
//! In: chunks as they are decoded and the profile they make. Out: go on, or why not.
//! Rows of the same key merge, so a long honest session stays small; only what piles up counts.

use crate::profile::stack::{Resolution, Symbols};
use crate::profile::{Chunk, Histogram, Interval, Profile};

/// Memory one decoded chunk may take, bytes.
pub(super) const CHUNK_MEMORY_MAX: u64 = 1 << 30;
/// Memory the whole profile may take, bytes.
const PROFILE_MEMORY_MAX: u64 = 3 << 30;
/// Uncompressed bytes of a whole capture: a day at 100 KB a second.
const RAW_TOTAL_MAX: u64 = 8 << 30;
/// Rows are weighed anew whenever this much was decoded since the last time, bytes.
const WEIGH_EVERY: u64 = 64 << 20;
/// Memory of an entry of a table beside its text, bytes.
const ENTRY: u64 = 128;

/// What a capture has asked for so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    raw_total: u64,
    raw_since_weighing: u64,
    kept: u64,
}

impl Budget {
    /// Counts one decoded chunk of `raw_len` bytes, before it is applied.
    pub fn spend(&mut self, chunk: &Chunk, raw_len: u32) -> Result<(), &'static str> {
        self.raw_total += u64::from(raw_len);
        self.raw_since_weighing += u64::from(raw_len);
        self.kept = self.kept.saturating_add(match chunk {
            Chunk::Interval(interval) => weigh_tables(interval),
            Chunk::Symbols(symbols) => weigh_symbols(symbols),
            // At most once each, and bounded by what one chunk may take.
            Chunk::Header(_) | Chunk::End(_) => 0,
        });
        if self.raw_total > RAW_TOTAL_MAX {
            Err("it is larger than any capture this version reads")
        } else {
            Ok(())
        }
    }

    /// Looks, from time to time, at what the rows of the profile have grown to.
    pub fn check(&mut self, profile: &Profile) -> Result<(), &'static str> {
        let mut weight = self.kept;
        if self.raw_since_weighing >= WEIGH_EVERY {
            self.raw_since_weighing = 0;
            weight = weight.saturating_add(weigh_rows(profile));
        }
        if weight > PROFILE_MEMORY_MAX {
            Err("it needs more memory than any capture this version reads")
        } else {
            Ok(())
        }
    }
}

fn weigh_tables(interval: &Interval) -> u64 {
    let modules: usize =
        interval.modules.iter().map(|module| module.path.len() + module.build_id.len()).sum();
    let frames: usize = interval.stacks.iter().map(|stack| stack.frames.len() * 4).sum();
    let entries =
        interval.modules.len() + interval.frames.len() + interval.stacks.len() + interval.processes.len();
    let counters: usize = interval.counters.keys().map(|name| name.len() + ENTRY as usize).sum();
    (modules + frames + counters) as u64 + entries as u64 * ENTRY
}

fn weigh_symbols(symbols: &Symbols) -> u64 {
    let names = symbols.frames.iter().map(|(_, resolution)| match resolution {
        Resolution::Named(names) => names.iter().map(|name| name.len() as u64 + ENTRY).sum(),
        Resolution::Unnamed(_) => 0,
    });
    let locks = symbols.locks.iter().map(|(_, name)| name.len() as u64 + ENTRY);
    names.chain(locks).sum()
}

fn weigh_rows(profile: &Profile) -> u64 {
    let buckets = |histogram: &Histogram| histogram.buckets().count() as u64 * 24 + ENTRY;
    let calls: u64 = profile
        .syscall
        .rows
        .values()
        .map(|row| buckets(&row.latency) + row.errors.len() as u64 * 24 + ENTRY)
        .sum();
    let locks: u64 = profile.lock.rows.values().map(|row| buckets(&row.wait) + ENTRY).sum();
    let lsm: u64 = profile.lsm.rows.values().map(|row| buckets(&row.time) + ENTRY).sum();
    let waits: u64 = profile
        .waits
        .rows
        .values()
        .chain(profile.waits.queues.values())
        .map(|row| buckets(row) + ENTRY)
        .sum();
    let stacks = profile.syscall.slow.len()
        + profile.waits.stacks.len()
        + profile.waits.neighbours.len()
        + profile.syscall.parts.len()
        + profile.lsm.stacks.len()
        + profile.cpu.rows.len();
    calls + locks + lsm + waits + stacks as u64 * ENTRY
}
