//! Waits off the CPU as tables, findings and `summary.json` show them.
//!
//! In: rows of waits, stacks and neighbours. Out: a line per (process, call) that blocked, a line per process that
//! waited for a CPU, a line per process that stalled outside of calls; each heaviest first.

mod class;
pub mod interrupt;
pub mod merged;
pub mod outside;
pub mod table;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

pub use class::Classes;
pub use outside::Outside;

use super::findings::{process, telling_function};
use super::name::kernel_functions;
use super::syscalls::CallClass;
use super::{cause, humane, locks};
use crate::profile::rows::CallNumber;
use crate::profile::waits::{NeighbourRow, WaitKey, WaitStackKey, Waker};
use crate::profile::{Histogram, Pid, Profile, StackId, Wait};

/// What a wait too short for a stack was on.
pub const SHORT: &str = "short waits";

/// All lines.
pub struct Waits<'p> {
    /// Who blocked.
    pub blocked: Vec<Blocked<'p>>,
    /// Who waited for a CPU.
    pub queued: Vec<Queued>,
    /// Who stalled outside of calls.
    pub outside: Vec<Outside<'p>>,
}

/// Blocked waits of one (process, call, class).
pub struct Blocked<'p> {
    /// Process.
    pub pid: Pid,
    /// Call; none outside of calls.
    pub nr: Option<CallNumber>,
    /// How it is ranked.
    pub class: CallClass,
    /// The waits.
    pub waits: Histogram,
    /// What they were on, ns.
    pub on: BTreeMap<&'p str, u64>,
    /// Who ended the long ones, ns.
    pub enders: BTreeMap<Ender, u64>,
}

/// Who ended a wait, without its stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ender {
    /// Nobody saw it.
    Unseen,
    /// An interrupt.
    Interrupt,
    /// A process.
    Process(Pid),
}

impl Ender {
    /// Of a waker.
    pub fn of(profile: &Profile, waker: Waker) -> Self {
        match waker {
            Waker::Unseen => Self::Unseen,
            Waker::Interrupt { .. } => Self::Interrupt,
            Waker::OnTop { pid, kernel } if interrupt::is_own_softirq(profile, kernel) => Self::Process(pid),
            Waker::OnTop { .. } => Self::Interrupt,
            Waker::Process { kernel, .. } if interrupt::is_on_top(profile, kernel) => Self::Interrupt,
            Waker::Process { pid, .. } => Self::Process(pid),
        }
    }

    /// As tables and sentences name it; `waiter` is itself.
    pub fn name(self, profile: &Profile, waiter: Pid) -> String {
        match self {
            Self::Unseen => "not seen".to_owned(),
            Self::Interrupt => "interrupt".to_owned(),
            Self::Process(pid) if pid == waiter => "itself".to_owned(),
            Self::Process(pid) => with_pid(profile, pid),
        }
    }
}

/// Waits of one process for a CPU.
pub struct Queued {
    /// Process.
    pub pid: Pid,
    /// The waits.
    pub waits: Histogram,
    /// Those that were no throttling.
    pub ready: Histogram,
    /// After a wakeup, ns.
    pub woken_ns: u64,
    /// After a preemption, ns.
    pub preempted_ns: u64,
    /// By its CPU quota.
    pub throttled: Histogram,
    /// Who ran during the long ones, longest first.
    pub neighbours: Vec<(Pid, NeighbourRow)>,
}

impl<'p> Waits<'p> {
    /// Ranks all rows.
    pub fn new(profile: &'p Profile) -> Self {
        let mut classes = Classes::new(profile);
        let mut places = Places::new(profile);
        Self {
            blocked: blocked(profile, &mut classes, &mut places),
            queued: queued(profile),
            outside: outside::rows(profile, &mut classes, &mut places),
        }
    }
}

/// `redis[99]`, with its container.
pub fn with_pid(profile: &Profile, pid: Pid) -> String {
    format!("{}[{}]", process(profile, pid), pid.0)
}

/// Who ran, as tables and sentences name it.
pub fn neighbour(profile: &Profile, pid: Pid, waiter: Pid) -> String {
    match pid {
        Pid(0) => "(CPU idle)".to_owned(),
        pid if pid == waiter => "itself".to_owned(),
        pid => with_pid(profile, pid),
    }
}

/// `60 % redis[99], 20 % web/api[812]`: the heaviest of these, so `many` at most, each behind its share, which no cut
/// takes away; empty without any.
pub fn heaviest<K: Copy>(
    sums: impl IntoIterator<Item = (K, u64)>,
    (whole, many): (u64, usize),
    name: impl Fn(K) -> String,
) -> String {
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, ns)| *ns > 0).collect();
    sums.sort_by_key(|(_, ns)| Reverse(*ns));
    let one = |(key, ns): &(K, u64)| format!("{} {}", humane::part(*ns, whole), name(*key));
    sums.iter().take(many).map(one).collect::<Vec<_>>().join(", ")
}

