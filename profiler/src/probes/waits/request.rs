//! Waits inside a request.
//!
//! In: the user stacks of waits for new work, sleeps. Out: whether a wait is inside the code that handles a
//! request. It is if the function that waits for new work is on the wait's user stack, but has called
//! something else there. Without user stacks: whether a process's sleeps and its waits for work together fill
//! the time of one thread.

use std::collections::{BTreeMap, HashMap};

use crate::profile::rows::CallNumber;
use crate::profile::stack::Reason;
use crate::profile::{FrameId, Pid, Profile, Resolution, StackId};
use crate::render::syscalls::{self, CallClass};

/// Stacks of waits for work that are kept of a process.
const STACKS: usize = 32;
/// Functions at the root of every thread: what two stacks share there says nothing.
const PLUMBING: [&str; 12] = [
    "_start",
    "__libc_start_main",
    "__libc_start_call_main",
    "clone",
    "clone3",
    "__clone",
    "__clone3",
    "start_thread",
    "thread_start",
    "runtime.mstart",
    "runtime.goexit",
    "thread_native_entry",
];
/// Library functions between the function that sleeps and the call.
const SLEEPERS: [&str; 6] = ["sleep", "usleep", "nanosleep", "clock_nanosleep", "thrd_sleep", "time_sleep"];

/// Whether a call only lets time go by.
pub fn is_sleep(nr: CallNumber) -> bool {
    matches!(syscalls::base(nr), Some("nanosleep" | "clock_nanosleep"))
}

/// Whether a call waits for a child: what that does stands in the child's own rows.
pub fn is_for_child(nr: CallNumber) -> bool {
    matches!(syscalls::base(nr), Some("wait4" | "waitid"))
}

/// What is known of each process.
#[derive(Default)]
pub struct Requests<'p> {
    profile: Option<&'p Profile>,
    /// User stacks that wait for work, the root first.
    takers: HashMap<Pid, Vec<Vec<Step<'p>>>>,
    /// The user stack with most of the time in calls that wait by purpose, the root first.
    homes: HashMap<Pid, Vec<Step<'p>>>,
    /// Time asleep, and in other calls that wait by purpose.
    totals: BTreeMap<Pid, (u64, u64)>,
}

/// A function, or a place without a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step<'p> {
    Named(&'p str),
    At(FrameId),
}

impl<'p> Requests<'p> {
    /// What the rows tell; stacks come by [`Self::takes_work`].
    pub fn new(profile: &'p Profile) -> Self {
        let mut totals: BTreeMap<Pid, (u64, u64)> = BTreeMap::new();
        for (key, row) in profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable()) {
            let Some(nr) = key.nr.filter(|nr| syscalls::class(*nr) == CallClass::Idle && !is_for_child(*nr))
            else {
                continue;
            };
            let (asleep, waiting) = totals.entry(key.pid).or_default();
            let sum = if is_sleep(nr) { asleep } else { waiting };
            *sum = sum.saturating_add(row.total_ns);
        }
        Self { profile: Some(profile), takers: HashMap::new(), homes: homes(profile), totals }
    }

    /// A process waits for work with this user stack.
    pub fn takes_work(&mut self, pid: Pid, user: StackId) {
        let Some(profile) = self.profile else { return };
        let steps = steps(profile, user);
        let known = self.takers.entry(pid).or_default();
        if !steps.is_empty() && known.len() < STACKS && !known.contains(&steps) {
            known.push(steps);
        }
    }

    /// Whether a process waits for work with this user stack.
    pub fn is_taker(&self, pid: Pid, user: StackId) -> bool {
        let steps = self.profile.map(|profile| steps(profile, user)).unwrap_or_default();
        self.takers.get(&pid).is_some_and(|takers| takers.contains(&steps))
    }

    /// Whether a process waits most with this user stack.
    pub fn is_home(&self, pid: Pid, user: StackId) -> bool {
        let steps = self.profile.map(|profile| steps(profile, user)).unwrap_or_default();
        !steps.is_empty() && self.homes.get(&pid) == Some(&steps)
    }

    /// Whether a wait in a call that waits by purpose is made while a request is handled.
    pub fn is_in_request(&self, pid: Pid, user: StackId, nr: CallNumber) -> bool {
        let Some(profile) = self.profile else { return false };
        let steps = steps(profile, user);
        let takers = self.takers.get(&pid).map_or(&[][..], Vec::as_slice);
        if takers.contains(&steps) {
            return false;
        }
        if takers.iter().any(|taker| leaves_by_another_way(taker, &steps)) {
            return true;
        }
        let known = steps.len() > 2 && takers.iter().any(|taker| taker.len() > 2);
        is_sleep(nr) && !known && self.fills_one_thread(pid, profile.duration_ns)
    }

    /// Sleeps and waits for work are never at the same time: together they are no more than the recording, and most
    /// of it.
    fn fills_one_thread(&self, pid: Pid, duration_ns: u64) -> bool {
        let (asleep, waiting) = self.totals.get(&pid).copied().unwrap_or_default();
        let both = u128::from(asleep) + u128::from(waiting);
        let duration = u128::from(duration_ns);
        asleep > 0 && waiting > 0 && both * 100 <= duration * 102 && both * 100 >= duration * 60
    }
}

