//! CPU samples, a line for each (process, function).
//!
//! In: rows of samples. Out: lines, most samples first, and their sums by process.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::picture;
use crate::profile::rows::CpuKey;
use crate::profile::{Pid, Profile, StackId};
use crate::render::fold::Folder;
use crate::render::group::Group;

/// One (process, function at the leaf).
pub struct CpuLine {
    /// Process.
    pub pid: Pid,
    /// The function that ran, as the folded file names it.
    pub function: String,
    /// Samples.
    pub samples: u64,
    /// The row with most samples.
    pub heaviest: CpuKey,
    /// Its samples.
    pub heaviest_samples: u64,
}

/// CPU samples, most first.
pub fn cpu(profile: &Profile, folder: &mut Folder<'_>) -> Vec<CpuLine> {
    let mut groups = BTreeMap::new();
    for (key, row) in &profile.cpu.rows {
        let ran = if key.kernel == StackId::NONE { key.user } else { key.kernel };
        let leaf = folder.leaf(ran).or_else(|| {
            picture::push(key, folder);
            folder.take_leaf()
        });
        let Some(leaf) = leaf else { continue };
        let (samples, heaviest) = groups.entry((key.pid, leaf)).or_insert((0_u64, (0, *key)));
        *samples = samples.saturating_add(row.samples);
        if row.samples > heaviest.0 {
            *heaviest = (row.samples, *key);
        }
    }
    let line = |((pid, leaf), (samples, (heaviest_samples, heaviest)))| CpuLine {
        pid,
        function: folder.name(leaf).to_owned(),
        samples,
        heaviest,
        heaviest_samples,
    };
    let mut lines: Vec<_> = groups.into_iter().map(line).collect();
    lines.sort_by_key(|line| Reverse(line.samples));
    lines
}

/// The function most samples of a group fell into.
pub fn top_function<'r>(lines: &'r [CpuLine], group: &Group<'_, (Pid, u64)>) -> (&'r str, u64) {
    let pids: BTreeSet<Pid> = group.lines().iter().map(|(pid, _)| *pid).collect();
    let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| pids.contains(&line.pid)) {
        let sum = functions.entry(&line.function).or_default();
        *sum = sum.saturating_add(line.samples);
    }
    functions.into_iter().max_by_key(|(_, samples)| *samples).unwrap_or_default()
}

/// Samples per process, most first.
pub fn cpu_by_process(lines: &[CpuLine]) -> Vec<(Pid, u64)> {
    let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(line.pid).or_default();
        *sum = sum.saturating_add(line.samples);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, samples)| Reverse(*samples));
    sums
}