/// Adds to one of several sums.
pub fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, ns: u64) {
    let sum = sums.entry(key).or_default();
    *sum = sum.saturating_add(ns);
}

/// The stacks of a row, each with its part of the row's `whole` time, and what is left: never more than the whole,
/// though a hostile capture may say more than there is.
pub fn stacks<'p>(profile: &'p Profile, key: &WaitKey, whole: u64) -> (Vec<(&'p WaitStackKey, u64)>, u64) {
    let first = WaitStackKey { row: *key, kernel: StackId(0), user: StackId(0), waker: Waker::Unseen };
    let range = profile.waits.stacks.range(first..).take_while(|(stack, _)| stack.row == *key);
    let mut left = whole;
    let stacks = range
        .map(|(stack, row)| {
            let ns = row.total_ns.min(left);
            left -= ns;
            (stack, ns)
        })
        .collect();
    (stacks, left)
}

/// What waits were on, told once per stack.
pub struct Places<'p> {
    profile: &'p Profile,
    known: HashMap<(StackId, bool), &'p str>,
}

impl<'p> Places<'p> {
    /// None told yet.
    pub fn new(profile: &'p Profile) -> Self {
        Self { profile, known: HashMap::new() }
    }

    /// A word such as `pipe` or `disk`, else a function, else `?`.
    pub fn of(&mut self, key: &WaitStackKey) -> &'p str {
        if key.row.wait == Wait::Lock {
            return "kernel lock";
        }
        let (profile, in_call) = (self.profile, key.row.nr.is_some());
        self.known.entry((key.kernel, in_call)).or_insert_with(|| {
            let functions: Vec<_> = kernel_functions(&profile.stacks, key.kernel).map(locks::base).collect();
            let cause = match in_call {
                true => cause::of(functions.iter().copied()),
                false => cause::outside_calls(&functions),
            };
            cause.or_else(|| telling_function(profile, key.kernel)).unwrap_or("?")
        })
    }
}

fn blocked<'p>(profile: &'p Profile, classes: &mut Classes<'p>, places: &mut Places<'p>) -> Vec<Blocked<'p>> {
    let mut lines: BTreeMap<(Pid, Option<CallNumber>, CallClass), Blocked<'p>> = BTreeMap::new();
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable()) {
        let class = classes.of_row(key);
        let line = lines.entry((key.pid, key.nr, class)).or_insert_with(|| Blocked {
            pid: key.pid,
            nr: key.nr,
            class,
            waits: Histogram::default(),
            on: BTreeMap::new(),
            enders: BTreeMap::new(),
        });
        line.waits.merge(row);
        let (stacks, rest) = stacks(profile, key, row.total_ns);
        for (stack, ns) in stacks {
            add(&mut line.on, places.of(stack), ns);
            add(&mut line.enders, Ender::of(profile, stack.waker), ns);
        }
        add(&mut line.on, SHORT, rest);
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| Reverse(line.waits.total_ns));
    lines
}

fn queued(profile: &Profile) -> Vec<Queued> {
    let mut lines: BTreeMap<Pid, Queued> = BTreeMap::new();
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable()) {
        let line = lines.entry(key.pid).or_insert_with(|| Queued {
            pid: key.pid,
            waits: Histogram::default(),
            ready: Histogram::default(),
            woken_ns: 0,
            preempted_ns: 0,
            throttled: Histogram::default(),
            neighbours: neighbours(profile, key.pid),
        });
        line.waits.merge(row);
        if key.wait != Wait::Throttled {
            line.ready.merge(row);
        }
        match key.wait {
            Wait::Woken => line.woken_ns = line.woken_ns.saturating_add(row.total_ns),
            Wait::Preempted => line.preempted_ns = line.preempted_ns.saturating_add(row.total_ns),
            Wait::Throttled => line.throttled.merge(row),
            Wait::Sleep | Wait::Uninterruptible | Wait::Lock | Wait::Stopped => {}
        }
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| Reverse(line.waits.total_ns));
    lines
}

/// Who ran while a process waited for that CPU, longest first.
fn neighbours(profile: &Profile, pid: Pid) -> Vec<(Pid, NeighbourRow)> {
    use crate::profile::waits::NeighbourKey;
    let key = |neighbour| NeighbourKey { pid, neighbour: Pid(neighbour) };
    let rows = profile.waits.neighbours.range(key(0)..=key(u32::MAX));
    let mut neighbours: Vec<_> = rows.map(|(key, row)| (key.neighbour, *row)).collect();
    neighbours.sort_by_key(|(_, row)| Reverse(row.ns));
    neighbours
}
