//! Calls that had not returned at the end, as tables and sentences tell them.
//!
//! In: a profile. Out: the class of each; groups of one process name, call and kernel stack. First come
//! groups that hang, then, of equals, those that no signal ends, then those with many calls.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::probes::waits::class::Classes;
use crate::probes::waits::place::has;
use crate::profile::rows::{InFlightCall, SlowKey, StackSource};
use crate::profile::{Pid, Profile, StackId, Wait};
use crate::render::group;
use crate::render::stack_lines::kernel_line;
use crate::render::syscalls::{self, CallClass};
use crate::render::who::with_pid;

/// A call in flight for longer than this hangs.
pub const HANG_NS: u64 = 1_000_000_000;

/// Calls that receive what others send.
const RECEIVES: [&str; 6] = ["read", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg"];

/// Where the open of a named pipe waits until somebody opens its other end.
const PARTNER: [&str; 1] = ["wait_for_partner"];

/// Calls of one process name, in one place.
pub struct Waiting<'p> {
    /// How they are ranked.
    pub class: CallClass,
    /// All of them, never none, the oldest first.
    pub calls: Vec<&'p InFlightCall>,
}

impl<'p> Waiting<'p> {
    /// The oldest.
    pub fn first(&self) -> &'p InFlightCall {
        self.calls[0]
    }

    /// Whether no signal ends them.
    pub fn is_held(&self) -> bool {
        is_held(self.first())
    }

    /// Whether all are about the same file, pipe or connection.
    pub fn is_about_one(&self) -> bool {
        let of = |call: &'p InFlightCall| (&call.subject().object, &call.subject().path);
        self.calls.iter().all(|call| of(call) == of(self.first()))
    }

    /// How many processes they are of.
    pub fn processes(&self) -> usize {
        self.calls.iter().map(|call| call.pid).collect::<std::collections::BTreeSet<Pid>>().len()
    }
}

fn is_held(call: &InFlightCall) -> bool {
    matches!(call.wait, Some(Wait::Uninterruptible | Wait::Lock))
}

/// Classes of calls in flight.
pub struct InFlightClasses<'p> {
    profile: &'p Profile,
    classes: Classes<'p>,
}

impl<'p> InFlightClasses<'p> {
    /// Of a profile's calls.
    pub fn new(profile: &'p Profile) -> Self {
        Self { profile, classes: Classes::new(profile) }
    }

    /// Its class, by the first of these that applies. A futex is a user lock. A wait that no signal ends, or
    /// for another end whose processes are stopped, is work. The stacks may decide: a lock, a request, the
    /// place where the process takes work. So may slow calls that ended in the same place of the same process.
    /// A thread that was in a receiving call all the time, or waits for the other end of a named pipe, is idle.
    /// Otherwise the call's name decides.
    pub fn of(&mut self, call: &InFlightCall) -> CallClass {
        let named = syscalls::class(call.nr);
        if named == CallClass::UserLock {
            return named;
        }
        if is_held(call) || call.subject().is_unanswered() {
            return CallClass::Work;
        }
        if let Some(class) = self.classes.of_in_flight((call.pid, call.nr), call.kernel, call.user) {
            return class;
        }
        if let Some(key) = self.ended_here(call) {
            return self.classes.of_slow(key);
        }
        let waits = matches!(call.wait, Some(Wait::Sleep)) && call.kernel != StackId::NONE;
        let receives = RECEIVES.contains(&&*syscalls::name(call.nr));
        if waits && call.at_least && (receives || has(self.profile, call.kernel, &PARTNER)) {
            return CallClass::Idle;
        }
        self.classes.of_call(call.pid, call.nr)
    }

    /// Slow calls of the same process that ended and waited where this one does.
    fn ended_here(&self, call: &InFlightCall) -> Option<&'p SlowKey> {
        let (pid, nr, kernel) = (call.pid, call.nr, call.kernel);
        let first = SlowKey { pid, nr, kernel, user: StackId::NONE, source: StackSource::None };
        let (key, _) = self.profile.syscall.slow.range(first..).next()?;
        ((key.pid, key.nr, key.kernel) == (pid, nr, kernel) && kernel != StackId::NONE).then_some(key)
    }
}

/// `, locked by cron[812]`: who holds the file lock that a call waits for.
pub fn held_by(profile: &Profile, call: &InFlightCall) -> String {
    match call.held_by {
        None => String::new(),
        Some(Pid(0)) => ", locked by unknown (an open file's lock, or not in sight)".to_owned(),
        Some(pid) => format!(", locked by {}", with_pid(profile, pid)),
    }
}

