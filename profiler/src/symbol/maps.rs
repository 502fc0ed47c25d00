//! Executable mappings of a process.
//!
//! In: `/proc/PID/maps`, whose length and paths the process controls. Out: its executable ranges.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use serde::{Deserialize, Serialize};

use crate::profile::Pid;

/// Bytes of a maps file we read; the rest of a larger one stays unmapped.
const FILE_BYTES: u64 = 64 << 20;
/// Executable mappings we keep of one process.
const MAPPINGS: usize = 65_536;

/// An executable range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Offset of `start` in the file.
    pub offset: u64,
    /// Device of the file, (major, minor).
    pub device: (u32, u32),
    /// Inode of the file; 0 when there is none.
    pub inode: u64,
    /// Path in the process's mount namespace, without ` (deleted)`; may be a `[name]` or empty.
    pub path: String,
}

impl Mapping {
    /// Parses one line; `None` for one that is not executable or makes no sense.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.trim_end_matches('\n').splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let executable = fields.next()?.as_bytes().get(2) == Some(&b'x');
        let offset = hex(fields.next()?)?;
        let (major, minor) = fields.next()?.split_once(':')?;
        let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        let inode = fields.next()?.parse().ok()?;
        let path = fields.next().unwrap_or_default().trim_start_matches(' ');
        let path = path.strip_suffix(" (deleted)").unwrap_or(path).replace("\\012", "\n");
        let (start, end) = (hex(start)?, hex(end)?);
        (executable && start < end).then_some(Self { start, end, offset, device, inode, path })
    }

    /// The vDSO of a 64-bit process (a 32-bit one has another image).
    pub fn is_vdso(&self) -> bool {
        self.path == "[vdso]" && self.start > u64::from(u32::MAX)
    }

    /// A file is mapped here.
    pub fn has_file(&self) -> bool {
        self.inode != 0 && self.path.starts_with('/')
    }

    /// Memory that the kernel backs by a file of its own: often JIT code, sometimes an image.
    pub fn is_memory_file(&self) -> bool {
        ["/memfd:", "/dev/zero", "/SYSV", "/dev/shm/"].iter().any(|prefix| self.path.starts_with(prefix))
    }
}

fn hex(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

/// The executable mappings of a process, by address.
///
/// # Errors
/// The process is gone (`NotFound`, `ESRCH`) or not ours to look at (`PermissionDenied`).
pub fn read(pid: Pid) -> io::Result<Vec<Mapping>> {
    let file = File::open(format!("/proc/{}/maps", pid.0))?;
    parse(BufReader::with_capacity(64 << 10, file.take(FILE_BYTES)))
}

/// The executable mappings among the lines of a maps file.
fn parse(mut lines: impl BufRead) -> io::Result<Vec<Mapping>> {
    let (mut mappings, mut line) = (Vec::new(), Vec::new());
    while mappings.len() < MAPPINGS && lines.read_until(b'\n', &mut line)? > 0 {
        mappings.extend(Mapping::parse(&line));
        line.clear();
    }
    mappings.sort_by_key(|mapping: &Mapping| mapping.start);
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"00400000-00401000 r--p 00000000 fe:00 12 /bin/a b (deleted)\n\
        00401000-00402000 r-xp 00001000 fe:00 12                     /bin/a b\\012c (deleted)\n\
        7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n\
        7f3a4e59e000-7f3a4e5a0000 r-xp 00000000 00:00 0                          [vdso]\n\
        nonsense\n5-1 r-xp 0 0:0 0\nzz-1 r-xp 0 0:0 0\n";

    #[test]
    fn keeps_executable_lines() {
        let mappings = parse(MAPS).unwrap();
        let paths: Vec<_> = mappings.iter().map(|mapping| mapping.path.as_str()).collect();
        assert_eq!(paths, ["/bin/a b\nc", "", "[vdso]"]);
        assert_eq!(mappings[0].device, (0xfe, 0));
        assert_eq!((mappings[0].offset, mappings[0].inode), (0x1000, 12));
        assert!(mappings[2].is_vdso() && !mappings[1].has_file() && mappings[0].has_file());
    }

    #[test]
    fn reads_our_own() {
        let here = keeps_executable_lines as fn() as usize as u64;
        let mappings = read(Pid(std::process::id())).unwrap();
        assert!(
            mappings.iter().any(|mapping| mapping.start <= here && here < mapping.end && mapping.has_file())
        );
    }
}
