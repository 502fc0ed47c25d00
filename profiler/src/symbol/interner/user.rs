//! Frames of user code.
//!
//! In: positions in a process. Out: interned frames, by what is mapped there; maps are read again where they do not tell.

use super::{AddressSpace, Backing, Interner, State, regions};
use crate::profile::Pid;
use crate::profile::stack::{FrameId, FrameSpace};

impl Interner {
    /// Pins a process when it is new, and reads its maps again when they do not cover a position.
    pub(super) fn cover(&mut self, pid: Pid, positions: impl Iterator<Item = u64>) {
        self.pin(pid);
        let Some(mut space) = self.spaces.remove(&pid) else { return };
        for position in positions {
            if space.find(position).is_none() && space.may_read_again() {
                space.merge(regions(&mut self.executables, pid), position);
            }
        }
        self.spaces.insert(pid, space);
    }

    /// Reads maps again, if it may be done now; whether that was done.
    pub(super) fn read_again(&mut self, pid: Pid) -> bool {
        let Some(space) = self.spaces.get_mut(&pid).filter(|space| space.may_read_again()) else {
            return false;
        };
        // Nothing in particular is looked for: another pause before the next reading.
        space.merge(regions(&mut self.executables, pid), 0);
        true
    }

    pub(super) fn user_frames(
        &mut self,
        space: &AddressSpace,
        pid: Pid,
        positions: impl Iterator<Item = u64> + Clone,
    ) -> Vec<FrameId> {
        let frames = positions.clone().map(|address| self.user_frame(space, pid, address)).collect();
        let mut regions = positions.filter_map(|address| space.find(address));
        let jit = regions.any(|region| region.backing == Backing::Anonymous);
        if jit && self.perf_maps.get(&pid) != Some(&true) {
            let held = self.executables.looker().hold(pid).is_some();
            self.perf_maps.insert(pid, held);
        }
        frames
    }

    fn user_frame(&mut self, space: &AddressSpace, pid: Pid, address: u64) -> FrameId {
        let Some(region) = space.find(address) else {
            let id = self.intern(FrameSpace::Anonymous(pid), address);
            self.set(id, State::Uncovered(space.reason()));
            return id;
        };
        match region.backing {
            Backing::Module(module) => self.intern(FrameSpace::Module(module), region.place(address)),
            Backing::Vdso => self.intern(FrameSpace::Vdso, region.place(address)),
            Backing::Anonymous => {
                let id = self.intern(FrameSpace::Anonymous(pid), address);
                self.set(id, State::Unnamed);
                id
            }
        }
    }
}
