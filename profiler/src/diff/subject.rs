//! What is compared: calls, locks, hooks, waits for a CPU, functions on the CPU, counters.
//!
//! In: the rows of a profile. Out: their names, which mean the same in another recording (names of processes instead of their ids), and
//! the raw keys of each name, by which the rows of an interval are found again.

use std::collections::{BTreeMap, HashMap};

use crate::probes::cpu::picture as cpu;
use crate::probes::lock::picture::lock_name;
use crate::profile::rows::{CallNumber, CpuKey, LockContext, LockKey};
use crate::profile::waits::WaitKey;
use crate::profile::{Histogram, Interval, Pid, Profile};
use crate::render::fold::Folder;
use crate::render::window::Window;
use crate::render::{clean, syscalls, who};

/// Kinds of what is compared, in the order they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A system call.
    Call,
    /// Waits for a kernel lock.
    Lock,
    /// A hook of the security layer, or a module in it.
    Hook,
    /// Waits for a CPU.
    Queue,
    /// A function on the CPU.
    Cpu,
    /// A counter of the kernel.
    Counter,
}

impl Kind {
    /// Its name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Lock => "lock",
            Self::Hook => "hook",
            Self::Queue => "runq",
            Self::Cpu => "cpu",
            Self::Counter => "counter",
        }
    }

    /// Whether its events take time.
    pub const fn has_times(self) -> bool {
        !matches!(self, Self::Cpu | Self::Counter)
    }
}

/// One thing that is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Its kind.
    pub kind: Kind,
    /// The process, `container/comm`; empty for what is the machine's.
    pub who: String,
    /// The call, lock, hook, function or counter.
    pub name: String,
    /// What narrows it down: the caller of a lock, the module of a hook.
    pub detail: String,
}

/// What one subject did in a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Amount {
    /// Times of its events; empty for what has none.
    pub times: Histogram,
    /// Events: calls, waits, samples, steps of a counter.
    pub events: u64,
}

impl Amount {
    /// Adds another stretch.
    pub fn add(&mut self, other: &Self) {
        self.times.merge(&other.times);
        self.events = self.events.saturating_add(other.events);
    }

    fn of_times(times: &Histogram) -> Self {
        Self { times: times.clone(), events: times.count() }
    }

    fn of_events(events: u64) -> Self {
        Self { times: Histogram::default(), events }
    }
}

/// Raw keys of one recording → subject.
#[derive(Debug, Default)]
pub struct Index {
    calls: HashMap<(Pid, CallNumber), Subject>,
    locks: HashMap<LockKey, Subject>,
    hooks: HashMap<(Pid, u16), Subject>,
    queues: HashMap<WaitKey, Subject>,
    cpu: HashMap<CpuKey, Subject>,
}

impl Index {
    /// Names all rows of a profile.
    pub fn new(profile: &Profile) -> Self {
        let mut folder = Folder::new(profile);
        let calls = profile.syscall.rows.keys().map(|key| (*key, call(profile, *key)));
        let locks = profile.lock.rows.keys().map(|key| (*key, lock(profile, key)));
        let hooks =
            profile.lsm.rows.keys().map(|key| ((key.pid, key.site), hook(profile, key.pid, key.site)));
        let queued = profile.waits.rows.keys().filter(|key| key.wait.is_runnable());
        let queues = queued.map(|key| (*key, queue(profile, key)));
        let cpu = profile.cpu.rows.keys().map(|key| (*key, function(profile, key, &mut folder)));
        Self {
            calls: calls.collect(),
            locks: locks.collect(),
            hooks: hooks.collect(),
            queues: queues.collect(),
            cpu: cpu.collect(),
        }
    }

    /// Gives what each subject did in the rows of an interval; rows that are not in the profile are not given.
    pub fn each(&self, interval: &Interval, give: &mut dyn FnMut(&Subject, Amount)) {
        for (key, row) in &interval.syscall.rows {
            self.calls.get(key).inspect(|subject| give(subject, Amount::of_times(&row.latency)));
        }
        for (key, row) in &interval.lock.rows {
            self.locks.get(key).inspect(|subject| give(subject, Amount::of_times(&row.wait)));
        }
        for (key, row) in &interval.lsm.rows {
            let subject = self.hooks.get(&(key.pid, key.site));
            subject.inspect(|subject| give(subject, Amount::of_times(&row.time)));
        }
        for (key, row) in &interval.waits.rows {
            self.queues.get(key).inspect(|subject| give(subject, Amount::of_times(row)));
        }
        for (key, row) in &interval.cpu.rows {
            self.cpu.get(key).inspect(|subject| give(subject, Amount::of_events(row.samples)));
        }
    }

    /// What each subject did in the whole profile.
    pub fn sums(&self, profile: &Profile) -> BTreeMap<Subject, Amount> {
        let mut sums: BTreeMap<Subject, Amount> = BTreeMap::new();
        let whole = Interval {
            syscall: profile.syscall.clone(),
            lock: profile.lock.clone(),
            lsm: profile.lsm.clone(),
            waits: profile.waits.clone(),
            cpu: profile.cpu.clone(),
            ..Interval::default()
        };
        self.each(&whole, &mut |subject, amount| sums.entry(subject.clone()).or_default().add(&amount));
        for (name, steps) in Window::new(profile).deltas().filter(|(_, steps)| *steps > 0) {
            sums.insert(counter(name), Amount::of_events(steps));
        }
        sums
    }
}

/// A counter as a subject.
pub fn counter(name: &str) -> Subject {
    Subject {
        kind: Kind::Counter,
        who: String::new(),
        name: clean::name(name).into_owned(),
        detail: String::new(),
    }
}

fn subject(profile: &Profile, kind: Kind, pid: Pid, (name, detail): (String, String)) -> Subject {
    let who = if pid == Pid(0) { "interrupt".to_owned() } else { who::process(profile, pid) };
    Subject { kind, who, name, detail }
}

fn call(profile: &Profile, (pid, nr): (Pid, CallNumber)) -> Subject {
    subject(profile, Kind::Call, pid, (syscalls::name(nr).into_owned(), String::new()))
}

fn lock(profile: &Profile, key: &LockKey) -> Subject {
    let name = lock_name(profile, key);
    let pid = if key.context == LockContext::Task { key.pid } else { Pid(0) };
    let text = format!("{} [{}]", key.kind.name(), clean::name(&name.lock));
    subject(profile, Kind::Lock, pid, (text, clean::name(&name.caller).into_owned()))
}

fn hook(profile: &Profile, pid: Pid, at: u16) -> Subject {
    let text = |text: &str| clean::name(text).into_owned();
    let site = profile.header.lsm_sites.get(usize::from(at));
    let names = site.map_or_else(
        || ("[function not listed]".to_owned(), String::new()),
        |site| (text(&site.hook), text(&site.module)),
    );
    subject(profile, Kind::Hook, pid, names)
}

fn queue(profile: &Profile, key: &WaitKey) -> Subject {
    subject(profile, Kind::Queue, key.pid, (key.wait.name().to_owned(), String::new()))
}

fn function(profile: &Profile, key: &CpuKey, folder: &mut Folder<'_>) -> Subject {
    cpu::push(key, folder);
    let leaf = folder.take_leaf().map_or_else(|| "?".to_owned(), |leaf| folder.name(leaf).to_owned());
    subject(profile, Kind::Cpu, key.pid, (leaf, String::new()))
}
