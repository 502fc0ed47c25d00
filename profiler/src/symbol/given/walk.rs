//! The files of a directory by their build-ids.
//!
//! In: a directory that may hold anything; build-ids. Out: files that have one of them, each with the places of code that its
//! symbols are for; what is no such file, one line each. A child walks it. No link is followed but one in `.build-id` that stays
//! in the directory; nothing but regular files is opened; entries, depth and lines are bounded.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use serde::{Deserialize, Serialize};

use crate::profile::stack::Segment;
use crate::symbol::build_id;
use crate::symbol::confined::openable;
use crate::symbol::headers::Elf;
use crate::symbol::limits::Limits;
use crate::symbol::open;
use crate::symbol::worker::Child;

/// Entries of all directories, at most; directories in each other.
const ENTRIES: usize = 1 << 17;
const DEPTH: usize = 16;
/// A larger file is not looked at, bytes.
const FILE_BYTES: u64 = 8 << 30;
/// Files of one build at most: a stripped one, its debug file, and copies.
const COPIES: usize = 4;
/// Lines about what is of no use.
const LINES: usize = 20;
/// Bytes of what the child tells, at most.
const ANSWER_BYTES: usize = 64 << 20;
/// Files open at once: the directory, a directory in it, a place, a file.
const OPEN: u64 = 4;

/// What is there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Walk {
    /// Files of a build that is looked for.
    pub found: Vec<Found>,
    /// What was of no use, one line each, to be put behind the directory's path.
    pub warnings: Vec<String>,
    /// Symbolic links, which were not followed.
    pub links: usize,
}

/// A file of a build that is looked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// The build, by its position.
    pub build: usize,
    /// The file's path in the directory.
    pub path: String,
    /// The segments of code that the offsets are in.
    pub segments: Vec<Segment>,
}

/// A build-id, and the segments of its code as far as they are known.
type Wanted = [(String, Vec<Segment>)];

/// Walks the directory.
///
/// # Errors
/// No child could be started, or it did not answer.
pub fn walk(directory: RawFd, wanted: &Wanted, limits: &Limits, deadline: Instant) -> io::Result<Walk> {
    // The other half is for reading what is found. Nothing is told before the end.
    let (limits, until) =
        (&Limits { stall: limits.total, ..limits.clone() }, Instant::now() + limits.total / 2);
    let lost = || io::Error::other("it cannot be read, or its file system does not answer");
    let tell = |line: &mut std::os::unix::net::UnixStream| {
        openable(OPEN)?;
        let mut bytes = Vec::new();
        let walk = Walker::new(directory, wanted, until.min(deadline))?.walk();
        ciborium::into_writer(&walk, &mut bytes).map_err(io::Error::other)?;
        line.write_all(&(bytes.len() as u32).to_le_bytes())?;
        line.write_all(&bytes)
    };
    let mut child = Child::start(&[directory], limits, (deadline, limits.silence), tell)?;
    let length = u32::from_le_bytes(child.bytes().ok_or_else(lost)?) as usize;
    if length > ANSWER_BYTES {
        return Err(lost());
    }
    let bytes = child.part(length).ok_or_else(lost)?;
    ciborium::from_reader(bytes.as_slice()).map_err(io::Error::other)
}

struct Walker<'w> {
    root: std::os::fd::OwnedFd,
    wanted: &'w Wanted,
    index: HashMap<&'w str, usize>,
    deadline: Instant,
    entries: usize,
    useless: usize,
    walk: Walk,
}

impl<'w> Walker<'w> {
    fn new(directory: RawFd, wanted: &'w Wanted, deadline: Instant) -> io::Result<Self> {
        let root = open::directory(Path::new(&format!("/proc/self/fd/{directory}")))?;
        let index = wanted.iter().enumerate().map(|(at, (id, _))| (id.as_str(), at)).collect();
        let walk = Walk::default();
        Ok(Self { root, wanted, index, deadline, entries: 0, useless: 0, walk })
    }