/// All groups, the most telling first.
pub fn groups(profile: &Profile) -> Vec<Waiting<'_>> {
    if profile.in_flight.is_empty() {
        return Vec::new();
    }
    let mut classes = InFlightClasses::new(profile);
    // A place is spelled once, however many wait there.
    let mut places: BTreeMap<StackId, String> = BTreeMap::new();
    for call in &profile.in_flight {
        places.entry(call.kernel).or_insert_with(|| kernel_line(profile, call.kernel));
    }
    let mut groups: BTreeMap<_, Waiting<'_>> = BTreeMap::new();
    for call in &profile.in_flight {
        let class = classes.of(call);
        let place = places.get(&call.kernel).map_or("", String::as_str);
        let key = group::key(profile, call.pid, (call.nr, place, is_held(call), class));
        groups.entry(key).or_insert_with(|| Waiting { class, calls: Vec::new() }).calls.push(call);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.iter_mut().for_each(|group| group.calls.sort_by_key(|call| (Reverse(call.age_ns), call.tid)));
    groups.sort_by_key(|group| {
        let oldest = group.first();
        let quick = oldest.age_ns < HANG_NS;
        let rank = (group.class, quick, !group.is_held(), Reverse(group.calls.len()));
        (rank, Reverse(oldest.age_ns), oldest.tid)
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Process, Tid};

    const READ: u32 = 0;
    const VFORK: u32 = 58;
    const SECOND: u64 = 1_000_000_000;

    fn call(pid: u32, nr: u32, age_s: u64, wait: Wait) -> InFlightCall {
        InFlightCall {
            pid: Pid(pid),
            tid: Tid(pid),
            comm: String::new(),
            nr,
            age_ns: age_s * SECOND,
            at_least: true,
            kernel: StackId(1),
            user: StackId::NONE,
            wait: Some(wait),
            held_by: None,
            subject: None,
        }
    }

    fn profile(calls: Vec<InFlightCall>) -> Profile {
        let mut profile = Profile { in_flight: calls, ..Profile::default() };
        for call in &profile.in_flight {
            let comm = if call.nr == VFORK { "forker" } else { "reader" };
            profile.processes.see(Process { pid: call.pid, comm: comm.into(), ..Process::default() });
        }
        profile
    }

    #[test]
    fn many_that_no_signal_ends_are_one_group_before_an_older_reader() {
        let held = (1..=200).map(|pid| call(pid, VFORK, 5, Wait::Uninterruptible));
        let profile = profile(held.chain([call(900, READ, 50, Wait::Sleep)]).collect());
        let groups = groups(&profile);
        let told: Vec<_> =
            groups.iter().map(|group| (group.class, group.calls.len(), group.processes())).collect();
        assert_eq!(told, [(CallClass::Work, 200, 200), (CallClass::Idle, 1, 1)]);
    }

    #[test]
    fn a_reader_that_did_something_else_before_or_whose_kind_was_work_hangs() {
        let mut meanwhile = call(7, READ, 2, Wait::Sleep);
        meanwhile.at_least = false;
        let mut profile =
            profile(vec![meanwhile, call(8, READ, 9, Wait::Sleep), call(9, READ, 9, Wait::Sleep)]);
        let key = SlowKey {
            pid: Pid(8),
            nr: READ,
            kernel: StackId(1),
            user: StackId(5),
            source: StackSource::Wait,
        };
        profile.syscall.slow.insert(key, crate::profile::SlowRow { count: 1, ..Default::default() });
        let mut classes = InFlightClasses::new(&profile);
        let told: Vec<_> = profile.in_flight.iter().map(|call| classes.of(call)).collect();
        assert_eq!(told, [CallClass::Work, CallClass::Work, CallClass::Idle]);
    }

    #[test]
    fn a_disk_read_under_way_is_behind_what_hangs() {
        let mut short = call(7, READ, 0, Wait::Uninterruptible);
        short.age_ns = SECOND / 50;
        let mut long = call(8, 73, 30, Wait::Sleep);
        long.at_least = false;
        let profile = profile(vec![short, long]);
        let order: Vec<_> = groups(&profile).iter().map(|group| group.first().pid.0).collect();
        assert_eq!(order, [8, 7]);
    }
}
