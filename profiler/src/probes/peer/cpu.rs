//! CPU samples by the peer that their thread worked for, a line for each (peer, process).
//!
//! In: rows of samples, those of threads that had received, the gate. Out: the peer of each sample; lines,
//! most samples first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::gate::{Gate, Unknown};
use crate::probes::cpu::picture;
use crate::profile::measured::Measured;
use crate::profile::peer::{Host, Peer};
use crate::profile::rows::CpuKey;
use crate::profile::{Pid, Profile, StackId};
use crate::render::fold::Folder;

/// For whom a thread worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// For the peer at an address.
    Peer(Host),
    /// That is not known.
    Unknown(Unknown),
}

impl fmt::Display for Whom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(host) => write!(formatter, "{host}"),
            Self::Unknown(unknown) => write!(formatter, "unknown ({})", unknown.why()),
        }
    }
}

/// Samples of one process for one peer.
pub struct PeerCpuLine {
    /// For whom.
    pub whom: Whom,
    /// Process.
    pub pid: Pid,
    /// Samples.
    pub samples: u64,
    /// The same by the function that ran.
    pub functions: BTreeMap<String, u64>,
}

/// The function that most of these lines' samples fell into.
pub fn top_function<'l>(lines: impl Iterator<Item = &'l PeerCpuLine>) -> (String, u64) {
    let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
    for (function, samples) in lines.flat_map(|line| &line.functions) {
        let sum = functions.entry(function).or_default();
        *sum = sum.saturating_add(*samples);
    }
    let top = functions.into_iter().max_by_key(|(_, samples)| *samples).unwrap_or_default();
    (top.0.to_owned(), top.1)
}

/// Calls `each` with all samples and for whom each was; not at all where no thread received while it was sampled.
pub fn each(profile: &Profile, measured: Measured<'_>, each: &mut dyn FnMut(Whom, &CpuKey, u64)) {
    if profile.peer.samples.is_empty() {
        return;
    }
    let gate = Gate::of(profile);
    let mut labelled: HashMap<&CpuKey, u64> = HashMap::new();
    for (host, rows) in &measured.peer.samples {
        let host = profile.peer.shown(Peer { host: *host, port: 0 }).host;
        for (key, samples) in rows {
            let sum = labelled.entry(key).or_default();
            *sum = sum.saturating_add(*samples);
            each(gate.doubt(key.pid).map_or(Whom::Peer(host), Whom::Unknown), key, *samples);
        }
    }
    for (key, row) in &measured.cpu.rows {
        let rest = row.samples.saturating_sub(labelled.get(key).copied().unwrap_or(0));
        if rest > 0 {
            each(Whom::Unknown(Unknown::ReceivedNothing), key, rest);
        }
    }
}

/// All lines, most samples first.
pub fn lines(profile: &Profile, folder: &mut Folder<'_>) -> Vec<PeerCpuLine> {
    let mut groups = BTreeMap::new();
    each(profile, profile.into(), &mut |whom, key, samples| {
        let ran = if key.kernel == StackId::NONE { key.user } else { key.kernel };
        let leaf = folder.leaf(ran).or_else(|| {
            picture::push(key, folder);
            folder.take_leaf()
        });
        let (all, functions) = groups.entry((whom, key.pid)).or_insert((0_u64, BTreeMap::new()));
        *all = all.saturating_add(samples);
        if let Some(leaf) = leaf {
            let sum = functions.entry(leaf).or_insert(0_u64);
            *sum = sum.saturating_add(samples);
        }
    });
    let line = |((whom, pid), (samples, functions)): (_, (u64, BTreeMap<_, u64>))| {
        let named = functions.into_iter().map(|(leaf, samples)| (folder.name(leaf).to_owned(), samples));
        PeerCpuLine { whom, pid, samples, functions: named.collect() }
    };
    let mut lines: Vec<_> = groups.into_iter().map(line).collect();
    lines.sort_by_key(|line| Reverse(line.samples));
    lines
}
