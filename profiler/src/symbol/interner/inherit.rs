//! Mappings of processes that die before they can be looked at.
//!
//! In: a process, its parent, where its code was. Out: a space that the process had: its own, or that of its parent, of which
//! it is a copy until it executes another program.

use super::{Backing, Interner, regions};
use crate::profile::Pid;

impl Interner {
    /// Lets a process that nobody could look at have its parent's mappings, if its code is in the same file at the same
    /// place: an instruction, the begin of its mapping, the file's name (or its beginning), as the kernel told them.
    pub fn inherit(&mut self, pid: Pid, parent: Pid, (ip, start, name): (u64, u64, &str)) {
        self.pin(pid);
        if self.spaces.get(&pid).is_some_and(|space| !space.is_missing()) {
            return;
        }
        self.pin(parent);
        let Some(space) = self.spaces.get(&parent).filter(|space| !space.is_missing()) else { return };
        let Some(region) = space.find(ip).filter(|region| region.start() == start) else { return };
        let Backing::Module(module) = region.backing else { return };
        let file = self.module(module).and_then(|module| module.path.rsplit('/').next());
        if !name.is_empty() && file.is_some_and(|file| file.starts_with(name)) {
            let space = space.clone();
            self.spaces.insert(pid, space);
        }
    }

    /// Reads the mappings of a process again, for what it has loaded since.
    pub fn look_again(&mut self, pid: Pid) {
        let Some(mut space) = self.spaces.remove(&pid) else { return };
        let read = regions(&mut self.executables, pid);
        space.refresh(read);
        self.spaces.insert(pid, space);
    }
}
