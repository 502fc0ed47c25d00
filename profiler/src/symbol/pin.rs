//! Pinned modules: executables that are held by their place.
//!
//! In: file-backed mappings of live processes. Out: module ids; each file held once for all processes that
//! map it, so that its symbols outlive processes, deletion and containers. A file that is held keeps its file
//! system busy. If somebody may want to unmount that file system, the file is held only while a process maps
//! it; [`Executables::unmapped`] lists the files that nobody maps any more.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::holders::Holders;
use super::look::{Looker, Seen};
use super::maps::Mapping;
use super::open;
use super::process::Backing;
use crate::machine::limit;
use crate::profile::Pid;
use crate::profile::stack::{Module, ModuleId, Reason};

/// Descriptors left for the rest of the profiler, where the limit is high …
const SPARE: u64 = 512;
/// … and where it is low.
const SPARE_LEAST: u64 = 32;
/// Files pinned at most.
const PINS: u64 = 32_768;
/// A file system that did not answer is asked again after this, then after twice that, and so on.
const PAUSE: Duration = Duration::from_secs(1);

/// A file as maps show it; the same path in two containers is two files.
type Identity = ((u32, u32), u64, String);

/// A file that is held.
#[derive(Debug)]
pub struct Pin {
    /// Its place. The child that reads the file opens it through `/proc/self/fd`.
    pub place: OwnedFd,
    /// As it was when it was pinned.
    pub seen: Seen,
}

/// All files seen.
#[derive(Debug)]
pub struct Executables {
    looker: Looker,
    known: HashMap<Identity, Backing>,
    modules: Vec<Module>,
    /// By module: the file, or why there is none.
    pins: Vec<Result<Pin, Reason>>,
    /// Where files are mapped for which no descriptor was left.
    waiting: HashMap<ModuleId, (Pid, Mapping)>,
    /// Who maps what is held on file systems that may be unmounted.
    holders: Holders,
    /// Devices that did not answer: when they are asked again, and the pause before that.
    silent: HashMap<(u32, u32), (Instant, Duration)>,
    room: u64,
}

impl Executables {
    /// None yet; raises this process's limit of open files as far as it may.
    pub fn new() -> Self {
        limit::raise_open_files();
        Self {
            looker: Looker::default(),
            known: HashMap::new(),
            modules: Vec::new(),
            pins: Vec::new(),
            waiting: HashMap::new(),
            holders: Holders::new(),
            silent: HashMap::new(),
            room: room(),
        }
    }

    /// Who looks at files and mappings.
    pub fn looker(&mut self) -> &mut Looker {
        &mut self.looker
    }

    /// What is behind a mapping of a process; opens its file when it is new.
    pub fn backing(&mut self, pid: Pid, mapping: &Mapping) -> Backing {
        if mapping.is_vdso() {
            return Backing::Vdso;
        }
        if !mapping.has_file() {
            return Backing::Anonymous;
        }
        let identity = (mapping.device, mapping.inode, mapping.path.clone());
        if let Some(known) = self.known.get(&identity).copied() {
            if let Backing::Module(module) = known {
                self.retry(pid, mapping, module);
            }
            return known;
        }
        let file = self.open(pid, mapping);
        let jit = mapping.is_memory_file() && !file.as_ref().is_ok_and(|pin| pin.seen.elf);
        let backing = if jit { self.not_pinned(&file) } else { self.add(pid, mapping, file) };
        self.known.insert(identity, backing);
        backing
    }

    fn not_pinned(&mut self, file: &Result<Pin, Reason>) -> Backing {
        self.room += u64::from(file.is_ok());
        Backing::Anonymous
    }

    /// Another process, or another moment, may still show a file that the first one did not.
    fn retry(&mut self, pid: Pid, mapping: &Mapping, module: ModuleId) {
        match self.pins.get(module.0 as usize) {
            Some(Ok(pin)) => return self.holders.note(module, pin.seen.device, pid),
            // Its file system may be everybody's, and is asked no second time for this file.
            Some(Err(Reason::NoAnswer)) if mapping.device.0 != 0 => return,
            Some(Err(_)) => {}
            None => return,
        }
        let opened = self.open(pid, mapping);
        if let Ok(pin) = &opened {
            self.holders.note(module, pin.seen.device, pid);
            self.waiting.remove(&module);
        }
        if let Some(pin) = self.pins.get_mut(module.0 as usize)
            && opened.is_ok()
        {
            *pin = opened;
        }
    }

