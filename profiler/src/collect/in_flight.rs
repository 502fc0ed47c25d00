//! Calls in flight, as the task iterator wrote them.
//!
//! In: the iterator's output, the CPUs' slots. Out: one [`Found`] per thread inside a call.

use std::io::{BufReader, Read};

use profiler_common::abi::wide;
use profiler_common::event::{IN_FLIGHT, InFlightEvent, NOT_IN_CALL};
use profiler_common::processor::REGISTER_WORDS;
use profiler_common::stack::FRAMES;
use profiler_common::syscall::{Slot, verdict};

use super::event::{addresses, comm, record};
use crate::profile::{Pid, StackId, Tid, Wait};

/// The words of `pt_regs`.
pub type Registers = [u64; REGISTER_WORDS];

/// A thread inside a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// Thread name, raw.
    pub comm: String,
    /// System call number; none: it is in no call, and waits.
    pub nr: Option<u32>,
    /// Enter time, monotonic ns.
    pub enter_ns: u64,
    /// The call is older than `enter_ns` says.
    pub at_least: bool,
    /// How long before `enter_ns` such a call is known to have begun, ns.
    pub before_ns: u64,
    /// Kernel stack.
    pub stack: FoundStack,
    /// The registers of its user code, as `pt_regs` has them; none: it runs, or its code is not of 64 bits.
    pub registers: Option<Registers>,
    /// What it waits for; none: it runs.
    pub wait: Option<Wait>,
    /// Its wait that is open; none where nobody saw it leave the CPU.
    pub open: Option<OpenWait>,
}

/// A wait off the CPU that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenWait {
    /// Since when, monotonic ns; at attach at the earliest.
    pub since_ns: u64,
    /// What for.
    pub wait: Wait,
    /// When it was woken since then, and what it waits for since.
    pub queued: Option<(u64, Wait)>,
    /// The CPU it was on last.
    pub cpu: u32,
}

impl OpenWait {
    fn of(event: &InFlightEvent) -> Option<Self> {
        let wait = |index: u32| Wait::ALL.get(index as usize).copied();
        let (since_ns, woken_ns, first) = (event.since_ns, event.woken_ns, wait(event.away)?);
        let queued = (woken_ns >= since_ns && !first.is_runnable()).then_some(woken_ns);
        let queued = match queued {
            Some(woken_ns) => Some((woken_ns, wait(event.queue)?)),
            None => None,
        };
        (since_ns != 0).then_some(Self { since_ns, wait: first, queued, cpu: event.cpu })
    }

    /// What it consists of until `end_ns`: what for, and how long.
    pub fn parts(&self, end_ns: u64) -> impl Iterator<Item = (Wait, u64)> {
        let woken_ns = self.queued.map_or(end_ns, |(woken_ns, _)| woken_ns.min(end_ns));
        let queued = self.queued.map(|(_, wait)| (wait, end_ns - woken_ns));
        [Some((self.wait, woken_ns.saturating_sub(self.since_ns))), queued].into_iter().flatten()
    }
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
        nr: Some(wide(slot.nr)),
        enter_ns: slot.enter_ns,
        at_least: false,
        before_ns: 0,
        stack: FoundStack::Sample(StackId(slot.sample_stack)),
        registers: None,
        wait: None,
        open: None,
    })
}

/// Where the registers begin in a thread's record: behind the event and a whole frame buffer.
const REGISTERS: usize = size_of::<InFlightEvent>() + FRAMES * 8;
/// Bytes of one thread's record.
const RECORD: usize = REGISTERS + size_of::<Registers>();

/// Decodes the iterator's output while it is read, one thread at a time: the whole is 100 MB for 100,000 threads.
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
        nr: (event.nr != NOT_IN_CALL).then(|| wide(event.nr)),
        enter_ns: event.enter_ns,
        at_least: event.at_least != 0,
        before_ns: event.before_ns,
        stack: FoundStack::Addresses(addresses(frames, event.frames)?),
        registers: (event.user != 0).then(|| registers(bytes)).flatten(),
        wait: Wait::ALL.get(event.wait as usize).copied(),
        open: OpenWait::of(&event),
    })
}

/// The registers of a thread's record.
fn registers(bytes: &[u8]) -> Option<Registers> {
    let words = addresses(bytes.get(REGISTERS..)?, REGISTER_WORDS as u32)?;
    words.try_into().ok()
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
    fn an_open_wait_is_blocked_until_it_is_woken_and_queued_since() {
        let event = InFlightEvent { since_ns: 100, woken_ns: 0, away: 3, queue: 4, ..Default::default() };
        let parts = |event: &InFlightEvent| OpenWait::of(event).unwrap().parts(150).collect::<Vec<_>>();
        assert_eq!(parts(&event), [(Wait::Stopped, 50)]);
        let woken = InFlightEvent { woken_ns: 120, ..event };
        assert_eq!(parts(&woken), [(Wait::Stopped, 20), (Wait::Woken, 30)]);
        let stale = InFlightEvent { woken_ns: 90, ..event };
        assert_eq!(parts(&stale), [(Wait::Stopped, 50)]);
        let preempted = InFlightEvent { away: 5, woken_ns: 120, ..event };
        assert_eq!(parts(&preempted), [(Wait::Preempted, 50)]);
        let late = InFlightEvent { since_ns: 200, ..event };
        assert_eq!(parts(&late), [(Wait::Stopped, 0)], "it began as the recording ended");
        assert_eq!(OpenWait::of(&InFlightEvent { since_ns: 0, ..event }), None);
        assert_eq!(OpenWait::of(&InFlightEvent { away: 99, ..event }), None);
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
