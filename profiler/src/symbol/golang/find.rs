//! Where a program has Go's table of functions.
//!
//! In: the program. Out: its table, and what the runtime knows beside it. The table is found by the name of
//! its section or, if there is no such section, by its first bytes. Only a file that looks like a Go program
//! is searched.

use super::super::headers::{Bytes, SHF_EXECINSTR};
use super::image::Image;
use super::module::{self, Module};
use super::scan::{self, Effort};
use super::table::{self, Table};

/// The section that is the table. Of a program that may lie anywhere it is the second one, or nothing but a part of a section.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Sections that a table may be a part of.
const AROUND: [&str; 2] = [".data.rel.ro", ".rodata"];
/// Sections that only Go programs have.
const OF_GO: [&str; 3] = [".go.buildinfo", ".note.go.buildid", ".go.module"];
/// Places that begin like a table, at most.
const PLACES: usize = 64;

/// Finds it.
pub fn table<S: Bytes>(image: &mut Image<S>) -> Option<(Table, Option<Module>)> {
    let mut effort = Effort::default();
    let named = image.sections.iter().find(|section| SECTIONS.contains(&section.name.as_str()));
    let named = named.map(|section| (section.offset, section.address));
    if let Some(found) = named.and_then(|(at, address)| whole(image, (at, address), &mut effort)) {
        return Some(found);
    }
    stretches(image).into_iter().find_map(|(at, bytes)| {
        let stretch = at..at.saturating_add(bytes);
        let places = scan::words(&image.pages.source, stretch, &mut effort, PLACES, table::begins);
        places.into_iter().find_map(|at| {
            let address = image.address_of(at)?;
            let found = whole(image, (at, address), &mut effort)?;
            // A program may hold another one, as data. That one has its own addresses.
            (found.1.is_some() || !found.0.layout.has_offsets()).then_some(found)
        })
    })
}

/// Where a table may be that no section is named after.
fn stretches<S: Bytes>(image: &Image<S>) -> Vec<(u64, u64)> {
    let sections = &image.sections;
    if sections.is_empty() {
        let loads = image.loads.iter().filter(|load| !load.is_code());
        return loads.map(|load| (load.offset, load.bytes)).collect();
    }
    let is_go = sections.iter().any(|section| OF_GO.contains(&section.name.as_str()));
    let around = AROUND.iter().flat_map(|name| sections.iter().filter(move |section| section.name == *name));
    // The names of sections may have been changed.
    let others = sections.iter().filter(|section| !AROUND.contains(&section.name.as_str()));
    let all =
        around.chain(others.filter(|section| section.address != 0 && section.flags & SHF_EXECINSTR == 0));
    all.filter(|_| is_go).map(|section| (section.offset, section.bytes)).collect()
}

/// The table at a place in the file and in memory, if it is one of this program.
fn whole<S: Bytes>(
    image: &mut Image<S>,
    (at, address): (u64, u64),
    effort: &mut Effort,
) -> Option<(Table, Option<Module>)> {
    let mut table = Table::read(&mut image.pages, at, address)?;
    let module = module::find(image, &table, effort);
    if let Some(module) = module {
        table.text = module.text;
    }
    // Without it, newer tables do not say where code begins.
    let is_told = table.text != 0 || !table.layout.has_offsets();
    (is_told && table.fits(image)).then_some((table, module))
}
