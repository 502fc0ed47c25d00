//! A program as it would lie in memory.
//!
//! In: a foreign ELF file. Out: where its addresses are in the file; its sections; what the loader would write to words that
//! are addresses. Nothing of it is mapped.

use super::super::headers::{Bytes, EXECUTABLE, Elf, PROGRAM, PT_LOAD, SHT_NOBITS, Section, u32_at, u64_at};
use super::pages::Pages;
use super::scan::{self, Effort};

const WRITABLE: u32 = 2;
const PT_DYNAMIC: u32 = 2;
/// Bytes of the list that says where relocations are, at most.
const DYNAMIC: u64 = 16 << 10;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;

/// A part of the file that is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where it is in the file, bytes.
    pub offset: u64,
    /// Where it is linked.
    pub address: u64,
    /// Its length in the file.
    pub bytes: u64,
    flags: u32,
}

impl Load {
    /// Whether it holds code.
    pub fn is_code(&self) -> bool {
        self.flags & EXECUTABLE != 0
    }

    /// Whether the program may write it.
    pub fn is_writable(&self) -> bool {
        self.flags & WRITABLE != 0
    }

    fn into(&self, address: u64) -> Option<u64> {
        address.checked_sub(self.address).filter(|into| *into < self.bytes)
    }
}

/// A program.
#[derive(Debug)]
pub struct Image<S> {
    /// What it is read through.
    pub pages: Pages<S>,
    /// What is loaded of it.
    pub loads: Vec<Load>,
    /// Its sections that hold something; none where there is no table of them.
    pub sections: Vec<Section>,
    /// Where its relocations are in the file, and their length.
    relocations: Option<(u64, u64)>,
}

impl<S: Bytes> Image<S> {
    /// Reads headers; `None` if this is no ELF file that is read here.
    pub fn open(source: S) -> Option<Self> {
        let elf = Elf::open(&source)?;
        let programs = elf.programs()?;
        let mut sections = elf.sections();
        sections.retain(|section| section.kind != SHT_NOBITS);
        let loads = |program: &[u8]| {
            let (kind, flags) = (u32_at(program, 0)?, u32_at(program, 4)?);
            let (offset, address, bytes) = (u64_at(program, 8)?, u64_at(program, 16)?, u64_at(program, 32)?);
            (kind == PT_LOAD).then_some(Load { offset, address, bytes, flags })
        };
        let loads: Vec<Load> = programs.chunks_exact(PROGRAM).filter_map(loads).collect();
        let dynamic = programs.chunks_exact(PROGRAM).find(|program| u32_at(program, 0) == Some(PT_DYNAMIC));
        let dynamic =
            dynamic.and_then(|program| source.part(u64_at(program, 8)?, u64_at(program, 32)?.min(DYNAMIC)));
        let mut image = Self { pages: Pages::new(source), loads, sections, relocations: None };
        image.relocations = dynamic.and_then(|dynamic| image.relocations(&dynamic));
        Some(image)
    }

    fn relocations(&self, dynamic: &[u8]) -> Option<(u64, u64)> {
        let value = |wanted| {
            let mut entries = dynamic.chunks_exact(16);
            u64_at(entries.find(|entry| u64_at(entry, 0) == Some(wanted))?, 8)
        };
        Some((self.offset_of(value(DT_RELA)?)?, value(DT_RELASZ)?))
    }

    /// Where an address is in the file.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| load.offset.checked_add(load.into(address)?))
    }

    /// Where a place in the file is linked.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| {
            let into = offset.checked_sub(load.offset).filter(|into| *into < load.bytes)?;
            load.address.checked_add(into)
        })
    }

    /// Whether there is code at an address.
    pub fn is_code(&self, address: u64) -> bool {
        self.loads.iter().any(|load| load.is_code() && load.into(address).is_some())
    }

    /// The words that the loader fills and that `wanted` (address, value) accepts, up to a number.
    pub fn filled(
        &self,
        effort: &mut Effort,
        most: usize,
        wanted: impl Fn(u64, u64) -> bool,
    ) -> Vec<(u64, u64)> {
        let Some((at, length)) = self.relocations else { return Vec::new() };
        scan::relocations(&self.pages.source, (at, length), effort, most, wanted)
    }
}
