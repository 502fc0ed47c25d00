//! Copies of user stacks, out of their ring.
//!
//! In: bytes the kernel side wrote. Out: [`StackCopy`]s. Back: where the stacks of threads begin, so that no more than that
//! is copied.

use std::io;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{HashMap, MapData, RingBuf};
use profiler_common::copy::{CopyHead, IN_CALL, KnownStack, SLOTS, known_hash, known_key};
use profiler_common::processor::DWARF_ORDER;
use profiler_common::stack::mix;
use tokio::io::unix::AsyncFd;

use super::event::record;
use super::source::map;
use crate::profile::{Pid, StackCopy, StackId, Tid};

/// The ring of copies.
pub struct Copies {
    ring: AsyncFd<RingBuf<MapData>>,
    tops: HashMap<MapData, u32, u64>,
    stacks: HashMap<MapData, u64, KnownStack>,
    /// What the map of tops holds.
    known: std::collections::HashMap<Tid, u64>,
}

/// Threads whose stacks' beginnings are known; the map holds no more.
const KNOWN: usize = 16_384;

impl Copies {
    /// Takes the ring out of the loaded object.
    ///
    /// # Errors
    /// An object without it.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let ring = RingBuf::try_from(map(ebpf, "COPIES")?).context("COPIES")?;
        let tops = HashMap::try_from(map(ebpf, "STACK_TOPS")?).context("STACK_TOPS")?;
        let stacks = HashMap::try_from(map(ebpf, "KNOWN_STACKS")?).context("KNOWN_STACKS")?;
        // SAFETY: the ring buffer keeps its descriptor open for as long as it lives, inside the AsyncFd.
        let ring = unsafe { AsyncFd::register(ring) }.context("watching the ring of copies")?;
        Ok(Self { ring, tops, stacks, known: std::collections::HashMap::new() })
    }

    /// Waits until many copies wait.
    ///
    /// # Errors
    /// The ring cannot be watched.
    pub async fn many(&self) -> io::Result<()> {
        self.ring.readable().await?.clear_ready();
        Ok(())
    }

    /// Takes copies until `enough` bytes of stacks; returns them, the bytes, and how many records made no sense.
    pub fn take(&mut self, enough: usize) -> (Vec<StackCopy>, usize, u64) {
        let (mut copies, mut bytes, mut senseless) = (Vec::new(), 0, 0);
        while bytes < enough
            && let Some(record) = self.ring.get_mut().next()
        {
            match parse(&record) {
                Some(copy) => {
                    bytes += copy.stack.len();
                    copies.push(copy);
                }
                None => senseless += 1,
            }
        }
        (copies, bytes, senseless)
    }

    /// Notes where the stack of a thread begins; 0: nobody knows any more.
    pub fn learn(&mut self, tid: Tid, top: u64) {
        if self.known.get(&tid).copied().unwrap_or(0) == top {
            return;
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(tid, top);
        // Without it, more is copied than is needed.
        let _ = if top == 0 { self.tops.remove(&tid.0) } else { self.tops.insert(tid.0, top, 0) };
    }
}

impl Copies {
    /// Lets the kernel side recognize a stack by its return addresses, at `words` from the stack pointer.
    pub fn recognize(&mut self, copy: &StackCopy, stack: StackId, words: &[u16]) {
        if let Some((key, known)) = known(copy, stack, words) {
            // Without it, the stack is copied once more.
            let _ = self.stacks.insert(key, known, 0);
        }
    }
}

/// What the kernel side has to know of a stack; `None` if it has too many frames.
fn known(copy: &StackCopy, stack: StackId, words: &[u16]) -> Option<(u64, KnownStack)> {
    let mut known = KnownStack { id: stack.0, hash: 0, slots: words.len() as u32, pad: 0, words: [0; SLOTS] };
    if words.is_empty() {
        return None;
    }
    known.words.get_mut(..words.len())?.copy_from_slice(words);
    let mut hash = 0;
    for word in words {
        let at = 8 * usize::from(*word);
        hash = mix(hash, u64::from_le_bytes(copy.stack.get(at..at + 8)?.try_into().ok()?));
    }
    known.hash = known_hash(hash, stack.0);
    Some((known_key(copy.list.0, copy.sp()), known))
}

/// Decodes one record.
fn parse(bytes: &[u8]) -> Option<StackCopy> {
    let head: CopyHead = record(bytes)?;
    let stack = bytes.get(size_of::<CopyHead>()..)?.get(..head.bytes as usize)?;
    Some(StackCopy {
        id: StackId(head.id),
        list: StackId(head.list),
        pid: Pid(head.tgid),
        tid: Tid(head.tid),
        time_ns: head.time_ns,
        in_call: head.flags & IN_CALL != 0,
        registers: DWARF_ORDER.map(|word| head.registers.get(word).copied().unwrap_or(0)),
        stack: stack.into(),
        other: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_come_by_their_dwarf_numbers_and_short_records_are_refused() {
        // Words of `pt_regs` that tell their own position.
        let mut words = vec![7_u64 | 8 << 32, u64::from(IN_CALL) | 16 << 32, 5, 6, 99];
        words.extend(0..21);
        words.extend([0xaa, 0xbb]);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let copy = parse(&bytes).unwrap();
        assert_eq!((copy.pid, copy.tid, copy.in_call), (Pid(7), Tid(8), true));
        assert_eq!((copy.id, copy.list, copy.time_ns), (StackId(5), StackId(6), 99));
        // rbp, rsp, rip (arch/x86/include/asm/ptrace.h).
        assert_eq!((copy.registers[6], copy.registers[7], copy.ip()), (4, 19, 16));
        assert_eq!(copy.stack.len(), 16);
        assert_eq!(parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(parse(&[]), None);
    }
}
