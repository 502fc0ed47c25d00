//! Which function is at an address.
//!
//! In: the table, a linked address. Out: the function's entry, record and name. The list of functions is
//! sorted, as Go's own runtime checks at each start. In a list that is not sorted, a search may miss, but it
//! ends, and a function that it finds covers the address.

use super::super::headers::Bytes;
use super::super::names::NAME_BYTES;
use super::pages::Pages;
use super::table::Table;

/// A function.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Where its code begins.
    pub entry: u64,
    /// Where its record is in the file.
    pub record: u64,
    /// Where its name is among the names.
    pub name: u32,
}

/// The function whose code covers an address.
pub fn find<S: Bytes>(pages: &mut Pages<S>, table: &Table, address: u64) -> Option<Function> {
    let (mut low, mut high) = (0, table.functions);
    while low < high {
        let middle = low + (high - low) / 2;
        if table.entry(pages, middle)? <= address { low = middle + 1 } else { high = middle }
    }
    let index = low.checked_sub(1)?;
    let (entry, end) = (table.entry(pages, index)?, table.entry(pages, index + 1)?);
    if !(entry..end).contains(&address) || address >= table.entry(pages, table.functions)? {
        return None;
    }
    let record = table.record(pages, index)?;
    let (own, name) = if table.layout.has_offsets() {
        (table.text.checked_add(pages.u32(record)?.into())?, pages.u32(record.checked_add(4)?)?)
    } else {
        (pages.u64(record)?, pages.u32(record.checked_add(8)?)?)
    };
    // A record of another function would give a wrong name.
    (own == entry).then_some(Function { entry, record, name })
}

/// The name at an offset; `None` if there is none.
pub fn name<S: Bytes>(pages: &mut Pages<S>, table: &Table, offset: u32) -> Option<Vec<u8>> {
    // Offsets are signed, and no program has 2 GiB of names.
    let offset = i32::try_from(offset).ok()?;
    let name = pages.text(table.names.checked_add(offset as u64)?, NAME_BYTES)?;
    (!name.is_empty()).then_some(name)
}
