//! User stacks of threads that sleep when the recording ends.
//!
//! In: threads that the task iterator found, with their registers. Out: their stacks, interned: unwound by tables as copies of the
//! kernel side are, or along frame pointers where there is no copy.

use std::time::Duration;

use profiler_common::processor::{DWARF_ORDER, WHERE};
use profiler_common::stack::{FRAMES, USER, finish, mix, seed};

use super::Recorder;
use crate::collect::{Found, Registers};
use crate::command::record::copied::count;
use crate::profile::{Class, Pid, StackCopy, StackId, Tid};
use crate::symbol::asleep::{self, UserCode};

/// Time for reading their stacks.
const WITHIN: Duration = Duration::from_secs(1);

/// A thread whose registers are known.
struct Sleeper {
    pid: Pid,
    tid: Tid,
    in_call: bool,
    registers: Registers,
}

impl Sleeper {
    fn code(&self) -> (Pid, UserCode) {
        let [ip, sp, bp] = WHERE.map(|at| self.register(at as usize / 8));
        (self.pid, UserCode { ip, sp, bp })
    }

    fn register(&self, word: usize) -> u64 {
        self.registers.get(word).copied().unwrap_or(0)
    }
}

/// Sleeping threads, each with the place of what its stack belongs to.
#[derive(Default)]
pub struct Sleepers {
    places: Vec<usize>,
    threads: Vec<Sleeper>,
    /// More than are read.
    too_many: u64,
}

impl Sleepers {
    /// One more, if its registers are known.
    pub fn add(&mut self, place: usize, found: &Found) {
        let Some(registers) = found.registers else { return };
        if self.threads.len() >= asleep::THREADS {
            self.too_many += 1;
            return;
        }
        self.places.push(place);
        self.threads.push(Sleeper { pid: found.pid, tid: found.tid, in_call: found.nr.is_some(), registers });
    }
}

impl Recorder {
    /// Their stacks by their places. Those that could not be read in time are counted, and have none.
    pub(super) fn user_stacks(&mut self, sleepers: &Sleepers) -> Vec<(usize, StackId)> {
        let codes: Vec<_> = sleepers.threads.iter().map(Sleeper::code).collect();
        let read = asleep::stacks(&codes, self.unwound.bytes, WITHIN);
        let (mut stacks, mut copied, mut copies) = (Vec::new(), Vec::new(), Vec::new());
        let mut missing = sleepers.too_many;
        for ((place, thread), read) in sleepers.places.iter().zip(&sleepers.threads).zip(read) {
            let list = stack_id(&read.addresses, thread.pid);
            let truncated = read.addresses.len() == FRAMES;
            if list == StackId::NONE {
                missing += 1;
            } else if read.bytes.is_empty() {
                self.interner.user_stack(list, thread.pid, &read.addresses, truncated);
                stacks.push((*place, list));
            } else {
                self.interner.list(list, thread.pid, &read.addresses, truncated);
                copied.push(*place);
                copies.push(copy(thread, list, read.bytes));
            }
        }
        for (place, found) in copied.into_iter().zip(self.interner.unwind(&copies)) {
            count(&mut self.pending.ledger, found.cut);
            stacks.push((place, found.stack));
        }
        let by_frame_pointers = if self.unwound.bytes > 0 { stacks.len() - copies.len() } else { 0 };
        self.pending.ledger.count(Class::StackCopyUnreadable, by_frame_pointers as u64);
        self.pending.ledger.count(Class::UserStackMissing, missing);
        stacks
    }
}

/// What the kernel side would have copied.
fn copy(thread: &Sleeper, list: StackId, stack: Box<[u8]>) -> StackCopy {
    StackCopy {
        // Nothing refers to it by this.
        id: list,
        list,
        pid: thread.pid,
        tid: thread.tid,
        time_ns: crate::attach::now_ns(),
        in_call: thread.in_call,
        registers: DWARF_ORDER.map(|word| thread.register(word)),
        stack,
        other: None,
    }
}

/// The id of a walk that user space took, by the kernel side's own hash.
fn stack_id(addresses: &[u64], pid: Pid) -> StackId {
    if addresses.is_empty() {
        return StackId::NONE;
    }
    StackId(finish(addresses.iter().fold(seed(pid.0, USER), |hash, address| mix(hash, *address))))
}
