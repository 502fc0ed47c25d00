//! A file's symbols, unpacked: what a reader that knows no compression can read.
//!
//! In: a foreign ELF file. Out: a file in memory with its symbol tables and debug information, each unpacked for itself. What
//! is damaged is left out, so it hides nothing else. Symbols that distributions hide in `.gnu_debugdata` (an ELF file within,
//! compressed by xz) are its symbol table, if it has no other. Links to other files are left out.

use std::fs::File;
use std::io::{BufWriter, Write};

use rustix::fs::{MemfdFlags, memfd_create};

use super::compressed::{self, Packing, packing};
use super::headers::{Bytes, Elf, HEADER, PROGRAM, SECTION, Section, u64_at};

/// Bytes of the file in memory, at most.
const MOST: u64 = 512 << 20;
/// Bytes of an unpacked `.gnu_debugdata`, at most: symbols only.
const MOST_HIDDEN: u64 = 64 << 20;
/// Sections begin at multiples of so many bytes.
const ALIGN: u64 = 16;

const HIDDEN: &str = ".gnu_debugdata";
/// The symbol table, which may be hidden, and the one of what is exported; each with its names.
const SYMBOLS: [&str; 2] = [".symtab", ".strtab"];
const EXPORTED: [&str; 2] = [".dynsym", ".dynstr"];
const SHT_STRTAB: u32 = 3;
const SHF_COMPRESSED: u64 = 0x800;

/// The file unpacked, with or without debug information; `None` if it can be read as it is, or not at all.
pub fn plain(file: &File, dwarf: bool) -> Option<File> {
    let elf = Elf::open(file)?;
    let sections = elf.sections();
    if !sections.iter().any(|section| is_packed(&elf, section, dwarf)) {
        return None;
    }
    let mut plain = Plain::new(&elf)?;
    match tables(&elf, &sections, SYMBOLS) {
        Some(own) if own.iter().all(|(_, content)| !content.is_empty()) => plain.add_all(&own)?,
        _ => plain.add_all(&hidden(&elf, &sections).unwrap_or_default())?,
    }
    plain.add_all(&tables(&elf, &sections, EXPORTED).unwrap_or_default())?;
    for section in sections.iter().filter(|section| dwarf && section.name.starts_with(".debug_")) {
        if let Some(content) = content(&elf, section, MOST.saturating_sub(plain.at)) {
            plain.add(section, &content)?;
        }
    }
    plain.finish()
}

/// Whether a section can only be read here.
fn is_packed<S: Bytes + ?Sized>(elf: &Elf<'_, S>, section: &Section, dwarf: bool) -> bool {
    let by_zstd = || {
        let head = Section { bytes: section.bytes.min(4), ..section.clone() };
        elf.content(&head, 4).is_some_and(|head| packing(&head) == Some(Packing::Zstd))
    };
    section.name == HIDDEN || dwarf && section.flags & SHF_COMPRESSED != 0 && by_zstd()
}

fn content<S: Bytes + ?Sized>(elf: &Elf<'_, S>, section: &Section, room: u64) -> Option<Vec<u8>> {
    let content = elf.content(section, room)?;
    if section.flags & SHF_COMPRESSED == 0 { Some(content) } else { compressed::section(&content, room) }
}

type Table = (Section, Vec<u8>);

/// A symbol table and its names. One without the other would break the reader of both.
fn tables<S: Bytes + ?Sized>(elf: &Elf<'_, S>, sections: &[Section], names: [&str; 2]) -> Option<Vec<Table>> {
    let table = |name: &str| {
        let section = sections.iter().find(|section| section.name == name)?;
        Some((section.clone(), content(elf, section, MOST / 4)?))
    };
    names.into_iter().map(table).collect()
}

