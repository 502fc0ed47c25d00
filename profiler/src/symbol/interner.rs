//! From raw stacks to interned frames, and to their names at the end.
//!
//! In: addresses as the kernel side took them, leaf first, while their processes live.
//! Out: modules, frames and stacks that are new in this interval; names for all frames.
//! All frames but the leaf hold the return address − 1, so that one (space, address) always means the
//! same instruction, and a call that is the last instruction of a function is named after that function.

mod ahead;
mod end;
mod inherit;
mod jit;
mod let_go;
mod settle;
mod unwound;
mod user;

use std::collections::{HashMap, HashSet};
use std::io;
use std::thread::JoinHandle;
use std::time::Instant;

use super::foreseen::Spaces;
use super::frames::FrameTable;
use super::job::{Job, Source};
use super::kallsyms::KernelSymbols;
use super::limits::Limits;
use super::pin::Executables;
use super::process::{AddressSpace, Backing, Region};
use super::unsettled::Unsettled;
use super::unwind::Unwinder;
use super::walks::Lists;
use super::worker::run;
use super::{names, vdso};
use crate::profile::Pid;
use crate::profile::stack::{
    Cut, Frame, FrameId, FrameSpace, Module, ModuleId, Reason, Resolution, Stack, StackId, Symbols,
};

/// Stacks of a session at most, those of ended processes apart: some 300 bytes each, and as much for their rows.
const STACKS: usize = 1 << 19;

/// Owns the address spaces, pinned executables and frames of a session.
#[derive(Debug)]
pub struct Interner {
    executables: Executables,
    spaces: HashMap<Pid, AddressSpace>,
    /// Mappings of processes that nobody has seen an event of.
    ahead: Spaces,
    /// Processes with JIT code; whether their perf maps are held.
    perf_maps: HashMap<Pid, bool>,
    /// Names for files that are let go.
    naming: Option<JoinHandle<Vec<(FrameId, Resolution)>>>,
    /// When files are let go next, at the earliest.
    let_go: Option<Instant>,
    /// Names that were found meanwhile, to be handed out.
    told: Symbols,
    unsettled: Unsettled,
    unwinder: Option<Unwinder>,
    /// The kernel's walks by frame pointers whose stacks may yet be unwound.
    lists: Lists,
    cuts: Vec<(StackId, Cut)>,
    /// Frames that no stack has any more, and those that took their places.
    moved: Vec<(FrameId, FrameId)>,
    frames: FrameTable,
    /// By frame.
    states: Vec<State>,
    /// Names of JIT code of processes that have executed another program.
    early: HashMap<FrameId, Resolution>,
    seen: HashSet<StackId>,
    /// The user stacks among them, by process.
    stacks_of: HashMap<Pid, Vec<StackId>>,
    /// Stacks that had no room, since they were asked for.
    dropped: u64,
    stacks: Vec<Stack>,
    handed_modules: usize,
    handed_frames: usize,
    pool: names::Pool,
}

/// What is known of a frame's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be looked up.
    Unnamed,
    /// No region covers it: there is nothing to look up.
    Uncovered(Reason),
    /// Answered.
    Named,
}

impl Default for Interner {
    fn default() -> Self {
        Self::new()
    }
}

impl Interner {
    /// Knows nothing yet. Raises this process's soft limit of open files to the hard one.
    pub fn new() -> Self {
        Self {
            executables: Executables::new(),
            spaces: HashMap::new(),
            ahead: Spaces::default(),
            perf_maps: HashMap::new(),
            naming: None,
            let_go: None,
            told: Symbols::default(),
            unsettled: Unsettled::default(),
            unwinder: None,
            lists: Lists::default(),
            cuts: Vec::new(),
            moved: Vec::new(),
            frames: FrameTable::new(),
            states: Vec::new(),
            early: HashMap::new(),
            seen: HashSet::new(),
            stacks_of: HashMap::new(),
            dropped: 0,
            stacks: Vec::new(),
            handed_modules: 0,
            handed_frames: 0,
            pool: names::Pool::default(),
        }
    }

    /// Takes a live process's maps and opens its executables now; does nothing when that is done.
    pub fn pin(&mut self, pid: Pid) {
        if self.spaces.get(&pid).is_none_or(AddressSpace::is_missing) {
            let space = AddressSpace::new(regions(&mut self.executables, pid));
            self.spaces.insert(pid, space);
        }
    }

