//! The class of a wait off the CPU, and what decided it.
//!
//! In: its call, its kernel and user stack, who ended it and how. Out: work, user lock or idle. A wait is idle if new work
//! from outside or a timer of its own loop ended it; it is work if a process of its own container, a disk or a release
//! ended it. The README has the whole rule. If none of this is known, the call's name decides, and the output says so.

use std::collections::{HashMap, HashSet};

use profiler_common::abi::BEGAN_BEFORE_BIT;

use super::ended::{self, Cause};
use super::ender::Ender;
use super::place::{has, in_main_loop, place};
use super::stacks::stacks;
use super::user_lock::{self, UserLock};
pub use super::verdict::{Basis, Verdict};
use super::verdict::{add, most};
use super::words::Words;
use super::{near, request};
use crate::profile::process::Role;
use crate::profile::rows::{CallNumber, SlowKey};
use crate::profile::waits::{WaitKey, WaitStackKey, Waker};
use crate::profile::{Histogram, Pid, Profile, StackId, Wait};
use crate::render::locks;
use crate::render::name::{kernel_functions, user_functions};
use crate::render::syscalls::{self, CallClass};

/// Beginnings of functions in which a thread waits for something that comes through a socket.
const RECEIVES: [&str; 6] = [
    "tcp_recvmsg",
    "udp_recvmsg",
    "unix_stream_read",
    "__skb_wait_for_more",
    "sk_wait_data",
    "__skb_recv_udp",
];

/// Calls that send what may be a request.
const SENDS: [&str; 7] = ["write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "pwrite64"];

/// Kernel and user stack of waits in a call; none: all of them.
type InCall = (Pid, CallNumber, Option<(StackId, StackId)>);

/// Classes, each told once.
pub struct Classes<'p> {
    profile: &'p Profile,
    causes: HashMap<StackId, Option<Cause>>,
    places: HashMap<StackId, Option<Verdict>>,
    loops: HashMap<StackId, bool>,
    locks: HashMap<StackId, bool>,
    requests: request::Requests<'p>,
    words: Words,
    /// User stacks of waits that another process of the target ended by a release.
    released: HashSet<(Pid, CallNumber, StackId)>,
    /// Time by class of the waits with these stacks in this call, and of all in the call.
    calls: HashMap<InCall, [u64; 3]>,
    rests: HashMap<WaitKey, Rest>,
}

/// What is known of a row's waits without stacks.
#[derive(Clone, Copy)]
pub struct Rest {
    /// Their class.
    pub verdict: Verdict,
    /// Some of them are long enough for stacks.
    pub has_long: bool,
}

impl<'p> Classes<'p> {
    /// Of all waits of a profile.
    pub fn new(profile: &'p Profile) -> Self {
        let mut classes = Self {
            profile,
            causes: HashMap::new(),
            places: HashMap::new(),
            loops: HashMap::new(),
            locks: HashMap::new(),
            requests: request::Requests::default(),
            words: Words::new(profile),
            released: HashSet::new(),
            calls: HashMap::new(),
            rests: HashMap::new(),
        };
        let mut requests = request::Requests::new(profile);
        for key in profile.waits.stacks.keys() {
            // What a message ends shows where the process takes work.
            let takes = key.row.nr.is_some_and(|nr| !request::is_sleep(nr) && !request::is_for_child(nr))
                && classes.cause(key.waker) == Some(Cause::Message)
                && classes.of_stack(key) == CallClass::Idle;
            if takes {
                requests.takes_work(key.row.pid, key.user);
            }
        }
        classes.requests = requests;
        classes.note_released();
        classes.note_calls();
        classes
    }

    /// If another process of the target ended a wait of a call and that was work, all waits with that user stack are.
    fn note_released(&mut self) {
        let mut released = HashSet::new();
        for key in self.profile.waits.stacks.keys().filter(|key| key.user != StackId::NONE) {
            let Some(nr) = key.row.nr.filter(|nr| syscalls::class(*nr) == CallClass::Idle) else { continue };
            if self.verdict(key) == (CallClass::Work, Basis::Waker) {
                released.insert((key.row.pid, nr & !BEGAN_BEFORE_BIT, key.user));
            }
        }
        self.released = released;
    }

    fn note_calls(&mut self) {
        for (key, row) in &self.profile.waits.stacks {
            let Some(nr) = key.row.nr else { continue };
            let class = self.of_stack(key) as usize;
            for stacks in [None, Some((key.kernel, key.user))] {
                let sum = &mut self.calls.entry((key.row.pid, nr, stacks)).or_default()[class];
                *sum = sum.saturating_add(row.total_ns);
            }
        }
    }

