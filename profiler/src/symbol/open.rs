//! Opening files of other people's processes; only in a child that may hang on them.
//!
//! In: a path that a container may have turned into a link, a FIFO or a device. Out: the place of a regular file, found
//! without following a link out of the process's root and without waking a device; and the file, opened.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use crate::profile::Pid;

/// The root directory of a process, to open files below it also after its death.
///
/// # Errors
/// The process is gone or not ours to look at.
pub fn root(pid: Pid) -> io::Result<OwnedFd> {
    directory(Path::new(&format!("/proc/{}/root", pid.0)))
}

/// The place of a file below a root; `flags` may add `NOFOLLOW`.
///
/// # Errors
/// There is none.
pub fn below(root: &impl AsFd, path: &Path, flags: OFlags) -> io::Result<File> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty(), resolve)?.into())
}

/// A regular file below a directory, opened for reading; links count that stay below it.
///
/// # Errors
/// There is none, it is something else, or it cannot be read.
pub fn inside(directory: &impl AsFd, path: &Path) -> io::Result<File> {
    regular_below(directory, path, ResolveFlags::BENEATH)
}

/// The same, with other rules for links.
///
/// # Errors
/// As [`inside`].
pub fn regular_below(directory: &impl AsFd, path: &Path, resolve: ResolveFlags) -> io::Result<File> {
    let (flags, resolve) = (OFlags::PATH | OFlags::CLOEXEC, resolve | ResolveFlags::NO_MAGICLINKS);
    regular(&openat2(directory, path, flags, Mode::empty(), resolve)?.into())
}

/// A directory, by its place.
///
/// # Errors
/// There is none.
pub fn directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The place of the file behind a mapping, whatever became of its path.
///
/// # Errors
/// The process is gone, the mapping changed, or we may not.
pub fn mapped(pid: Pid, start: u64, end: u64) -> io::Result<File> {
    let path = format!("/proc/{}/map_files/{start:x}-{end:x}", pid.0);
    Ok(openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Whether an error only says that no descriptor is left.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Opens for reading what `place` stands for. Its type is checked first: opening a device or a
/// FIFO could hang or set something in motion.
///
/// # Errors
/// It is something else than a regular file, or cannot be read.
pub fn regular(place: &File) -> io::Result<File> {
    let kind = place.metadata()?.file_type();
    if !kind.is_file() {
        let what = if kind.is_fifo() { "a FIFO, not a regular file" } else { "not a regular file" };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?.into())
}
