//! Where an ELF image keeps its code and its unwind tables.
//!
//! In: the bytes of a file. Out: loaded segments, and the tables' bytes with their addresses. Program headers tell it
//! where they can: they are there also where sections are stripped.

/// Segments and sections looked at.
const SEGMENTS: usize = 64;
const SECTIONS: usize = 4096;
const PT_LOAD: u32 = 1;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const SHT_NOBITS: u32 = 8;
const SHF_COMPRESSED: u64 = 0x800;

/// A loaded segment.
#[derive(Clone, Copy, Debug)]
struct Load {
    offset: u64,
    address: u64,
    bytes: u64,
}

/// Bytes of the file and the address at which they are linked.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Linked address.
    pub address: u64,
    /// What is there.
    pub bytes: &'a [u8],
}

/// An image.
#[derive(Debug)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    loads: Vec<Load>,
    header: Option<(u64, u64)>,
}

impl<'a> Elf<'a> {
    /// Reads the program headers; `None` for what is no 64-bit little-endian ELF image.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let table = usize::try_from(word(bytes, 32)?).ok()?;
        let (size, count) = (usize::from(half(bytes, 54)?), usize::from(half(bytes, 56)?).min(SEGMENTS));
        let mut elf = Self { bytes, loads: Vec::new(), header: None };
        for index in 0..count {
            let segment = bytes.get(table.checked_add(index.checked_mul(size)?)?..)?;
            let (offset, address, length) = (word(segment, 8)?, word(segment, 16)?, word(segment, 32)?);
            match quarter(segment, 0)? {
                PT_LOAD => elf.loads.push(Load { offset, address, bytes: length }),
                PT_GNU_EH_FRAME => elf.header = Some((address, length)),
                _ => {}
            }
        }
        Some(elf)
    }

    /// The linked address of an offset in the file.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let holds = |load: &&Load| offset.checked_sub(load.offset).is_some_and(|at| at < load.bytes);
        // The kernel maps whole pages: an offset just before a segment may be on its first page.
        let near =
            |load: &&Load| load.offset & !0xfff <= offset && offset < load.offset.saturating_add(load.bytes);
        let load = self.loads.iter().find(holds).or_else(|| self.loads.iter().find(near))?;
        Some(load.address.wrapping_add(offset).wrapping_sub(load.offset))
    }

    /// What is linked at an address, up to the end of its segment.
    pub fn part_at(&self, address: u64) -> Option<Part<'a>> {
        let load = self.loads.iter().find(|load| address.wrapping_sub(load.address) < load.bytes)?;
        let skipped = address - load.address;
        let start = usize::try_from(load.offset.checked_add(skipped)?).ok()?;
        let end = start.saturating_add((load.bytes - skipped) as usize).min(self.bytes.len());
        Some(Part { address, bytes: self.bytes.get(start..end)? })
    }

    /// The sorted index of the unwind tables.
    pub fn eh_frame_hdr(&self) -> Option<Part<'a>> {
        let (address, length) = self.header?;
        let part = self.part_at(address)?;
        Some(Part { address, bytes: part.bytes.get(..usize::try_from(length).ok()?).unwrap_or(part.bytes) })
    }

    /// A section by its name, unless it is compressed.
    pub fn section(&self, name: &str) -> Option<Part<'a>> {
        let table = usize::try_from(word(self.bytes, 40)?).ok()?;
        let size = usize::from(half(self.bytes, 58)?);
        let count = usize::from(half(self.bytes, 60)?).min(SECTIONS);
        let at = |index: usize| self.bytes.get(table.checked_add(index.checked_mul(size)?)?..);
        let names = range(self.bytes, at(usize::from(half(self.bytes, 62)?))?)?;
        (0..count).find_map(|index| {
            let section = at(index)?;
            let found = names.get(quarter(section, 0)? as usize..)?;
            let is_it = found.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
            let plain = quarter(section, 4)? != SHT_NOBITS && word(section, 8)? & SHF_COMPRESSED == 0;
            let bytes = (is_it && plain).then(|| range(self.bytes, section))??;
            Some(Part { address: word(section, 16)?, bytes })
        })
    }
}

/// The bytes that a section header means.
fn range<'a>(bytes: &'a [u8], section: &[u8]) -> Option<&'a [u8]> {
    let start = usize::try_from(word(section, 24)?).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(word(section, 32)?).ok()?)?)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn quarter(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
