//! In: files, directories, devices. Out: an archive of the kernel's initial file system ("newc"), uncompressed;
//! archives may follow each other in one file. Made here, because device nodes need no root this way.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive that grows.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

/// What is in an entry's header beside its name and size.
struct Kind {
    mode: u32,
    device: (u32, u32),
}

impl Archive {
    /// Adds a directory and those above it. Paths have no leading slash.
    pub fn directory(&mut self, path: &str) {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let Some(part) = path.get(..end).filter(|part| !part.is_empty()) else { continue };
            if self.directories.insert(part.to_owned()) {
                self.entry(part, &Kind { mode: DIRECTORY, device: (0, 0) }, b"");
            }
        }
    }

    /// Adds a file that may be executed, with the directories above it.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.parents(path);
        self.entry(path, &Kind { mode: EXECUTABLE, device: (0, 0) }, content);
    }

    /// Adds a copy of a file of this machine.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.file(path, &content);
        Ok(())
    }

    /// Adds a character device.
    pub fn device(&mut self, path: &str, device: (u32, u32)) {
        self.parents(path);
        self.entry(path, &Kind { mode: CHARACTER_DEVICE, device }, b"");
    }

    /// The archive with its end mark.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", &Kind { mode: 0, device: (0, 0) }, b"");
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above);
        }
    }

    fn entry(&mut self, name: &str, kind: &Kind, content: &[u8]) {
        self.entries += 1;
        // Magic, then inode, mode, uid, gid, links, mtime, size, two device numbers, length of the name, checksum.
        let (major, minor) = kind.device;
        let (size, length) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [self.entries, kind.mode, 0, 0, 1, 0, size, 0, 0, major, minor, length, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_directories_come_once_and_first() {
        let mut archive = Archive::default();
        archive.file("a/b/one", b"12345");
        archive.device("a/two", (5, 1));
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<&str> =
            text.split("070701").skip(1).map(|entry| entry[104..].split('\0').next().unwrap()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/two", "TRAILER!!!"]);
    }
}
