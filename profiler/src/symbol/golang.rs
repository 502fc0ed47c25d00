//! Names of Go code, from the table of functions that every Go program carries for its own runtime.
//!
//! In: a foreign ELF file, linked addresses. Out: functions, the innermost inlined one first, in Go's own spelling; nothing for
//! addresses that are not in Go's code. The table (`pclntab`) stays when a program is stripped. It has 144 MB in large programs:
//! it is neither mapped nor read as a whole. An address costs a binary search and a few reads in pages that are kept for a
//! while. Whatever a file claims, each loop and each read here has an end, and memory is that of the pages.

mod find;
mod functions;
mod image;
mod inlined;
mod module;
mod pages;
mod scan;
mod table;

use super::headers::Bytes;
use super::names::{NAME_BYTES, clean};
use image::Image;
use inlined::Inlined;
use table::Table;

/// The Go code of a file.
#[derive(Debug)]
pub struct GoNames<S> {
    image: Image<S>,
    table: Table,
    inlined: Option<Inlined>,
}

impl<S: Bytes> GoNames<S> {
    /// Looks for the table; `None` if this is no Go program, or it cannot be read.
    pub fn open(source: S) -> Option<Self> {
        let mut image = Image::open(source)?;
        let (table, module) = find::table(&mut image)?;
        let inlined = module.map(|module| Inlined::new(&table, module.functions));
        Some(Self { image, table, inlined })
    }

    /// The functions at a linked address; none where there is no Go code.
    pub fn names(&mut self, address: u64) -> Vec<String> {
        self.find(address).unwrap_or_default()
    }

    fn find(&mut self, address: u64) -> Option<Vec<String>> {
        let function = functions::find(&mut self.image.pages, &self.table, address)?;
        let outer = functions::name(&mut self.image.pages, &self.table, function.name)?;
        let inlined = self.inlined.as_mut();
        // Where they cannot be had, the function that is not inlined still is.
        let inner =
            inlined.and_then(|inlined| inlined.names(&mut self.image, &self.table, &function, address));
        let names = inner.unwrap_or_default().into_iter().chain([outer]);
        Some(names.map(|name| clean(&String::from_utf8_lossy(&name), NAME_BYTES)).collect())
    }
}

#[cfg(test)]
mod made;
#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;
