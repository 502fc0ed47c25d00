//! Completes the rows of disk requests with what other modules know.
//!
//! In: an interval with its rows. Out: the same, with its long requests, and the names of the cgroups that requests are billed to.

use std::collections::BTreeSet;

use crate::collect::Drained;
use crate::profile::Interval;
use crate::target::Owners;

/// Cgroups named in one interval, at most.
const NAMED: usize = 256;

/// Completes them; the session began at `session_ns`, monotonic.
pub fn complete(interval: &mut Interval, drained: &Drained, (owners, session_ns): (&mut Owners, u64)) {
    interval.block.long = drained.block.long(session_ns);
    let ids: BTreeSet<u64> = interval.block.rows.keys().map(|key| key.cgroup).filter(|id| *id != 0).collect();
    for id in ids.into_iter().take(NAMED) {
        let Some(owner) = owners.owner_of_cgroup(id) else { continue };
        let name = if owner.container.is_empty() { owner.cgroup } else { owner.container };
        // Nothing is told by the root: it is whoever is billed to nobody.
        if !matches!(name.as_str(), "" | "/") {
            interval.block.cgroups.insert(id, name);
        }
    }
}
