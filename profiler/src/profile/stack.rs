//! Stacks, frames and their names.
//!
//! In: interned frames and stacks from chunks, names from `symbol`. Out: look-ups by id.
//! Frames run from the leaf (index 0) to the root, as the kernel gives them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::module::{Module, Segment};
pub use super::packed::FrameId;
use super::process::Pid;

/// Functions kept at one position: the innermost ones, and the real function last.
pub const FUNCTIONS: usize = 64;

/// Stacks of ended processes with different frames, at most.
const SHAPES: usize = 1 << 17;
/// Removed stacks that are remembered, some 20 bytes each; a later one that comes again has lost its frames.
const ALIASES: usize = 1 << 20;
/// Memory of a stack beside its frames, bytes: its entry and its allocation.
const STACK_MEMORY: u64 = 96;
/// Memory of a frame, without its name, bytes.
pub const FRAME_MEMORY: u64 = (size_of::<Frame>() + size_of::<Resolution>()) as u64;

/// A stack: the kernel side's 64-bit hash of its frames (and process).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StackId(pub u64);

impl StackId {
    /// No stack was taken.
    pub const NONE: Self = Self(profiler_common::stack::NO_STACK);
    /// A stack that was taken but had no room; its frames were not kept.
    pub const DROPPED: Self = Self(u64::MAX);
}

/// Position of a module in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModuleId(pub u32);

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameSpace {
    /// Kernel code (built in or a module), at a kernel address.
    Kernel,
    /// A file mapped into a process; the frame's `address` is an offset in that file.
    Module(ModuleId),
    /// Memory of a process with no file behind it (JIT code), at a user address.
    Anonymous(Pid),
    /// The vDSO; the frame's `address` is an offset in it.
    Vdso,
}

/// One position in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// Where.
    pub space: FrameSpace,
    /// Kernel or user address, or file offset: `space` says which.
    pub address: u64,
}

/// Ordered frames, leaf first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// Its key.
    pub id: StackId,
    /// Leaf first.
    #[serde(with = "super::packed")]
    pub frames: Vec<FrameId>,
    /// The stack was deeper than a record holds; its root side is cut.
    pub truncated: bool,
}

/// Why a frame has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The capture ended before names were looked up.
    NotReached,
    /// The process was gone before its maps could be read.
    ProcessGone,
    /// No mapping covers the address.
    Unmapped,
    /// The module has no symbol there (stripped).
    NoSymbol,
    /// The module could not be opened or is no ELF file we can read.
    Unreadable,
    /// The module could not be opened: no open file was left.
    NoFileLeft,
    /// The file system of the module did not answer in time.
    NoAnswer,
    /// Anonymous memory without a usable perf map (JIT code).
    Jit,
    /// `/proc/kallsyms` hides its addresses from this user.
    KernelHidden,
}

/// Why a user stack that was unwound ends before its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cut {
    /// The copied part of the stack ends.
    Window,
    /// The stack goes on elsewhere: that part was not copied.
    OtherStack,
    /// No unwind table covers the code, and it keeps no frame pointer.
    NoTable,
    /// The code's file cannot be read, or its tables broke their reader.
    Unreadable,
    /// The tables' rules lead nowhere.
    Rules,
    /// The next return address lies in no code.
    Unmapped,
    /// More frames than are kept.
    Deep,
    /// The process was gone before its mappings could be read.
    ProcessGone,
    /// There was no time to unwind it.
    NotReached,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Window,
        Self::OtherStack,
        Self::NoTable,
        Self::Unreadable,
        Self::Rules,
        Self::Unmapped,
        Self::Deep,
        Self::ProcessGone,
        Self::NotReached,
    ];

    /// The frame that stands for what is cut off.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Window => "[cut: copied part of the stack ends]",
            Self::OtherStack => "[cut: goes on on another stack]",
            Self::NoTable => "[cut: code without unwind table and frame pointer]",
            Self::Unreadable => "[cut: unwind tables unreadable]",
            Self::Rules => "[cut: unwind tables lead nowhere]",
            Self::Unmapped => "[cut: return address in no code]",
            Self::Deep => "[cut: more frames than are kept]",
            Self::ProcessGone => "[cut: process gone]",
            Self::NotReached => "[cut: no time to unwind]",
        }
    }
}