    /// The class of waits with these stacks.
    pub fn of_stack(&mut self, key: &WaitStackKey) -> CallClass {
        self.verdict(key).0
    }

    /// The same, with what decided it.
    pub fn verdict(&mut self, key: &WaitStackKey) -> Verdict {
        let profile = self.profile;
        let Some(nr) = key.row.nr else {
            let idle = *self.loops.entry(key.kernel).or_insert_with(|| in_main_loop(profile, key.kernel));
            return (if idle { CallClass::Idle } else { CallClass::Work }, Basis::Place);
        };
        let named = syscalls::class(nr);
        if named == CallClass::UserLock {
            return (named, Basis::Call);
        }
        match key.row.wait {
            Wait::Lock => return (CallClass::Work, Basis::Waker),
            Wait::Uninterruptible => return (CallClass::Work, Basis::Place),
            Wait::Sleep | Wait::Stopped | Wait::Woken | Wait::Preempted | Wait::Throttled => {}
        }
        let cause = self.cause(key.waker);
        if cause == Some(Cause::Disk) {
            return (CallClass::Work, Basis::Waker);
        }
        let place = *self.places.entry(key.kernel).or_insert_with(|| place(profile, key.kernel));
        if let Some(told) = place {
            return told;
        }
        if self.is_for_lock(key.user) {
            return (CallClass::Work, Basis::Place);
        }
        let told = match named {
            CallClass::Work => self.of_receiver(key, cause),
            CallClass::Idle | CallClass::UserLock => self.of_waiter(key, nr, cause),
        };
        told.unwrap_or((named, Basis::Call))
    }

    /// The verdict on a call whose name says work. It was idle if a request came through its socket; it was work if a
    /// process inside wrote something or released a lock.
    fn of_receiver(&self, key: &WaitStackKey, cause: Option<Cause>) -> Option<Verdict> {
        match (cause?, Ender::of(self.profile, key.waker)) {
            (Cause::Message, _) if has(self.profile, key.kernel, &RECEIVES) => {
                self.by_role(key.row.pid, None)
            }
            (Cause::Written | Cause::Released | Cause::Child, Ender::Process(waker)) => {
                let inside = near::is_inside(&self.profile.processes, key.row.pid, waker);
                inside.then_some((CallClass::Work, Basis::Waker))
            }
            _ => None,
        }
    }

    /// What a wait for another thread of user space was for.
    pub fn user_lock(&mut self, key: &WaitStackKey) -> UserLock {
        let cause = self.cause(key.waker);
        let (pid, profile) = (key.row.pid, self.profile);
        let in_request = key.row.nr.is_some_and(|nr| self.requests.is_in_request(pid, key.user, nr));
        let by_its_like = match key.waker {
            Waker::Process { pid: waker, user, .. } if waker == pid => {
                request::are_alike(profile, key.user, user)
            }
            _ => false,
        };
        let functions = user_functions(&profile.stacks, key.user);
        match user_lock::of(&functions, cause, (in_request, by_its_like)) {
            // A condition that nobody met: a pool without work waits so, and so does a request behind a lock.
            UserLock::Parked if is_endless(key) => UserLock::Endless,
            UserLock::Untold => match self.words.of(pid, key.user) {
                UserLock::Untold if is_endless(key) => UserLock::Endless,
                told => told,
            },
            told => told,
        }
    }

    /// The verdict on a call that waits by purpose.
    fn of_waiter(&self, key: &WaitStackKey, nr: CallNumber, cause: Option<Cause>) -> Option<Verdict> {
        if request::is_for_child(nr) {
            return None;
        }
        if self.requests.is_in_request(key.row.pid, key.user, nr) && cause != Some(Cause::Message) {
            return Some((CallClass::Work, Basis::Place));
        }
        let released = || self.released.contains(&(key.row.pid, nr & !BEGAN_BEFORE_BIT, key.user));
        if cause.is_none() && key.waker == Waker::Unseen {
            return self.of_open(key.row.pid, nr, key.user);
        }
        match (cause?, Ender::of(self.profile, key.waker)) {
            (Cause::Message, _) => self.by_role(key.row.pid, Some(nr)),
            (Cause::Timer, _) | (Cause::Signal, Ender::Interrupt) if released() => {
                Some((CallClass::Work, Basis::Place))
            }
            (Cause::Timer, _) | (Cause::Signal, Ender::Interrupt) => Some((CallClass::Idle, Basis::Waker)),
            (Cause::Released, _) => Some((CallClass::Work, Basis::Waker)),
            // Who supervises others waits for their ends; what they did is in their own rows.
            (Cause::Child, _) => Some((CallClass::Idle, Basis::Waker)),
            // A thread of its own may have handed it work, or an answer: nobody knows.
            (_, Ender::Process(waker)) if waker == key.row.pid => None,
            (Cause::Signal | Cause::Written | Cause::Futex, Ender::Process(waker)) => {
                match near::is_inside(&self.profile.processes, key.row.pid, waker) {
                    true => self.by_home(key),
                    false => Some((CallClass::Idle, Basis::Waker)),
                }
            }
            _ => None,
        }
    }

