//! The calls that have not returned when the recording ends, and the waits that are not over.
//!
//! In: the task iterator and the CPUs' slots. Out: one call for each thread that is inside a call, with its
//! stack interned; rows of the open waits.

use std::collections::HashSet;

use profiler_common::abi::BEGAN_BEFORE_BIT;
use profiler_common::stack::{KERNEL, finish, mix, seed};

use super::sleepers::Sleepers;
use super::subjects::Subjects;
use super::{Recorder, identity};
use crate::collect::{Found, FoundStack, parse_in_flight, running};
use crate::machine::file_locks;
use crate::probes::offcpu::picture::stacks_from_ns;
use crate::profile::ledger::Population;
use crate::profile::waits::{QueueKey, WaitKey, WaitStackKey, WaitStackRow, Waker};
use crate::profile::{Class, InFlightCall, Pid, StackId, Wait};
use crate::render::syscalls::waits_for_file_locks;

impl Recorder {
    /// The calls in flight now, with their stacks.
    pub(super) fn in_flight(&mut self) -> Vec<InFlightCall> {
        if !self.profile.header.probes.iter().any(|plan| plan.probe == "syscall" && plan.active) {
            return Vec::new();
        }
        let now = crate::attach::now_ns();
        let output = match self.probes.in_flight() {
            Ok(output) => output,
            Err(error) => {
                tracing::warn!("calls in flight cannot be listed: {error:#}");
                return Vec::new();
            }
        };
        // The iterator runs as it is read: the slots come after it.
        let asleep = parse_in_flight(output);
        let (mut calls, mut seen) = (Vec::new(), HashSet::new());
        let (mut sleepers, mut subjects) = (Sleepers::default(), Subjects::default());
        for found in asleep {
            if let Some(found) = found.as_ref().filter(|found| found.nr.is_some()) {
                sleepers.add(calls.len(), found);
                subjects.add(calls.len(), found);
            }
            self.keep_in_flight(&mut calls, &mut seen, found, now);
        }
        let slots = self.slots.get(&0, 0);
        for found in slots.iter().flat_map(|slots| running(slots)) {
            self.keep_in_flight(&mut calls, &mut seen, Some(found), now);
        }
        for (place, user) in self.user_stacks(&sleepers) {
            if let Some(call) = calls.get_mut(place) {
                call.user = user;
            }
        }
        self.subjects(subjects, &mut calls);
        self.file_locks(&mut calls);
        calls
    }

    fn keep_in_flight(
        &mut self,
        calls: &mut Vec<InFlightCall>,
        seen: &mut HashSet<Pid>,
        found: Option<Found>,
        now: u64,
    ) {
        let Some(call) = found else {
            self.pending.ledger.count(Class::Implausible, 1);
            return;
        };
        if !call.comm.is_empty() && self.profile.processes.get(call.pid).is_none() && seen.insert(call.pid) {
            // The process has its leader's name, not this thread's.
            let comm = identity::name(call.pid).unwrap_or_else(|| call.comm.clone());
            self.see(call.pid, comm, 0);
        }
        calls.extend(self.in_flight_call(call, now));
    }

    fn in_flight_call(&mut self, call: Found, now: u64) -> Option<InFlightCall> {
        let nr = call.nr?;
        let kernel = self.kernel_stack(&call.stack);
        let comm = if call.comm.is_empty() {
            let name = identity::thread_name(call.pid, call.tid);
            name.unwrap_or_else(|| self.profile.processes.comm(call.pid).into())
        } else {
            call.comm
        };
        Some(InFlightCall {
            pid: call.pid,
            tid: call.tid,
            comm,
            nr,
            age_ns: now.saturating_sub(call.enter_ns).saturating_add(call.before_ns),
            at_least: call.at_least,
            kernel,
            user: StackId::NONE,
            wait: call.wait,
            held_by: None,
            subject: None,
        })
    }

