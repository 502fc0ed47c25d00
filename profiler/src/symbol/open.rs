//! Opening files of other people's processes.
//!
//! In: a path that a container may have turned into a link, a FIFO or a device. Out: a regular
//! file, opened without following a link out of the process's root and without waking a device.

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
    let path = format!("/proc/{}/root", pid.0);
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A regular file below a root; `flags` may add `NOFOLLOW`.
///
/// # Errors
/// There is none, or it is something else than a regular file.
pub fn below(root: &impl AsFd, path: &Path, flags: OFlags) -> io::Result<File> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let place = openat2(root, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty(), resolve)?;
    regular(&place.into())
}

/// The file behind a mapping, whatever became of its path.
///
/// # Errors
/// The process is gone, the mapping changed, we may not, or it is no regular file.
pub fn mapped(pid: Pid, start: u64, end: u64) -> io::Result<File> {
    let path = format!("/proc/{}/map_files/{start:x}-{end:x}", pid.0);
    regular(&openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Opens for reading what `place` stands for. Its type is checked first: opening a device or a
/// FIFO could hang or set something in motion.
fn regular(place: &File) -> io::Result<File> {
    let kind = place.metadata()?.file_type();
    if !kind.is_file() {
        let what = if kind.is_fifo() { "a FIFO, not a regular file" } else { "not a regular file" };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?.into())
}
