//! Waits of one kind in `summary.json`: the rows that `offcpu` and `runq` have in common.
//!
//! In: rows of waits. Out: a row for each (process, call, what for), heaviest first.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::class::{Classes, Verdict};
use crate::profile::waits::WaitKey;
use crate::profile::{Histogram, Profile, Wait};
use crate::render::json_row::{Events, Owner, owner};
use crate::render::syscalls;

/// Waits of one kind in one call of one process.
#[derive(Serialize)]
pub struct Row<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: Option<Cow<'static, str>>,
    nr: Option<u32>,
    class: &'static str,
    class_by: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    by_class: BTreeMap<&'static str, u64>,
    wait: Wait,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    #[serde(flatten)]
    events: Events,
}

/// The rows whose wait `of` accepts.
pub fn rows(profile: &Profile, of: impl Fn(Wait) -> bool) -> Vec<Row<'_>> {
    let mut classes = Classes::new(profile);
    let mut rows: Vec<(&WaitKey, &Histogram)> =
        profile.waits.rows.iter().filter(|(key, _)| of(key.wait)).collect();
    rows.sort_by_key(|(_, row)| Reverse(row.total_ns));
    let row = |(key, row): (&WaitKey, &Histogram)| {
        let (class, by) = classes.of_row(key);
        Row {
            owner: owner(profile, key.pid),
            syscall: key.nr.map(syscalls::name),
            nr: key.nr.map(syscalls::place),
            class: class.name(),
            class_by: by.name(),
            by_class: by_class(classes.split(key, row.total_ns)),
            wait: key.wait,
            at_least: key.nr.is_some_and(syscalls::began_before),
            events: Events::of(row),
        }
    };
    rows.into_iter().map(row).collect()
}

/// The time of each class, where there is more than one.
fn by_class(split: Vec<(Verdict, u64)>) -> BTreeMap<&'static str, u64> {
    let mut sums: BTreeMap<&'static str, u64> = BTreeMap::new();
    for ((class, _), ns) in split.into_iter().filter(|(_, ns)| *ns > 0) {
        let sum = sums.entry(class.name()).or_default();
        *sum = sum.saturating_add(ns);
    }
    if sums.len() > 1 { sums } else { BTreeMap::new() }
}
