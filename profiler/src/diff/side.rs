//! One side of a difference: a recording, or a stretch of one.
//!
//! In: the chunks of a capture, twice. Out: first its profile, as if nothing but the stretch had been recorded, then what each subject
//! did in each of a bounded number of slices.

use std::collections::BTreeMap;

use super::slices::{Counting, Slices};
use super::subject::{Amount, Index, Subject};
use crate::profile::{Chunk, Counters, Interval, Ledger, Profile};

/// A stretch of a recording, ns since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// From; intervals that begin earlier are left out.
    pub from_ns: u64,
    /// To; intervals that end later are left out. None: to the end.
    pub to_ns: Option<u64>,
}

impl Range {
    fn holds(&self, interval: &Interval) -> bool {
        interval.start_ns >= self.from_ns && self.to_ns.is_none_or(|to| interval.end_ns <= to)
    }

    fn is_whole(&self) -> bool {
        *self == Self::default()
    }
}

/// The first look at a capture: what it is as a whole.
#[derive(Debug, Default)]
pub struct First {
    range: Range,
    running: Counters,
    at_start: Option<Counters>,
    at_end: Counters,
    intervals: usize,
    begin_ns: u64,
    end_ns: u64,
    covered_ns: u64,
    of_the_whole: Ledger,
}

impl First {
    /// Of a stretch.
    pub fn new(range: Range) -> Self {
        Self { range, ..Self::default() }
    }

    /// Sees a chunk, and gives what of it becomes part of the profile.
    pub fn look(&mut self, chunk: Chunk) -> Option<Chunk> {
        match chunk {
            Chunk::Header(header) => {
                self.running = header.environment.at_start.clone();
                Some(Chunk::Header(header))
            }
            Chunk::Interval(interval) => Some(Chunk::Interval(Box::new(self.interval(*interval)))),
            Chunk::End(mut end) if !self.range.is_whole() => {
                // It tells of the whole recording.
                (end.in_flight, end.counters) = (Vec::new(), Counters::new());
                self.of_the_whole = std::mem::take(&mut end.ledger);
                Some(Chunk::End(end))
            }
            other => Some(other),
        }
    }

    fn interval(&mut self, interval: Interval) -> Interval {
        let inside = self.range.holds(&interval);
        if inside && self.at_start.is_none() {
            self.at_start = Some(self.running.clone());
            self.begin_ns = interval.start_ns;
        }
        self.running.extend(interval.counters.iter().map(|(name, value)| (name.clone(), *value)));
        if !inside {
            return interval.without_rows();
        }
        self.at_end.clone_from(&self.running);
        self.intervals += 1;
        self.end_ns = self.end_ns.max(interval.end_ns);
        self.covered_ns = self.covered_ns.saturating_add(interval.end_ns.saturating_sub(interval.start_ns));
        interval
    }

    /// The side, its slices still empty; `label` is what the user called it.
    pub fn side(self, mut profile: Profile, label: String) -> Side {
        if !self.range.is_whole() {
            let environment = &mut profile.header.environment;
            environment.at_start = self.at_start.unwrap_or_default();
            environment.at_end = self.at_end;
            profile.duration_ns = self.covered_ns;
        }
        let index = Index::new(&profile);
        let sums = index.sums(&profile);
        let slices = Slices::new((self.begin_ns, self.end_ns), self.intervals);
        Side { label, range: self.range, of_the_whole: self.of_the_whole, index, sums, slices, profile }
    }
}

/// One side.
#[derive(Debug)]
pub struct Side {
    /// What the user called it.
    pub label: String,
    /// The stretch.
    pub range: Range,
    /// What was recorded in it.
    pub profile: Profile,
    /// Of a stretch: losses that are known of the whole recording only.
    pub of_the_whole: Ledger,
    /// What each subject did in all of it.
    pub sums: BTreeMap<Subject, Amount>,
    /// What each subject did in each slice.
    pub slices: Slices,
    index: Index,
}

impl Side {
    /// Recorded time, s.
    pub fn seconds(&self) -> f64 {
        self.profile.duration_ns as f64 / 1e9
    }

    /// The second look, for these subjects: gives what sees each chunk.
    pub fn second(&mut self, subjects: &BTreeMap<Subject, usize>) -> Second<'_> {
        self.slices.begin(subjects.len());
        Second {
            range: self.range,
            index: &self.index,
            slices: &mut self.slices,
            subjects: subjects.clone(),
            counters: Counting::default(),
        }
    }
}

/// The second look at a capture: what its subjects did in each slice.
pub struct Second<'s> {
    range: Range,
    index: &'s Index,
    slices: &'s mut Slices,
    subjects: BTreeMap<Subject, usize>,
    counters: Counting,
}

impl Second<'_> {
    /// Sees a chunk; nothing becomes part of a profile any more.
    pub fn look(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Header(header) => self.counters.start(&header.environment.at_start),
            Chunk::Interval(interval) => {
                let steps = self.counters.steps(&interval.counters);
                if self.range.holds(interval) {
                    self.add(interval, steps);
                }
            }
            Chunk::Symbols(_) | Chunk::End(_) => {}
        }
    }

    fn add(&mut self, interval: &Interval, steps: Vec<(Subject, u64)>) {
        let Some(at) = self.slices.enter(interval.start_ns, interval.end_ns) else { return };
        let (slices, subjects) = (&mut *self.slices, &self.subjects);
        self.index.each(interval, &mut |subject, amount| {
            if let Some(row) = subjects.get(subject) {
                slices.add(at, *row, &amount);
            }
        });
        for (subject, steps) in steps {
            if let Some(row) = subjects.get(&subject) {
                slices.add(at, *row, &Amount { events: steps, ..Amount::default() });
            }
        }
    }
}
