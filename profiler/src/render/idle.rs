//! What `--no-idle` leaves out, as a number: it is never silent.
//!
//! In: rows of calls and waits. Out: one sentence; nothing when nothing is idle.

use super::humane;
use super::syscalls::{self, CallClass};
use super::waits::Classes;
use crate::profile::{Histogram, Profile};

/// Idle calls and waits, how many and how long.
pub fn sentence(profile: &Profile) -> Option<String> {
    let mut calls = Histogram::default();
    let rows = profile.syscall.rows.iter().filter(|((_, nr), _)| syscalls::class(*nr) == CallClass::Idle);
    rows.for_each(|(_, row)| calls.merge(&row.latency));
    let mut classes = Classes::new(profile);
    let mut waits = Histogram::default();
    let rows = profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable());
    let rows = rows.filter(|(key, _)| classes.of_row(key) == CallClass::Idle);
    rows.for_each(|(_, row)| waits.merge(row));
    let told = |idle: &Histogram, noun: &str| {
        (idle.count() > 0)
            .then(|| format!("{}, {}", humane::plural(idle.count(), noun), humane::duration(idle.total_ns)))
    };
    let parts = [told(&calls, "idle call"), told(&waits, "idle wait")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{} (--no-idle)", parts.join("; ")))
}
