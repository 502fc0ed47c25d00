//! Calls in flight, as the task iterator wrote them.
//!
//! In: the iterator's bytes, the CPUs' slots. Out: one [`Found`] per thread inside a call.

use profiler_common::event::{IN_FLIGHT, InFlightEvent};
use profiler_common::stack::FRAMES;
use profiler_common::syscall::{Slot, verdict};

use super::event::{addresses, comm, record};
use crate::profile::{Pid, StackId, Tid};

/// A thread inside a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// Thread name, raw.
    pub comm: String,
    /// System call number.
    pub nr: u32,
    /// Enter time, monotonic ns.
    pub enter_ns: u64,
    /// The call is older than `enter_ns` says.
    pub at_least: bool,
    /// Kernel stack.
    pub stack: FoundStack,
}

/// The kernel stack of a call in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundStack {
    /// Taken now, leaf first.
    Addresses(Vec<u64>),
    /// The thread is running: the stack of its latest CPU sample inside the call, if there is one.
    Sample(StackId),
}

/// The calls of threads that are running now, from the CPUs' slots.
pub fn running(slots: &[Slot]) -> impl Iterator<Item = Found> + '_ {
    slots.iter().filter(|slot| slot.in_call != 0 && slot.verdict == verdict::INSIDE).map(|slot| Found {
        pid: Pid(slot.tgid),
        tid: Tid(slot.tid),
        comm: String::new(),
        nr: slot.nr,
        enter_ns: slot.enter_ns,
        at_least: false,
        stack: FoundStack::Sample(StackId(slot.sample_stack)),
    })
}

/// Bytes of one thread's record: the event and a whole frame buffer.
const RECORD: usize = size_of::<InFlightEvent>() + FRAMES * 8;

/// Decodes the iterator's output; the second value counts records that make no sense.
pub fn parse(bytes: &[u8]) -> (Vec<Found>, u64) {
    let mut refused = u64::from(!bytes.len().is_multiple_of(RECORD));
    let mut found = Vec::new();
    for bytes in bytes.chunks_exact(RECORD) {
        match one(bytes) {
            Some(call) => found.push(call),
            None => refused += 1,
        }
    }
    (found, refused)
}

fn one(bytes: &[u8]) -> Option<Found> {
    let event: InFlightEvent = record(bytes)?;
    let frames = bytes.get(size_of::<InFlightEvent>()..)?;
    (event.tag == IN_FLIGHT).then_some(())?;
    Some(Found {
        pid: Pid(event.tgid),
        tid: Tid(event.tid),
        comm: comm(&event.comm),
        nr: event.nr,
        enter_ns: event.enter_ns,
        at_least: event.at_least != 0,
        stack: FoundStack::Addresses(addresses(frames, event.frames)?),
    })
}
