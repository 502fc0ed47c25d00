//! Code of a file: its bytes and its unwind tables, by offsets in the file.
//!
//! In: a file's bytes. Out: rules and bytes at an offset.

use std::rc::Rc;

use super::elf::Elf;
use super::tables::{Row, Tables};

/// An image.
pub struct Image<'a> {
    bytes: &'a [u8],
    elf: Elf<'a>,
    tables: Tables<'a>,
}

impl<'a> Image<'a> {
    /// Prepares a file; `None` for what is no ELF image.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let elf = Elf::parse(bytes)?;
        let tables = Tables::new(&elf);
        Some(Self { bytes, elf, tables })
    }

    /// The rules at an offset; `None` where no table covers it.
    pub fn row(&mut self, offset: u64) -> Option<Rc<Row>> {
        self.tables.row(self.elf.address_of(offset)?)
    }

    /// Bytes at an offset.
    pub fn bytes(&self, offset: u64, length: usize) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(length)?)
    }
}
