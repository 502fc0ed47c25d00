//! Mappings of processes that were there before the recording, for use if such a process is gone when its
//! first event is read.
//!
//! In: mappings of processes. Out: the same, bounded. They replace mappings that can no longer be read, but
//! only if the dead thread's code lies in them.

use std::collections::HashMap;

use super::process::{AddressSpace, Region};
use crate::profile::Pid;

/// Executable mappings kept of all these processes: some 40 bytes each. A program may have as many as the kernel allows, 65,530.
const MAPPINGS: usize = 1 << 18;

/// What became of a look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// Its mappings are kept.
    Kept,
    /// It has none, or none that may be read or kept, or they are known anyway.
    Not,
    /// Time was over before all its files were opened, or nobody answered in time: another look has less to do.
    Late,
}

/// Mappings by process.
#[derive(Debug, Default)]
pub struct Spaces {
    spaces: HashMap<Pid, AddressSpace>,
    mappings: usize,
}

impl Spaces {
    /// What was foreseen of a process.
    pub fn get(&self, pid: Pid) -> Option<&AddressSpace> {
        self.spaces.get(&pid)
    }

    /// The process is another program, or none any more.
    pub fn forget(&mut self, pid: Pid) {
        if let Some(space) = self.spaces.remove(&pid) {
            self.mappings -= space.count();
        }
    }

    /// Keeps mappings, unless there are too many.
    pub fn keep(&mut self, pid: Pid, regions: Vec<Region>) -> Foreseen {
        let mappings = self.mappings.saturating_add(regions.len());
        if regions.is_empty() || mappings > MAPPINGS {
            return Foreseen::Not;
        }
        self.mappings = mappings;
        self.spaces.insert(pid, AddressSpace::new(Ok(regions)));
        Foreseen::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::maps::Mapping;
    use crate::symbol::process::Backing;

    #[test]
    fn mappings_of_all_processes_are_bounded() {
        let region = Region::new(
            &Mapping { start: 1, end: 2, offset: 0, device: (0, 0), inode: 0, path: String::new() },
            Backing::Anonymous,
        );
        let mut spaces = Spaces::default();
        assert_eq!(spaces.keep(Pid(1), vec![region; MAPPINGS]), Foreseen::Kept);
        assert_eq!(spaces.keep(Pid(2), vec![region]), Foreseen::Not);
        spaces.forget(Pid(1));
        assert_eq!(spaces.keep(Pid(2), vec![region]), Foreseen::Kept);
        assert_eq!(Spaces::default().keep(Pid(3), Vec::new()), Foreseen::Not);
    }
}
