//! What Go's runtime knows of a program beside its table: where code begins, and where data of functions is.
//!
//! In: the table. Out: both, from the program's `moduledata`. It has no name that stays when a program is
//! stripped, but it begins with the address of the table, and repeats what the table says: so it is searched
//! for by these, and checked. Where the loader fills addresses in (a program that may lie anywhere, linked by
//! another linker than Go's), they are in its relocations.

use super::super::headers::Bytes;
use super::image::Image;
use super::scan::{self, Effort};
use super::table::{Layout, Table};

/// Places that hold the table's address and may be it, at most.
const PLACES: usize = 16;
/// Words of it that are looked at.
const WORDS: u64 = 48;
const WORD: u64 = 8;

/// What is taken of it.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Where Go's code begins.
    pub text: u64,
    /// Where data of functions is linked.
    pub functions: u64,
}

/// The words of one place.
type Words = Vec<u64>;

/// Looks for it. Of layouts before Go 1.18 nothing is needed of it.
pub fn find<S: Bytes>(image: &mut Image<S>, table: &Table, effort: &mut Effort) -> Option<Module> {
    if !table.layout.has_offsets() {
        return None;
    }
    plain(image, table, effort).or_else(|| filled(image, table, effort))
}

/// Where the file has the addresses itself.
fn plain<S: Bytes>(image: &mut Image<S>, table: &Table, effort: &mut Effort) -> Option<Module> {
    // A section of its own since Go 1.26; then what may be written; then the rest.
    let named = image.sections.iter().filter(|section| section.name == ".go.module");
    let mut stretches: Vec<_> = named.map(|section| (section.offset, section.bytes)).collect();
    for writable in [true, false] {
        let loads = image.loads.iter().filter(|load| load.is_writable() == writable && !load.is_code());
        stretches.extend(loads.map(|load| (load.offset, load.bytes)));
    }
    for (at, bytes) in stretches {
        let stretch = at..at.saturating_add(bytes);
        let places = scan::words(&image.pages.source, stretch, effort, PLACES, |word| word == table.address);
        for place in places {
            let words = (0..WORDS).map(|index| image.pages.u64(place + index * WORD).unwrap_or(0));
            let words: Words = words.collect();
            if let Some(module) = checked(image, table, &words) {
                return Some(module);
            }
        }
    }
    None
}

/// Where the loader fills them in.
fn filled<S: Bytes>(image: &mut Image<S>, table: &Table, effort: &mut Effort) -> Option<Module> {
    let places = image.filled(effort, PLACES, |_, value| value == table.address);
    places.into_iter().find_map(|(place, _)| {
        let end = place.checked_add(WORDS * WORD)?;
        let filled = image.filled(effort, WORDS as usize, |address, _| (place..end).contains(&address));
        let offset = image.offset_of(place)?;
        let word = |index: u64| {
            let address = place + index * WORD;
            let told = filled.iter().find(|(filled, _)| *filled == address).map(|(_, value)| *value);
            told.or_else(|| image.pages.u64(offset.checked_add(index * WORD)?)).unwrap_or(0)
        };
        let words: Words = (0..WORDS).map(word).collect();
        checked(image, table, &words)
    })
}

/// What these words say, if they repeat what the table says.
fn checked<S: Bytes>(image: &mut Image<S>, table: &Table, words: &Words) -> Option<Module> {
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    let linked = |offset: u64| image.address_of(offset);
    // Slices: an address, a length, a capacity.
    let repeats = [(1, table.names), (10, table.values), (13, table.records), (16, table.list)];
    let same = repeats.into_iter().all(|(index, offset)| linked(offset) == Some(word(index)));
    // One more than there are functions: the end of the last.
    if !same || word(17) != table.functions + 1 {
        return None;
    }
    let text = word(22);
    let first = Table { text, ..*table }.entry(&mut image.pages, 0)?;
    let functions = match table.layout {
        Layout::Go20 if word(38) >= word(37) => word(40),
        // Since Go 1.27 the second word behind the types is a length, and three more words follow.
        Layout::Go20 => word(43),
        _ => word(38),
    };
    (first == word(20)).then_some(Module { text, functions })
}
