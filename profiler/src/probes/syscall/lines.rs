//! System calls, a line for each (process, call).
//!
//! In: rows of calls and of slow calls. Out: lines, the longest total first.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::probes::offcpu::lines::Blocked;
use crate::probes::waits::class::{Basis, Classes};
use crate::profile::rows::{CallNumber, SlowKey};
use crate::profile::{Pid, Profile, SlowRow, SyscallRow};
use crate::render::humane;
use crate::render::syscalls::{self, CallClass};

/// One (process, system call).
pub struct SyscallLine<'p> {
    /// Process.
    pub pid: Pid,
    /// Call number.
    pub nr: CallNumber,
    /// Call name.
    pub name: Cow<'static, str>,
    /// How it is ranked.
    pub class: CallClass,
    /// How its name alone would rank it.
    pub named: CallClass,
    /// What `class` rests on.
    pub by: Basis,
    /// Its time without waits for new work and for a CPU, ns; 0 for user locks.
    pub lost_ns: u64,
    /// What was measured.
    pub row: &'p SyscallRow,
    /// Its slow calls, summed.
    pub slow: SlowRow,
}

impl SyscallLine<'_> {
    /// Whether its class rests on the call's name where who ended its waits might have told another: a call that waits by
    /// purpose. A futex is one.
    pub fn is_guessed(&self) -> bool {
        self.by == Basis::Call && self.named == CallClass::Idle
    }
}

/// System calls, longest total first.
pub fn syscalls<'p>(profile: &'p Profile, blocked: &[Blocked<'_>]) -> Vec<SyscallLine<'p>> {
    let blocked = by_call(profile, blocked);
    let mut slow: BTreeMap<(Pid, CallNumber), SlowRow> = BTreeMap::new();
    for (key, row) in &profile.syscall.slow {
        add(slow.entry((key.pid, key.nr)).or_default(), row);
    }
    let mut lines: Vec<_> = profile
        .syscall
        .rows
        .iter()
        .map(|(&(pid, nr), row)| {
            let slow = slow.get(&(pid, nr)).copied().unwrap_or_default();
            let named = syscalls::class(nr);
            let of = blocked.get(&(pid, nr)).copied().unwrap_or_default();
            let (class, by, lost_ns) = of.rank(named, row.latency.total_ns, slow.parts.runnable_ns());
            SyscallLine { pid, nr, name: syscalls::name(nr), class, named, by, lost_ns, row, slow }
        })
        .collect();
    lines.sort_by_key(|line| Reverse(line.row.latency.total_ns));
    lines
}

/// Waits in the calls of one row, ns.
#[derive(Clone, Copy, Default)]
struct InCall {
    work_ns: u64,
    idle_ns: u64,
    runnable_ns: u64,
    /// What most of it rests on.
    by: Option<(u64, Basis)>,
}

impl InCall {
    /// Class, what it rests on, and what was lost. `runnable_ns` is of the slow calls, in case waits were not measured.
    fn rank(&self, named: CallClass, total_ns: u64, runnable_ns: u64) -> (CallClass, Basis, u64) {
        let by = self.by.map_or(Basis::Call, |(_, by)| by);
        let without = |ns: u64| total_ns.saturating_sub(ns);
        match named {
            CallClass::UserLock => (named, Basis::Call, 0),
            CallClass::Work if self.idle_ns > total_ns / 2 => {
                (CallClass::Idle, by, without(self.idle_ns.saturating_add(self.runnable_ns)))
            }
            CallClass::Work => {
                let runnable_ns = self.runnable_ns.max(runnable_ns);
                let by = if self.work_ns > 0 { by } else { Basis::Call };
                (named, by, without(self.idle_ns.saturating_add(runnable_ns)))
            }
            CallClass::Idle if self.work_ns > self.idle_ns => (CallClass::Work, by, self.work_ns),
            CallClass::Idle => (named, by, self.work_ns),
        }
    }
}

/// The waits in calls, by process and call.
fn by_call(profile: &Profile, blocked: &[Blocked<'_>]) -> BTreeMap<(Pid, CallNumber), InCall> {
    let mut calls: BTreeMap<(Pid, CallNumber), InCall> = BTreeMap::new();
    for line in blocked {
        let Some(nr) = line.nr else { continue };
        let call = calls.entry((line.pid, nr)).or_default();
        let sum = if line.class == CallClass::Idle { &mut call.idle_ns } else { &mut call.work_ns };
        *sum = sum.saturating_add(line.total_ns);
        if call.by.is_none_or(|(most, _)| line.total_ns > most) {
            call.by = Some((line.total_ns, line.by));
        }
    }
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable()) {
        let Some(nr) = key.nr else { continue };
        let call = calls.entry((key.pid, nr)).or_default();
        call.runnable_ns = call.runnable_ns.saturating_add(row.total_ns);
    }
    calls
}

/// Adds one row of slow calls to another.
pub fn add(sum: &mut SlowRow, row: &SlowRow) {
    sum.add(row);
}

/// Slow calls by stacks, work before user locks before idle, longest total first.
pub fn slow(profile: &Profile) -> Vec<(CallClass, &SlowKey, &SlowRow)> {
    let classes = Classes::new(profile);
    let mut lines: Vec<_> =
        profile.syscall.slow.iter().map(|(key, row)| (classes.of_slow(key), key, row)).collect();
    lines.sort_by_key(|(class, _, row)| (*class, Reverse(row.total_ns)));
    lines
}

pub fn threshold(profile: &Profile) -> String {
    match profile.header.slow_ns {
        0 => String::new(),
        slow => format!(" ≥ {}", humane::setting(slow)),
    }
}
