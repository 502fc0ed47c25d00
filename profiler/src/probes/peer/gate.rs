//! Whether the threads of a process work for the peer that they received from last.
//!
//! In: how its sends compared with its receives; its stacks; what was attached. Out: believed, or why not.
//! Some processes send to others than they received from last: every proxy does, and so does a runtime that
//! reads on one thread and works on another, or whose thread serves several peers in turn. Of these processes
//! no peer is shown.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::Sends;
use crate::probe::Probe;
use crate::profile::{FrameSpace, Pid, Profile, StackId};
use crate::render::name::user_functions;

/// Sends that a verdict rests on, at least.
const LEAST: u64 = 20;
/// Sends to others, of 100, that are too many.
const ASTRAY_PERCENT: u64 = 5;
/// How the part of the probe that sees sends begins in the header.
const SENDS: &str = "send ";
/// Stacks of a process that are looked at.
const STACKS: usize = 64;
/// At the root of threads of other runtimes that take work from each other in the middle of it: Erlang's and Haskell's.
const ROOTS: [&str; 2] = ["sched_thread_func", "scheduleWorker"];

/// Why it is not known for whom a thread worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// The thread received nothing since the recording began: it may have got its work from another thread.
    ReceivedNothing,
    /// The process sends to others than it received from last.
    Astray,
    /// What runs on a thread is moved to another at any moment, as goroutines are.
    Moving,
    /// There is too little to compare.
    FewSends,
    /// Nothing was compared: the kernel does not tell.
    Untold,
}

impl Unknown {
    /// Why, in brackets behind `unknown`.
    pub const fn why(self) -> &'static str {
        match self {
            Self::ReceivedNothing => "received nothing",
            Self::Astray => "sends to others than it received from last",
            Self::Moving => "its runtime moves work between threads",
            Self::FewSends => "too few sends to tell",
            Self::Untold => "this kernel does not tell which socket is sent to",
        }
    }
}

/// The verdict on each process.
pub struct Gate<'p> {
    sends: &'p BTreeMap<Pid, Sends>,
    moving: BTreeSet<Pid>,
    told: bool,
}

impl<'p> Gate<'p> {
    /// By all that was recorded.
    pub fn of(profile: &'p Profile) -> Self {
        Self { sends: &profile.peer.sends, moving: moving(profile), told: is_told(profile) }
    }

    /// Why the peers of a process are not believed; none if they are.
    pub fn doubt(&self, pid: Pid) -> Option<Unknown> {
        if self.moving.contains(&pid) {
            return Some(Unknown::Moving);
        }
        let sends = self.sends.get(&pid).copied().unwrap_or_default();
        match sends {
            _ if !self.told => Some(Unknown::Untold),
            _ if is_astray(&sends) => Some(Unknown::Astray),
            _ if sends.sends < LEAST => Some(Unknown::FewSends),
            _ => None,
        }
    }
}

/// By sends, or by the CPU time before them: few sends may have most of it.
fn is_astray(row: &Sends) -> bool {
    let too_many = |part: u64, all: u64| part.saturating_mul(100) > all.saturating_mul(ASTRAY_PERCENT);
    row.sends >= LEAST && too_many(row.astray, row.sends) || too_many(row.samples_astray, row.samples)
}

/// Whether sends were seen at all.
fn is_told(profile: &Profile) -> bool {
    let mut plans = profile.header.probes.iter().filter(|plan| plan.probe == Probe::Peer.name());
    plans.any(|plan| plan.active && plan.backend.split(" + ").any(|name| name.starts_with(SENDS)))
}

/// Programs whose runtime moves work between threads, among those whose samples have peers. The first stacks
/// of each show it. Sends do not: short work stays on its thread, and makes nearly all sends; long work
/// moves, and takes nearly all CPU time.
fn moving(profile: &Profile) -> BTreeSet<Pid> {
    let mut seen: BTreeMap<Pid, usize> = BTreeMap::new();
    let mut moving = BTreeSet::new();
    for key in profile.peer.samples.values().flat_map(BTreeMap::keys) {
        let seen = seen.entry(key.pid).or_default();
        *seen += 1;
        if *seen <= STACKS && (is_of_go(profile, key.user) || has_root(profile, key.user)) {
            moving.insert(key.pid);
        }
    }
    moving
}

/// Whether a stack goes through a program of Go.
pub fn is_of_go(profile: &Profile, user: StackId) -> bool {
    let frames = profile.stacks.frames(user).unwrap_or_default();
    frames.iter().filter_map(|frame| profile.stacks.frame(*frame)).any(|frame| match frame.space {
        FrameSpace::Module(module) => profile.stacks.module(module).is_some_and(|module| module.of_go),
        _ => false,
    })
}

fn has_root(profile: &Profile, user: StackId) -> bool {
    user_functions(&profile.stacks, user).any(|function| ROOTS.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProbePlan;

    fn doubt(row: Sends, backend: &str) -> Option<Unknown> {
        let mut profile = Profile::default();
        profile.peer.sends.insert(Pid(7), row);
        profile.header.probes.push(ProbePlan {
            probe: "peer".into(),
            backend: backend.into(),
            misses: Vec::new(),
            active: true,
        });
        Gate::of(&profile).doubt(Pid(7))
    }

    const SEEN: &str = "rcv-space + send send-length";

    fn sends(sends: u64, astray: u64, samples: u64, samples_astray: u64) -> Sends {
        Sends { sends, astray, samples, samples_astray }
    }

    #[test]
    fn the_part_is_that_of_the_plan() {
        assert_eq!(SENDS.trim_end(), crate::probes::peer::plan::SEND.name);
    }

    #[test]
    fn one_send_in_twenty_may_go_to_another() {
        assert_eq!(doubt(sends(1_000, 50, 0, 0), SEEN), None);
        assert_eq!(doubt(sends(1_000, 51, 0, 0), SEEN), Some(Unknown::Astray));
        assert_eq!(doubt(sends(u64::MAX, u64::MAX, 0, 0), SEEN), None, "absurd numbers do not overflow");
    }

    #[test]
    fn few_sends_that_had_most_of_the_time_decide() {
        assert_eq!(doubt(sends(1_000, 9, 300, 200), SEEN), Some(Unknown::Astray));
        assert_eq!(doubt(sends(1_000, 9, 300, 15), SEEN), None);
    }

    #[test]
    fn what_cannot_be_compared_is_not_believed() {
        assert_eq!(doubt(sends(19, 0, 0, 0), SEEN), Some(Unknown::FewSends));
        assert_eq!(doubt(sends(1_000, 0, 0, 0), "rcv-space"), Some(Unknown::Untold));
        assert_eq!(Gate::of(&Profile::default()).doubt(Pid(8)), Some(Unknown::Untold));
    }
}
