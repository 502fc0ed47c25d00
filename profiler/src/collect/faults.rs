//! Faults, out of their ring.
//!
//! In: bytes the kernel side wrote. Out: heads, each with a copy of the thread's stack.

use std::io;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, RingBuf};
use profiler_common::crash::{CALLS_TOLD, CallRing, FaultHead, Goroutine, LastCall};
use profiler_common::processor::{CALL_NUMBER, DWARF_ORDER};
use tokio::io::unix::AsyncFd;

use super::event::record;
use super::source::map;
use crate::profile::{OtherStack, Pid, StackCopy, StackId, Tid};

/// Faults that are taken at once, at most.
const TOGETHER: usize = 256;

/// The ring of faults, each CPU's last calls, and the stacks of goroutines that called C.
pub struct Faults {
    ring: AsyncFd<RingBuf<MapData>>,
    calls: Array<MapData, CallRing>,
    goroutines: HashMap<MapData, u32, Goroutine>,
}

/// A fault, and what came before it.
pub struct Told {
    /// What is known of it.
    pub head: FaultHead,
    /// Registers and stack.
    pub copy: StackCopy,
    /// The thread's last calls, the last one first.
    pub calls: Vec<LastCall>,
}

impl Faults {
    /// Takes the ring out of the loaded object.
    ///
    /// # Errors
    /// An object without it.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let ring = RingBuf::try_from(map(ebpf, "FAULTS")?).context("FAULTS")?;
        // SAFETY: the ring buffer keeps its descriptor open for as long as it lives, inside the AsyncFd.
        let ring = unsafe { AsyncFd::register(ring) }.context("watching the ring of faults")?;
        let calls = Array::try_from(map(ebpf, "LAST_CALLS")?).context("LAST_CALLS")?;
        let goroutines = HashMap::try_from(map(ebpf, "GOROUTINES")?).context("GOROUTINES")?;
        Ok(Self { ring, calls, goroutines })
    }

    /// Waits for one.
    ///
    /// # Errors
    /// The ring cannot be watched.
    pub async fn any(&self) -> io::Result<()> {
        self.ring.readable().await?.clear_ready();
        Ok(())
    }

    /// Takes some; none when there is none. Beside them, how many records made no sense.
    pub fn take(&mut self) -> (Vec<Told>, u64) {
        let (faults, senseless) = self.records();
        let last = if faults.is_empty() { Vec::new() } else { self.last_calls() };
        let told = |(head, copy): (FaultHead, StackCopy)| {
            let copy = StackCopy { other: self.goroutine(&head), ..copy };
            Told { calls: before(&head, &last), head, copy }
        };
        (faults.into_iter().map(told).collect(), senseless)
    }

    /// The stack of the goroutine that called C, if the fault is in C.
    fn goroutine(&self, head: &FaultHead) -> Option<OtherStack> {
        let kept = self.goroutines.get(&head.tid, 0).ok().filter(|kept| kept.time_ns == head.time_ns)?;
        let bytes = kept.stack.get(..usize::try_from(kept.bytes).ok()?)?;
        Some(OtherStack { sp: kept.sp, bp: kept.bp, bytes: bytes.into() })
    }

    /// What all CPUs remember; nothing where it is not kept.
    fn last_calls(&self) -> Vec<LastCall> {
        let rings = (0..self.calls.len()).filter_map(|cpu| self.calls.get(&cpu, 0).ok());
        rings.flat_map(|ring| ring.calls).filter(|call| call.tid != 0).collect()
    }

    fn records(&mut self) -> (Vec<(FaultHead, StackCopy)>, u64) {
        let (mut faults, mut senseless) = (Vec::new(), 0);
        while faults.len() < TOGETHER
            && let Some(record) = self.ring.get_mut().next()
        {
            match parse(&record) {
                Some(fault) => faults.push(fault),
                None => senseless += 1,
            }
        }
        (faults, senseless)
    }
}

/// The last calls of a fault's thread before it, the last one first.
fn before(head: &FaultHead, all: &[LastCall]) -> Vec<LastCall> {
    let own = all.iter().filter(|call| call.tid == head.tid && call.end_ns <= head.time_ns);
    let mut own: Vec<LastCall> = own.copied().collect();
    own.sort_by_key(|call| std::cmp::Reverse(call.end_ns));
    own.truncate(CALLS_TOLD);
    own
}

/// Decodes one record. What identifies it among copies is its own: nothing else refers to it.
fn parse(bytes: &[u8]) -> Option<(FaultHead, StackCopy)> {
    let head: FaultHead = record(bytes)?;
    let stack = bytes.get(size_of::<FaultHead>()..)?.get(..head.bytes as usize)?;
    let word = |at: usize| head.registers.get(at).copied().unwrap_or(0);
    let copy = StackCopy {
        id: StackId::NONE,
        list: StackId::NONE,
        pid: Pid(head.tgid),
        tid: Tid(head.tid),
        time_ns: head.time_ns,
        in_call: (word(CALL_NUMBER / 8) as i64) >= 0,
        registers: DWARF_ORDER.map(word),
        stack: stack.into(),
        other: None,
    };
    Some((head, copy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_whole_or_not_at_all() {
        let mut bytes = vec![0_u8; size_of::<FaultHead>()];
        bytes[0] = 7;
        bytes[16] = 16;
        // `orig_ax` of a thread that was in no call.
        let registers = size_of::<FaultHead>() - 21 * 8;
        bytes[registers + CALL_NUMBER..][..8].fill(0xff);
        bytes[registers + 16 * 8] = 9;
        assert!(parse(&bytes).is_none(), "its stack is missing");
        bytes.extend([1; 16]);
        let (head, copy) = parse(&bytes).unwrap();
        assert_eq!((head.tgid, copy.pid, copy.ip(), copy.stack.len()), (7, Pid(7), 9, 16));
        assert!(!copy.in_call);
        assert!(parse(&bytes[..40]).is_none());
        let call = |tid, end_ns| LastCall { tid, end_ns, ..LastCall::default() };
        let mut head = head;
        (head.tid, head.time_ns) = (8, 100);
        let mut all: Vec<LastCall> = (0..20).map(|at| call(8, at)).collect();
        all.extend([call(9, 50), call(8, 101)]);
        let ends: Vec<u64> = before(&head, &all).iter().map(|call| call.end_ns).collect();
        assert_eq!(ends, (4..20).rev().collect::<Vec<_>>(), "another thread's and later ones are left out");
    }
}