    /// From now on the process is another program (exec, or a new process with an old pid).
    pub fn forget(&mut self, pid: Pid) {
        self.keep_lists(pid);
        self.spaces.remove(&pid);
        self.ahead.forget(pid);
        self.unsettled.forget(pid);
        self.executables.left(pid);
        self.name_jit_early(pid);
    }

    /// A kernel stack; nothing happens when its id is known.
    pub fn kernel_stack(&mut self, id: StackId, addresses: &[u64], truncated: bool) {
        if self.is_new(id) {
            let frames =
                positions(addresses).map(|address| self.intern(FrameSpace::Kernel, address)).collect();
            self.stacks.push(Stack { id, frames, truncated });
        }
    }

    /// A user stack of a process; nothing happens when its id is known. Pins the process when it
    /// is new, reads its maps again when they do not cover an address.
    pub fn user_stack(&mut self, id: StackId, pid: Pid, addresses: &[u64], truncated: bool) {
        if !self.is_new(id) {
            return;
        }
        self.stacks_of.entry(pid).or_default().push(id);
        self.cover(pid, positions(addresses));
        let Some(space) = self.spaces.remove(&pid) else { return };
        let frames = self.user_frames(&space, pid, positions(addresses));
        if !covers(&space, addresses) {
            self.unsettled.keep(id, pid, (addresses, &frames), truncated);
        }
        self.spaces.insert(pid, space);
        self.stacks.push(Stack { id, frames, truncated });
    }

    fn intern(&mut self, space: FrameSpace, address: u64) -> FrameId {
        let id = self.frames.intern(Frame { space, address });
        if self.states.len() == id.0 as usize {
            self.states.push(State::Unnamed);
        }
        id
    }

    /// What has been answered stays.
    fn set(&mut self, frame: FrameId, state: State) {
        if let Some(known) = self.states.get_mut(frame.0 as usize)
            && *known != State::Named
        {
            *known = state;
        }
    }

    /// Modules, frames and stacks that came since the last call; their ids continue.
    pub fn take_new(&mut self) -> (Vec<Module>, Vec<Frame>, Vec<Stack>) {
        let modules = self.executables.since(self.handed_modules).to_vec();
        let frames = self.frames.as_slice().get(self.handed_frames..).unwrap_or_default().to_vec();
        self.handed_modules += modules.len();
        self.handed_frames += frames.len();
        (modules, frames, std::mem::take(&mut self.stacks))
    }

    /// Executables that could not be opened: gone, forbidden, or over the limit of open files.
    pub fn unpinned(&self) -> u64 {
        self.executables.unpinned()
    }

    /// Paths of those of them whose file systems did not answer.
    pub fn silent(&self) -> impl Iterator<Item = &str> {
        self.executables.silent()
    }

    /// Those of them for which this process had no descriptor left.
    pub fn without_room(&self) -> u64 {
        self.executables.without_room()
    }

    /// Names the kernel frames that have none yet; those not found now are tried again later.
    pub fn symbolize_kernel_new(&mut self, kernel: &KernelSymbols) -> Symbols {
        let mut symbols = std::mem::take(&mut self.told);
        for (frame, address) in self.unnamed(|space| space == FrameSpace::Kernel) {
            if let Some(resolution) = self.kernel_name(kernel, address) {
                self.answer(&mut symbols, frame, resolution);
            }
        }
        symbols
    }

    fn kernel_name(&mut self, kernel: &KernelSymbols, address: u64) -> Option<Resolution> {
        let symbol = kernel.resolve(address)?;
        let name = match symbol.module {
            Some(module) => format!("{} [{module}]", symbol.name),
            None => symbol.name.to_owned(),
        };
        Some(Resolution::Named(vec![self.pool.share(&names::clean(&name, names::NAME_BYTES))]))
    }

    /// Names every frame that has none yet, or says why it has none.
    pub fn symbolize(&mut self, kernel: &KernelSymbols, limits: &Limits) -> Symbols {
        self.take_named(true);
        let mut symbols = self.symbolize_kernel_new(kernel);
        let reason = if kernel.hidden() { Reason::KernelHidden } else { Reason::NoSymbol };
        for (frame, _) in self.unnamed(|space| space == FrameSpace::Kernel) {
            self.answer(&mut symbols, frame, Resolution::Unnamed(reason));
        }
        self.executables.retry_waiting();
        self.symbolize_files(&mut symbols, limits);
        self.symbolize_anonymous(&mut symbols);
        let moved = std::mem::take(&mut self.moved);
        if !moved.is_empty() {
            let answers: HashMap<_, _> = symbols.frames.iter().cloned().collect();
            let named = moved.into_iter().filter_map(|(old, new)| Some((old, answers.get(&new)?.clone())));
            symbols.frames.extend(named);
        }
        symbols
    }

