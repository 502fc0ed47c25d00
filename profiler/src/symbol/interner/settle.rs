//! Addresses that no mapping covered are looked up again while their process lives.
//!
//! In: stacks with such an address; the maps as they are now. Out: the same stacks with better
//! frames, sent again under the same ids.

use std::collections::HashMap;
use std::io;

use super::{AddressSpace, Interner, Region, State, covers, positions, regions};
use crate::profile::Pid;
use crate::profile::stack::Stack;
use crate::symbol::unsettled::Waiting;

/// Processes whose maps are read in one round of [`Interner::settle`], at most.
const READINGS: usize = 64;

impl Interner {
    /// Looks once more, about once a second, at stacks with addresses that nothing covered: what their processes have
    /// mapped by now gives them better frames, and they are handed out anew. `last`: at all of them.
    pub fn settle(&mut self, last: bool) {
        let mut by_process: HashMap<Pid, Vec<Waiting>> = HashMap::new();
        for stack in self.unsettled.take(last) {
            by_process.entry(stack.pid).or_default().push(stack);
        }
        let mut readings = if last { usize::MAX } else { READINGS };
        for (pid, stacks) in by_process {
            let Some(mut space) = self.spaces.remove(&pid) else { continue };
            let mut gone = false;
            // Another stack's reading may have found it meanwhile.
            if readings > 0 && !stacks.iter().all(|stack| covers(&space, &stack.addresses)) {
                readings -= 1;
                let read = regions(&mut self.executables, pid);
                gone = is_gone(&read);
                space.refresh(read);
            }
            for stack in stacks {
                self.settle_one(&space, stack, gone);
            }
            self.spaces.insert(pid, space);
        }
    }

    /// Hands a stack out anew where its frames are others now; keeps it while an address is not covered.
    fn settle_one(&mut self, space: &AddressSpace, mut stack: Waiting, gone: bool) {
        let frames = self.user_frames(space, stack.pid, positions(&stack.addresses));
        let moved: Vec<_> = stack
            .frames
            .iter()
            .copied()
            .zip(frames.iter().copied())
            .filter(|(old, new)| old != new)
            .collect();
        if !moved.is_empty() {
            let (id, truncated) = (stack.id, stack.truncated);
            self.stacks.push(Stack { id, frames: frames.clone(), truncated });
            // The old frames are in no stack any more: they get the names of those that took their places.
            moved.iter().for_each(|(old, _)| self.set(*old, State::Named));
            self.moved.extend(moved);
            stack.frames = frames;
        }
        if !covers(space, &stack.addresses) && !gone {
            self.unsettled.put_back(stack);
        }
    }
}

/// Whether a reading of maps says that there is no process any more; other failures may pass.
fn is_gone(read: &io::Result<Vec<Region>>) -> bool {
    match read {
        Ok(regions) => regions.is_empty(),
        Err(error) => error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH),
    }
}
