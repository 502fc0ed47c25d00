//! Build-ids.
//!
//! In: an open file that may be anything. Out: the build-id among its ELF notes, as hex.
//! Reads at most a few kilobytes, never maps the file.

use std::fs::File;
use std::os::unix::fs::FileExt;

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const SEGMENTS: usize = 64;
const NOTE_SEGMENTS: usize = 8;
const NOTE_BYTES: u64 = 4096;
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;
const ID_BYTES: usize = 64;

/// Whether a file starts like an ELF image.
pub fn is_elf(file: &File) -> bool {
    read(file, 0, 4).is_some_and(|magic| magic == *b"\x7fELF")
}

/// The build-id in lower-case hex; `None` when there is none or the file is no 64-bit
/// little-endian ELF image.
pub fn read_build_id(file: &File) -> Option<String> {
    let header = read(file, 0, HEADER)?;
    if header.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = u64_at(&header, 32)?;
    let size = usize::from(u16_at(&header, 54)?);
    let count = usize::from(u16_at(&header, 56)?).min(SEGMENTS);
    if size != SEGMENT {
        return None;
    }
    let segments = read(file, table, count * SEGMENT)?;
    let notes = segments.chunks_exact(SEGMENT).filter(|segment| u32_at(segment, 0) == Some(PT_NOTE));
    notes.take(NOTE_SEGMENTS).find_map(|segment| {
        let length = u64_at(segment, 32)?.min(NOTE_BYTES);
        let align = if u64_at(segment, 48)? == 8 { 8 } else { 4 };
        find(&read(file, u64_at(segment, 8)?, length as usize)?, align)
    })
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

fn read(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
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
