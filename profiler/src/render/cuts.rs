//! Names and stacks that no output shows whole.
//!
//! In: the stacks of a profile. Out: counts for the ledger, the same for a recording and its replay.

use std::collections::HashSet;

use super::clean;
use super::name::MAX_NAMES;
use crate::profile::{Class, Ledger, Resolution, StackTable};

/// Counts names that are cut, and stacks with more names than are shown.
pub fn count(stacks: &StackTable, ledger: &mut Ledger) {
    let mut names = HashSet::new();
    let mut of_frame = Vec::new();
    for (id, _) in stacks.iter_frames() {
        let functions = match stacks.resolution(id) {
            Resolution::Named(functions) => functions.as_slice(),
            Resolution::Unnamed(_) => &[],
        };
        names.extend(functions.iter().filter(|name| clean::frame_is_cut(name)).map(|name| &**name));
        of_frame.push(functions.len().max(1));
    }
    ledger.count(Class::NameCut, names.len() as u64);
    let names_of = |frames: &[crate::profile::FrameId]| -> usize {
        frames.iter().map(|frame| of_frame.get(frame.0 as usize).copied().unwrap_or(1)).sum()
    };
    let cut = stacks.iter().filter(|frames| names_of(frames) > MAX_NAMES).count();
    ledger.count(Class::StackNamesCut, cut as u64);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::profile::stack::{Stack, Symbols};
    use crate::profile::{Frame, FrameId, FrameSpace, StackId};

    #[test]
    fn what_is_cut_is_counted_once() {
        let mut stacks = StackTable::default();
        let frames = (0..3).map(|address| Frame { space: FrameSpace::Kernel, address }).collect();
        let stack = |id, frames: &[u32]| Stack {
            id: StackId(id),
            frames: frames.iter().map(|frame| FrameId(*frame)).collect(),
            truncated: false,
        };
        stacks.extend(Vec::new(), frames, vec![stack(1, &[0, 1, 2, 1, 1, 1]), stack(2, &[0, 2])]);
        let long: Arc<str> = "x".repeat(253).into();
        let many = Resolution::Named(vec![Arc::clone(&long); 64]);
        let named =
            |names: &[&Arc<str>]| Resolution::Named(names.iter().map(|name| Arc::clone(name)).collect());
        stacks.resolve(Symbols {
            frames: vec![(FrameId(0), named(&[&long])), (FrameId(1), many)],
            locks: Vec::new(),
        });
        let mut ledger = Ledger::default();
        count(&stacks, &mut ledger);
        assert_eq!((ledger.get(Class::NameCut), ledger.get(Class::StackNamesCut)), (1, 1));
    }
}