/// The user stack of each process with most of the time in calls that wait by purpose, sleeps and children apart.
fn homes(profile: &Profile) -> HashMap<Pid, Vec<Step<'_>>> {
    // By id first: spelling a stack costs more than adding.
    let mut sums: HashMap<(Pid, StackId), u64> = HashMap::new();
    for (key, row) in profile.waits.stacks.iter().filter(|(key, _)| key.user != StackId::NONE) {
        let waits =
            |nr: CallNumber| syscalls::class(nr) == CallClass::Idle && !is_sleep(nr) && !is_for_child(nr);
        if key.row.nr.is_some_and(waits) {
            let sum = sums.entry((key.row.pid, key.user)).or_default();
            *sum = sum.saturating_add(row.total_ns);
        }
    }
    let mut spelled: BTreeMap<(Pid, Vec<Step<'_>>), u64> = BTreeMap::new();
    for ((pid, user), ns) in sums {
        let sum = spelled.entry((pid, steps(profile, user))).or_default();
        *sum = sum.saturating_add(ns);
    }
    let mut homes: HashMap<Pid, (u64, Vec<Step<'_>>)> = HashMap::new();
    for ((pid, steps), ns) in spelled {
        let most = homes.entry(pid).or_default();
        if ns > most.0 {
            *most = (ns, steps);
        }
    }
    homes.into_iter().map(|(pid, (_, steps))| (pid, steps)).collect()
}

/// Whether both stacks run the same function beyond a thread's root, from which the second calls something else that is
/// not just a sleep.
fn leaves_by_another_way(taker: &[Step<'_>], wait: &[Step<'_>]) -> bool {
    let shared = taker.iter().zip(wait).take_while(|(a, b)| a == b).count();
    let in_loop = wait[..shared].iter().any(|step| match step {
        Step::Named(name) => !is_plumbing(name),
        Step::At(_) => false,
    });
    let between = wait[shared..].iter().filter(|step| match step {
        Step::Named(name) => !SLEEPERS.contains(&name.trim_start_matches('_')),
        Step::At(_) => true,
    });
    // One of those is the wrapper of the call itself.
    in_loop && between.count() >= 2
}

/// Whether two stacks run the same function beyond a thread's root: the same code of two threads.
pub fn are_alike(profile: &Profile, one: StackId, other: StackId) -> bool {
    let (one, other) = (steps(profile, one), steps(profile, other));
    let shared = one.iter().zip(&other).take_while(|(a, b)| a == b).map(|(step, _)| step);
    let telling = |step: &Step<'_>| matches!(step, Step::Named(name) if !is_plumbing(name));
    shared.into_iter().any(telling)
}

fn is_plumbing(name: &str) -> bool {
    PLUMBING.iter().any(|plumbing| name.starts_with(plumbing))
}

/// The functions of a user stack, the root first. Where a library keeps no frame pointers, what follows its functions is
/// whatever the register held: no code, and not the same twice.
fn steps(profile: &Profile, user: StackId) -> Vec<Step<'_>> {
    let frames = profile.stacks.frames(user).unwrap_or_default();
    let is_code = |frame: &&FrameId| {
        !matches!(profile.stacks.resolution(**frame), Resolution::Unnamed(Reason::Unmapped))
    };
    let frames: Vec<_> = frames.iter().take_while(is_code).copied().collect();
    let step = |frame: &FrameId| match profile.stacks.resolution(*frame) {
        Resolution::Named(functions) => functions.last().map_or(Step::At(*frame), |name| Step::Named(name)),
        Resolution::Unnamed(_) => Step::At(*frame),
    };
    frames.iter().rev().take(crate::render::name::MAX_FRAMES).map(step).collect()
}
