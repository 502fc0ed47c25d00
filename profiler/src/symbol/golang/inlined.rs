//! Functions inlined at an address.
//!
//! In: the function that is not inlined, its record, where data of functions is linked. Out: names, the innermost first. A list
//! of values by code address says which call was inlined there, and the call says its function and where it was made from: a
//! place in the same function, which is looked up the same way. Such a list is read from its start, step by step; steps are
//! bounded for an address and for a file.

use super::super::headers::Bytes;
use super::functions::{self, Function};
use super::image::Image;
use super::pages::Pages;
use super::table::{Layout, Table};
use crate::profile::stack::FUNCTIONS;

/// Steps in lists of values: for an address at most; for a file, from the start, and for each address more.
const STEPS: u64 = 1 << 17;
const STEPS_AT_FIRST: u64 = 1 << 22;
const STEPS_MORE: u64 = 512;
/// The list that tells inlined calls, and the data that has them, among those of a function.
const LIST: u64 = 2;
const DATA: u8 = 3;
const NO_DATA: u32 = u32::MAX;

/// Where a layout keeps what is needed here, bytes in a record: how many lists; how much data; the first of the lists.
#[derive(Debug)]
struct Places {
    lists: u64,
    data: u64,
    first: u64,
    /// Bytes of a call; in it, where its function's name is, and the place it was made from.
    call: u64,
    name: u64,
    parent: u64,
}

const GO18: Places = Places { lists: 28, data: 39, first: 40, call: 20, name: 12, parent: 16 };
const GO20: Places = Places { lists: 28, data: 43, first: 44, call: 16, name: 4, parent: 8 };

/// What inlined functions are told by.
#[derive(Debug)]
pub struct Inlined {
    places: &'static Places,
    /// Where the data of functions is linked.
    data: u64,
    /// Steps that the file may still cost; of these, those for this address.
    steps: u64,
    left: u64,
}

impl Inlined {
    /// For a table whose functions have their data there.
    pub fn new(table: &Table, data: u64) -> Self {
        let places = if table.layout >= Layout::Go20 { &GO20 } else { &GO18 };
        Self { places, data, steps: STEPS_AT_FIRST, left: 0 }
    }

    /// The functions inlined at an address of a function; `None` if they cannot be told.
    pub fn names<S: Bytes>(
        &mut self,
        image: &mut Image<S>,
        table: &Table,
        function: &Function,
        address: u64,
    ) -> Option<Vec<Vec<u8>>> {
        self.steps = self.steps.saturating_add(STEPS_MORE);
        let may = self.steps.min(STEPS);
        self.left = may;
        let names = self.walk(image, table, function, address);
        self.steps = self.steps.saturating_sub(may - self.left);
        names
    }

    fn walk<S: Bytes>(
        &mut self,
        image: &mut Image<S>,
        table: &Table,
        function: &Function,
        address: u64,
    ) -> Option<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        let Some((list, calls)) = self.lists(image, table, function)? else { return Some(names) };
        let mut into = address.checked_sub(function.entry)?;
        // One more than a profile keeps, so that it counts the cut.
        while names.len() < FUNCTIONS {
            let pages = &mut image.pages;
            let Ok(index) = u64::try_from(value(pages, list, table.quantum, into, &mut self.left)?) else {
                break;
            };
            let call = calls.checked_add(index.checked_mul(self.places.call)?)?;
            let name = pages.u32(call.checked_add(self.places.name)?)?;
            names.push(functions::name(pages, table, name)?);
            into = pages.u32(call.checked_add(self.places.parent)?)?.into();
        }
        Some(names)
    }

    /// Where in the file the list of a function is, and its inlined calls; `Some(None)` if it has none.
    fn lists<S: Bytes>(
        &self,
        image: &mut Image<S>,
        table: &Table,
        function: &Function,
    ) -> Option<Option<(u64, u64)>> {
        let pages = &mut image.pages;
        let lists = u64::from(pages.u32(function.record.checked_add(self.places.lists)?)?);
        let data = pages.u8(function.record.checked_add(self.places.data)?)?;
        if lists <= LIST || data <= DATA {
            return Some(None);
        }
        let first = function.record.checked_add(self.places.first)?;
        let list = pages.u32(first.checked_add(LIST * 4)?)?;
        let calls = pages.u32(first.checked_add((lists + u64::from(DATA)) * 4)?)?;
        if list == 0 || calls == NO_DATA {
            return Some(None);
        }
        let calls = image.offset_of(self.data.checked_add(calls.into())?)?;
        Some(Some((table.values.checked_add(list.into())?, calls)))
    }
}

/// The value that a list has for a place in a function, bytes from its start; `None` if the list ends before, or has no end.
fn value<S: Bytes>(
    pages: &mut Pages<S>,
    list: u64,
    quantum: u64,
    place: u64,
    steps: &mut u64,
) -> Option<i32> {
    let mut stream = Stream { at: list, read: [0; 32], used: 32, there: 32 };
    let (mut value, mut reached) = (-1_i32, 0_u64);
    loop {
        *steps = steps.checked_sub(1)?;
        let change = stream.number(pages)?;
        if change == 0 && reached != 0 {
            return None;
        }
        // The lowest bit is the sign.
        value = value.wrapping_add((change >> 1) as i32 ^ -((change & 1) as i32));
        reached = reached.checked_add(u64::from(stream.number(pages)?) * quantum)?;
        if place < reached {
            return Some(value);
        }
    }
}

/// Numbers of variable length, one behind the other.
struct Stream {
    at: u64,
    read: [u8; 32],
    used: usize,
    there: usize,
}

impl Stream {
    fn byte<S: Bytes>(&mut self, pages: &mut Pages<S>) -> Option<u8> {
        if self.used >= self.there {
            self.there = pages.read(self.at, &mut self.read);
            self.at = self.at.checked_add(self.there as u64)?;
            self.used = 0;
        }
        let byte = self.read.get(..self.there)?.get(self.used).copied()?;
        self.used += 1;
        Some(byte)
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more.
    fn number<S: Bytes>(&mut self, pages: &mut Pages<S>) -> Option<u32> {
        let mut number = 0;
        for shift in (0..32).step_by(7) {
            let byte = self.byte(pages)?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}
