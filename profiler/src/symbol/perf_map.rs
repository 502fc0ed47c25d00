//! Perf maps: names of JIT code, written by the process itself.
//!
//! In: `/tmp/perf-PID.map` inside the process's root: it may be a link, a FIFO, huge or garbage.
//! Out: names by address. Bad lines are skipped.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{OFlags, major, minor};

use super::names::clean;
use super::open;
use crate::profile::Pid;

/// Bytes of a perf map we read; the rest of a larger one has no names.
const FILE_BYTES: u64 = 64 << 20;
/// Bytes of a name we keep.
const NAME_BYTES: usize = 512;
/// Entries we keep.
const ENTRIES: usize = 1 << 20;
/// Overlapping entries looked at for one address.
const NESTED: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    end: u64,
    name: u32,
    length: u16,
}

/// The names in a perf map.
#[derive(Debug, Default)]
pub struct PerfMap {
    entries: Vec<Entry>,
    names: String,
}

impl PerfMap {
    /// Parses lines `START LENGTH NAME`, numbers in hex with or without `0x`.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut map = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            if map.entries.len() >= ENTRIES {
                break;
            }
            let _ = map.add(line);
        }
        // JIT compilers use addresses again: of entries with one start the last line holds.
        map.entries.reverse();
        map.entries.sort_by_key(|entry| entry.start);
        map.entries.dedup_by_key(|entry| entry.start);
        map
    }

    fn add(&mut self, line: &[u8]) -> Option<()> {
        // Cut before the lossy copy: one line may be as long as the file.
        let line = String::from_utf8_lossy(line.get(..line.len().min(4 * NAME_BYTES))?);
        let mut fields = line.splitn(3, ' ');
        let start = hex(fields.next()?)?;
        let end = start.checked_add(hex(fields.next()?)?)?;
        let text = fields.next()?.trim_end_matches('\r');
        if text.is_empty() || start == end {
            return None;
        }
        let text = clean(text, NAME_BYTES);
        let entry =
            Entry { start, end, name: u32::try_from(self.names.len()).ok()?, length: text.len() as u16 };
        self.names.push_str(&text);
        self.entries.push(entry);
        Some(())
    }

    /// The name at an address.
    pub fn name(&self, address: u64) -> Option<&str> {
        let after = self.entries.partition_point(|entry| entry.start <= address);
        let near = self.entries.get(after.saturating_sub(NESTED)..after)?;
        let entry = near.iter().rev().find(|entry| address < entry.end)?;
        self.names.get(entry.name as usize..entry.name as usize + usize::from(entry.length))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// There are no names.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn hex(digits: &str) -> Option<u64> {
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).unwrap_or(digits);
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// Where a process's perf map is, held by the child that reads it.
#[derive(Debug)]
pub struct PerfMapPlace {
    root: OwnedFd,
    path: PathBuf,
    owner: u32,
    early: Option<File>,
}

impl PerfMapPlace {
    /// Finds the place of a live process; its perf map may appear later.
    ///
    /// # Errors
    /// The process is gone or not ours to look at.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.0))?;
        let last =
            |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().last());
        let first =
            |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next());
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
        let inside = number(last("NSpid:")).unwrap_or(pid.0);
        let owner = number(first("Uid:")).ok_or(io::ErrorKind::InvalidData)?;
        let mut place = Self {
            root: open::root(pid)?,
            path: format!("/tmp/perf-{inside}.map").into(),
            owner,
            early: None,
        };
        place.early = place.open().ok();
        Ok(place)
    }

    /// The device of its root directory, (major, minor).
    pub fn device(&self) -> io::Result<(u32, u32)> {
        let device = rustix::fs::fstat(&self.root)?.st_dev;
        Ok((major(device), minor(device)))
    }

    /// A link's target and a second name of a file are not the process's own choice alone: no
    /// links, and only the process's user or root may own it.
    fn open(&self) -> io::Result<File> {
        let place = open::below(&self.root, &self.path, OFlags::NOFOLLOW)?;
        let metadata = place.metadata()?;
        if metadata.nlink() > 1 || (metadata.uid() != self.owner && metadata.uid() != 0) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not the process's own perf map"));
        }
        Ok(place)
    }

    /// Reads the names as they are now, or through the file that was there at first.
    ///
    /// # Errors
    /// There is no usable perf map.
    pub fn read(&self) -> io::Result<PerfMap> {
        let now = self.open();
        let place = match (&now, &self.early) {
            (Ok(place), _) | (Err(_), Some(place)) => place,
            (Err(error), None) => return Err(io::Error::new(error.kind(), error.to_string())),
        };
        let mut bytes = Vec::new();
        open::regular(place)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
        Ok(PerfMap::parse(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_bad_lines_and_takes_both_number_forms() {
        let map = PerfMap::parse(
            b"0x7f00 10 Lfoo;::bar\n7f20 0x8 b a z\nrubbish\n7f30 zz x\n\xff\xff 1 x\n7f40 10\n\
              ffffffffffffffff ff wraps\n+7f50 1 plus\n7f60 4 e\x1b[2Jvil\r\n7f70 0 empty",
        );
        assert_eq!(map.name(0x7f0f), Some("Lfoo;::bar"));
        assert_eq!(map.name(0x7f10), None);
        assert_eq!(map.name(0x7f27), Some("b a z"));
        assert_eq!(map.name(0x7f61), Some("e\u{fffd}[2Jvil"));
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn the_last_line_of_a_reused_address_holds() {
        let map = PerfMap::parse(b"1000 100 old\n1000 10 new\n1020 10 inner\n0f00 200 outer");
        assert_eq!(map.name(0x1005), Some("new"));
        assert_eq!(map.name(0x1025), Some("inner"));
        assert_eq!(map.name(0x1050), Some("outer"));
    }

    #[test]
    fn long_names_are_cut() {
        let line = [b"1000 10 ".as_slice(), &[b'n'; 1 << 20]].concat();
        assert_eq!(PerfMap::parse(&line).name(0x1000).map(str::len), Some(NAME_BYTES));
    }
}
