//! Modules, pinned.
//!
//! In: file-backed mappings of live processes. Out: module ids; each file opened once for all
//! processes that map it, so that its symbols outlive processes, deletion and containers.
//! A pinned file keeps its file system busy until the profiler ends.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{OFlags, major, minor};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::build_id::{is_elf, read_build_id};
use super::maps::Mapping;
use super::open;
use super::process::Backing;
use crate::profile::Pid;
use crate::profile::stack::{Module, ModuleId};

/// Descriptors left for the rest of the profiler.
const SPARE: u64 = 512;
/// Files pinned at most.
const PINS: u64 = 32_768;

/// A file as maps show it; the same path in two containers is two files.
type Identity = ((u32, u32), u64, String);

/// All files seen.
#[derive(Debug)]
pub struct Executables {
    known: HashMap<Identity, Backing>,
    modules: Vec<Module>,
    files: Vec<Option<File>>,
    room: u64,
    unpinned: u64,
}

impl Executables {
    /// None yet; raises this process's limit of open files as far as it may.
    pub fn new() -> Self {
        let room = raise_open_files().saturating_sub(SPARE).clamp(64, PINS);
        Self { known: HashMap::new(), modules: Vec::new(), files: Vec::new(), room, unpinned: 0 }
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
            self.retry(pid, mapping, known);
            return known;
        }
        let file = self.open(pid, mapping);
        let jit = mapping.is_memory_file() && !file.as_ref().is_some_and(is_elf);
        let backing = if jit { Backing::Anonymous } else { self.add(&mapping.path, file) };
        self.known.insert(identity, backing);
        backing
    }

    /// Another process may still show a file that the first one did not.
    fn retry(&mut self, pid: Pid, mapping: &Mapping, known: Backing) {
        let Backing::Module(module) = known else { return };
        if self.files.get(module.0 as usize).is_none_or(Option::is_some) {
            return;
        }
        if let (Some(file), Some(slot)) = (self.open(pid, mapping), self.files.get_mut(module.0 as usize)) {
            *slot = Some(file);
            self.room -= 1;
            self.unpinned -= 1;
        }
    }

    fn open(&self, pid: Pid, mapping: &Mapping) -> Option<File> {
        if self.room == 0 {
            return None;
        }
        let mapped = open::mapped(pid, mapping.start, mapping.end);
        mapped.ok().or_else(|| by_path(pid, mapping))
    }

    fn add(&mut self, path: &str, file: Option<File>) -> Backing {
        let build_id = file.as_ref().and_then(read_build_id).unwrap_or_default();
        match file {
            Some(_) => self.room -= 1,
            None => self.unpinned += 1,
        }
        self.modules.push(Module { path: path.to_owned(), build_id });
        self.files.push(file);
        Backing::Module(ModuleId((self.modules.len() - 1) as u32))
    }

    /// Modules from `first` on.
    pub fn since(&self, first: usize) -> &[Module] {
        self.modules.get(first..).unwrap_or_default()
    }

    /// The open file of a module, and its length in bytes.
    pub fn file(&self, module: ModuleId) -> Option<(RawFd, u64)> {
        let file = self.files.get(module.0 as usize)?.as_ref()?;
        Some((file.as_raw_fd(), file.metadata().ok()?.len()))
    }

    /// Files that could not be opened.
    pub fn unpinned(&self) -> u64 {
        self.unpinned
    }
}

/// The same file by its path, for users who may not look into `map_files`.
fn by_path(pid: Pid, mapping: &Mapping) -> Option<File> {
    let root = open::root(pid).ok()?;
    let file = open::below(&root, Path::new(&mapping.path), OFlags::empty()).ok()?;
    let metadata = file.metadata().ok()?;
    let device = (major(metadata.dev()), minor(metadata.dev()));
    // Overlay and btrfs show another (anonymous, major 0) device in maps than in stat.
    let same = metadata.ino() == mapping.inode && (device == mapping.device || mapping.device.0 == 0);
    same.then_some(file)
}

/// Lifts the soft limit of open files to the hard one; what it is then.
fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    limit.current.unwrap_or(u64::MAX)
}