    fn walk(mut self) -> Walk {
        for (id, _) in self.wanted {
            // In this layout links may lead elsewhere below the directory.
            if let Some((first, rest)) = id.split_at_checked(2).filter(|_| Instant::now() < self.deadline) {
                self.look(&PathBuf::from(format!(".build-id/{first}/{rest}.debug")), true);
            }
        }
        if self.walk.found.len() == self.wanted.len() {
            return self.walk;
        }
        let mut directories = vec![(PathBuf::new(), 0)];
        while let Some((directory, depth)) = directories.pop() {
            for (name, kind) in self.list(&directory) {
                let path = directory.join(&name);
                match kind {
                    FileType::RegularFile => self.look(&path, false),
                    FileType::Directory if depth < DEPTH => directories.push((path, depth + 1)),
                    FileType::Directory => self.warn(&path, "directories are too deep"),
                    FileType::Symlink => self.walk.links += 1,
                    _ => self.warn(&path, "not a regular file"),
                }
                if self.entries > ENTRIES || Instant::now() >= self.deadline {
                    let why =
                        format!(": only {} entries were looked at, for lack of time or room", self.entries);
                    self.walk.warnings.push(why);
                    return self.done();
                }
            }
        }
        self.done()
    }

    fn done(mut self) -> Walk {
        let over = self.useless.saturating_sub(LINES);
        if over > 0 {
            self.walk.warnings.push(format!(": {over} more files of no use"));
        }
        self.walk
    }

    /// Entries of a directory with what they are, by name.
    fn list(&mut self, path: &Path) -> Vec<(PathBuf, FileType)> {
        let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = openat2(&self.root, shown, flags, Mode::empty(), resolve).and_then(Dir::new);
        let Ok(entries) = opened else {
            self.warn(path, "it cannot be read");
            return Vec::new();
        };
        let mut listed = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                self.entries += 1;
                let name = PathBuf::from(OsStr::from_bytes(name));
                let kind = match entry.file_type() {
                    FileType::Unknown => self.kind(&path.join(&name)),
                    told => told,
                };
                listed.push((name, kind));
            }
            if self.entries > ENTRIES {
                break;
            }
        }
        listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        listed
    }

    /// What is at a path, where the file system does not tell with the name.
    fn kind(&self, path: &Path) -> FileType {
        let (flags, resolve) = (OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, ResolveFlags::BENEATH);
        let place = openat2(&self.root, path, flags, Mode::empty(), resolve);
        let mode = place.and_then(|place| fstat(&place)).map(|stat| stat.st_mode);
        mode.map_or(FileType::Unknown, FileType::from_raw_mode)
    }

    /// Keeps a file if it is of a build that is looked for; one that is not there is no news where it was only guessed.
    fn look(&mut self, path: &Path, guessed: bool) {
        if self.walk.found.iter().any(|found| Path::new(&found.path) == path) {
            return;
        }
        let resolve = if guessed { ResolveFlags::empty() } else { ResolveFlags::NO_SYMLINKS };
        let file = match open::regular_below(&self.root, path, resolve | ResolveFlags::BENEATH) {
            Ok(file) => file,
            Err(_) if guessed => return,
            Err(error) => return self.warn(path, &format!("it cannot be opened: {error}")),
        };
        if file.metadata().is_ok_and(|metadata| metadata.len() > FILE_BYTES) {
            return self.warn(path, "it is larger than 8 GiB");
        }
        let Some(elf) = Elf::open(&file) else { return self.warn(path, "it is no 64-bit ELF file") };
        let Some(id) = build_id::of(&file, &elf) else { return self.warn(path, "it has no build-id") };
        let Some(build) = self.index.get(id.as_str()).copied() else { return };
        if self.walk.found.iter().filter(|found| found.build == build).count() >= COPIES {
            return;
        }
        let mut segments = self.wanted.get(build).map(|(_, segments)| segments.clone()).unwrap_or_default();
        if segments.is_empty() && elf.has_code() {
            segments = elf.code();
        }
        match path.to_str() {
            None => self.warn(path, "its name is no text"),
            Some(_) if segments.is_empty() => {
                self.warn(path, "the capture does not say where the code of this build is: give its file with code and symbols");
            }
            Some(path) => self.walk.found.push(Found { build, path: path.to_owned(), segments }),
        }
    }

    fn warn(&mut self, path: &Path, why: &str) {
        self.useless += 1;
        if self.useless <= LINES {
            self.walk.warnings.push(format!("/{}: {why}", path.display()));
        }
    }
}
