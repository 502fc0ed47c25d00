//! Where an ELF file keeps what names need.
//!
//! In: a file, or bytes, that may be anything. Out: its segments of code, its sections and what they hold, as it lies there.
//! 64-bit little-endian files only. Nothing is mapped, and counts and lengths are bounded: a damaged file has no section, and
//! costs no memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::profile::stack::Segment;

/// Bytes of the header, of a program header, of a section header.
pub const HEADER: usize = 64;
pub const PROGRAM: usize = 56;
pub const SECTION: usize = 64;
/// Segments of code that are looked at.
pub const CODE: usize = 8;
/// What else is looked at, at most: program headers, sections, bytes of their names, of one name.
const PROGRAMS: usize = 64;
const SECTIONS: usize = 4096;
const NAMES: u64 = 1 << 20;
const NAME: usize = 64;

pub const PT_LOAD: u32 = 1;
pub const EXECUTABLE: u32 = 1;
pub const SHT_NOBITS: u32 = 8;
pub const SHF_EXECINSTR: u64 = 4;

/// What can be read in parts.
pub trait Bytes {
    /// How many bytes there are; none where that cannot be told.
    fn length(&self) -> u64;

    /// So many bytes at a place; `None` if there are not so many.
    fn part(&self, at: u64, length: u64) -> Option<Vec<u8>>;
}

impl Bytes for File {
    fn length(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn part(&self, at: u64, length: u64) -> Option<Vec<u8>> {
        // A length that the file does not have would take memory before it fails.
        let end = at.checked_add(length)?;
        if end > self.length() {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }
}

impl Bytes for &[u8] {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn part(&self, at: u64, length: u64) -> Option<Vec<u8>> {
        (**self).part(at, length)
    }
}

impl Bytes for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn part(&self, at: u64, length: u64) -> Option<Vec<u8>> {
        let end = usize::try_from(at.checked_add(length)?).ok()?;
        Some(self.get(usize::try_from(at).ok()?..end)?.to_vec())
    }
}

/// Whether a file starts like an ELF image.
pub fn is_elf(file: &File) -> bool {
    file.part(0, 4).is_some_and(|magic| magic == *b"\x7fELF")
}

/// A file that begins as a 64-bit little-endian ELF file.
#[derive(Debug)]
pub struct Elf<'s, S: ?Sized> {
    source: &'s S,
    /// Its header, as it is.
    pub header: Vec<u8>,
}

/// A section.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name, or the beginning of it.
    pub name: String,
    /// Its header, as it is.
    pub header: Vec<u8>,
    /// What it is (`SHT_…`).
    pub kind: u32,
    /// `SHF_…`.
    pub flags: u64,
    /// Where it is linked.
    pub address: u64,
    /// Where it is in the file, bytes.
    pub offset: u64,
    /// Its length there.
    pub bytes: u64,
}

impl<'s, S: Bytes + ?Sized> Elf<'s, S> {
    /// Reads the header; `None` for what is no such file.
    pub fn open(source: &'s S) -> Option<Self> {
        let header = source.part(0, HEADER as u64)?;
        (header.get(..6)? == b"\x7fELF\x02\x01").then_some(Self { source, header })
    }

    /// The program headers, one behind the other.
    pub fn programs(&self) -> Option<Vec<u8>> {
        let count = usize::from(u16_at(&self.header, 56)?).min(PROGRAMS);
        if usize::from(u16_at(&self.header, 54)?) != PROGRAM {
            return None;
        }
        self.source.part(u64_at(&self.header, 32)?, (count * PROGRAM) as u64)
    }

    /// The segments of code.
    pub fn code(&self) -> Vec<Segment> {
        let programs = self.programs().unwrap_or_default();
        let code = programs.chunks_exact(PROGRAM).filter_map(|program| {
            let (kind, flags) = (u32_at(program, 0)?, u32_at(program, 4)?);
            let (offset, address, bytes) = (u64_at(program, 8)?, u64_at(program, 16)?, u64_at(program, 32)?);
            let is_code = kind == PT_LOAD && flags & EXECUTABLE != 0 && bytes > 0;
            is_code.then_some(Segment { offset, address, bytes })
        });
        code.take(CODE).collect()
    }

    /// The sections; none where there is no table of them, or it is damaged.
    pub fn sections(&self) -> Vec<Section> {
        self.read_sections().unwrap_or_default()
    }

    /// Whether it was linked by Go, which leaves its own table of functions in every program, also where names are stripped.
    pub fn is_of_go(&self) -> bool {
        const MARKS: [&str; 3] = [".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo"];
        self.sections().iter().any(|section| MARKS.contains(&section.name.as_str()))
    }

    fn read_sections(&self) -> Option<Vec<Section>> {
        let count = usize::from(u16_at(&self.header, 60)?).min(SECTIONS);
        if usize::from(u16_at(&self.header, 58)?) != SECTION {
            return None;
        }
        let table = self.source.part(u64_at(&self.header, 40)?, (count * SECTION) as u64)?;
        let mut sections = Vec::with_capacity(count);
        for header in table.chunks_exact(SECTION) {
            sections.push(Section {
                name: String::new(),
                header: header.to_vec(),
                kind: u32_at(header, 4)?,
                flags: u64_at(header, 8)?,
                address: u64_at(header, 16)?,
                offset: u64_at(header, 24)?,
                bytes: u64_at(header, 32)?,
            });
        }
        let names = sections.get(usize::from(u16_at(&self.header, 62)?));
        let names = names.and_then(|names| self.content(names, NAMES)).unwrap_or_default();
        for section in &mut sections {
            let name = names.get(u32_at(&section.header, 0)? as usize..).unwrap_or_default();
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            section.name = String::from_utf8_lossy(name.get(..NAME).unwrap_or(name)).into_owned();
        }
        Some(sections)
    }

    /// What a section holds, as it lies there; `None` if that is nothing, more than `most` bytes, or not in the file.
    pub fn content(&self, section: &Section, most: u64) -> Option<Vec<u8>> {
        if section.kind == SHT_NOBITS || section.bytes > most {
            return None;
        }
        self.source.part(section.offset, section.bytes)
    }

    /// Whether the file holds its own code. In a file that only has symbols, the layout of segments means
    /// nothing.
    pub fn has_code(&self) -> bool {
        let sections = self.sections();
        let mut code = sections.iter().filter(|section| section.flags & SHF_EXECINSTR != 0).peekable();
        code.peek().is_some() && code.all(|section| section.kind != SHT_NOBITS)
    }
}

/// Two bytes at a place.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Four bytes at a place.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Eight bytes at a place.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
