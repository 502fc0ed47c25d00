//! The calls that have not returned when the recording ends.
//!
//! In: the task iterator and the CPUs' slots. Out: one call for each thread inside one, with its stack interned.

use std::collections::HashSet;

use super::Recorder;
use crate::collect::{Found, FoundStack, parse_in_flight, running};
use crate::profile::{Class, InFlightCall, Pid, StackId};

impl Recorder {
    /// The calls in flight now, with their stacks.
    pub(super) fn in_flight(&mut self) -> Vec<InFlightCall> {
        if !self.profile.header.probes.iter().any(|plan| plan.probe == "syscall" && plan.active) {
            return Vec::new();
        }
        let now = crate::probe::now_ns();
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
        for found in asleep {
            self.keep_in_flight(&mut calls, &mut seen, found, now);
        }
        let slots = self.slots.get(&0, 0);
        for found in slots.iter().flat_map(|slots| running(slots)) {
            self.keep_in_flight(&mut calls, &mut seen, Some(found), now);
        }
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
            self.see(call.pid, call.comm.clone(), 0);
        }
        calls.push(self.in_flight_call(call, now));
    }

    fn in_flight_call(&mut self, call: Found, now: u64) -> InFlightCall {
        let kernel = match call.stack {
            FoundStack::Sample(stack) => stack,
            FoundStack::Addresses(addresses) => {
                let stack = stack_id(&addresses);
                self.interner.kernel_stack(stack, &addresses, false);
                stack
            }
        };
        let comm =
            if call.comm.is_empty() { self.profile.processes.comm(call.pid).into() } else { call.comm };
        InFlightCall {
            pid: call.pid,
            tid: call.tid,
            comm,
            nr: call.nr,
            age_ns: now.saturating_sub(call.enter_ns),
            at_least: call.at_least,
            kernel,
        }
    }
}

/// The id of a stack that user space took, by the kernel side's own hash.
fn stack_id(addresses: &[u64]) -> StackId {
    use profiler_common::stack::{KERNEL, finish, mix, seed};
    if addresses.is_empty() {
        return StackId::NONE;
    }
    StackId(finish(addresses.iter().fold(seed(0, KERNEL), |hash, address| mix(hash, *address))))
}
