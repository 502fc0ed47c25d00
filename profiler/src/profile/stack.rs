//! Stacks, frames and their names.
//!
//! In: interned frames and stacks from chunks, names from `symbol`. Out: look-ups by id.
//! Frames run from the leaf (index 0) to the root, as the kernel gives them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::process::Pid;

/// A stack: the kernel side's 64-bit hash of its frames (and process).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StackId(pub u64);

impl StackId {
    /// No stack was taken.
    pub const NONE: Self = Self(profiler_common::stack::NO_STACK);
}

/// Position of a frame in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameId(pub u32);

/// Position of a module in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModuleId(pub u32);

/// A mapped file: an executable or a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Module {
    /// Path inside its mount namespace, raw.
    pub path: String,
    /// Hex build-id; empty when it has none or could not be read.
    pub build_id: String,
}

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
    /// Anonymous memory without a usable perf map (JIT code).
    Jit,
    /// `/proc/kallsyms` hides its addresses from this user.
    KernelHidden,
}

/// What is known of a frame's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// All stacks of a session.
#[derive(Clone, Debug, Default)]
pub struct StackTable {
    modules: Vec<Module>,
    frames: Vec<Frame>,
    resolutions: Vec<Resolution>,
    stacks: HashMap<StackId, (Box<[FrameId]>, bool)>,
    locks: HashMap<u64, Arc<str>>,
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

    /// Names frames; names for frames that do not exist are ignored (a hostile capture).
    pub fn resolve(&mut self, symbols: Symbols) {
        for (id, resolution) in symbols.frames {
            if let Some(slot) = self.resolutions.get_mut(id.0 as usize) {
                *slot = resolution;
            }
        }
        self.locks.extend(symbols.locks);
    }

    /// The frames of a stack, leaf first; `None` when it is [`StackId::NONE`] or never arrived.
    pub fn frames(&self, id: StackId) -> Option<&[FrameId]> {
        self.stacks.get(&id).map(|(frames, _)| &**frames)
    }

    /// Whether the root side of the stack was cut.
    pub fn truncated(&self, id: StackId) -> bool {
        self.stacks.get(&id).is_some_and(|(_, truncated)| *truncated)
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

    /// Whether there is no stack.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// How many distinct stacks there are.
    pub fn len(&self) -> usize {
        self.stacks.len()
    }
}
