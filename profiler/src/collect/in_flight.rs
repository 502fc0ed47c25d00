//! Calls in flight, as the task iterator wrote them.
//!
//! In: the iterator's output, the CPUs' slots. Out: one [`Found`] per thread inside a call.

use std::io::{BufReader, Read};

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

/// Decodes the iterator's output as it comes, a thread at a time: all of it is 100 MB for 100,000 threads.
/// `None` is a record that makes no sense, or the rest of an output that broke off.
pub fn parse(output: impl Read) -> impl Iterator<Item = Option<Found>> {
    let mut output = BufReader::with_capacity(64 * RECORD, output);
    let mut whole = true;
    std::iter::from_fn(move || {
        let mut bytes = Vec::with_capacity(RECORD);
        let read = output.by_ref().take(RECORD as u64).read_to_end(&mut bytes);
        let over = !whole || matches!(read, Ok(0));
        whole = read.is_ok() && bytes.len() == RECORD;
        (!over).then(|| if whole { one(&bytes) } else { None })
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread's record with two frames.
    fn thread(tag: u32, frames: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [tag, 7, 8, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend([1, frames].map(u32::to_ne_bytes).concat());
        bytes.resize(size_of::<InFlightEvent>(), 0);
        bytes.extend([10_u64, 20].map(u64::to_ne_bytes).concat());
        bytes.resize(RECORD, 0);
        bytes
    }

    #[test]
    fn threads_come_one_by_one_and_what_makes_no_sense_is_told() {
        let output = [thread(IN_FLIGHT, 2), thread(9, 2), thread(IN_FLIGHT, 1000)].concat();
        let found: Vec<_> = parse(output.as_slice()).collect();
        assert_eq!(found.len(), 3);
        let first = found[0].as_ref().unwrap();
        assert_eq!((first.pid, first.tid, first.enter_ns, first.at_least), (Pid(7), Tid(8), 5, true));
        assert_eq!(first.stack, FoundStack::Addresses(vec![10, 20]));
        assert!(found[1].is_none() && found[2].is_none());
    }

    #[test]
    fn an_output_that_breaks_off_is_told_once() {
        let whole = thread(IN_FLIGHT, 2);
        for cut in [1, RECORD - 1] {
            let output = [&whole[..], &whole[..cut]].concat();
            let found: Vec<_> = parse(output.as_slice()).map(|call| call.is_some()).collect();
            assert_eq!(found, [true, false]);
        }
        assert_eq!(parse([].as_slice()).count(), 0);
    }
}