    fn symbolize_files(&mut self, symbols: &mut Symbols, limits: &Limits) {
        let vdso = vdso::image().ok();
        let mut places: HashMap<FrameSpace, Vec<(FrameId, u64)>> = HashMap::new();
        for (frame, address) in
            self.unnamed(|space| matches!(space, FrameSpace::Module(_) | FrameSpace::Vdso))
        {
            if let Some(known) = self.frames.as_slice().get(frame.0 as usize) {
                places.entry(known.space).or_default().push((frame, address));
            }
        }
        let (mut jobs, mut asked) = (Vec::new(), Vec::new());
        // What this machine's root holds answers, or nothing does: it comes before what may not.
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|(space, _)| match space {
            FrameSpace::Module(module) => !self.executables.answers(*module),
            _ => false,
        });
        for (space, mut frames) in places {
            // Neighbours share what the reader has parsed for one of them.
            frames.sort_by_key(|(_, offset)| *offset);
            let (file, bytes) = match self.image(space, vdso.as_ref()) {
                Ok(image) => image,
                Err(reason) => {
                    for (frame, _) in frames {
                        self.answer(symbols, frame, Resolution::Unnamed(reason));
                    }
                    continue;
                }
            };
            let offsets = frames.iter().map(|(_, offset)| *offset).collect();
            let source = Source::Itself(self.path(space));
            jobs.push(Job { file, offsets, dwarf: bytes <= limits.dwarf_bytes, golang: true, source });
            asked.push(frames);
        }
        let answers = run(&mut jobs, limits, &mut self.pool);
        for ((frame, _), resolution) in asked.into_iter().flatten().zip(answers.into_iter().flatten()) {
            self.answer(symbols, frame, resolution);
        }
    }

    fn image(&self, space: FrameSpace, vdso: Option<&std::fs::File>) -> Result<(i32, u64), Reason> {
        match space {
            FrameSpace::Module(module) => self.executables.file(module),
            _ => vdso.map(|file| (std::os::fd::AsRawFd::as_raw_fd(file), 0)).ok_or(Reason::Unreadable),
        }
    }

    /// The path of what is mapped; empty for what has none.
    fn path(&self, space: FrameSpace) -> String {
        let FrameSpace::Module(module) = space else { return String::new() };
        self.module(module).map(|module| module.path.clone()).unwrap_or_default()
    }

    /// Frames without a name in some spaces, with their addresses.
    fn unnamed(&self, wanted: impl Fn(FrameSpace) -> bool) -> Vec<(FrameId, u64)> {
        let frames = self.frames.as_slice().iter().zip(&self.states).enumerate();
        let unnamed = frames.filter(|(_, (frame, state))| **state != State::Named && wanted(frame.space));
        unnamed.map(|(index, (frame, _))| (FrameId(index as u32), frame.address)).collect()
    }

    fn answer(&mut self, symbols: &mut Symbols, frame: FrameId, resolution: Resolution) {
        self.set(frame, State::Named);
        symbols.frames.push((frame, resolution));
    }

    /// The module behind an id, as handed out.
    pub fn module(&self, id: ModuleId) -> Option<&Module> {
        self.executables.since(id.0 as usize).first()
    }
}

/// The leaf unchanged, return addresses minus one.
fn positions(addresses: &[u64]) -> impl Iterator<Item = u64> + Clone + '_ {
    addresses.iter().enumerate().map(|(depth, address)| address.saturating_sub(u64::from(depth > 0)))
}

/// Whether every address of a stack lies in a region.
fn covers(space: &AddressSpace, addresses: &[u64]) -> bool {
    positions(addresses).all(|address| space.find(address).is_some())
}

fn regions(executables: &mut Executables, pid: Pid) -> io::Result<Vec<Region>> {
    let mappings = executables.looker().maps(pid)?;
    Ok(mappings.iter().map(|mapping| Region::new(mapping, executables.backing(pid, mapping))).collect())
}