/// What is known of a frame's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Resolution {
    /// Functions at this position, innermost inlined first, the real function last. Never empty.
    Named(Vec<Arc<str>>),
    /// No name.
    Unnamed(Reason),
}

/// Names for frames.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Symbols {
    /// Frame → names, or why there is none.
    pub frames: Vec<(FrameId, Resolution)>,
    /// Static locks: address → symbol.
    pub locks: Vec<(u64, Arc<str>)>,
}

/// Takes out what is too much of one position, from the middle; whether there was any.
fn bound(resolution: &mut Resolution) -> bool {
    match resolution {
        Resolution::Named(functions) if functions.len() > FUNCTIONS => {
            functions.drain(FUNCTIONS - 1..functions.len() - 1);
            functions.shrink_to_fit();
            true
        }
        Resolution::Named(_) | Resolution::Unnamed(_) => false,
    }
}

/// All stacks of a session.
#[derive(Clone, Debug, Default)]
pub struct StackTable {
    modules: Vec<Module>,
    frames: Vec<Frame>,
    resolutions: Vec<Resolution>,
    stacks: HashMap<StackId, (Box<[FrameId]>, bool)>,
    cuts: HashMap<StackId, Cut>,
    locks: HashMap<u64, Arc<str>>,
    /// Frames of ended processes' stacks → the stack that is kept.
    shapes: HashMap<Box<[FrameId]>, StackId>,
    /// Names in memory of ended processes → the frame that is kept.
    faces: HashMap<Resolution, FrameId>,
    /// Removed stacks → the stack that stands for each.
    aliases: HashMap<StackId, StackId>,
}

impl StackTable {
    /// Appends what one interval saw first.
    pub fn extend(&mut self, modules: Vec<Module>, frames: Vec<Frame>, stacks: Vec<Stack>) {
        self.modules.extend(modules);
        self.resolutions.extend(frames.iter().map(|_| Resolution::Unnamed(Reason::NotReached)));
        self.frames.extend(frames);
        for stack in stacks {
            self.stacks.insert(stack.id, (stack.frames.into_boxed_slice(), stack.truncated));
        }
    }

    /// Notes why stacks end before their roots.
    pub fn note_cuts(&mut self, cuts: Vec<(StackId, Cut)>) {
        self.cuts.extend(cuts);
    }

    /// Why an unwound stack ends before its root.
    pub fn cut(&self, id: StackId) -> Option<Cut> {
        self.cuts.get(&id).copied()
    }

    /// Names frames; names for frames that do not exist are ignored (a hostile capture). How many of them have more than
    /// [`FUNCTIONS`] functions, and lost the rest.
    pub fn resolve(&mut self, symbols: Symbols) -> u64 {
        let mut cut = 0;
        for (id, mut resolution) in symbols.frames {
            if let Some(slot) = self.resolutions.get_mut(id.0 as usize) {
                cut += u64::from(bound(&mut resolution));
                *slot = resolution;
            }
        }
        self.locks.extend(symbols.locks);
        cut
    }

    /// The stack that stands for all of ended processes with the same frames. In memory without a file, frames of one name,
    /// or without a name for one reason, are the same: addresses say nothing once their process is gone. None: there is
    /// no room for another shape.
    pub fn alike(&mut self, id: StackId) -> Option<StackId> {
        let Some((frames, truncated)) = self.stacks.get(&id) else {
            return Some(self.aliases.get(&id).copied().unwrap_or(id));
        };
        // A cut one is another than the same one that ends there.
        let mark = truncated.then_some(FrameId(u32::MAX));
        let mut shape: Vec<FrameId> = frames.iter().copied().chain(mark).collect();
        for frame in &mut shape {
            let anonymous = self
                .frames
                .get(frame.0 as usize)
                .is_some_and(|known| matches!(known.space, FrameSpace::Anonymous(_)));
            let resolution = self.resolutions.get(frame.0 as usize);
            let told = resolution.filter(|told| **told != Resolution::Unnamed(Reason::NotReached));
            if let Some(told) = told.filter(|_| anonymous) {
                *frame = *self.faces.entry(told.clone()).or_insert(*frame);
            }
        }
        if self.shapes.len() >= SHAPES && !self.shapes.contains_key(&*shape) {
            return None;
        }
        let kept = *self.shapes.entry(shape.clone().into_boxed_slice()).or_insert(id);
        if kept == id
            && let Some((frames, truncated)) = self.stacks.get_mut(&id)
        {
            shape.truncate(shape.len() - usize::from(*truncated));
            *frames = shape.into_boxed_slice();
        }
        Some(kept)
    }