    /// Names who holds the file locks that calls wait for, from the kernel's own list.
    fn file_locks(&mut self, calls: &mut [InFlightCall]) {
        if !calls.iter().any(|call| waits_for_file_locks(call.nr)) {
            return;
        }
        let holders = file_locks::holders();
        for call in calls.iter_mut().filter(|call| waits_for_file_locks(call.nr)) {
            call.held_by = holders.get(&call.pid.0).map(|holder| Pid(*holder));
            if let Some(holder) = call.held_by.filter(|holder| *holder != Pid(0)) {
                self.see_met(holder);
            }
        }
    }

    fn kernel_stack(&mut self, stack: &FoundStack) -> StackId {
        match stack {
            FoundStack::Sample(stack) => *stack,
            FoundStack::Addresses(addresses) => {
                let stack = stack_id(addresses);
                self.interner.kernel_stack(stack, addresses, false);
                stack
            }
        }
    }

    /// The waits that are open, as waits until now: what ends them is no more seen, the programs are detached.
    pub(super) fn open_waits(&mut self) {
        let active = |name| self.profile.header.probes.iter().any(|plan| plan.probe == name && plan.active);
        let (blocked, queued) = (active("offcpu"), active("runq"));
        if !blocked && !queued {
            return;
        }
        let now = crate::attach::now_ns();
        let output = match self.probes.in_flight() {
            Ok(output) => output,
            Err(error) => {
                tracing::warn!("waits that are open at the end cannot be listed: {error:#}");
                return;
            }
        };
        let (mut long, mut sleepers) = (Vec::new(), Sleepers::default());
        for found in parse_in_flight(output) {
            let Some(found) = found else {
                self.pending.ledger.count(Class::Implausible, 1);
                continue;
            };
            let Some(open) = found.open else { continue };
            for (wait, ns) in open.parts(now) {
                let measured = if wait.is_runnable() { queued } else { blocked };
                if ns > 0
                    && measured
                    && let Some(key) = self.keep_open_wait(&found, open.cpu, (wait, ns))
                {
                    sleepers.add(long.len(), &found);
                    long.push((key, ns));
                }
            }
        }
        for (place, user) in self.user_stacks(&sleepers) {
            if let Some((key, _)) = long.get_mut(place) {
                key.user = user;
            }
        }
        for (key, ns) in long {
            let row = WaitStackRow { waits: 1, total_ns: ns, max_ns: ns };
            self.pending.waits.stacks.entry(key).or_default().add(&row);
        }
    }

    /// Adds an open wait to its row; what is long enough has a row of its stacks, too.
    fn keep_open_wait(&mut self, found: &Found, cpu: u32, (wait, ns): (Wait, u64)) -> Option<WaitStackKey> {
        if !self.knows(found.pid) {
            let comm = identity::name(found.pid).unwrap_or_else(|| found.comm.clone());
            self.see(found.pid, comm, 0);
        }
        let nr = found.nr.map(|nr| if found.at_least { nr | BEGAN_BEFORE_BIT } else { nr });
        let row = WaitKey { pid: found.pid, nr, wait };
        let least = stacks_from_ns(&self.profile.header);
        let kernel = self.kernel_stack(&found.stack);
        let mut long = None;
        let waits = &mut self.pending.waits;
        waits.rows.entry(row).or_default().record(ns);
        if wait.is_runnable() {
            waits.queues.entry(QueueKey { pid: found.pid, cpu }).or_default().record(ns);
        } else if ns >= least && kernel != StackId::NONE {
            long = Some(WaitStackKey { row, kernel, user: StackId::NONE, waker: Waker::Unseen });
        }
        let ledger = &mut self.pending.ledger;
        ledger.grow(Population::Waits, 1);
        ledger.count(Class::WaitOpenAtEnd, 1);
        long
    }
}

/// The id of a kernel stack, by the kernel side's own hash.
fn stack_id(addresses: &[u64]) -> StackId {
    if addresses.is_empty() {
        return StackId::NONE;
    }
    StackId(finish(addresses.iter().fold(seed(0, KERNEL), |hash, address| mix(hash, *address))))
}
