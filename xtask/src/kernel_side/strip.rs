//! In: an object of the kernel side, as the linker wrote it. Out: the same without DWARF, which only made its BTF: four fifths of
//! the bytes, and of the relocations that a loader reads at each start. The lines of the sources stay in `.BTF.ext`.

use anyhow::{Context, Result};
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// Drops the sections of DWARF, and what relocates them and `.BTF.ext` (its numbers are in place already).
///
/// # Errors
/// When it is no ELF object.
pub fn debug_info(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object).context("reading the kernel-side object")?;
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        section.delete =
            name.starts_with(b".debug_") || name.starts_with(b".rel.debug_") || name == b".rel.BTF.ext";
    }
    // LLVM keeps names of sections and of symbols in one table; the builder wants two.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    (names.sh_type, names.sh_addralign, names.data) = (SHT_STRTAB, 1, SectionData::SectionString);
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("writing the kernel-side object")?;
    Ok(stripped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(debug_info(b"\x7fELF").is_err());
        assert!(debug_info(&[]).is_err());
    }
}
