//! Code of a file: its bytes and its unwind tables, by offsets in the file.
//!
//! In: a file's bytes. Out: rules and bytes at an offset.

use std::rc::Rc;

use super::elf::Elf;
use super::tables::{Row, Tables};
use super::walk::Go;
use crate::symbol::golang::GoNames;

/// The sections that have Go's table of functions. A program without them costs a search, which is not made here.
const OF_GO: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Where a stack of Go's begins: what its own traceback takes for the top. What these call does not return to a goroutine.
const BOTTOMS: [&str; 5] =
    ["runtime.goexit", "runtime.mstart", "runtime.mcall", "runtime.morestack", "runtime.rt0_go"];

/// An image.
pub struct Image<'a> {
    bytes: &'a [u8],
    elf: Elf<'a>,
    tables: Tables<'a>,
    /// Read when it is first asked for.
    go: Option<Option<GoNames<&'a [u8]>>>,
}

impl<'a> Image<'a> {
    /// Prepares a file; `None` for what is no ELF image.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let elf = Elf::parse(bytes)?;
        let tables = Tables::new(&elf);
        Some(Self { bytes, elf, tables, go: None })
    }

    /// The rules at an offset; `None` where no table covers it.
    pub fn row(&mut self, offset: u64) -> Option<Rc<Row>> {
        self.tables.row(self.elf.address_of(offset)?)
    }

    /// What Go code is at an offset; `None` where there is other code.
    pub fn go(&mut self, offset: u64) -> Option<Go> {
        let (elf, bytes) = (&self.elf, self.bytes);
        let open = || OF_GO.iter().any(|name| elf.section(name).is_some()).then(|| GoNames::open(bytes))?;
        let address = elf.address_of(offset)?;
        let names = self.go.get_or_insert_with(open).as_mut()?.names(address);
        let function = names.last()?.as_str();
        let function = function.trim_end_matches(".abi0");
        Some(if BOTTOMS.contains(&function) { Go::Bottom } else { Go::Called })
    }

    /// Bytes at an offset.
    pub fn bytes(&self, offset: u64, length: usize) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(length)?)
    }
}