/// The symbol table within `.gnu_debugdata`.
fn hidden<S: Bytes + ?Sized>(elf: &Elf<'_, S>, sections: &[Section]) -> Option<Vec<Table>> {
    let section = sections.iter().find(|section| section.name == HIDDEN)?;
    let image = compressed::xz(&elf.content(section, MOST_HIDDEN)?, MOST_HIDDEN)?;
    let within = Elf::open(image.as_slice())?;
    tables(&within, &within.sections(), SYMBOLS)
}

/// An ELF file in memory, with the program headers of the one that its sections come from.
struct Plain {
    file: BufWriter<File>,
    at: u64,
    header: Vec<u8>,
    programs: usize,
    headers: Vec<u8>,
    names: Vec<u8>,
}

impl Plain {
    fn new<S: Bytes + ?Sized>(elf: &Elf<'_, S>) -> Option<Self> {
        let programs = elf.programs().unwrap_or_default();
        let mut file = BufWriter::new(File::from(memfd_create("symbols", MemfdFlags::CLOEXEC).ok()?));
        file.write_all(&elf.header).ok()?;
        file.write_all(&programs).ok()?;
        Some(Self {
            file,
            at: (HEADER + programs.len()) as u64,
            header: elf.header.clone(),
            programs: programs.len() / PROGRAM,
            headers: vec![0; SECTION],
            names: vec![0],
        })
    }

    fn add_all(&mut self, tables: &[Table]) -> Option<()> {
        tables.iter().try_for_each(|(section, content)| self.add(section, content))
    }

    fn add(&mut self, section: &Section, content: &[u8]) -> Option<()> {
        let name = self.names.len() as u32;
        self.names.extend(section.name.as_bytes());
        self.names.push(0);
        self.place(section.header.clone(), name, content)
    }

    /// Appends what a section holds, and its header to the others.
    fn place(&mut self, mut header: Vec<u8>, name: u32, content: &[u8]) -> Option<()> {
        self.pad()?;
        let flags = u64_at(&header, 8)? & !SHF_COMPRESSED;
        put(&mut header, 0, &name.to_le_bytes())?;
        put(&mut header, 8, &flags.to_le_bytes())?;
        put(&mut header, 24, &self.at.to_le_bytes())?;
        put(&mut header, 32, &(content.len() as u64).to_le_bytes())?;
        // Links to other sections, which have other numbers here.
        put(&mut header, 40, &[0; 8])?;
        self.headers.extend(header);
        self.append(content)
    }

    fn append(&mut self, content: &[u8]) -> Option<()> {
        self.file.write_all(content).ok()?;
        self.at += content.len() as u64;
        Some(())
    }

    fn pad(&mut self) -> Option<()> {
        let padding = self.at.next_multiple_of(ALIGN) - self.at;
        self.append(&[0; ALIGN as usize][..padding as usize])
    }

    /// Writes the names of sections, their headers, and the header of all.
    fn finish(mut self) -> Option<File> {
        let name = self.names.len() as u32;
        self.names.extend(b".shstrtab\0");
        let mut header = vec![0; SECTION];
        put(&mut header, 4, &SHT_STRTAB.to_le_bytes())?;
        let names = std::mem::take(&mut self.names);
        self.place(header, name, &names)?;
        self.pad()?;
        let table = self.at;
        let headers = std::mem::take(&mut self.headers);
        self.append(&headers)?;
        let count = (headers.len() / SECTION) as u16;
        for (at, value) in [
            (32, &(HEADER as u64).to_le_bytes()[..]),
            (40, &table.to_le_bytes()),
            (54, &(PROGRAM as u16).to_le_bytes()),
            (56, &(self.programs as u16).to_le_bytes()),
            (58, &(SECTION as u16).to_le_bytes()),
            (60, &count.to_le_bytes()),
            (62, &(count - 1).to_le_bytes()),
        ] {
            put(&mut self.header, at, value)?;
        }
        let file = self.file.into_inner().ok()?;
        std::os::unix::fs::FileExt::write_all_at(&file, &self.header, 0).ok()?;
        Some(file)
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(value.len())?)?.copy_from_slice(value);
    Some(())
}
