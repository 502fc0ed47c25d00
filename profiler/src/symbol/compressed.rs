//! Sections as linkers and packagers compress them.
//!
//! In: bytes of a foreign file, and how many may come out. Out: what they hold, or nothing: damaged, longer than they say or
//! longer than they may be. Decoders in Rust: these bytes are read by root.

use std::io::Read;

use super::headers::{u32_at, u64_at};

/// Bytes of the header before a compressed section.
const HEADER: usize = 24;
const ZLIB: u32 = 1;
const ZSTD: u32 = 2;
/// Memory that unpacking xz may take, KiB: its largest preset takes 65 MiB.
const XZ_KIB: u32 = 100 << 10;

/// How a compressed section is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// By zlib.
    Zlib,
    /// By zstd.
    Zstd,
}

/// How a section that says it is compressed is packed.
pub fn packing(content: &[u8]) -> Option<Packing> {
    match u32_at(content, 0)? {
        ZLIB => Some(Packing::Zlib),
        ZSTD => Some(Packing::Zstd),
        _ => None,
    }
}

/// What a compressed section (`SHF_COMPRESSED`) holds.
pub fn section(content: &[u8], most: u64) -> Option<Vec<u8>> {
    let length = u64_at(content, 8)?;
    let packed = content.get(HEADER..)?;
    if length > most {
        return None;
    }
    let unpacked = match packing(content)? {
        Packing::Zlib => all(flate2::bufread::ZlibDecoder::new(packed), length),
        Packing::Zstd => calmly(|| all(ruzstd::decoding::StreamingDecoder::new(packed).ok()?, length)),
    }?;
    (unpacked.len() as u64 == length).then_some(unpacked)
}

/// What an xz file holds.
pub fn xz(content: &[u8], most: u64) -> Option<Vec<u8>> {
    calmly(|| all(lzma_rust2::XzReader::new_mem_limit(content, true, XZ_KIB), most))
}

/// A decoder that panics at what it reads has read nothing; other sections of the same file are not its business.
fn calmly(decode: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).ok().flatten()
}

/// All of it, if that is no more than so many bytes.
fn all(reader: impl Read, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}
