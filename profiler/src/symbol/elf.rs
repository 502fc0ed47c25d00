//! Names from one ELF file, through blazesym.
//!
//! In: a path to an open file and offsets in it. Out: functions per offset, innermost first.
//! Runs only in the child that [`super::worker`] starts: the file may crash or hang its reader.

use std::path::Path;

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{Input, Reason, Sym, Symbolized, Symbolizer};

use super::mangled::demangle;
use super::names::{NAME_BYTES, clean};
use crate::profile::stack::FUNCTIONS;

/// Inlined functions told at one position: more than a profile keeps, so that it counts the cut.
const INLINED: usize = FUNCTIONS;

/// A file's symbols.
pub struct ElfNames {
    symbolizer: Symbolizer,
    source: Source<'static>,
}

impl ElfNames {
    /// Prepares a file; nothing is read yet.
    pub fn new(path: &Path, dwarf: bool) -> Self {
        let mut elf = Elf::new(path);
        elf.debug_syms = dwarf;
        let symbolizer = Symbolizer::builder()
            .enable_auto_reload(false)
            .enable_code_info(dwarf)
            .enable_inlined_fns(dwarf)
            // It would take names of C for mangled types.
            .enable_demangling(false)
            .set_debug_dirs(Some(std::iter::empty::<&Path>()))
            .build();
        Self { symbolizer, source: Source::Elf(elf) }
    }

    /// The functions at each offset, none where there is no symbol; `None` when the file is
    /// unreadable: it cannot be opened as ELF, or every single offset fails.
    pub fn find(&self, offsets: &[u64]) -> Option<Vec<Vec<String>>> {
        self.names(Input::FileOffset(offsets))
    }

    /// The same at linked addresses.
    pub fn find_linked(&self, addresses: &[u64]) -> Option<Vec<Vec<String>>> {
        self.names(Input::VirtOffset(addresses))
    }

    fn names(&self, places: Input<&[u64]>) -> Option<Vec<Vec<String>>> {
        let found = self.symbolizer.symbolize(&self.source, places).ok()?;
        let failed = |one: &Symbolized<'_>| matches!(one, Symbolized::Unknown(Reason::IgnoredError));
        let readable = found.is_empty() || !found.iter().all(failed);
        readable.then(|| found.into_iter().map(functions).collect())
    }
}

fn functions(found: Symbolized<'_>) -> Vec<String> {
    let Symbolized::Sym(Sym { name, inlined, .. }) = found else { return Vec::new() };
    let inlined = inlined.iter().rev().take(INLINED).map(|inlined| &*inlined.name);
    let names = inlined.chain([&*name]).filter(|name| !name.is_empty());
    names.map(|name| clean(&demangle(name), NAME_BYTES)).collect()
}
