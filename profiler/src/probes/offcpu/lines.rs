//! Blocked waits, a line for each (process, call, class).
//!
//! In: rows of waits. Out: lines with what they were on and who ended them, heaviest first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::probes::waits::class::{Basis, Classes};
use crate::probes::waits::ender::Ender;
use crate::probes::waits::stacks::{Places, SHORT, stacks};
use crate::probes::waits::sums::add;
use crate::probes::waits::user_lock::{self, UserLock};
use crate::profile::rows::CallNumber;
use crate::profile::waits::WaitKey;
use crate::profile::{Histogram, Pid, Profile};
use crate::render::name::user_functions;
use crate::render::syscalls::CallClass;

/// Blocked waits of one (process, call, class).
pub struct Blocked<'p> {
    /// Process.
    pub pid: Pid,
    /// Call; none outside of calls.
    pub nr: Option<CallNumber>,
    /// The class that it is ranked in.
    pub class: CallClass,
    /// What decided the class for most of the time.
    pub by: Basis,
    /// How many, as far as that is known of each class.
    pub count: u64,
    /// Their time, ns.
    pub total_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
    /// All of them; none where waits of one row are of more than one class.
    pub waits: Option<Histogram>,
    /// Time by what the waits were on, ns.
    pub on: BTreeMap<&'p str, u64>,
    /// Who ended the long ones, ns.
    pub enders: BTreeMap<Ender, u64>,
    /// The functions that waited for other threads, of the long ones, by what for, ns.
    pub callers: BTreeMap<(UserLock, &'p str), u64>,
}

impl<'p> Blocked<'p> {
    fn new(key: &WaitKey, class: CallClass) -> Self {
        Self {
            pid: key.pid,
            nr: key.nr,
            class,
            by: Basis::Call,
            count: 0,
            total_ns: 0,
            max_ns: 0,
            waits: Some(Histogram::default()),
            on: BTreeMap::new(),
            enders: BTreeMap::new(),
            callers: BTreeMap::new(),
        }
    }

    fn add(&mut self, count: u64, ns: u64, max_ns: u64, on: &'p str) {
        self.count = self.count.saturating_add(count);
        self.total_ns = self.total_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(max_ns);
        add(&mut self.on, on, ns);
    }
}

pub fn blocked<'p>(
    profile: &'p Profile,
    classes: &mut Classes<'p>,
    places: &mut Places<'p>,
) -> Vec<Blocked<'p>> {
    type Line<'p> = (Blocked<'p>, BTreeMap<Basis, u64>);
    let mut lines: BTreeMap<(Pid, Option<CallNumber>, CallClass), Line<'p>> = BTreeMap::new();
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable()) {
        let (stacks, rest) = stacks(&profile.waits, key, row.total_ns);
        let mut with_stacks = 0u64;
        let mut seen = Vec::new();
        for (stack, ns) in stacks {
            let (class, by) = classes.verdict(stack);
            let (line, bases) = lines
                .entry((key.pid, key.nr, class))
                .or_insert_with(|| (Blocked::new(key, class), BTreeMap::new()));
            let long = profile.waits.stacks.get(stack).copied().unwrap_or_default();
            with_stacks = with_stacks.saturating_add(long.waits);
            let on = match class {
                CallClass::UserLock => {
                    let kind = classes.user_lock(stack);
                    if let Some(caller) = user_lock::waiting(user_functions(&profile.stacks, stack.user)) {
                        add(&mut line.callers, (kind, caller), ns);
                    }
                    kind.name()
                }
                CallClass::Work | CallClass::Idle => places.of(stack),
            };
            line.add(long.waits, ns, long.max_ns.min(row.max_ns), on);
            add(&mut line.enders, Ender::of(profile, stack.waker), ns);
            add(bases, by, ns);
            seen.push(class);
        }
        let short = row.count().saturating_sub(with_stacks);
        let (class, by) = classes.of_rest(key, row.total_ns);
        if rest > 0 || short > 0 || seen.is_empty() {
            let (line, bases) = lines
                .entry((key.pid, key.nr, class))
                .or_insert_with(|| (Blocked::new(key, class), BTreeMap::new()));
            let max_ns = if seen.is_empty() { row.max_ns } else { 0 };
            line.add(short, rest, max_ns, SHORT);
            add(bases, by, rest);
            seen.push(class);
        }
        let whole = seen.iter().all(|class| *class == seen[0]);
        for class in seen {
            let Some((line, _)) = lines.get_mut(&(key.pid, key.nr, class)) else { continue };
            match &mut line.waits {
                Some(waits) if whole => waits.merge(row),
                _ => line.waits = None,
            }
            if whole {
                line.max_ns = line.max_ns.max(row.max_ns);
                break;
            }
        }
    }
    let by = |bases: BTreeMap<Basis, u64>| bases.into_iter().max_by_key(|(_, ns)| *ns).map(|(by, _)| by);
    let line = |(line, bases)| Blocked { by: by(bases).unwrap_or(Basis::Call), ..line };
    let mut lines: Vec<_> = lines.into_values().map(line).collect();
    lines.sort_by_key(|line| Reverse(line.total_ns));
    lines
}
