//! Bounded reading of files that an attacker may have prepared.
//!
//! In: paths in procfs, or below a directory that is already open. Out: at most `cap` bytes as text;
//! `None` if the file is gone, is no regular file, is behind a link, or is too large.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

/// Most of a procfs file that is looked at: mount tables of busy hosts are the largest.
pub(super) const PROC_CAP: u64 = 4 << 20;
/// Largest JSON file of a runtime that is read (seen: 3–20 KiB).
pub(super) const JSON_CAP: u64 = 1 << 20;

/// A procfs file as text, cut at [`PROC_CAP`]; bytes that are no UTF-8 become U+FFFD.
pub(super) fn procfs(path: impl AsRef<Path>) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(PROC_CAP).read_to_end(&mut bytes).ok()?;
    Some(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// Opens a directory, following magic links such as `/proc/PID/cwd`.
pub(super) fn directory(path: impl AsRef<Path>) -> Option<OwnedFd> {
    open(path.as_ref(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// JSON in a regular file at `path` below `dir`. No link is followed on the way and a FIFO cannot hold
/// us up; `..` may lead out of `dir`, so only our own constants and checked names go into `path`.
pub(super) fn json(dir: &OwnedFd, path: impl AsRef<Path>) -> Option<serde_json::Value> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = openat2(dir, path.as_ref(), flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok()?;
    let stat = fstat(&file).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(file).take(JSON_CAP + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > JSON_CAP {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}

/// True for a name that is one plain component of a path.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name != "." && name != ".." && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_follows_no_link_and_no_fifo_and_respects_the_cap() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("good"), "{\"a\":1}").unwrap();
        std::os::unix::fs::symlink(at("good"), at("link")).unwrap();
        std::fs::write(at("large"), format!("\"{}\"", "x".repeat(JSON_CAP as usize))).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::RUSR).unwrap();
        let open = directory(dir.path()).unwrap();
        assert_eq!(json(&open, "good").unwrap()["a"], 1);
        for bad in ["link", "large", "fifo", "absent", "."] {
            assert!(json(&open, bad).is_none(), "{bad} was read");
        }
    }
}
