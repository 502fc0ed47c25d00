//! What rows of several probes have in common in `summary.json`.
//!
//! In: a process, a histogram. Out: the process of a row, and its numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sheet::List;
use crate::profile::{Histogram, Pid, Profile};

/// Who a row belongs to.
#[derive(Serialize)]
pub struct Owner<'p> {
    /// Process; none: all that have ended with its name and container.
    pub pid: Option<Pid>,
    /// How many these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_processes: Option<u64>,
    /// Its name.
    pub comm: &'p str,
    /// Its container.
    pub container: &'p str,
}

/// The process that a row belongs to.
pub fn owner(profile: &Profile, pid: Pid) -> Owner<'_> {
    let ended = Some(profile.processes.ended(pid)).filter(|ended| *ended > 0);
    let (comm, container) = (profile.processes.comm(pid), profile.processes.container(pid));
    Owner { pid: ended.is_none().then_some(pid), ended_processes: ended, comm, container }
}

/// Of a row that is no process's.
pub const fn nobody(comm: &'static str) -> Owner<'static> {
    Owner { pid: Some(Pid(0)), ended_processes: None, comm, container: "" }
}

/// What every row of latencies says of its events.
#[derive(Serialize)]
pub struct Events {
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<BTreeMap<String, u64>>,
    total_ns: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl Events {
    /// Of what can fail.
    pub fn new(latency: &Histogram, errors: BTreeMap<String, u64>) -> Self {
        Self { errors: Some(errors), ..Self::of(latency) }
    }

    /// Of what cannot fail.
    pub fn of(latency: &Histogram) -> Self {
        Self {
            count: latency.count(),
            errors: None,
            total_ns: latency.total_ns,
            p50_ns: latency.percentile_ns(500),
            p99_ns: latency.percentile_ns(990),
            max_ns: latency.max_ns,
        }
    }
}

/// Rows and their unit.
#[derive(Serialize)]
pub struct Rows<'p, Row: Serialize> {
    /// Unit of their weights.
    pub unit: &'static str,
    /// The rows, heaviest first.
    pub rows: List<'p, Row>,
}
