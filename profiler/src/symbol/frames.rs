//! The table of frames: each (space, address) once.
//!
//! In: frames. Out: their ids, which count up. Some 24 bytes a frame: the index holds ids, not
//! keys. An attacker may choose addresses, so each table has its own hash key.

use std::hash::{BuildHasher, RandomState};

use crate::profile::stack::{Frame, FrameId, FrameSpace};

const EMPTY: u32 = u32::MAX;

/// Frames and an index of them (open addressing, at most half full).
#[derive(Debug)]
pub struct FrameTable {
    frames: Vec<Frame>,
    slots: Vec<u32>,
    key: (u64, u64),
}

impl FrameTable {
    /// An empty table with a key of its own.
    pub fn new() -> Self {
        let random = RandomState::new();
        let key = (random.hash_one(0), random.hash_one(1) | 1);
        Self { frames: Vec::new(), slots: vec![EMPTY; 1024], key }
    }

    /// The id of a frame, a new one when it is new.
    pub fn intern(&mut self, frame: Frame) -> FrameId {
        if self.frames.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let mut at = self.home(frame);
        loop {
            let id = self.slots.get(at).copied().unwrap_or(EMPTY);
            match self.frames.get(id as usize) {
                Some(known) if *known == frame => return FrameId(id),
                Some(_) => at = (at + 1) & (self.slots.len() - 1),
                None => break,
            }
        }
        let id = self.frames.len() as u32;
        self.frames.push(frame);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = id;
        }
        FrameId(id)
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots = vec![EMPTY; size];
        for (id, frame) in self.frames.iter().enumerate() {
            let mut at = self.home(*frame);
            while self.slots.get(at).is_some_and(|slot| *slot != EMPTY) {
                at = (at + 1) & (size - 1);
            }
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = id as u32;
            }
        }
    }

    /// Where a frame is looked for first: both halves of a keyed 128-bit product.
    fn home(&self, frame: Frame) -> usize {
        let space = match frame.space {
            FrameSpace::Kernel => 0,
            FrameSpace::Vdso => 1,
            FrameSpace::Module(module) => u64::from(module.0) << 2 | 2,
            FrameSpace::Anonymous(pid) => u64::from(pid.0) << 2 | 3,
        };
        let first = fold(frame.address ^ self.key.0, self.key.1);
        fold(first ^ space, 0x9e37_79b9_7f4a_7c15) as usize & (self.slots.len() - 1)
    }

    /// All frames by id.
    pub fn as_slice(&self) -> &[Frame] {
        &self.frames
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Pid;
    use crate::profile::stack::ModuleId;

    #[test]
    fn equal_frames_share_an_id_and_others_do_not() {
        let mut table = FrameTable::new();
        let spaces = [
            FrameSpace::Kernel,
            FrameSpace::Vdso,
            FrameSpace::Module(ModuleId(0)),
            FrameSpace::Anonymous(Pid(0)),
        ];
        let frames: Vec<_> = spaces
            .iter()
            .flat_map(|space| (0..5000).map(|at| Frame { space: *space, address: at << 12 }))
            .collect();
        let first: Vec<_> = frames.iter().map(|frame| table.intern(*frame)).collect();
        let again: Vec<_> = frames.iter().map(|frame| table.intern(*frame)).collect();
        assert_eq!(first, again);
        assert_eq!(first, (0..20_000).map(FrameId).collect::<Vec<_>>());
        assert_eq!(table.as_slice(), frames);
    }
}
