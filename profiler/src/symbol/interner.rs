//! From raw stacks to interned frames, and to their names at the end.
//!
//! In: addresses as the kernel side took them, leaf first, while their processes live.
//! Out: modules, frames and stacks not handed out before; names for all frames.
//! Frames but the leaf hold the return address − 1, so that one (space, address) always means the
//! same instruction and a call at a function's very end is named after its caller.

use std::collections::{HashMap, HashSet};
use std::io;

use super::frames::FrameTable;
use super::kallsyms::KernelSymbols;
use super::perf_map::PerfMapPlace;
use super::pin::Executables;
use super::process::{AddressSpace, Backing, Region};
use super::worker::{Job, run};
use super::{Limits, maps, names, vdso};
use crate::profile::Pid;
use crate::profile::stack::{
    Frame, FrameId, FrameSpace, Module, ModuleId, Reason, Resolution, Stack, StackId, Symbols,
};

/// Owns the address spaces, pinned executables and frames of a session.
#[derive(Debug)]
pub struct Interner {
    executables: Executables,
    spaces: HashMap<Pid, AddressSpace>,
    perf_maps: HashMap<Pid, Option<PerfMapPlace>>,
    frames: FrameTable,
    /// By frame.
    states: Vec<State>,
    /// Names of JIT code whose process has become another program.
    early: HashMap<FrameId, Resolution>,
    seen: HashSet<StackId>,
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
            perf_maps: HashMap::new(),
            frames: FrameTable::new(),
            states: Vec::new(),
            early: HashMap::new(),
            seen: HashSet::new(),
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
        self.spaces.remove(&pid);
        if self.perf_maps.contains_key(&pid) {
            let jit = self.unnamed(|space| space == FrameSpace::Anonymous(pid));
            for (frame, resolution) in self.name_jit(pid, &jit) {
                self.early.insert(frame, resolution);
            }
            self.perf_maps.remove(&pid);
        }
    }

    /// A kernel stack; nothing happens when its id is known.
    pub fn kernel_stack(&mut self, id: StackId, addresses: &[u64], truncated: bool) {
        if self.seen.insert(id) {
            let frames =
                positions(addresses).map(|address| self.intern(FrameSpace::Kernel, address)).collect();
            self.stacks.push(Stack { id, frames, truncated });
        }
    }

    /// A user stack of a process; nothing happens when its id is known. Pins the process when it
    /// is new, reads its maps again when they do not cover an address.
    pub fn user_stack(&mut self, id: StackId, pid: Pid, addresses: &[u64], truncated: bool) {
        if !self.seen.insert(id) {
            return;
        }
        self.pin(pid);
        let Some(mut space) = self.spaces.remove(&pid) else { return };
        let frames = positions(addresses).map(|address| self.user_frame(&mut space, pid, address)).collect();
        self.spaces.insert(pid, space);
        self.stacks.push(Stack { id, frames, truncated });
    }

    fn user_frame(&mut self, space: &mut AddressSpace, pid: Pid, address: u64) -> FrameId {
        if space.find(address).is_none() && space.may_read_again() {
            space.merge(regions(&mut self.executables, pid), address);
        }
        let Some(region) = space.find(address) else {
            let id = self.intern(FrameSpace::Anonymous(pid), address);
            self.set(id, State::Uncovered(space.reason()));
            return id;
        };
        match region.backing {
            Backing::Module(module) => self.intern(FrameSpace::Module(module), region.place(address)),
            Backing::Vdso => self.intern(FrameSpace::Vdso, region.place(address)),
            Backing::Anonymous => {
                self.perf_maps.entry(pid).or_insert_with(|| PerfMapPlace::of(pid).ok());
                let id = self.intern(FrameSpace::Anonymous(pid), address);
                self.set(id, State::Unnamed);
                id
            }
        }
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

    /// Names the kernel frames that have none yet; those not found now are tried again later.
    pub fn symbolize_kernel_new(&mut self, kernel: &KernelSymbols) -> Symbols {
        let mut symbols = Symbols::default();
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
        let mut symbols = self.symbolize_kernel_new(kernel);
        let reason = if kernel.hidden() { Reason::KernelHidden } else { Reason::NoSymbol };
        for (frame, _) in self.unnamed(|space| space == FrameSpace::Kernel) {
            self.answer(&mut symbols, frame, Resolution::Unnamed(reason));
        }
        self.symbolize_files(&mut symbols, limits);
        self.symbolize_anonymous(&mut symbols);
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
        for (space, mut frames) in places {
            // Neighbours share what the reader has parsed for one of them.
            frames.sort_by_key(|(_, offset)| *offset);
            let Some((file, bytes)) = self.image(space, vdso.as_ref()) else {
                for (frame, _) in frames {
                    self.answer(symbols, frame, Resolution::Unnamed(Reason::Unreadable));
                }
                continue;
            };
            let offsets = frames.iter().map(|(_, offset)| *offset).collect();
            jobs.push(Job { file, offsets, dwarf: bytes <= limits.dwarf_bytes });
            asked.push(frames);
        }
        let answers = run(&mut jobs, limits, &mut self.pool);
        for ((frame, _), resolution) in asked.into_iter().flatten().zip(answers.into_iter().flatten()) {
            self.answer(symbols, frame, resolution);
        }
    }

    fn image(&self, space: FrameSpace, vdso: Option<&std::fs::File>) -> Option<(i32, u64)> {
        match space {
            FrameSpace::Module(module) => self.executables.file(module),
            _ => vdso.map(|file| (std::os::fd::AsRawFd::as_raw_fd(file), 0)),
        }
    }

    fn symbolize_anonymous(&mut self, symbols: &mut Symbols) {
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
    fn name_jit(&mut self, pid: Pid, frames: &[(FrameId, u64)]) -> Vec<(FrameId, Resolution)> {
        let place = self.perf_maps.get(&pid).and_then(Option::as_ref);
        let map = place.and_then(|place| place.read().ok()).unwrap_or_default();
        let mut named = Vec::with_capacity(frames.len());
        for &(frame, address) in frames {
            let early = self.early.remove(&frame);
            let state = self.states.get(frame.0 as usize);
            let resolution = match (early, state, map.name(address)) {
                (Some(early), ..) => early,
                (None, Some(State::Uncovered(reason)), _) => Resolution::Unnamed(*reason),
                (None, _, Some(name)) => Resolution::Named(vec![self.pool.share(name)]),
                (None, _, None) => Resolution::Unnamed(Reason::Jit),
            };
            named.push((frame, resolution));
        }
        named
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

/// Leaf as it is, return addresses minus one.
fn positions(addresses: &[u64]) -> impl Iterator<Item = u64> + '_ {
    addresses.iter().enumerate().map(|(depth, address)| address.saturating_sub(u64::from(depth > 0)))
}

fn regions(executables: &mut Executables, pid: Pid) -> io::Result<Vec<Region>> {
    let mappings = maps::read(pid)?;
    Ok(mappings.iter().map(|mapping| Region::new(mapping, executables.backing(pid, mapping))).collect())
}
