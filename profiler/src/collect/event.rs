//! Ring buffer records, decoded.
//!
//! In: bytes the kernel side wrote. Out: an [`Event`]; `None` for a record that makes no sense.

use profiler_common::death::DeathEvent;
use profiler_common::event::{CGROUP, DEATH, PROCESS, ProcessEvent, STACK};
use profiler_common::follow::CgroupEvent;
use profiler_common::stack::{StackHead, USER};

use crate::profile::{Pid, StackId};

/// One rare event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The frames of a new stack, leaf first.
    Stack {
        /// Its key.
        id: StackId,
        /// The process of a user stack; `None` for a kernel stack.
        pid: Option<Pid>,
        /// Raw addresses.
        addresses: Vec<u64>,
        /// It has as many frames as a stack may have here: its root side may be cut.
        truncated: bool,
    },
    /// A process got its first row, or executed another program.
    Process {
        /// Process.
        pid: Pid,
        /// When, monotonic ns.
        time_ns: u64,
        /// Command name, raw.
        comm: String,
        /// Id of its cgroup; 0 when unknown.
        cgroup: u64,
    },
    /// A cgroup of the target came or went, or one was made that may become one.
    Cgroup {
        /// What happened.
        event: CgroupEvent,
        /// The path of a new one, from its hierarchy's root.
        path: String,
    },
    /// A process failed or was killed.
    Death(DeathEvent),
}

/// Decodes one record; a stack of `most` frames is cut.
pub fn parse(bytes: &[u8], most: u32) -> Option<Event> {
    match u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) {
        STACK => stack(bytes, most),
        PROCESS => process(bytes),
        CGROUP => cgroup(bytes),
        DEATH => record(bytes).map(Event::Death),
        _ => None,
    }
}

/// Reads a plain record from the front of `bytes`.
pub fn record<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    let head = bytes.get(..size_of::<T>())?;
    // SAFETY: `T` is Pod (any bits are a value) and `head` has its size; alignment is not assumed.
    Some(unsafe { head.as_ptr().cast::<T>().read_unaligned() })
}

/// Reads `count` addresses from the front of `bytes`.
pub fn addresses(bytes: &[u8], count: u32) -> Option<Vec<u64>> {
    let bytes = bytes.get(..(count as usize).checked_mul(8)?)?;
    Some(bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).collect())
}

fn stack(bytes: &[u8], most: u32) -> Option<Event> {
    let head: StackHead = record(bytes)?;
    let addresses = addresses(bytes.get(size_of::<StackHead>()..)?, head.frames)?;
    Some(Event::Stack {
        id: StackId(head.id),
        pid: (head.space == USER).then_some(Pid(head.tgid)),
        truncated: head.frames >= most,
        addresses,
    })
}

fn process(bytes: &[u8]) -> Option<Event> {
    let event: ProcessEvent = record(bytes)?;
    Some(Event::Process {
        pid: Pid(event.tgid),
        time_ns: event.time_ns,
        comm: comm(&event.comm),
        cgroup: event.cgroup,
    })
}

fn cgroup(bytes: &[u8]) -> Option<Event> {
    let event: CgroupEvent = record(bytes)?;
    Some(Event::Cgroup { event, path: comm(bytes.get(size_of::<CgroupEvent>()..)?) })
}

/// Processes and their names, as rows hold them; nobody, and who has no name, is left out.
pub fn named(rows: impl Iterator<Item = (u32, [u64; 2])>) -> Vec<(Pid, String)> {
    let named = rows.filter(|(tgid, name)| *tgid != 0 && name[0] != 0);
    named.map(|(tgid, words)| (Pid(tgid), comm_of(words))).collect()
}

/// A command name as two words.
pub fn comm_of(words: [u64; 2]) -> String {
    comm(&words.map(u64::to_ne_bytes).concat())
}

/// A NUL-padded command name.
pub fn comm(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_or_lying_records_are_refused() {
        assert_eq!(parse(&[], 127), None);
        assert_eq!(parse(&9u32.to_ne_bytes(), 127), None);
        let mut lying = Vec::new();
        for word in [STACK, 1, 7, 0, 1, 1000] {
            lying.extend(word.to_ne_bytes());
        }
        assert_eq!(parse(&lying, 127), None);
    }

    #[test]
    fn a_stack_comes_back_whole() {
        let mut bytes = Vec::new();
        for word in [STACK, 42, 7, 0, USER, 2] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(10u64.to_ne_bytes());
        bytes.extend(20u64.to_ne_bytes());
        let expected =
            Event::Stack { id: StackId(7), pid: Some(Pid(42)), addresses: vec![10, 20], truncated: false };
        assert_eq!(parse(&bytes, 127), Some(expected));
        let cut = parse(&bytes, 2);
        assert!(matches!(cut, Some(Event::Stack { truncated: true, .. })), "{cut:?}");
    }
}
