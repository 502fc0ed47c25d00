//! Build-ids.
//!
//! In: an open file that may be anything. Out: the build-id among its ELF notes, as hex.
//! Reads at most some hundred kilobytes, never maps the file.

use std::fs::File;

use super::headers::{Bytes, Elf, PROGRAM, u32_at, u64_at};

const NOTE_SEGMENTS: usize = 8;
const NOTE_BYTES: u64 = 4096;
const PT_NOTE: u32 = 4;
const SHT_NOTE: u32 = 7;
const NT_GNU_BUILD_ID: u32 = 3;
const ID_BYTES: usize = 64;

/// The build-id in lower-case hex; `None` when there is none or the file is no 64-bit
/// little-endian ELF image.
pub fn read_build_id(file: &File) -> Option<String> {
    of(file, &Elf::open(file)?)
}

/// The build-id of a file that is open already.
pub fn of(file: &File, elf: &Elf<'_, File>) -> Option<String> {
    let segments = elf.programs().unwrap_or_default();
    let notes = segments.chunks_exact(PROGRAM).filter(|segment| u32_at(segment, 0) == Some(PT_NOTE));
    let mut told = notes.take(NOTE_SEGMENTS).filter_map(|segment| {
        let length = u64_at(segment, 32)?.min(NOTE_BYTES);
        find(&file.part(u64_at(segment, 8)?, length)?, align(u64_at(segment, 48)?))
    });
    told.next().or_else(|| {
        // A file of symbols may keep its notes in other places than its segments say.
        let sections = elf.sections();
        let notes = sections.iter().filter(|section| section.kind == SHT_NOTE).take(NOTE_SEGMENTS);
        notes
            .filter_map(|notes| find(&elf.content(notes, NOTE_BYTES)?, align(u64_at(&notes.header, 48)?)))
            .next()
    })
}

const fn align(told: u64) -> usize {
    if told == 8 { 8 } else { 4 }
}

/// Walks notes: sizes of name and content, type, name and content padded to `align`.
fn find(mut notes: &[u8], align: usize) -> Option<String> {
    loop {
        let name_bytes = u32_at(notes, 0)? as usize;
        let id_bytes = u32_at(notes, 4)? as usize;
        let id_at = (12usize.checked_add(name_bytes)?).checked_next_multiple_of(align)?;
        let end = id_at.checked_add(id_bytes)?;
        if u32_at(notes, 8)? == NT_GNU_BUILD_ID && notes.get(12..16)? == b"GNU\0" {
            let id = notes.get(id_at..end)?;
            return (id.len() <= ID_BYTES).then(|| id.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = notes.get(end.checked_next_multiple_of(align)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn agrees_with_blazesym() {
        let theirs = blazesym::helper::read_elf_build_id(&"/proc/self/exe").unwrap();
        let theirs: Option<String> =
            theirs.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert!(theirs.is_some(), "the test binary has no build-id: nothing compared");
        assert_eq!(read_build_id(&File::open("/proc/self/exe").unwrap()), theirs);
    }

    #[test]
    fn survives_garbage_and_truncation() {
        let whole = std::fs::read("/bin/ls").unwrap();
        for length in [0, 3, 16, 63, 64, 65, 100, 500, 700] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&whole[..length]).unwrap();
            assert_eq!(read_build_id(&file), None, "{length} bytes");
        }
        for byte in 0..512 {
            let mut broken = whole[..4096].to_vec();
            broken[byte] = 0xff;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&broken).unwrap();
            let _ = read_build_id(&file);
        }
        assert_eq!(find(&[0xff; 64], 4), None);
    }
}