    /// Whether the user code waits for a lock, by whatever call.
    fn is_for_lock(&mut self, user: StackId) -> bool {
        let profile = self.profile;
        let told = || user_lock::waits_for_lock(user_functions(&profile.stacks, user));
        *self.locks.entry(user).or_insert_with(told)
    }

    /// The verdict on a wait that nobody has ended: what ended others in the same place tells.
    fn of_open(&self, pid: Pid, nr: CallNumber, user: StackId) -> Option<Verdict> {
        if user == StackId::NONE {
            None
        } else if self.released.contains(&(pid, nr & !BEGAN_BEFORE_BIT, user)) {
            Some((CallClass::Work, Basis::Place))
        } else {
            self.requests.is_taker(pid, user).then_some((CallClass::Idle, Basis::Place))
        }
    }

    /// The class of a call in flight, by its stacks alone: nobody has ended its wait yet.
    pub fn of_in_flight(
        &mut self,
        (pid, nr): (Pid, CallNumber),
        kernel: StackId,
        user: StackId,
    ) -> Option<CallClass> {
        let row = WaitKey { pid, nr: Some(nr), wait: Wait::Sleep };
        let (class, by) = self.verdict(&WaitStackKey { row, kernel, user, waker: Waker::Unseen });
        (by != Basis::Call).then_some(class)
    }

    /// The verdict on a wait that another process of the target ended. That process handed over new work if the waiter waits
    /// where it takes work; elsewhere it was a release, or an answer. A server or client takes work where messages arrive, a
    /// process without connections where it waits most.
    fn by_home(&self, key: &WaitStackKey) -> Option<Verdict> {
        let (pid, user) = (key.row.pid, key.user);
        let at_home = match self.profile.processes.role(pid) {
            Role::Unknown if user == StackId::NONE => return None,
            Role::Unknown => self.requests.is_home(pid, user),
            Role::Server | Role::Client | Role::Both => self.requests.is_taker(pid, user),
        };
        Some((if at_home { CallClass::Idle } else { CallClass::Work }, Basis::Waker))
    }

    /// The verdict on a wait that a message ended. For a server the message is a request. For a client it is an answer, if
    /// the client sends about as often as it waits in `polls`; a client that only listens has asked for nothing.
    fn by_role(&self, pid: Pid, polls: Option<CallNumber>) -> Option<Verdict> {
        let asks = || polls.is_none_or(|nr| self.sends(pid) >= self.waits(pid, nr).div_ceil(2));
        match self.profile.processes.role(pid) {
            // Nobody counted what it sends.
            Role::Client if self.profile.syscall.rows.is_empty() => None,
            Role::Server => Some((CallClass::Idle, Basis::Waker)),
            Role::Client if asks() => Some((CallClass::Work, Basis::Waker)),
            Role::Client => Some((CallClass::Idle, Basis::Waker)),
            Role::Both | Role::Unknown => None,
        }
    }

    /// Calls of a process that send.
    fn sends(&self, pid: Pid) -> u64 {
        let rows = self.profile.syscall.rows.range((pid, 0)..=(pid, u32::MAX));
        let sends = rows.filter(|((_, nr), _)| SENDS.contains(&&*syscalls::name(*nr)));
        sends.map(|(_, row)| row.latency.count()).fold(0, u64::saturating_add)
    }

    fn waits(&self, pid: Pid, nr: CallNumber) -> u64 {
        let row = WaitKey { pid, nr: Some(nr), wait: Wait::Sleep };
        self.profile.waits.rows.get(&row).map_or(0, Histogram::count)
    }

    fn cause(&mut self, waker: Waker) -> Option<Cause> {
        let (Waker::Interrupt { kernel } | Waker::OnTop { kernel, .. } | Waker::Process { kernel, .. }) =
            waker
        else {
            return None;
        };
        let profile = self.profile;
        let told = || ended::of(kernel_functions(&profile.stacks, kernel).map(locks::base));
        *self.causes.entry(kernel).or_insert_with(told)
    }