    /// Opens what there was no room for, after others have given up theirs.
    pub fn retry_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.room = room();
        for (module, (pid, mapping)) in self.waiting.clone() {
            self.retry(pid, &mapping, module);
        }
    }

    fn open(&mut self, pid: Pid, mapping: &Mapping) -> Result<Pin, Reason> {
        if self.silent.get(&mapping.device).is_some_and(|(next, _)| Instant::now() < *next) {
            return Err(Reason::NoAnswer);
        }
        if !self.take_room() {
            return Err(Reason::NoFileLeft);
        }
        let opened = self.looker.open(pid, mapping);
        let error = match opened {
            Ok((place, seen)) => {
                self.silent.remove(&mapping.device);
                return Ok(Pin { place, seen });
            }
            Err(error) => error,
        };
        self.room += 1;
        if error.kind() != std::io::ErrorKind::TimedOut {
            return Err(if open::is_full(&error) { Reason::NoFileLeft } else { Reason::Unreadable });
        }
        // A file system without a device of its own (FUSE, NFS, overlay) is nobody else's.
        if mapping.device.0 == 0 {
            let pause = self.silent.get(&mapping.device).map_or(PAUSE, |(_, pause)| pause.saturating_mul(2));
            self.silent.insert(mapping.device, (Instant::now() + pause, pause));
        }
        Err(Reason::NoAnswer)
    }

    /// Takes a descriptor out of what may be held; `false` when none is left.
    fn take_room(&mut self) -> bool {
        let left = self.room.checked_sub(1);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    fn add(&mut self, pid: Pid, mapping: &Mapping, file: Result<Pin, Reason>) -> Backing {
        let known = |pin: &Pin| (pin.seen.build_id.clone(), pin.seen.segments.clone(), pin.seen.of_go);
        let (build_id, segments, of_go) = file.as_ref().map(known).unwrap_or_default();
        let module = ModuleId(self.modules.len() as u32);
        match &file {
            Ok(pin) => self.holders.note(module, pin.seen.device, pid),
            Err(Reason::NoFileLeft) => drop(self.waiting.insert(module, (pid, mapping.clone()))),
            Err(_) => {}
        }
        self.modules.push(Module { path: mapping.path.clone(), build_id, segments, of_go });
        self.pins.push(file);
        Backing::Module(module)
    }

    /// Modules from `first` on.
    pub fn since(&self, first: usize) -> &[Module] {
        self.modules.get(first..).unwrap_or_default()
    }

    /// The place of a module's file, and the file's length in bytes. It is opened through `/proc/self/fd`, by a child.
    ///
    /// # Errors
    /// Why there is none.
    pub fn file(&self, module: ModuleId) -> Result<(RawFd, u64), Reason> {
        let pin = self.pins.get(module.0 as usize).ok_or(Reason::Unreadable)?;
        let pin = pin.as_ref().map_err(|reason| *reason)?;
        Ok((pin.place.as_raw_fd(), pin.seen.bytes))
    }

    /// A process has become another program.
    pub fn left(&mut self, pid: Pid) {
        self.holders.forget(pid);
    }

    /// Takes out what is held on file systems that may be unmounted and what no process maps any more.
    pub fn unmapped(&mut self) -> Vec<(ModuleId, Pin)> {
        let mut taken = Vec::new();
        for module in self.holders.unmapped() {
            if let Some(pin) = self.pins.get_mut(module.0 as usize)
                && let Ok(pin) = std::mem::replace(pin, Err(Reason::ProcessGone))
            {
                self.room += 1;
                taken.push((module, pin));
            }
        }
        taken
    }

    /// Whether a module's file is on the file system of this machine's root.
    pub fn answers(&self, module: ModuleId) -> bool {
        let pin = self.pins.get(module.0 as usize);
        pin.is_some_and(|pin| pin.as_ref().is_ok_and(|pin| self.holders.stays(pin.seen.device)))
    }

    /// Whether a file system cannot be unmounted while this machine runs.
    pub fn stays(&self, device: (u32, u32)) -> bool {
        self.holders.stays(device)
    }

    /// Files that could not be opened.
    pub fn unpinned(&self) -> u64 {
        // What was let go was opened, and named.
        self.pins.iter().filter(|pin| matches!(pin, Err(reason) if *reason != Reason::ProcessGone)).count()
            as u64
    }

    /// Those of them for which no descriptor was left.
    pub fn without_room(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Those of them whose file systems did not answer: their paths.
    pub fn silent(&self) -> impl Iterator<Item = &str> {
        let silent =
            self.pins.iter().zip(&self.modules).filter(|(pin, _)| matches!(pin, Err(Reason::NoAnswer)));
        silent.map(|(_, module)| module.path.as_str())
    }
}

/// How many files may be held open: what is free, less what the rest of the profiler needs.
fn room() -> u64 {
    let free = limit::free_files();
    free.saturating_sub((free / 4).clamp(SPARE_LEAST, SPARE)).min(PINS)
}

#[cfg(test)]
mod tests {
    use super::super::maps;
    use super::*;

    #[test]
    fn a_file_without_room_says_so_and_is_opened_when_there_is_room() {
        let own = Pid(std::process::id());
        let mapping = maps::read(own).unwrap().into_iter().find(Mapping::has_file).unwrap();
        let mut executables = Executables { room: 0, ..Executables::new() };
        let Backing::Module(module) = executables.backing(own, &mapping) else { panic!("no module") };
        assert_eq!(executables.file(module), Err(Reason::NoFileLeft));
        assert_eq!((executables.unpinned(), executables.without_room()), (1, 1));
        executables.retry_waiting();
        assert!(executables.file(module).is_ok());
        assert_eq!((executables.unpinned(), executables.without_room()), (0, 0));
    }
}
