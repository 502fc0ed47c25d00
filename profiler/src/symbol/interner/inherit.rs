//! Mappings of processes that die before they can be looked at.
//!
//! In: a process, its parent, where its code was. Out: an address space that the process had: its own, as it
//! is or as it was when the recording began, or its parent's, of which it is a copy until it executes another
//! program.

use super::{AddressSpace, Backing, Interner, regions};
use crate::profile::Pid;

impl Interner {
    /// Lets a process that nobody could look at have the mappings that were foreseen, or its parent's, if its code is in the
    /// same file at the same place: an instruction, the begin of its mapping, the file's name (or its beginning), as the
    /// kernel told them. What was foreseen may be of a program before this one, or of a process before this one.
    pub fn inherit(&mut self, pid: Pid, parent: Pid, code: (u64, u64, &str)) {
        self.pin(pid);
        if self.spaces.get(&pid).is_some_and(|space| !space.is_missing()) {
            return;
        }
        self.pin(parent);
        let spaces = [self.ahead.get(pid), self.spaces.get(&parent), self.ahead.get(parent)];
        let space = spaces.into_iter().flatten().find(|space| self.fits(space, code)).cloned();
        if let Some(space) = space {
            self.spaces.insert(pid, space);
        }
    }

    /// Whether a space has an instruction in a file of that name, mapped from that address on.
    fn fits(&self, space: &AddressSpace, (ip, start, name): (u64, u64, &str)) -> bool {
        let region = space.find(ip).filter(|region| region.start() == start);
        let Some(Backing::Module(module)) = region.map(|region| region.backing) else { return false };
        let file = self.module(module).and_then(|module| module.path.rsplit('/').next());
        !name.is_empty() && file.is_some_and(|file| file.starts_with(name))
    }

    /// Reads the mappings of a process again, for what it has loaded since.
    pub fn look_again(&mut self, pid: Pid) {
        let Some(mut space) = self.spaces.remove(&pid) else { return };
        let read = regions(&mut self.executables, pid);
        space.refresh(read);
        self.spaces.insert(pid, space);
    }
}