    /// Removes stacks that others stand for. Their ids may come again, under the pid of another process of the same program:
    /// the kernel side sends the frames of an id once.
    pub fn remove(&mut self, gone: impl Iterator<Item = (StackId, StackId)>) {
        for (id, kept) in gone {
            self.stacks.remove(&id);
            if self.aliases.len() < ALIASES {
                self.aliases.insert(id, kept);
            }
        }
    }

    fn find(&self, id: StackId) -> Option<&(Box<[FrameId]>, bool)> {
        self.stacks.get(&id).or_else(|| self.stacks.get(self.aliases.get(&id)?))
    }

    /// Rewrites all modules and frames, for redaction.
    pub fn rewrite(
        &mut self,
        module: &mut dyn FnMut(&mut Module),
        frame: &mut dyn FnMut(&mut Frame, &Resolution),
    ) {
        self.modules.iter_mut().for_each(&mut *module);
        let frames = self.frames.iter_mut().zip(&self.resolutions);
        frames.for_each(|(own, resolution)| frame(own, resolution));
    }

    /// Rewrites the names of functions and static locks, for redaction.
    pub fn rename(&mut self, name: &mut dyn FnMut(&str) -> Arc<str>) {
        for resolution in &mut self.resolutions {
            if let Resolution::Named(names) = resolution {
                names.iter_mut().for_each(|own| *own = name(own));
            }
        }
        self.locks.values_mut().for_each(|own| *own = name(own));
    }

    /// The frames of a stack, leaf first; `None` when it is [`StackId::NONE`] or never arrived.
    pub fn frames(&self, id: StackId) -> Option<&[FrameId]> {
        self.find(id).map(|(frames, _)| &**frames)
    }

    /// The frames of all stacks, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &[FrameId]> + '_ {
        self.stacks.values().map(|(frames, _)| &**frames)
    }

    /// Whether the root side of the stack was cut.
    pub fn truncated(&self, id: StackId) -> bool {
        self.find(id).is_some_and(|(_, truncated)| *truncated)
    }

    /// Where a frame is.
    pub fn frame(&self, id: FrameId) -> Option<Frame> {
        self.frames.get(id.0 as usize).copied()
    }

    /// A module.
    pub fn module(&self, id: ModuleId) -> Option<&Module> {
        self.modules.get(id.0 as usize)
    }

    /// A frame's name.
    pub fn resolution(&self, id: FrameId) -> &Resolution {
        const UNKNOWN: &Resolution = &Resolution::Unnamed(Reason::NotReached);
        self.resolutions.get(id.0 as usize).unwrap_or(UNKNOWN)
    }

    /// The symbol of a static lock.
    pub fn lock(&self, address: u64) -> Option<&str> {
        self.locks.get(&address).map(|name| &**name)
    }

    /// All frames with their ids.
    pub fn iter_frames(&self) -> impl Iterator<Item = (FrameId, Frame)> + '_ {
        self.frames.iter().enumerate().map(|(index, frame)| (FrameId(index as u32), *frame))
    }

    /// Frames in files that have no name: each with its module and its offset in the file.
    pub fn nameless_in_files(&self) -> impl Iterator<Item = (FrameId, ModuleId, u64)> + '_ {
        self.iter_frames().filter_map(|(id, frame)| match (frame.space, self.resolution(id)) {
            (FrameSpace::Module(module), Resolution::Unnamed(_)) => Some((id, module, frame.address)),
            _ => None,
        })
    }

    /// Memory of all stacks, without their frames' names, bytes.
    pub fn weigh(&self) -> u64 {
        let frames: usize = self.stacks.values().map(|(frames, _)| frames.len() * size_of::<FrameId>()).sum();
        let shapes: usize = self.shapes.keys().map(|shape| shape.len() * size_of::<FrameId>()).sum();
        (frames + shapes) as u64 + (self.stacks.len() + self.shapes.len()) as u64 * STACK_MEMORY
    }

    /// Whether there is no stack.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// How many distinct stacks there are.
    pub fn len(&self) -> usize {
        self.stacks.len()
    }
}
