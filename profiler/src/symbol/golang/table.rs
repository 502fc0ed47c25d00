//! The head of Go's table of functions.
//!
//! In: a place in a foreign file. Out: where the parts of the table are there, if it begins there and is whole. Its layout
//! changed with Go 1.16, 1.18 and 1.20, each of which has a number of its own. Programs of 64-bit little-endian machines only.

use super::super::headers::Bytes;
use super::image::Image;
use super::pages::Pages;

/// Functions of a program, at most: a table of more is none.
const FUNCTIONS: u64 = 1 << 26;
/// Bytes of an address.
const POINTER: u64 = 8;

/// The layouts, by the first Go that writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// Go 1.2: one table, in which all offsets begin at its start.
    Go2,
    /// Go 1.16: parts, each with offsets of its own.
    Go16,
    /// Go 1.18: addresses are offsets in the code.
    Go18,
    /// Go 1.20: functions know the line they begin in.
    Go20,
}

impl Layout {
    fn of(magic: u32) -> Option<Self> {
        Some(match magic {
            0xffff_fffb => Self::Go2,
            0xffff_fffa => Self::Go16,
            0xffff_fff0 => Self::Go18,
            0xffff_fff1 => Self::Go20,
            _ => return None,
        })
    }

    /// Whether functions and what is inlined into them are told by offsets, not by addresses.
    pub fn has_offsets(self) -> bool {
        self >= Self::Go18
    }
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its layout.
    pub layout: Layout,
    /// Where it is linked.
    pub address: u64,
    /// How many functions it has.
    pub functions: u64,
    /// Bytes of the shortest instruction.
    pub quantum: u64,
    /// Where Go's code begins, which entries are counted from; 0 where they are addresses, and where only
    /// [`super::module`] knows.
    pub text: u64,
    /// Where in the file the names of functions begin.
    pub names: u64,
    /// Where in the file the lists of values by code address begin.
    pub values: u64,
    /// Where in the file the list of functions is, and what offsets of functions are counted from.
    pub list: u64,
    /// What they are counted from.
    pub records: u64,
}

/// Whether a word is how a table begins: its number, two zeros, bytes of an instruction, bytes of an address.
pub fn begins(word: u64) -> bool {
    let [a, b, c, d, zero, also_zero, quantum, pointer] = word.to_le_bytes();
    Layout::of(u32::from_le_bytes([a, b, c, d])).is_some()
        && (zero, also_zero) == (0, 0)
        && matches!(quantum, 1 | 2 | 4)
        && u64::from(pointer) == POINTER
}

impl Table {
    /// The table that begins at a place in the file, if all its parts are in the file.
    pub fn read<S: Bytes>(pages: &mut Pages<S>, at: u64, address: u64) -> Option<Self> {
        let first = pages.u64(at)?;
        if !begins(first) {
            return None;
        }
        let layout = Layout::of(first as u32)?;
        let mut word = |index: u64| pages.u64(at.checked_add(index * POINTER)?);
        let functions = word(1)?;
        // Of the words behind the number of files: text, names, units, files, values, functions. The first is new in 1.18.
        let (text, names, values, list) = match layout {
            Layout::Go2 => (0, 0, 0, 2 * POINTER),
            Layout::Go16 => (0, word(3)?, word(6)?, word(7)?),
            Layout::Go18 | Layout::Go20 => (word(3)?, word(4)?, word(7)?, word(8)?),
        };
        let records = if layout == Layout::Go2 { 0 } else { list };
        let quantum = first.to_le_bytes().get(6).copied().map(u64::from)?;
        let [names, values, list, records] = [names, values, list, records].map(|part| at.checked_add(part));
        let (names, values, list, records) = (names?, values?, list?, records?);
        let table = Self { layout, address, functions, quantum, text, names, values, list, records };
        let end = list
            .checked_add(functions.checked_mul(table.entry_bytes())?)?
            .checked_add(table.entry_bytes() / 2)?;
        let whole = (1..=FUNCTIONS).contains(&functions) && end <= pages.length();
        whole.then_some(table)
    }

    /// Bytes of an entry in the list: where a function begins, where its record is.
    fn entry_bytes(&self) -> u64 {
        if self.layout.has_offsets() { 8 } else { 16 }
    }

    /// Where a function begins; behind the last one, where the last one ends.
    pub fn entry<S: Bytes>(&self, pages: &mut Pages<S>, index: u64) -> Option<u64> {
        let at = self.list.checked_add(index.checked_mul(self.entry_bytes())?)?;
        if self.layout.has_offsets() { self.text.checked_add(pages.u32(at)?.into()) } else { pages.u64(at) }
    }

    /// Where the record of a function is in the file; `None` for a gap between functions, too.
    pub fn record<S: Bytes>(&self, pages: &mut Pages<S>, index: u64) -> Option<u64> {
        let at = self.list.checked_add(index.checked_mul(self.entry_bytes())?)?;
        let offset = if self.layout.has_offsets() {
            pages.u32(at.checked_add(4)?)?.into()
        } else {
            pages.u64(at.checked_add(8)?)?
        };
        (offset != 0).then_some(())?;
        self.records.checked_add(offset)
    }

    /// Whether its functions lie in the program's code.
    pub fn fits<S: Bytes>(&self, image: &mut Image<S>) -> bool {
        let first = self.entry(&mut image.pages, 0);
        let end = self.entry(&mut image.pages, self.functions);
        let (Some(first), Some(end)) = (first, end) else { return false };
        first < end && image.is_code(first) && image.is_code(end - 1)
    }
}