    /// A row's `whole` time by class, with what each class rests on. Time with stacks has the class of its
    /// stacks; for the rest see [`Self::of_rest`].
    pub fn split(&mut self, key: &WaitKey, whole: u64) -> Vec<(Verdict, u64)> {
        let (stacks, rest) = stacks(&self.profile.waits, key, whole);
        let mut sums: Vec<(Verdict, u64)> = Vec::new();
        for (stack, ns) in stacks {
            add(&mut sums, self.verdict(stack), ns);
        }
        if rest > 0 || sums.is_empty() {
            let verdict = self.of_rest(key, whole);
            add(&mut sums, verdict, rest);
        }
        sums
    }

    /// The verdict on a row's waits without stacks. If most of the row's time has stacks, it is the verdict
    /// on most of that time; otherwise the call's name decides.
    pub fn of_rest(&mut self, key: &WaitKey, whole: u64) -> Verdict {
        let (stacks, rest) = stacks(&self.profile.waits, key, whole);
        let mut sums: Vec<(Verdict, u64)> = Vec::new();
        for (stack, ns) in stacks {
            add(&mut sums, self.verdict(stack), ns);
        }
        let named = match key.nr {
            Some(nr) => (syscalls::class(nr), Basis::Call),
            None => (CallClass::Work, Basis::Place),
        };
        let known = rest < whole.div_ceil(2) || key.nr.is_none();
        let most = sums.into_iter().max_by_key(|(_, ns)| *ns).map(|(verdict, _)| verdict);
        most.filter(|_| known).unwrap_or(named)
    }

    /// Of a row's waits without stacks, in the whole recording; `row` may be a part of it.
    pub fn rest(&mut self, key: &WaitKey, row: &Histogram) -> Rest {
        if let Some(rest) = self.rests.get(key) {
            return *rest;
        }
        let waits = &self.profile.waits;
        let row = waits.rows.get(key).unwrap_or(row);
        let with_stacks = stacks(waits, key, row.total_ns).0.into_iter();
        let with_stacks = with_stacks.filter_map(|(stack, _)| waits.stacks.get(stack)).map(|row| row.waits);
        let from = self.profile.header.waits_have_stacks_from_ns();
        let long = row.buckets().filter(|(low, ..)| *low >= from).map(|(.., waits)| waits);
        let has_long = long.fold(0, u64::saturating_add) > with_stacks.fold(0, u64::saturating_add);
        let rest = Rest { verdict: self.of_rest(key, row.total_ns), has_long };
        self.rests.insert(*key, rest);
        rest
    }

    /// The class of a row: that of most of its time.
    pub fn of_row(&mut self, key: &WaitKey) -> Verdict {
        let whole = self.profile.waits.rows.get(key).map_or(0, |row| row.total_ns);
        let mut sums: Vec<(Verdict, u64)> = Vec::new();
        for ((class, by), ns) in self.split(key, whole) {
            match sums.iter_mut().find(|((own, _), _)| *own == class) {
                Some(sum) => sum.1 = sum.1.saturating_add(ns),
                None => sums.push(((class, by), ns)),
            }
        }
        sums.into_iter()
            .max_by_key(|(_, ns)| *ns)
            .map_or((CallClass::Work, Basis::Call), |(verdict, _)| verdict)
    }

    /// The class of a call of a process: the class of most of its long waits, or else of the call's name.
    pub fn of_call(&self, pid: Pid, nr: CallNumber) -> CallClass {
        let named = syscalls::class(nr);
        let sums = self.calls.get(&(pid, nr, None)).filter(|_| named != CallClass::UserLock);
        sums.and_then(most).unwrap_or(named)
    }

    /// The class of slow calls with these stacks: the class of their own waits, or else of all waits of this
    /// call, or else of the call's name.
    pub fn of_slow(&self, key: &SlowKey) -> CallClass {
        let named = syscalls::class(key.nr);
        if named == CallClass::UserLock {
            return named;
        }
        let found = self.calls.get(&(key.pid, key.nr, Some((key.kernel, key.user))));
        let found = found.or_else(|| self.calls.get(&(key.pid, key.nr, None)));
        found.and_then(most).unwrap_or(named)
    }
}

/// Whether a wait began before the recording, and nobody was seen ending it.
fn is_endless(key: &WaitStackKey) -> bool {
    key.waker == Waker::Unseen && key.row.nr.is_some_and(|nr| nr & BEGAN_BEFORE_BIT != 0)
}
