//! Names of code that no file holds.
//!
//! In: anonymous frames of processes. Out: what the processes' perf maps say of them, or why there is no name. The child
//! that looks reads perf maps, and holds them while their processes live.

use std::collections::HashMap;

use super::{Interner, State};
use crate::profile::Pid;
use crate::profile::stack::{Frame, FrameId, FrameSpace, Reason, Resolution, Symbols};

impl Interner {
    /// Takes the names of a process's JIT code as its perf map is now, and lets go of that.
    pub(super) fn name_jit_early(&mut self, pid: Pid) {
        if self.perf_maps.remove(&pid).is_some() {
            let jit = self.unnamed(|space| space == FrameSpace::Anonymous(pid));
            for (frame, resolution) in self.name_jit(pid, &jit) {
                self.early.insert(frame, resolution);
            }
            self.executables.looker().release(pid);
        }
    }

    /// Names the anonymous frames of all processes.
    pub(super) fn symbolize_anonymous(&mut self, symbols: &mut Symbols) {
        let mut by_process: HashMap<Pid, Vec<(FrameId, u64)>> = HashMap::new();
        for (frame, address) in self.unnamed(|space| matches!(space, FrameSpace::Anonymous(_))) {
            let known = self.frames.as_slice().get(frame.0 as usize);
            if let Some(Frame { space: FrameSpace::Anonymous(pid), .. }) = known {
                by_process.entry(*pid).or_default().push((frame, address));
            }
        }
        for (pid, frames) in by_process {
            for (frame, resolution) in self.name_jit(pid, &frames) {
                self.answer(symbols, frame, resolution);
            }
        }
    }

    /// Names anonymous frames of one process from its perf map, as it is now.
    pub(super) fn name_jit(&mut self, pid: Pid, frames: &[(FrameId, u64)]) -> Vec<(FrameId, Resolution)> {
        let unnamed = |frame: &FrameId| self.states.get(frame.0 as usize) == Some(&State::Unnamed);
        let asked = frames.iter().filter(|(frame, _)| unnamed(frame) && !self.early.contains_key(frame));
        let asked: Vec<(FrameId, u64)> = asked.copied().collect();
        let addresses: Vec<u64> = asked.iter().map(|(_, address)| *address).collect();
        let names = self.executables.looker().names(pid, &addresses);
        let mut names: HashMap<FrameId, String> =
            asked.iter().zip(names).filter_map(|((frame, _), name)| Some((*frame, name?))).collect();
        let mut named = Vec::with_capacity(frames.len());
        for &(frame, _) in frames {
            let early = self.early.remove(&frame);
            let state = self.states.get(frame.0 as usize);
            let resolution = match (early, state, names.remove(&frame)) {
                (Some(early), ..) => early,
                (None, Some(State::Uncovered(reason)), _) => Resolution::Unnamed(*reason),
                (None, _, Some(name)) => Resolution::Named(vec![self.pool.share(&name)]),
                (None, _, None) => Resolution::Unnamed(Reason::Jit),
            };
            named.push((frame, resolution));
        }
        named
    }
}
