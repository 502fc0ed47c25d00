//! Processes that have ended, and stacks that have no room.
//!
//! In: processes of which no stack comes any more. Out: names of their code that is in no file; nothing else is kept of them.

use std::collections::{HashMap, HashSet};

use super::{FrameId, FrameSpace, Interner, STACKS, StackId};
use crate::profile::Pid;
use crate::profile::stack::Symbols;

impl Interner {
    /// Whether a stack is seen for the first time, and has room.
    pub(super) fn is_new(&mut self, id: StackId) -> bool {
        if self.seen.len() < STACKS {
            return self.seen.insert(id);
        }
        self.dropped += u64::from(!self.seen.contains(&id));
        false
    }

    /// Whether another stack would have no room.
    pub fn is_full(&self) -> bool {
        self.seen.len() >= STACKS
    }

    /// Whether a stack's frames came, and had room.
    pub fn knows(&self, id: StackId) -> bool {
        self.seen.contains(&id)
    }

    /// How many stacks had no room since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Names their code that is in no file, as far as that is known, and forgets them.
    pub fn end(&mut self, ended: &[Pid]) -> Symbols {
        let ended: HashSet<Pid> = ended.iter().copied().collect();
        let mut frames: HashMap<Pid, Vec<(FrameId, u64)>> = HashMap::new();
        let of = |space| match space {
            FrameSpace::Anonymous(pid) => Some(pid).filter(|pid| ended.contains(pid)),
            FrameSpace::Kernel | FrameSpace::Module(_) | FrameSpace::Vdso => None,
        };
        for (frame, address) in self.unnamed(|space| of(space).is_some()) {
            let known = self.frames.as_slice().get(frame.0 as usize);
            if let Some(pid) = known.and_then(|known| of(known.space)) {
                frames.entry(pid).or_default().push((frame, address));
            }
        }
        let mut symbols = Symbols::default();
        for (pid, frames) in frames {
            for (frame, resolution) in self.name_jit(pid, &frames) {
                self.answer(&mut symbols, frame, resolution);
            }
        }
        for pid in ended {
            self.spaces.remove(&pid);
            self.ahead.forget(pid);
            self.drop_lists(pid);
            for stack in self.stacks_of.remove(&pid).unwrap_or_default() {
                self.seen.remove(&stack);
            }
            self.unsettled.forget(pid);
            for list in self.lists.by_process.remove(&pid).unwrap_or_default() {
                self.lists.known.remove(&list);
            }
            if self.perf_maps.remove(&pid).is_some() {
                self.executables.looker().release(pid);
            }
        }
        symbols
    }
}
